// Classes, members, constructors, numbers of methods, slots of fields.
package .golden;
import .golden.imported;

attribute const * ->!;

class base @const {
    var first : int;
    string second;
    var third;
    ;
    public int getFirst() { return first; }
    void base() { first = 1; }
    int fixed(var x : int) [20] { return x; }
    int twice(var x : int) { return x + x; }
    int twice(var x : string) { return x.length() * 2; }
    int twice(var x) { return 0; }
    string toString() { return "base"; }
    void empty() { }
    void unfinished(var a, var b : long @const) { return; }
}
class derived extends base {
    var fourth : .golden.imported;
    int twice(var x : int) { return x + x + getFirst(); }
    int fixed(var x : int) [30] { return twice(x) + twice("a") + twice(null); }
    derived itself() { return this; }
    int chain() { return itself().itself().fixed(third.hashCode()); }
    void own_slot() [9] { fourth = new imported(3); fourth.16(); }
};
class middle extends derived { };
class last extends middle {
    var fifth : derived[];
    void last(var n : int) { this.fifth = new derived[](); fifth[n] = new derived(); }
    last make() { return new last(5); }
};
