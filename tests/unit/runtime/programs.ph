// SPDX-License-Identifier: Apache-2.0
// The worlds of the runtime tests: small programs that do one thing to the machine each.

package .test.runtime;

// Adds up in one thread, with objects made on the way; says a line now and then and the total.
class sum
{
    void run(var boot : .internal.boot) [8]
    {
        var total : int = 0;
        for (var i : int = 1; i <= 60; i++) {
            for (var k : int = 0; k < 1000; k++) {
                var text : string = "" + k;
                total = total * 31 + text.length() + k;
            }
            boot.consolePrint("sum " + i + "\n");
        }
        boot.consolePrint("total " + total + "\n");
    }
};

// What the threads of `parallel` share: a bounded queue under a mutex with two conditions.
class queue
{
    var mutex : .internal.mutex;
    var filled : .internal.cond;
    var emptied : .internal.cond;
    var items : int[];
    var count : int;
    var taken : int;
    var total : int;
    var caught : int;

    void queue()
    {
        mutex = new .internal.mutex();
        filled = new .internal.cond();
        emptied = new .internal.cond();
        items = new int[]();
        count = 0;
        taken = 0;
        total = 0;
        caught = 0;
    }

    void put(var item : int)
    {
        mutex.lock();
        while (count == 4) {
            emptied.wait(mutex);
        }
        items[count] = item;
        count++;
        filled.signal();
        mutex.unlock();
    }

    int take()
    {
        mutex.lock();
        while (count == 0) {
            filled.wait(mutex);
        }
        count--;
        var item : int = items[count];
        emptied.signal();
        mutex.unlock();
        return item;
    }

    void add(var amount : int, var exceptions : int)
    {
        mutex.lock();
        taken++;
        total += amount;
        caught += exceptions;
        mutex.unlock();
    }

    int finished()
    {
        mutex.lock();
        var n : int = taken;
        mutex.unlock();
        return n;
    }

    string report()
    {
        return "taken " + taken + " total " + total + " caught " + caught;
    }
};

class producer
{
    var q : queue;
    var first : int;
    var boot : .internal.boot;

    void producer(var to : queue, var number : int)
    {
        q = to;
        first = number * 1000;
    }

    void run(var boot : .internal.boot) [8]
    {
        for (var i : int = 0; i < 300; i++) {
            q.put(first + i);
            if (i % 100 == 0) {
                boot.sleep(2);
            }
        }
    }
};

class consumer
{
    var q : queue;

    void consumer(var from : queue)
    {
        q = from;
    }

    int refuse(var item : int, var depth : int)
    {
        if (depth > 0) {
            return refuse(item, depth - 1);
        }
        if (item % 3 == 0) {
            throw "by three";
        }
        return item;
    }

    void run(var boot : .internal.boot) [8]
    {
        for (var i : int = 0; i < 450; i++) {
            var item : int = q.take();
            try {
                q.add(refuse(item, 5), 0);
            } catch (string e) {
                q.add(0, 1);
            }
        }
    }
};

// Three producers, two consumers, one waiter that polls with sleep: one line at the end.
class parallel
{
    void run(var boot : .internal.boot) [8]
    {
        var q : queue = new queue();
        for (var i : int = 0; i < 3; i++) {
            boot.startThread(new producer(q, i));
        }
        for (var k : int = 0; k < 2; k++) {
            boot.startThread(new consumer(q));
        }
        while (q.finished() < 900) {
            boot.sleep(1);
        }
        boot.consolePrint(q.report() + "\n");
    }
};

// Never ends; makes and drops objects, a few now and then, so that snapshots stay small.
class spinner
{
    void run(var boot : .internal.boot) [8]
    {
        var list : string[] = new string[]();
        var i : int = 0;
        while (1) {
            if (i % 100 == 0) {
                list[i / 100 % 100] = "item " + i;
            }
            i++;
        }
    }
};

class sleeper
{
    void run(var boot : .internal.boot) [8]
    {
        boot.consolePrint("asleep\n");
        boot.sleep(3600000);
    }
};

// Counts aloud: each line follows from the one before it.
class counter
{
    void run(var boot : .internal.boot) [8]
    {
        for (var i : int = 1; i <= 100000; i++) {
            boot.consolePrint("" + i + "\n");
        }
    }
};

class bomb
{
    int burst(var fuse : int)
    {
        if (fuse > 0) {
            return burst(fuse - 1);
        }
        throw "boom"; // fails here
    }

    void run(var boot : .internal.boot) [8]
    {
        burst(2);
    }
};

// One of its threads fails; the others go on.
class failing
{
    void run(var boot : .internal.boot) [8]
    {
        boot.startThread(new bomb());
        boot.sleep(5);
        boot.consolePrint("went on\n");
    }
};

class deadlock
{
    void run(var boot : .internal.boot) [8]
    {
        var mutex : .internal.mutex = new .internal.mutex();
        var never : .internal.cond = new .internal.cond();
        boot.consolePrint("waiting\n");
        mutex.lock();
        never.wait(mutex);
        boot.consolePrint("not reached\n");
    }
};

class deep
{
    int dig(var depth : int)
    {
        return dig(depth + 1) + 1;
    }

    void run(var boot : .internal.boot) [8]
    {
        try {
            dig(0);
        } catch (string e) {
            boot.consolePrint("caught " + e + "\n");
        }
    }
};

class idler
{
    void run(var boot : .internal.boot) [8]
    {
        boot.sleep(20);
    }
};

class crowd
{
    void run(var boot : .internal.boot) [8]
    {
        var started : int = 0;
        try {
            while (started < 1000) {
                boot.startThread(new idler());
                started++;
            }
        } catch (string e) {
            boot.consolePrint("" + started + " then " + e + "\n");
        }
    }
};

class hoarder
{
    void run(var boot : .internal.boot) [8]
    {
        var kept : string[] = new string[]();
        var n : int = 0;
        try {
            while (1) {
                var page : string = "0123456789abcdef";
                for (var i : int = 0; i < 12; i++) {
                    page = page.concat(page);
                }
                kept[n] = page;
                n++;
            }
        } catch (string e) {
            kept = null;
            boot.consolePrint("full\n");
        }
    }
};

// Fills the heap, drops it all, fills it again: each time with as much.
class refiller
{
    void run(var boot : .internal.boot) [8]
    {
        var page : string = "0123456789";
        for (var i : int = 0; i < 8; i++) {
            page = page + page;
        }
        var first : int = 0;
        for (var round : int = 0; round < 4; round++) {
            var kept : string[] = new string[]();
            var n : int = 0;
            try {
                while (1) {
                    kept[n] = page + n;
                    n++;
                }
            } catch (string e) {
            }
            kept = null;
            if (round == 0) {
                first = n;
            }
            if (n < 1000 || n * 10 < first * 9) {
                throw "round " + round + ": only " + n + " of " + first;
            }
        }
        boot.consolePrint("refilled\n");
    }
};

class speaker
{
    void run(var boot : .internal.boot) [8]
    {
        boot.consolePrint("a\0b\xff\n");
        boot.consolePrint("");
        boot.consolePrint(-7);
    }
};

class environment
{
    void run(var boot : .internal.boot) [8]
    {
        var all : string[] = boot.getKernelEnvironment();
        if (all == null) {
            boot.consolePrint("none\n");
            return;
        }
        foreach (entry in all) {
            boot.consolePrint(entry + "\n");
        }
    }
};
