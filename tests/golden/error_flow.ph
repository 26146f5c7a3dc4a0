// Errors of statements that parse.
package .golden;
interface face { };
class a {
    int f(var p : int, var p : int) {
        break;
        continue;
        var v : void;
        var x : int; var x : string;
        switch ("s") { }
        switch (p) { case 1: case 1: default: default: case "x": }
        foreach (e in 5) { }
        throw null;
        throw g();
        try { } catch (void v) { }
        try { } catch (face i) { }
        return "s";
    }
    void g() { return 1; }
    string h() { return import "no/such/file"; }
    face i() { return import "zero\0byte"; }
};
