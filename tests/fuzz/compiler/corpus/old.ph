// A program as it was written for the older compilers: no initialisers, declarations anywhere,
// explicit numbers, calls by number, conversions left to the compiler.

package .golden.old;

import .internal.io.tty;
import .internal.directory;

attribute const * ->!;

class entry
{
    var key : .internal.object;
    var next : entry;
    var count : int;

    void init( var k : .internal.object @const )
    {
        key = k;
        count = 0;
    }

    entry getNext() { return next; }
    void setNext( var e : entry ) { next = e; }
    .internal.object getKey() { return key; }
    int bump() { count = count + 1; return count; }
};

class table
{
    var buckets : entry [];
    var size : int;
    var console : .internal.io.tty;

    void init( var n : int, var out : .internal.io.tty )
    {
        size = n;
        buckets = new entry[]();
        console = out;
    }

    int slot( var k : .internal.object )
    {
        return k.hashCode() % size;
    }

    entry find( var k : .internal.object, var create : int )
    {
        var at : int;
        var e : entry;

        at = slot( k );
        if( at < buckets.12() )
            e = buckets[at];

        while( e :!= null )
        {
            if( k == e.getKey() )
                return e;
            e = e.getNext();
        }

        if( create == 0 )
            return null;

        e = new entry();
        e.init( k );
        e.setNext( buckets[at] );
        buckets[at] = e;
        return e;
    }

    void word( var w : string )
    {
        var e : entry;
        e = find( w, 1 );
        if( (e.bump()) == 2 )
            console.putws( w.concat( " again" ) );
    }

    void run( var boot ) [8]
    {
        var i : int;
        var old : .internal.object;

        try
        {
            i = 0;
            do { word( "word" ); i = i + 1; } while( i < 3 ) boot.16( i.toString() );
            switch( i )
            {
            case 0:
                throw "nothing";
            case 3:
                boot.16( ("three").concat( "!" ) );
                break;
            default:
                boot.16( "more" );
            }
        }
        catch( string s )
        {
            boot.16( s );
        }
        old = new *( boot.8( ".golden.old.entry" ) )();
    }
};
