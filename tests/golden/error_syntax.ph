// Errors of the parser; each is followed by something that must still be understood.
package .golden;
package .again;
import golden;
import .golden.*;
attribute 5;
int stray;
class a {
    int no_body();
    static int s() { return 1; }
    private int p;
    var q = 5;
    int n() [99999] { }
    int o(int x) { }
    *this t;
    string[other] u;
    string[][] v;
    var ."a b" w;
    var ;
};
