// SPDX-License-Identifier: Apache-2.0
// A world that needs ever more memory: for tests of full file systems. Prints a line for each
// 64 strings it keeps, about 256 KiB; stops growing at grow.limit lines if the environment has it.
package .test;

class grow
{
    string page()
    {
        var s : string;
        var i : int;
        s = "0123456789abcdef";
        i = 0;
        while( i < 8 )
        {
            s = s.concat( s );
            i = i + 1;
        }
        return s;
    }

    int limit( var boot )
    {
        var all : string[];
        var i : int;
        all = boot.23();
        i = 0;
        while( i < (int)all.12() )
        {
            if( all[i].strstr( "grow.limit=" ) == 0 )
            {
                return all[i].substring( 11, all[i].length() - 11 ).toInt();
            }
            i = i + 1;
        }
        return 0;
    }

    void run( var boot ) [8]
    {
        var kept : string[];
        var n : int;
        var stop : int;
        kept = new string[]();
        stop = limit( boot );
        n = 0;
        while( 1 )
        {
            kept[n] = page();
            n = n + 1;
            if( (n % 64) == 0 )
            {
                boot.16( "grown " ); boot.16( n / 64 ); boot.16( "\n" );
                boot.21( 100 );
                if( (n / 64) == stop ) { return; }
            }
        }
    }
};
