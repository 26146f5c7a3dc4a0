// The file ends in the middle.
class .a { void m() { while (1) {
