// Interfaces: the implementing method sits in the interface's slot, or a bridge does.
package .golden;
interface shape { int area(); string name() [40]; string toString(); };
interface sized { int area(); void grow(var by : int) {} };
class square implements shape implements sized {
    var side : int;
    int area() { return side * side; }
    string name() { return "square"; }
    string toString() { return "a square"; }
    void grow(var by : int) [8] { side += by; }
};
class room { int area() { return 12; } };
class hall extends room implements sized { void grow(var by : int) { } };
class user {
    int use(var s : shape, var o) {
        var z : sized = o;
        z.grow(1);
        s = new square();
        return s.area() + ((shape) o).area() + z.area();
    }
};
