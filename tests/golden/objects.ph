// Casts, new, null, arrays, native classes.
package .golden;
class animal { };
class dog extends animal { void bark() { } };
class objects {
    var boot : .internal.boot;
    dog down(var a : animal) { return a; }
    dog cast(var a) { return (dog) a; }
    animal up(var d : dog) { return (animal) d; }
    .internal.object top(var d : dog) { return (.internal.object) d; }
    dog none() { return (dog) null; }
    string text(var o : .internal.object) { return (string) o; }
    int[] list(var o) { return (int[]) o; }
    dog unrelated(var b : objects) { return b; }
    dog make(var c : .internal."class") { return new *(c)(); }
    dog typed(var c : .internal."class") { return new *(c) : dog (1); }
    void arrays(var a : string[], var b : void[]) {
        var n : int[];
        n = new int[]();
        n[0] = n[1];
        a[n[0]] = b[2];
        b[0] = 5; b[1] = "x";
        n.12(); n.size(); a.11("y", 3);
        n = a;
    }
    void native(var b : .internal.boot) [8] {
        var m : .internal.mutex = new .internal.mutex();
        m.lock(); m.8(); m.trylock();
        boot = b;
        boot.consolePrint("x"); b.16(1, 2);
        b.getKernelEnvironment()[0].length();
        b.16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        b.40(); b.8(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16); b.2();
    }
    void every_object(var u, var d : dog, var a : int[]) {
        u.toString(); d.hashCode(); d.equals(u); a.toString(); getClass(); 5.toString();
    }
};
