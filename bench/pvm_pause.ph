// SPDX-License-Identifier: Apache-2.0
// The world of bench_pvm_pause: threads that never stop changing a large graph of objects.
//
// Shelves of 256 nodes; a node has a text of 1000 characters and a number. `pause.mib` of them are made,
// `pause.threads` threads then count in nodes, and now and then put a new node in the place of an old
// one. Each thread says a dot after each change: who listens sees when it runs, and when it does not.

package .bench;

class node
{
    var text : string;
    var number : int;

    void node(var t : string, var n : int)
    {
        text = t;
        number = n;
    }

    void count()
    {
        number = number + 1;
    }
};

class shelf
{
    var nodes : node[];

    void fill(var padding : string, var first : int)
    {
        nodes = new node[]();
        for (var i : int = 0; i < 256; i++) {
            nodes[i] = new node(padding + (first + i), first + i);
        }
    }

    void count(var i : int)
    {
        nodes[i].count();
    }

    void replace(var i : int, var padding : string, var n : int)
    {
        nodes[i] = new node(padding + n, n);
    }
};

class changer
{
    var boot : .internal.boot;
    var shelves : shelf[];
    var size : int;
    var seed : int;
    var padding : string;

    void changer(var b : .internal.boot, var s : shelf[], var n : int, var number : int, var p : string)
    {
        boot = b;
        shelves = s;
        size = n;
        seed = number * 7919 + 1;
        padding = p;
    }

    // Numerical Recipes' linear congruential generator; the upper bits are the better ones.
    int random(var below : int)
    {
        seed = seed * 1664525 + 1013904223;
        return (seed >>> 8) % below;
    }

    void run(var b : .internal.boot) [8]
    {
        var dot : string = ".";
        for (var i : int = 1; i > 0; i++) {
            var s : shelf = shelves[random(size)];
            if (i % 64 == 0) {
                s.replace(random(256), padding, random(100000));
                i = 1;
            } else {
                s.count(random(256));
            }
            boot.consolePrint(dot);
        }
    }
};

class pvm_pause
{
    void run(var boot : .internal.boot) [8]
    {
        var environment : string[] = boot.getKernelEnvironment();
        var size : int = setting(environment, "pause.mib=") * 4;
        var threads : int = setting(environment, "pause.threads=");
        var padding : string = "0123456789";
        padding = padding + padding + padding + padding + padding;
        padding = padding + padding + padding + padding;
        padding = padding + padding + padding + padding + padding;
        var shelves : shelf[] = new shelf[]();
        for (var i : int = 0; i < size; i++) {
            var s : shelf = new shelf();
            s.fill(padding, i * 256);
            shelves[i] = s;
        }
        for (var k : int = 0; k < threads; k++) {
            boot.startThread(new changer(boot, shelves, size, k, padding));
        }
        boot.consolePrint("ready\n");
    }

    int setting(var environment : string[], var key : string)
    {
        foreach (entry in environment) {
            if (entry.strstr(key) == 0) {
                return entry.substring(key.length(), entry.length() - key.length()).toInt();
            }
        }
        throw "there is no " + key;
    }
};
