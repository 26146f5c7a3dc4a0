// quiet
// The four numeric types, boxed and not.
package .golden;
class numbers {
    var i : int; var l : long; var f : float; var d : double; var u;

    int compare(var a : long, var b : double, var c : float) {
        var x : long; var y : double; var z : float;
        x = a; y = b; z = c;
        if (x == a) { return 1; }
        if (y != x) { return 2; }
        if (z < i || l >= f || d <= 1) { return 3; }
        if (x) { return 4; }
        while (!y) { return 5; }
        return x == 4294967296;
    }
    double convert(var a : int, var after : string) {
        var x : long; var y : float; var z : double; var n : int;
        x = a; y = x; z = y; n = z;
        l = i; f = l; d = f; i = d;
        n = (int) 3.7 + (int) x;
        z = n + x * y - z;
        takes(a); takes(f);
        u = x; n = u; x = u + 1L;
        i = (int) u;
        return n;
    }
    void takes(var v : long) { l = v; }
    long result() { return i; }
    long mask(var a : long, var b : int) { return (a | 7) & ~a ^ b << 3 | a << b | a >> 2; }
    double negate(var a : double) { return -a; }
    int boxed(var a : .internal.object) { return a + 1; }
};
