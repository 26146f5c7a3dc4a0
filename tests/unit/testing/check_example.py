#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each C block of the document is a piece of a file that is compiled and run, and all of the last
file is in the document. usage: check_example.py DOCUMENT FILE..."""
import re
import sys


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        blocks = re.findall(r"^```c\n(.*?)^```$", file.read(), re.M | re.S)
    texts = []
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    strangers = [block for block in blocks if not any(block in text for text in texts)]
    for block in strangers:
        print("not in the example:\n" + block)
    whole = [block for block in blocks if block == texts[-1]]
    print(f"{len(blocks)} blocks, {len(strangers)} of them not in the example")
    return 1 if strangers or not blocks or not whole else 0


if __name__ == "__main__":
    sys.exit(main())
