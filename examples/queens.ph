// Queens: in how many ways can N queens stand on an N x N board so that none attacks another?
//
//     phc -o classes queens.ph
//     phantom run queens.phantom --classes classes --boot .examples.queens
//
// A plain recursive search. Nothing here says anything about saving, yet the program can be killed
// at any moment and goes on from its last snapshot when it is started again.

package .examples;

class queens
{
    var boot : .internal.boot;
    var columns : int[];   // of the queen in each row that is placed already
    var size : int;

    // The machine calls method 8 of the boot class with the boot object.
    void run(var b : .internal.boot) [8]
    {
        boot = b;
        columns = new int[]();
        solve(8);
        solve(10);
        solve(11);
    }

    void solve(var n : int)
    {
        size = n;
        boot.consolePrint(n.toString() + " queens: " + place(0) + "\n");
    }

    // How many ways there are to place queens on this row and all below.
    int place(var row : int)
    {
        if (row == size) {
            return 1;
        }
        var count : int = 0;
        for (var column : int = 0; column < size; column++) {
            if (isFree(row, column)) {
                columns[row] = column;
                count += place(row + 1);
            }
        }
        return count;
    }

    int isFree(var row : int, var column : int)
    {
        for (var above : int = 0; above < row; above++) {
            var other : int = columns[above];
            if (other == column || other - column == row - above || column - other == row - above) {
                return 0;
            }
        }
        return 1;
    }
};
