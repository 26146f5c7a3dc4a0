// The run is given up after 20 errors.
package .golden;
class a {
    void m() {
        unknown0();
        unknown1();
        unknown2();
        unknown3();
        unknown4();
        unknown5();
        unknown6();
        unknown7();
        unknown8();
        unknown9();
        unknown10();
        unknown11();
        unknown12();
        unknown13();
        unknown14();
        unknown15();
        unknown16();
        unknown17();
        unknown18();
        unknown19();
        unknown20();
        unknown21();
        unknown22();
        unknown23();
        unknown24();
        unknown25();
        unknown26();
        unknown27();
        unknown28();
        unknown29();
    }
};
