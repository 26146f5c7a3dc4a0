// Errors in the heads of classes and in methods of interfaces.
package .golden;
class a extends b extends c { };
interface d extends e { };
interface f { int g() { return 1; } };
class h
