// SPDX-License-Identifier: Apache-2.0
// The program of the simulated worlds: whatever happens, it prints the same lines.

package .test.sim;

// What main and the workers share. The fields are touched only under the mutex.
class board
{
    var mutex : .internal.mutex;
    var finished : .internal.cond;
    var tokens : .internal.sema;
    var round : int;   // 0: go home
    var done : int;    // tokens of this round that were worked off
    var total : int;
    var notes : string[];

    void board()
    {
        mutex = new .internal.mutex();
        finished = new .internal.cond();
        tokens = new .internal.sema();
        notes = new string[]();
        round = 1;
        done = 0;
        total = 0;
    }

    // Wait for a token; which round is it for?
    int take()
    {
        tokens.acquire();
        mutex.lock();
        var r : int = round;
        mutex.unlock();
        return r;
    }

    void add(var amount : int, var note : string)
    {
        mutex.lock();
        total += amount;
        notes[done % 16] = note;
        done++;
        finished.signal();
        mutex.unlock();
    }

    // Hand out tokens and wait until all are worked off.
    int run(var number : int, var workers : int)
    {
        mutex.lock();
        round = number;
        done = 0;
        mutex.unlock();
        for (var i : int = 0; i < workers; i++) {
            tokens.release();
        }
        mutex.lock();
        while (done < workers) {
            if (number % 3 == 0) {
                finished.twait(mutex, 2);
            } else {
                finished.wait(mutex);
            }
        }
        var t : int = total;
        mutex.unlock();
        return t;
    }

    void home(var workers : int)
    {
        mutex.lock();
        round = 0;
        mutex.unlock();
        for (var i : int = 0; i < workers; i++) {
            tokens.release();
        }
    }
};

class worker
{
    var b : board;

    void worker(var to : board)
    {
        b = to;
    }

    void run(var boot : .internal.boot) [8]
    {
        var r : int = b.take();
        while (r != 0) {
            var note : string = "";
            for (var i : int = 0; i < 20; i++) {
                note = "round " + r + " step " + i;
            }
            if (r % 4 == 1) {
                boot.sleep(r % 3);
            }
            b.add(r, note);
            r = b.take();
        }
    }
};

class mill
{
    void run(var boot : .internal.boot) [8]
    {
        var b : board = new board();
        for (var i : int = 0; i < 3; i++) {
            boot.startThread(new worker(b));
        }
        for (var r : int = 1; r <= 20; r++) {
            boot.consolePrint("round " + r + " total " + b.run(r, 3) + "\n");
        }
        b.home(3);
        boot.consolePrint("end\n");
    }
};
