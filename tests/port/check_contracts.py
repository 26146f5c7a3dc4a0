#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The port's headers carry the contract of each function, callback and macro with arguments.

For each of them in each header of the folder:
  comment   there is one directly above it, or above the declarations without a blank line between
            them that it is one of (a member of a struct: above the struct, or in it)
  threads   that comment, the one at the head of the file or the one that stands alone above a part
            of it has the word @threads
  blocking  likewise, whether it blocks: "Never blocks", "may block", "blocks until ...", "does not
            block" and the like; a block of a disk does not count

usage: check_contracts.py DIRECTORY
Exit status 0: nothing is missing.
"""
import collections
import os
import re
import sys

THREADS = re.compile(r"@threads\b")
BLOCKING = re.compile(
    r"\b(?:never|not|may|can|nor|none|none of (?:this|these|them)|nothing here) blocks?\b"
    r"|\b(?:it|each) blocks\b"
    r"|(?:^|[.;:,(] |\b(?:and|but|or) )blocks(?= (?:until|while|for|as|only|if|unless)\b|[.;,)]|$)"
    r"|(?:^|[.;:] )only \w+\(\) blocks\b", re.I)
NOT_FUNCTIONS = ("_Static_assert", "__attribute__")

# What the file consists of: kind is comment, macro, struct, code or other; text without the comments
# of the item, which are in inside; blank: a blank line comes before it.
Item = collections.namedtuple("Item", "kind line text inside blank")


def words_of(comment):
    """The text of a comment as one line."""
    lines = [re.sub(r"^\s*\*+ ?", "", line) for line in comment[2:-2].split("\n")]
    return " ".join(" ".join(lines).strip("*< ").split())


def items_of(text):
    """The items at file scope, in order."""
    items, at, blank = [], 0, False
    while at < len(text):
        if text[at].isspace():
            end = at
            while end < len(text) and text[end].isspace():
                end += 1
            blank = text.count("\n", at, end) > 1
            at = end
            continue
        line = text.count("\n", 0, at) + 1
        if text.startswith("/*", at):
            end = text.index("*/", at) + 2
            same_line = text[text.rfind("\n", 0, at) + 1:at].strip() != ""
            if same_line and items:  # behind a declaration: that one's
                items[-1].inside.append(words_of(text[at:end]))
            else:
                items.append(Item("comment", line, words_of(text[at:end]), [], blank))
        elif text[at] == "#":
            end = at
            while True:
                end = text.find("\n", end)
                end = len(text) if end < 0 else end
                if end == len(text) or text[end - 1] != "\\":
                    break
                end += 1
            directive, inside = without_comments(text[at:end])
            if not re.match(r"#\s*(if|ifdef|ifndef|else|elif|endif)\b", directive):
                kind = "macro" if re.match(r"#\s*define\s+\w+\(", directive) else "other"
                items.append(Item(kind, line, directive, inside, blank))
            elif blank:  # is no item, but keeps its distance
                items.append(Item("other", line, directive, inside, blank))
        else:
            end = end_of_declaration(text, at)
            code, inside = without_comments(text[at:end])
            kind = "struct" if re.match(r"(typedef\s+)?(struct|union)\b[^;(]*\{", code) else "code"
            items.append(Item(kind, line, code, inside, blank))
        at, blank = end, False
    return items


def without_comments(text):
    """(the text without them, what they say)"""
    comments = [words_of(match) for match in re.findall(r"/\*.*?\*/", text, re.S)]
    return " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.S).split()), comments


def end_of_declaration(text, at):
    """Behind its semicolon, or the body's brace."""
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[at], 0)
        at += 1
        if depth == 0 and text[at - 1] == ";":
            return at
    return at


def names_of(item):
    """What is declared there that must be described."""
    if item.kind == "macro":
        return [re.match(r"#\s*define\s+(\w+)", item.text).group(1)]
    pointers = re.findall(r"\(\s*\*\s*(\w+)\s*\)\s*\(", item.text)
    if item.kind == "struct":
        return pointers
    if item.kind != "code" or item.text.startswith(NOT_FUNCTIONS):
        return []
    if item.text.startswith("typedef"):
        return pointers[:1]
    match = re.match(r"[\w\s*]*?(\w+)\s*\(", item.text)
    return [match.group(1)] if match else []


def check(header, text):
    """(findings, how many names)"""
    findings, count = [], 0
    items = items_of(text)
    head = items[0].text if items and items[0].kind == "comment" else ""
    part, above = "", ""
    for number, item in enumerate(items):
        if item.kind == "comment":
            alone = number + 1 == len(items) or items[number + 1].blank
            part, above = (item.text, "") if alone and number > 0 else (part, item.text)
            above = "" if alone else above
            continue
        above = "" if item.blank else above
        own = " ".join([above] + item.inside).strip()
        for name in names_of(item):
            count += 1
            where = f"{header}:{item.line}: {name}: "
            said = " ".join([own, part, head])
            if not own:
                findings.append(where + "no comment above it")
            if not THREADS.search(said):
                findings.append(where + "nothing says @threads")
            if not any(BLOCKING.search(comment) for comment in [above, part, head] + item.inside):
                findings.append(where + "nothing says whether it blocks")
    return findings, count


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        print(__doc__)
        return 2
    findings, headers, names = [], 0, 0
    for folder, _, files in sorted(os.walk(sys.argv[1])):
        for file in sorted(files):
            if file.endswith(".h"):
                path = os.path.join(folder, file)
                with open(path, encoding="utf-8") as stream:
                    found, count = check(os.path.relpath(path, sys.argv[1]), stream.read())
                findings += found
                headers += 1
                names += count
    for finding in findings:
        print(finding)
    print(f"{headers} headers, {names} functions, callbacks and macros, {len(findings)} findings")
    return 1 if findings or names == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
