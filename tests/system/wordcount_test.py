#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill examples/wordcount at random points until it has read all files; its counts must be those of
tr, sort and uniq, and its positions must be where the words are.

usage: wordcount_test.py WORDCOUNT KILLS FILE...
"""
import os
import random
import re
import subprocess
import sys
import tempfile

WORD = re.compile(rb"[A-Za-z]+")


def peer_counts(files):
    shell = "cat \"$@\" | LC_ALL=C tr -cs 'A-Za-z' '\\n' | LC_ALL=C sort | LC_ALL=C uniq -c"
    output = subprocess.run(["sh", "-c", shell, "sh", *files], capture_output=True, text=True,
                            check=True).stdout
    return {fields[1]: int(fields[0]) for fields in map(str.split, output.splitlines())
            if len(fields) == 2}


def place(line):
    _, file, offset = line.split()
    return int(file), int(offset)


def run(program, store, files, kill_after):
    """One life. Returns the last place it announced, the first one, and all it printed if it ended."""
    child = subprocess.Popen([program, store, *files], stdout=subprocess.PIPE, text=True)
    places, words = [], []
    for line in child.stdout:
        if line.startswith("at "):
            places.append(place(line))
            if len(places) == kill_after:
                child.kill()
        else:
            words.append(line)
    status = child.wait()
    if status not in (0, -9):
        sys.exit(f"wordcount ended with {status}")
    return places, words if status == 0 else None


def check_positions(program, store, files, counts):
    word = max(counts, key=lambda key: (counts[key], key))
    output = subprocess.run([program, store, "--where", word], capture_output=True, text=True,
                            check=True).stdout
    found = {tuple(map(int, line.split(":"))) for line in output.splitlines()}
    expected = set()
    for number, path in enumerate(files):
        with open(path, "rb") as file:
            expected |= {(number, match.start()) for match in WORD.finditer(file.read())
                         if match.group().decode() == word}
    if found != expected:
        sys.exit(f"positions of '{word}': {len(found)} found, {len(expected)} expected")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    program, kills, files = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    seed = int(os.environ.get("PH_SEED", "20261122"))
    print(f"PH_SEED={seed}")
    random.seed(seed)
    killed, last, words = 0, (0, 0), None
    with tempfile.TemporaryDirectory(prefix="phantom-wordcount-") as folder:
        store = os.path.join(folder, "words.phantom")
        while words is None:
            places, words = run(program, store, files,
                                random.randint(1, 6) if killed < kills else 0)
            if places and places[0] < last:
                sys.exit(f"went back from {last} to {places[0]}")
            last = places[-1] if places else last
            killed += words is None
        counts = {line.split()[1]: int(line.split()[0]) for line in words}
        expected = peer_counts(files)
        if counts != expected:
            wrong = [word for word in set(counts) | set(expected)
                     if counts.get(word) != expected.get(word)]
            sys.exit(f"{len(wrong)} of {len(expected)} words are wrong: {sorted(wrong)[:10]}")
        check_positions(program, store, files, counts)
    if killed == 0:
        sys.exit("it was never killed: too little text")
    print(f"kills={killed} words={len(counts)} occurrences={sum(counts.values())}")


if __name__ == "__main__":
    main()
