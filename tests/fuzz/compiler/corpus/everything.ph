// Runs every construct and prints what came of it; the expected output is language.out.
package .golden.run;

interface named { string name(); int weight(); };
class thing {
    var serial : int;
    void thing() { serial = 7; }
    string name() { return "thing"; }
    int getSerial() { return serial; }
};
class box extends thing implements named {
    var content;
    void box() { content = "nothing"; }
    void box(var c) { content = c; }
    string name() { return "box of " + content; }
    int weight() { return serial * 2; }
    string toString() { return "<" + name() + ">"; }
};
class sheet implements named {
    string name() [8] { return "sheet"; }
    int weight() { return 1; }
    int equals(var o) { return 1; }
};
class middle extends thing { };
class leaf extends middle { var own : int; void leaf() { own = serial + 1; } int getOwn() { return own; } };

class language {
    var boot : .internal.boot;
    var calls : int;
    var field : long;

    void say(var what : string) { boot.consolePrint(what + "\n"); }
    void check(var what : string, var truth : int) { say(what + ": " + truth); }

    int yes() { calls++; return 1; }
    int no() { calls++; return 0; }

    void logic() {
        calls = 0;
        if (no() && yes()) { say("wrong"); }
        if (yes() || no()) { say("short circuit"); }
        check("calls", calls);
        check("and", 1 && 2);
        check("or", 0 || 0);
        check("not", (!5) + !0);
        check("mixed", (1 || 0) && !(2 < 1));
        check("old levels", 1 + 2 * 3 | 4);
        check("same", 3 == 3 && 3 != 4 && 4 >= 4 && 4 <= 4 && 5 > 4 && 4 < 5);
    }

    void numbers(var l : long, var f : float, var d : double, var after : string) {
        var big : long = 5000000000;
        say("long " + (big + 2) + " " + (big == 705032704) + " " + (big == 5000000000));
        say("parameters " + l + " " + (int) f + " " + (int) d + " " + after);
        field = 3;
        field += big;
        say("field " + field + " " + (field > big) + " " + (field == 5000000003L));
        if (1.5 == 1.2) { say("wrong"); }
        if (1.5f != 1.5f) { say("wrong"); }
        if (d == 2.5 && d > 2 && f <= d) { say("double ok"); }
        if (4294967296) { say("long condition ok"); }
        if (0.0) { say("wrong"); }
        if (!0.5) { say("wrong"); }
        var half : double = 1;
        half /= 2;
        check("conversion", (int) (half * 7));
        check("shift", (1 << 10) + (-16 >> 2) + (-1 >>> 28));
        say("long shift " + (1L << 40));
        check("bits", (12 & 10) * 100 + (12 | 3) + (5 ^ 1) + ~0);
        check("negative", -7 / 2 + -7 % 4 + -(3));
        int i = 5;
        check("steps", i++ * 100 + i + --i * 1000 + ++i);
    }

    void loops() {
        var text : string = "";
        for (int i = 0; i < 10; i++) {
            if (i == 3) continue;
            if (i == 6) break;
            text += i;
        }
        say("for " + text);
        text = "";
        int n = 0;
        do { n++; if (n == 2) continue; text += n; } while (n < 4);
        say("do " + text);
        n = 0;
        text = "";
        do { text += "a"; n++; } while (n < 3) { text += "b"; }
        say("do while " + text);
        while (1) { n--; if (n < 0) break; }
        check("while", n);
    }

    string choose(var n : int) {
        string r = "";
        for (int i = 0; i < 2; i++) {
            switch (n) {
                case 1: case 2: r += "one or two ";
                case 3: r += "three "; break;
                case 4: continue;
                default: r += "other ";
            }
            r += ".";
        }
        return r;
    }

    string thrower(var depth : int) {
        try {
            if (depth == 0) { throw "deep"; }
            return thrower(depth - 1);
        } catch (.internal.int wrong) {
            return "wrong";
        }
    }

    void exceptions() {
        var log : string = "";
        for (int i = 0; i < 4; i++) {
            try {
                log += i;
                if (i == 1) continue;
                if (i == 3) break;
                throw "x" + i;
            } catch (string e) {
                log += e;
            }
        }
        say("exceptions " + log);
        try { throw thrower(3); } catch (string e) { say("caught " + e); }
        try { throw new box(1); } catch (thing t) { say("caught a " + t.name()); }
        try {
            var u : .internal.object = "text";
            var b : box = (box) u;
            say("wrong " + b);
        } catch (string e) { say("bad cast"); }
        try {
            var nothing : box = null;
            var same : box = (box) nothing;
            check("null cast", same == null);
            nothing.name();
        } catch (string e) { say("null call"); }
    }

    void objects() {
        var b : box = new box("tea");
        var t : thing = b;
        say(t.name() + " " + t.getSerial() + " " + b);
        b = (box) t;
        var items : named[] = new named[]();
        items[0] = b;
        items[1] = new sheet();
        int total = 0;
        foreach (item in items) { total += item.weight(); say(item.name()); }
        check("weights", total);
        check("sizes", items.size() * 10 + items.12());
        check("same object", t :== b);
        check("other object", t :!= b);
        check("equals", (new sheet()) == b);
        check("strings", "ab" + "c" == "abc");
        check("null", null == t || t == null);
        say("default " + new box().name() + " " + new leaf().getOwn() + " " + new leaf().getSerial());
        var d : .internal.directory = new .internal.directory();
        d.put("k", 42);
        check("boxed", ((int) d.get("k")) + 1);
        check("by number", "abc".11());
    }

    void arrays() {
        int[] a = new int[]();
        a[2] = 5;
        a[2] += 3;
        a[2]++;
        a[0] = a[2]-- * 2;
        a[1] = (a[3] = 11);
        check("array", a[0] * 1000 + a[1] * 10 + a[2]);
        string[] s = new string[]();
        s[0] = "x";
        s[0] += "y" + a[1];
        say(s[0]);
        var any = null;
        any = 5;
        check("unboxed", any + 1);
    }

    void scopes() {
        int x = 1;
        { int y = 2; x += y; }
        { string y = "s"; x += y.length(); }
        check("scopes", x);
    }

    void run(var b : .internal.boot) [8] {
        boot = b;
        logic();
        numbers(1, 2.5f, 2.5, "last");
        loops();
        say(choose(1)); say(choose(3)); say(choose(4)); say(choose(9));
        exceptions();
        objects();
        arrays();
        scopes();
    }
};
