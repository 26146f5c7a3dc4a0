// Ledger: four threads move money between 1000 accounts while an auditor adds everything up.
//
//     phc -o classes ledger.ph
//     phantom run ledger.phantom --classes classes --boot .examples.ledger
//     phantom run ledger.phantom --classes classes --boot .examples.ledger --env ledger.transfers=50000
//
// Not a line here saves or loads anything. If a crash ever lost half a transfer, the total would
// differ and the auditor would say so.

package .examples;

// Everything the threads share. The fields are touched only under the mutex.
class bank
{
    var boot : .internal.boot;
    var mutex : .internal.mutex;
    var balances : int[];
    var accounts : int;
    var target : int;    // transfers to make, all threads together
    var transfers : int; // made so far
    var reported : int;  // progress in tenths, printed so far

    void open(var b : .internal.boot, var count : int, var amount : int, var wanted : int)
    {
        boot = b;
        mutex = new .internal.mutex();
        balances = new int[]();
        accounts = count;
        target = wanted;
        transfers = 0;
        reported = 0;
        for (var i : int = 0; i < count; i++) {
            balances[i] = amount;
        }
    }

    int size()
    {
        return accounts;
    }

    // One transfer. Returns 0 when enough have been made.
    int transfer(var from : int, var to : int, var amount : int)
    {
        mutex.lock();
        if (transfers == target) {
            mutex.unlock();
            return 0;
        }
        if (balances[from] >= amount) {
            balances[from] -= amount;
            balances[to] += amount;
        }
        transfers++;
        report();
        mutex.unlock();
        return 1;
    }

    // A line at every tenth of the way. Under the mutex, so the lines come in order.
    void report()
    {
        while (reported < 10 && transfers * 10L >= (reported + 1L) * target) {
            reported++;
            boot.consolePrint("ledger: " + reported * 10 + " %\n");
        }
    }

    // Adds up all accounts. Returns 1 when the transfers were finished at that time.
    int audit(var expected : int)
    {
        var total : int = 0;
        mutex.lock();
        foreach (balance in balances) {
            total += balance;
        }
        var finished : int = transfers == target;
        mutex.unlock();
        if (total != expected) {
            throw "audit: the total is " + total + ", not " + expected;
        }
        return finished;
    }
};

// A thread that moves money at random until enough has been moved.
class teller
{
    var shared : bank;
    var seed : int;

    void teller(var b : bank, var number : int)
    {
        shared = b;
        seed = number * 7919 + 1;
    }

    // Numerical Recipes' linear congruential generator; the upper bits are the better ones.
    int random(var below : int)
    {
        seed = seed * 1664525 + 1013904223;
        return (seed >>> 8) % below;
    }

    void run(var boot : .internal.boot) [8]
    {
        var more : int = 1;
        while (more) {
            var from : int = random(shared.size());
            var to : int = random(shared.size());
            more = shared.transfer(from, to, random(100) + 1);
        }
    }
};

class ledger
{
    // The number of accounts, the money in each, the transfers to make.
    int accounts() { return 1000; }
    int amount() { return 1000; }
    int transfers() { return 400000; }

    void run(var boot : .internal.boot) [8]
    {
        var wanted : int = setting(boot.getKernelEnvironment(), "ledger.transfers=", transfers());
        var shared : bank = new bank();
        shared.open(boot, accounts(), amount(), wanted);
        for (var i : int = 0; i < 4; i++) {
            boot.startThread(new teller(shared, i));
        }
        var expected : int = accounts() * amount();
        while (!shared.audit(expected)) {
            boot.sleep(1);
        }
        boot.consolePrint("audit: " + accounts() + " accounts, " + wanted + " transfers, total " +
                          expected + ": ok\n");
    }

    // The number behind `key` in an array of "key=value", or the default.
    int setting(var environment : string[], var key : string, var otherwise : int)
    {
        if (environment == null) {
            return otherwise;
        }
        foreach (entry in environment) {
            if (entry.strstr(key) == 0) {
                return entry.substring(key.length(), entry.length() - key.length()).toInt();
            }
        }
        return otherwise;
    }
};
