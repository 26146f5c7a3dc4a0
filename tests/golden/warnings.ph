// What is legal but deserves a word.
package .golden;
class Warnings {
    var any;
    int falls(var a : int) { if (a) return 1; }
    int returns() { return; }
    int old(var a : int, var b : int) {
        if (!a && b) return 1;
        if (a || b && a) return 2;
        return (int) 1.5 + b + (a :== b);
    }
    void commas() { old(1 2); }
    void narrow(var d : double) { var i : int; i = d; }
    string bell() { return "\b"; }
    int equals(var o : string) { return 0; }
    string hashCode() { return "x"; }
};
