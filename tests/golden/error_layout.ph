// Errors found when slots and numbers are given.
package .golden;
interface face { int see() [30]; };
interface other { int hear() [30]; };
class both implements face implements other { int see() { return 1; } int hear() { return 2; } };
class blind implements face { int hear() { return 1; } };
class base { var f : int; int m() { return 1; } int k() { return 1; } };
class heir extends base { var f : int; string m() { return ""; } void x() [17] { } int k() { return 2; } };
class same { int n() [20] { return 1; } int o() [20] { return 2; } };
