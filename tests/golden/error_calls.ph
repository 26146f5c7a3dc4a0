// Errors of calls.
package .golden;
class b { void b(var x : int) { } };
interface face { };
class a {
    var any; var list : int[];
    void f(var x : string) { } void f(var x : int[]) { } void g(var x : int, var y : long) { }
    void g(var x : long, var y : int) { }
    void two() {
        f(5); f(null); f(); g(1, 1); h(); super();
        any.foo(); null.foo(); one().foo(); this.nofield = 1; any.field = 2;
        "x"[0] = 1; list["x"] = 1; new int(); new b(); new face(); new .internal.mutex(1); new *(5)();
    }
    void one() { }
};
