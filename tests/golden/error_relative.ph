// Names of classes: relative without a package, defined twice.
class a { };
class .b { var x : c; };
class .b { };
