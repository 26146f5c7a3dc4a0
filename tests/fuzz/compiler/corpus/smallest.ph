class .a { };
