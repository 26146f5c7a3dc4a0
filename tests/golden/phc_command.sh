#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# phc_command.sh - the command line of phc: options, exit codes, where files go and that nothing stays
# behind after an error. Usage: phc_command.sh PHC
set -u
phc=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# expect STATUS WHAT COMMAND...: the command ends with that status.
expect() {
    wanted=$1
    what=$2
    shift 2
    "$@" > out.txt 2> err.txt
    status=$?
    if [ "$status" -ne "$wanted" ]; then
        echo "FAILED: $what: status $status, not $wanted"
        cat err.txt
        failures=$((failures + 1))
    fi
}

# same WHAT WANTED FOUND
same() {
    if [ "$2" != "$3" ]; then
        echo "FAILED: $1: '$3', not '$2'"
        failures=$((failures + 1))
    fi
}

mkdir good bad lib far
echo 'package .t; class user { helper h; void m() { h = new helper(); h.n(); } };' > user.ph
echo 'package .t; class helper { int n() { return 1; } };' > far/t.helper.ph
echo 'class .wrong { int m() { return nothing; } };' > wrong.ph
echo 'class .right { };' > right.ph

expect 2 'no file' "$phc"
expect 2 'unknown option' "$phc" -q right.ph
expect 2 'option without a folder' "$phc" right.ph -o
expect 0 'help' "$phc" --help
expect 0 'version' "$phc" --version
expect 1 'file that is not there' "$phc" no-such-file.ph
same 'message' 'phc: no-such-file.ph: No such file or directory' "$(cat err.txt)"

expect 0 'one class' "$phc" -o good right.ph
same 'output' 'right.pc' "$(ls good)"
expect 0 'option glued to its value' "$phc" -ogood right.ph

expect 1 'errors' "$phc" -o bad right.ph wrong.ph
same 'nothing is written after an error' '' "$(ls bad)"
same 'place' 'wrong.ph:1:33: error: '"'nothing'"' is not known here' "$(head -n 1 err.txt)"
same 'stdout' '' "$(cat out.txt)"
expect 1 'folder that is not there' "$phc" -o no/such right.ph
expect 1 'file cannot be replaced' sh -c "mkdir bad/right.pc bad/right.pc/x; exec $phc -o bad right.ph"
same 'temporary file is removed' 'right.pc' "$(ls bad)"

expect 1 'class that is nowhere' "$phc" -o good user.ph
expect 0 'source found in a folder joins the run' "$phc" -o lib -I far user.ph
same 'both are written' 't.helper.pc t.user.pc' "$(ls lib | tr '\n' ' ' | sed 's/ $//')"
expect 0 'class file is enough' "$phc" -o good -I lib user.ph
same 'only the source is written' 'right.pc t.user.pc' "$(ls good | tr '\n' ' ' | sed 's/ $//')"

SOURCE_DATE_EPOCH=86400
export SOURCE_DATE_EPOCH
"$phc" -o good right.ph && cp good/right.pc first.pc && "$phc" -o good right.ph
cmp first.pc good/right.pc || failures=$((failures + 1))
grep -a -q 19700102000000000 first.pc || { echo 'FAILED: version'; failures=$((failures + 1)); }

echo 'class .two { int m(var a : int) { if (!a && a) { return 1; } return 0; } };' > two.ph
expect 0 'a warning is no error' "$phc" -o good two.ph
same 'it is shown' '1' "$(grep -c 'warning:' err.txt)"
expect 0 'without warnings' "$phc" -w -o good two.ph
same 'it is not shown' '' "$(cat err.txt)"

[ "$failures" -eq 0 ]
