// Errors of types.
package .golden;
class needs { void needs(var x : int) { } };
class heir extends needs { };
interface face { };
class a {
    var n : int; var s : string; var any; var list : int[];
    void one() {
        n = "text"; s = 5; n = null; n = nothing;
        s = (string) 5; n = (int) "5"; n = (int) this; s = (void) n;
        if (s) { } while (this) { }
        n = s - 1; n = s < "b"; n = any + any; n = 1.5 % 2.0; n = ~1.5; n = -s;
        if (n == "5") { }
    }
};
