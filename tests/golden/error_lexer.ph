// Errors of the lexer.
class .a {
  int a() { return 08; }
  int b() { return 0x; }
  int c() { return 99999999999999999999; }
  int d() { return 9223372036854775808; }
  int e() { return 12abc; }
  string f() { return "\q \x4 \u12"; }
  int g() { return 'ab'; }
  int h() { return 1 ? 2 : 3; }
  int é() { }
  double i() { return 1e999 + 1e99f; }
  int j() { return 1 # 2; }

  string k() { return "not closed; }
