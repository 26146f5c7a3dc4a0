// Literals, comments and escapes.
package .golden;
/* block
   comment */ class literals {
    int decimal() { return 0; }
    int small() { return 255; }
    int medium() { return 256; }
    int negative() { return -1; }
    int lowest() { return -2147483648; }
    int octal() { return 0777; }
    int hex() { return 0xFFFFFFFF; }
    int letter() { return 'a'; }
    int newline() { return '\n'; }
    long suffixed() { return 5L; }
    long automatic() { return 5000000000; }
    long widened() { return 7; }
    long longest() { return -9223372036854775808; }
    float real() { return 1.5f; }
    float plain() { return 2f; }
    double precise() { return 1.5; }
    double power() { return -1e3; }
    string escapes() { return "\"\\\n\r\t\a\e\0\x41\u00e9\u20ac\b'"; }
    string raw() { return "two
lines"; }
    string same() { return "two
lines"; }
    string file() { return import "import/text.txt"; }
    int after_literal() { return "abc".length() + 5.toString().length(); }
};
