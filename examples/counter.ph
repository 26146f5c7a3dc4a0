// Counter: counts for ever. Kill it, start it again: it goes on counting where it was.
//
//     phc -o classes counter.ph
//     phantom run counter.phantom --classes classes --boot .examples.counter

package .examples;

class counter
{
    void run(var boot : .internal.boot) [8]
    {
        var count : int = 0;
        while (1) {
            count++;
            boot.consolePrint("count " + count + "\n");
            boot.sleep(100);
        }
    }
};
