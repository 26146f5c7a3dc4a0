// A relative type without a package, and one nobody knows.
class .b { var x : c; .no.such.thing y; };
