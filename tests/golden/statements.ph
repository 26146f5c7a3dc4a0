// quiet
// Every statement.
package .golden;
class statements {
    int loops(var n : int) {
        var sum : int;
        while (n > 0) { n = n - 1; if (n == 5) continue; if (n == 2) break; sum = sum + n; }
        do { n++; if (n == 3) continue; } while (n < 4);
        do n++; while (n < 10) { sum = sum + 1; continue; }
        for (var i : int = 0; i < n; i++) { if (i == 2) continue; sum += i; }
        for (;;) { break; }
        for (n = 0; n < 3;) { n++; }
        int c = 5;
        string s;
        while (0) { sum = 99; }
        while (1) { if (sum) return sum; }
    }
    int choose(var n : int) {
        switch (n) {
            case 1: case 2: n = 5;
            case 3: { n = 6; break; }
            default: n = 7; break;
            case 4: return 4;
        }
        while (1) {
            switch (n) { case 1: continue; case 2: break; case n: return 3; }
            break;
        }
        switch (n) { }
        return n;
    }
    void each(var list : string[], var any) {
        var total : int;
        foreach (x in list) { if (x == "a") continue; if (x == "b") break; total += x.length(); }
        foreach (y in any) { total++; }
        foreach (var z : int in any) total += z;
    }
    int scopes(var n : int) {
        { var x : int = 1; n += x; }
        { var x : string = "s"; n += x.length(); }
        if (n) { var n : long = 5; return n; } else ;
        var guess = 1.5;
        var object = null;
        return guess;
    }
    void caught() {
        while (1) {
            try {
                try { throw "a"; } catch (.internal.int e) { break; }
                continue;
            } catch (string e) {
                if (e == "x") { return; }
                throw e;
            }
        }
        try { throw new .internal.directory(); } catch (var any : .internal.object) { }
        try return; catch (int[] list) { list[0] = 1; }
    }
    int dead() { return 1; return 2; }
};
