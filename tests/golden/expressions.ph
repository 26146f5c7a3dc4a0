// quiet
// Operators, precedence, assignments.
package .golden;
class expressions {
    var field : int;
    var wide : double;
    var any;
    var numbers : int[];
    var names : string[];

    int levels(var a : int, var b : int, var c : int) {
        var r : int;
        r = a + b * c | 1;
        r = a - b - c;
        r = a / b % c & 3 ^ 4;
        r = a | b ~;
        r = ~a | b;
        r = -a + -(b);
        r = a << 2 + b >> c >>> 1;
        r = a + b = c;
        return r;
    }
    int truth(var a : int, var b : int) {
        var r : int;
        r = a && b || !a;
        r = (a == 1 || b != 2) && !(a < b);
        r = a == b;
        r = a != b;
        r = !a;
        if (a != b && (a || b)) { return 1; }
        if (!(a && b) || 0) { return 2; }
        return r;
    }
    int assign(var p : int) {
        var i : int;
        var o : .internal.object;
        i = field = p;
        p = 5;
        any = i;
        o = i;
        field = any;
        i += 2; field -= i; p *= 3; i /= 2; i %= 2; i |= 1; i &= 3; i ^= 1; i <<= 2; i >>= 1;
        i >>>= 1;
        numbers[i] = p;
        numbers[i] += 7;
        o = names[0] = "x";
        names[1] += "y";
        return i = p;
    }
    int steps() {
        var i : int = 0;
        var l : long = 1;
        i++; ++i; i--; --i;
        l++;
        field++;
        wide--;
        numbers[i]++;
        return i++ + ++field + numbers[2]-- + --numbers[3];
    }
    string text(var s : string, var n : int) {
        return "a" + s + n + 1.5 + this + any + null;
    }
    int references(var a, var b : .internal.object, var s : string) {
        if (a :== b) { return 1; }
        if (s :!= null) { return 2; }
        if (s == null || null != b) { return 3; }
        if (s == "x") { return 4; }
        if (a == 5) { return 5; }
        return a != b;
    }
};
