// Errors in statements.
package .golden;
class a {
    void m() {
        var x;
        if 1 { }
        case 5: ;
        try { }
        f(1;
        1 = 2;
        a.b.c .= d;
        o.16;
        o.70000();
        x++ = 5;
        5++;
        new *(x;
        try { } catch (string s) { } catch (int i) { }
        while (1) @;
        foreach (x of y) { }
        return import 5;
        } else { }
};
interface i { var f : int; };
