// Errors of classes and members.
package .golden;
import .no.such.thing;
class one extends two { };
class two extends one { };
class orphan extends nobody { };
class native extends .internal.string { };
interface face { int see(); int hear(var x : int); };
class wrong extends face { };
class plain { };
class also implements plain { };
interface deep implements face { };
class members {
    var a : int; var a : string; var v : void; var t : unknown_type;
    int m() { return 1; } int m() { return 2; }
    int members() { return 1; }
    void p(var x : void) { }
};
