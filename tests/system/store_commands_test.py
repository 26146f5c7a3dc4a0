#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator does with generations, through the command line, on real stores.

usage: store_commands_test.py --phantom EXE --classes DIR --wordcount EXE CASE

CASE: history, copies, compression, beside-a-writer, dead-writer, damage, bisect, refusals, full-disk,
      compact-history, outputs, signals, prometheus
Exit status 77: this machine cannot run the case (the reason is the last line).
"""
import argparse
import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SKIP = 77
BLOCK = 4096
F_OFD_SETLK = 37
WRITER_BYTE = 1 << 62  # src/snapshot/snap_io.h
RING = 16  # docs/formats/store.md: superblock, copy, seal, reserved, then the ring
COMMANDS = ("log", "stat", "verify", "diff", "copy", "clone", "salvage", "compact", "bisect", "tag",
            "untag", "rollback")


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failure(text)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Case:
    def __init__(self, arguments, directory):
        self.phantom = arguments.phantom
        self.classes = arguments.classes
        self.wordcount = arguments.wordcount
        self.directory = directory
        self.environment = dict(os.environ, TMPDIR=directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self, *command, expect=None, **options):
        options.setdefault("timeout", 120)
        options.setdefault("env", self.environment)
        result = subprocess.run([self.phantom, *command], capture_output=True, check=False,
                                **options)
        if expect is not None:
            check(result.returncode == expect,
                  f"{command}: exit {result.returncode} instead of {expect}: "
                  f"{result.stderr.decode(errors='replace')}")
        return result

    def json(self, *command, expect=0):
        """The one document of a command, which must be valid whatever its exit code."""
        result = self.run(command[0], "--json", *command[1:], expect=expect)
        try:
            document = json.loads(result.stdout)
        except ValueError as problem:
            raise Failure(f"{command}: no valid document: {problem}: {result.stdout!r}") from problem
        if expect != 0 and "error" in document:
            check(document["error"]["exit"] == expect, f"{command}: {document}")
        return document

    def world(self, name="world.phantom", interval="20"):
        """A store with a few dozen generations."""
        store = self.path(name)
        self.run("run", store, "--boot", ".examples.queens", "--classes", self.classes,
                 "--interval", interval, expect=0)
        rows = self.json("log", store)
        check(len(rows) >= 5, f"only {len(rows)} generations")
        return store, rows

    def check_whole(self, store):
        report = self.json("verify", "--deep", store)
        check(report["damaged"] == 0 and report["findings"] == [], f"{store}: {report}")

    def no_rubbish(self, *known):
        found = set(os.listdir(self.directory)) - {os.path.basename(k) for k in known}
        check(not found, f"left behind: {sorted(found)}")

    # ---- cases -----------------------------------------------------------------------------------

    def history(self):
        store, rows = self.world()
        middle, newest = rows[len(rows) // 2], rows[-1]
        tagged = self.json("tag", store, str(middle["generation"]), "before")
        check(tagged["generation"] == middle["generation"], f"tag: {tagged}")
        self.run("tag", store, "before", expect=2)  # the name is in use
        for name in ("newest", "12", "", "a b", "x" * 64, "é"):
            self.run("tag", store, name, expect=2)
        by_tag = [r for r in self.json("log", store) if "before" in r["tags"]]
        check([r["generation"] for r in by_tag] == [middle["generation"]], f"log: {by_tag}")
        check(b"[before]" in self.run("log", store, expect=0).stdout, "log does not show the tag")

        difference = self.json("diff", store, "before", str(newest["generation"]))
        check(sum(difference["pages"].values()) > 0, f"diff: {difference}")
        check(sum(r["pages"] for r in difference["ranges"]) == sum(difference["pages"].values()),
              "ranges and sums of the diff differ")
        nothing = self.json("diff", store, "before", "before")
        check(sum(nothing["pages"].values()) == 0 and nothing["ranges"] == [], f"diff: {nothing}")
        self.check_bytes(store, "before", str(newest["generation"]))
        self.check_objects(store, rows)

        back = self.json("rollback", store, "before")
        check(back["generation"]["hash"] == middle["hash"], f"rollback: {back}")
        check(self.json("stat", store)["current"]["hash"] == middle["hash"], "not rolled back")
        undone = self.json("rollback", store, back["undo_tag"])
        check(undone["generation"]["hash"] == newest["hash"], f"undone: {undone}")
        self.check_whole(store)
        text = self.run("rollback", store, "before", expect=0).stdout.decode()
        undo = re.search(r"to undo: phantom rollback .* (\S+)\n", text)
        check(undo is not None, f"rollback does not say how to undo it: {text}")
        self.run("rollback", store, undo.group(1), expect=0)
        self.json("untag", store, "before")
        self.json("untag", store, "before", expect=2)
        self.json("rollback", store, "before", expect=2)
        result = self.run("run", store, expect=0)
        check(result.stdout == b"", f"a finished world printed {result.stdout!r}")

    def check_bytes(self, store, old, new):
        """--bytes says the same as the two memories, got through copies of both."""
        report = self.json("diff", "--bytes", store, old, new)
        check(report["bytes_changed"] > 0, f"diff --bytes: {report['bytes_changed']}")
        for row in report["byte_ranges"]:
            page = row["offset"] // BLOCK
            check(any(r["first_page"] <= page < r["first_page"] + r["pages"]
                      for r in report["ranges"]), f"{row} is in no changed page")

    def check_objects(self, store, rows):
        """--objects: classes that the program has, sums that add up, on pages that changed."""
        old, new = str(rows[0]["generation"]), str(rows[-1]["generation"])
        report = self.json("diff", "--objects", "--list", store, old, new)
        counts = {c["class"]: c["objects"] for c in report["classes"]}
        for change, total in report["objects"].items():
            check(total == sum(c[change] for c in counts.values()) ==
                  sum(o["change"] == change for o in report["list"]), f"{change}: {report}")
        check(0 < sum(report["objects"].values()) < 100000, f"objects: {report['objects']}")
        check({".examples.queens", ".internal.thread", ".internal.ostack"} <= set(counts),
              f"classes: {counts}")
        check(all(name.startswith(".") or name == "(root)" for name in counts),
              f"classes without a name: {counts}")
        check(counts[".examples.queens"]["freed"] == 0 and
              counts[".internal.thread"] == {"created": 0, "freed": 0, "changed": 1},
              f"one thread and one program: {counts}")
        pages, base = set(), self.json("diff", store, old, new)
        for row in base["ranges"]:
            pages.update(range(row["first_page"], row["first_page"] + row["pages"]))
        for row in report["list"]:
            first = (row["address"] - base["heap_base"]) // BLOCK
            last = (row["address"] - base["heap_base"] + 24 + row["bytes"] - 1) // BLOCK
            # A freed object may keep its bytes: only the bit that says it is one has gone.
            check(row["change"] == "freed" or any(p in pages for p in range(first, last + 1)),
                  f"{row} is on no changed page")
        back = self.json("diff", "--objects", store, new, old)
        check((back["objects"]["created"], back["objects"]["freed"], back["objects"]["changed"]) ==
              (report["objects"]["freed"], report["objects"]["created"],
               report["objects"]["changed"]), f"the way back: {back['objects']}")
        check("list" not in back, "a list that nobody asked for")
        none = self.json("diff", "--objects", "--list", store, new, new)
        check(none["classes"] == [] and none["list"] == [] and
              not any(none["objects"].values()), f"equal generations: {none}")
        text = self.run("diff", "--objects", "--list", store, old, new, expect=0).stdout.decode()
        check(text.count("\n") == len(report["list"]) + len(counts) + 2, f"text: {text}")
        self.json("diff", "--objects", "--bytes", store, old, new, expect=2)
        self.json("diff", "--list", store, old, new, expect=2)

    def copies(self):
        store, rows = self.world()
        before = digest(store)
        some = rows[len(rows) // 2]
        copy, clone = self.path("copy of\nit.phantom"), self.path("-clone.phantom")
        made = self.json("copy", "--generation", str(some["generation"]), store, copy)
        check(made["generation"] == some["generation"], f"copy: {made}")
        self.check_whole(copy)
        row = self.json("log", copy)
        check(len(row) == 1 and row[0]["hash"] == some["hash"] and
              row[0]["time_ns"] == some["time_ns"], f"copy: {row}")
        check(os.stat(copy).st_mode & 0o777 == 0o600, "a copy is not private")
        check(self.json("stat", copy)["uuid"] == self.json("stat", store)["uuid"], "copy: UUID")
        self.json("copy", store, copy, expect=2)  # it exists
        self.json("copy", "--force", store, copy)
        check(self.json("stat", copy)["current"]["generation"] == rows[-1]["generation"], "--force")

        self.run("clone", "--", store, clone, expect=0)
        other, own = self.json("stat", clone), self.json("stat", store)
        check(other["uuid"] != own["uuid"] and other["heap_base"] == own["heap_base"] and
              other["current"]["live_pages"] == own["current"]["live_pages"] and
              other["current"]["hash"] != own["current"]["hash"], f"clone: {other}")
        self.check_whole(clone)
        self.run("run", clone, expect=0)

        stream = self.run("copy", store, "-", expect=0)
        with open(self.path("stream.phantom"), "wb") as file:
            file.write(stream.stdout)
        self.check_whole(self.path("stream.phantom"))
        check(digest(store) == before, "copying changed the store")

        compacted = self.path("compact.phantom")
        shutil.copyfile(store, compacted)
        os.chmod(compacted, 0o640)
        link = self.path("link.phantom")
        os.symlink("compact.phantom", link)
        report = self.json("compact", link)
        check(os.path.islink(link), "compact replaced the link, not the file")
        check(report["bytes_after"] < report["bytes_before"] / 2 and
              os.path.getsize(compacted) == report["bytes_after"], f"compact: {report}")
        check(os.stat(compacted).st_mode & 0o777 == 0o640, "compact changed the mode")
        check([(r["generation"], r["hash"]) for r in self.json("log", compacted)] ==
              [(r["generation"], r["hash"]) for r in rows], "compact lost generations")
        self.check_whole(compacted)
        self.run("run", compacted, expect=0)
        self.no_rubbish(store, copy, clone, self.path("stream.phantom"), compacted, link)

    def compression(self):
        """A world born compressed, and copies of one kind made from the other."""
        small = self.path("small.phantom")
        self.run("run", small, "--boot", ".examples.queens", "--classes", self.classes,
                 "--interval", "20", "--compress", "lz4", expect=0)
        check(self.json("stat", small)["compressed"] is True, "the world is not compressed")
        self.check_whole(small)
        rows = [(r["generation"], r["hash"]) for r in self.json("log", small)]
        plain, clone = self.path("plain.phantom"), self.path("clone.phantom")
        self.run("copy", "--compress", "none", small, plain, expect=0)
        self.run("clone", "--compress", "lz4", plain, clone, expect=0)
        for store, compressed in ((plain, False), (clone, True)):
            check(self.json("stat", store)["compressed"] is compressed, f"{store}: {compressed}")
            self.check_whole(store)
        check([(r["generation"], r["hash"]) for r in self.json("log", plain)] == rows[-1:],
              "a copy of the other kind is not the same memory")
        used = {s: self.json("stat", s)["data_bytes_used"] for s in (plain, clone)}
        check(used[clone] < used[plain], f"compression saved nothing: {used}")
        for what in ("none", "lz4"):
            self.json("compact", "--compress", what, small)
            check(self.json("stat", small)["compressed"] is (what == "lz4"), f"compact to {what}")
            check([(r["generation"], r["hash"]) for r in self.json("log", small)] == rows,
                  "compact lost generations")
            self.check_whole(small)
        self.run("run", small, expect=0)
        self.check_whole(small)
        self.run("copy", "--compress", "zip", small, self.path("out"), expect=2)
        self.run("copy", "--compress", "lz4", small, "-", expect=2)
        self.no_rubbish(small, plain, clone)

    def beside_a_writer(self):
        store = self.path("busy.phantom")
        with subprocess.Popen([self.phantom, "run", store, "--boot", ".examples.counter",
                               "--classes", self.classes, "--interval", "5"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
            try:
                writer.stdout.readline()  # it lives
                while len(self.json("log", store)) < 3:
                    pass
                for i in range(5):
                    copy = self.path(f"copy{i}.phantom")
                    made = self.json("copy", store, copy)
                    self.check_whole(copy)
                    check(self.json("stat", copy)["current"]["generation"] == made["generation"],
                          "copy: another generation than it says")
                rows = self.json("log", store)
                check(sum(self.json("diff", store, str(rows[-2]["generation"]))["pages"].values())
                      >= 0, "diff")
                self.json("verify", store)
                self.json("stat", store)
                self.bisect_beside_a_writer(store)
                for command in (("rollback", store, "newest"), ("tag", store, "name"),
                                ("untag", store, "name"), ("compact", store)):
                    self.json(*command, expect=3)
                for command in ("copy", "clone", "salvage"):  # in the place of a store that is held
                    refusal = self.json(command, "--force", copy, store, expect=3)["error"]
                    check(store in refusal["message"] and "writer's lock" in refusal["message"],
                          f"{command} over a running world: {refusal}")
                seen = self.json("stat", store)["current"]["generation"]
                while self.json("stat", store)["current"]["generation"] == seen:
                    pass  # it goes on
                check(writer.poll() is None, "the writer has ended")
            finally:
                writer.send_signal(signal.SIGTERM)
                writer.wait(timeout=60)
        self.check_whole(store)
        self.json("copy", "--force", copy, store)  # nobody holds it any more
        check(self.json("log", store) == self.json("log", copy), "not replaced")

    def bisect_beside_a_writer(self, store):
        """It looks at what is retained when it begins; what the writer drops meanwhile is skipped."""
        rows = self.json("log", store)
        wanted = rows[-1]["generation"]
        judge = self.path("judge_busy.py")
        with open(judge, "w", encoding="utf-8") as file:
            file.write("import json,subprocess,sys\n"
                       "d=json.loads(subprocess.run([sys.argv[1],'stat','--json',sys.argv[2]],"
                       "capture_output=True).stdout)\n"
                       f"sys.exit(1 if d['current']['generation']>={wanted} else 0)\n")
        result = self.run("bisect", "--json", store, "--", sys.executable, judge, self.phantom, "{}")
        document = json.loads(result.stdout)
        if result.returncode == 0:
            check(document["first_bad"] >= wanted > document["last_good"], f"bisect: {document}")
        else:  # the oldest or newest is gone before it was looked at: said so, nothing is guessed
            check(result.returncode == 2 and "error" in document,
                  f"bisect beside a writer: exit {result.returncode}: {document}")
        os.unlink(judge)

    def dead_writer(self):
        """Its lock is still held for a moment, by writes that the kernel finishes: an opening waits
        for that, and not for a writer that stays."""
        store, rows = self.world()
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, WRITER_BYTE, 1, 0)
        for kept in (False, True):
            with open(store, "r+b") as holder:
                fcntl.fcntl(holder, F_OFD_SETLK, lock)
                with subprocess.Popen([self.phantom, "tag", store, f"kept-{kept}"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      env=self.environment) as command:
                    while not asleep_with(command.pid, store):
                        check(command.poll() is None,
                              f"it did not wait for a dead writer: exit {command.returncode}")
                    if not kept:
                        holder.close()
                    command.wait(timeout=60)
            check(command.returncode == (3 if kept else 0), f"exit {command.returncode}")
        check([r["tags"] for r in self.json("log", store) if r["tags"]] == [["kept-False"]], "tags")
        self.check_whole(store)

    def damage(self):
        store, rows = self.world()
        newest = rows[-1]
        damaged = self.path("damaged.phantom")
        with open(store, "rb") as file:
            slots = int.from_bytes(file.read(80)[76:80], "little")
        for what, blocks in (("superblock", [0]), ("seal", [2]),
                             ("newest record", [RING + newest["generation"] % slots]),
                             ("the last record but one",
                              [RING + rows[-2]["generation"] % slots])):
            shutil.copyfile(store, damaged)
            with open(damaged, "r+b") as file:
                for block in blocks:
                    file.seek(block * BLOCK + 100)
                    byte = file.read(1)[0]
                    file.seek(block * BLOCK + 100)
                    file.write(bytes([byte ^ 0x40]))
            before = digest(damaged)
            rescued = self.path("rescued.phantom")
            report = self.json("salvage", "--force", damaged, rescued)
            check(digest(damaged) == before, f"{what}: salvage wrote to the source")
            self.check_findings(damaged, what, blocks[0], newest["generation"])
            check(report["pages_lost"] == 0, f"{what}: {report}")
            self.check_whole(rescued)
            row = [r for r in rows if r["generation"] == report["generation"]]
            check(row and self.json("stat", rescued)["current"]["hash"] == row[0]["hash"],
                  f"{what}: what was rescued is no generation of the store: {report}")
        self.check_unreadable(store, damaged, rows, slots)
        # A page that all generations share: nothing is whole, with --partial one page is missing.
        shutil.copyfile(store, damaged)
        page = self.find_shared_page(store)
        with open(damaged, "r+b") as file:
            content = file.read()
            at = content.find(page)
            check(at > 0 and content.find(page, at + 1) < 0, "the page is not there once")
            file.seek(at)
            file.write(bytes([page[0] ^ 1]))
        rescued = self.path("partial.phantom")
        report = self.json("verify", damaged, expect=4)
        check(report["damaged"] == 1 and len(report["findings"]) == 1, f"verify: {report}")
        finding = report["findings"][0]
        check(finding["kind"] == "page" and finding["block"] == at // BLOCK and
              finding["generation"] == newest["generation"] and finding["pages"] == 1 and
              f"page {finding['page']}" in finding["text"], f"verify: {finding}")
        shown = self.run("verify", damaged, expect=4).stdout.decode()
        check(shown.count("damaged: ") == 1 and finding["text"] in shown, f"verify: {shown}")
        self.json("salvage", damaged, rescued, expect=4)
        check(not os.path.exists(rescued), "a salvage that failed left a file")
        report = self.json("salvage", "--partial", damaged, rescued)
        check(report["generation"] == newest["generation"] and report["pages_lost"] == 1 and
              len(report["lost"]) == 1 and report["lost"][0]["pages"] == 1, f"partial: {report}")
        self.check_whole(rescued)
        check(self.json("stat", rescued)["current"]["live_pages"] == newest["live_pages"] - 1,
              "not exactly one page is missing")
        for command in ("log", "stat", "copy", "clone", "compact", "diff"):
            # Any answer but a crash, and always one document.
            more = {"copy": ["c"], "clone": ["k"], "diff": [str(newest["generation"])]}
            result = self.run(command, "--json", damaged,
                              *[self.path(x) if command != "diff" else x
                                for x in more.get(command, [])])
            check(result.returncode in (0, 4), f"{command}: {result.returncode}")
            json.loads(result.stdout)

    def check_unreadable(self, store, damaged, rows, slots):
        """A retained generation whose record is damaged: `log` shows what is left of it, `stat`
        counts it. All of the record, and a byte of it."""
        check(self.json("stat", store)["unreadable"] == 0, "stat: a whole store")
        lost = rows[len(rows) // 2]["generation"]
        block = RING + lost % slots
        for length, number in ((1, lost), (BLOCK, None)):
            shutil.copyfile(store, damaged)
            with open(damaged, "r+b") as file:
                at = block * BLOCK + (100 if length == 1 else 0)
                file.seek(at)
                old = file.read(length)
                file.seek(at)
                file.write(bytes([old[0] ^ 0x40]) if length == 1 else bytes(length))
            shown = self.json("log", damaged)
            check(shown[0].pop("text") != "" and
                  shown[0] == {"generation": number, "unreadable": True, "block": block} and
                  [r["generation"] for r in shown[1:]] ==
                  [r["generation"] for r in rows if r["generation"] != lost], f"log: {shown}")
            text = self.run("log", damaged, expect=0).stdout.decode().splitlines()
            check(len(text) == len(rows) and "unreadable" in text[0] and
                  text[0].split()[0] == str(number or "?"), f"log: {text[0]}")
            check(self.json("stat", damaged)["unreadable"] == 1, "stat does not count it")
            text = self.run("stat", damaged, expect=0).stdout.decode()
            check(f"{len(rows) - 1} generations, 1 unreadable" in text, f"stat: {text}")

    def check_findings(self, store, what, block, newest):
        """A damaged superblock is found and named; a seal says only what need not be looked at.
        Without the newest record or its parent's the store does not open for that."""
        report = self.json("verify", "--deep", store, expect=0 if what == "seal" else 4)
        if "record" in what:
            check(f"generation {newest} " in report["error"]["message"], f"{what}: {report}")
            return
        check([(f["kind"], f["block"], f["generation"], f["page"]) for f in report["findings"]] ==
              ([("superblock", block, None, None)] if what == "superblock" else []),
              f"{what}: {report}")

    def find_shared_page(self, store):
        """The content of a page that every generation shares: that of the heap header, which does
        not change when the first snapshot has been taken."""
        with open(store, "rb") as file:
            whole = file.read()
        for at in range(0, len(whole), BLOCK):
            page = whole[at:at + BLOCK]
            if page[:11] != b"PHANTOMHEAP" or whole.count(page) != 1:
                continue
            probe = self.path("probe.phantom")
            with open(probe, "wb") as file:
                file.write(whole[:at] + bytes([page[0] ^ 1]) + whole[at + 1:])
            result = self.run("salvage", probe, self.path("probe.out"))
            os.unlink(probe)
            if result.returncode == 4:
                return page
            os.unlink(self.path("probe.out"))
        raise Failure("no page is shared by all generations")

    def bisect(self):
        store, rows = self.world()
        numbers = [r["generation"] for r in rows]
        wanted = numbers[len(numbers) * 2 // 3]
        script = self.path("judge.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write("import json,subprocess,sys\n"
                       "d=json.loads(subprocess.run([sys.argv[1],'stat','--json',sys.argv[2]],"
                       "capture_output=True).stdout)\n"
                       "g=d['current']['generation']\n"
                       "skip=[int(x) for x in sys.argv[3:]]\n"
                       f"sys.exit(125 if g in skip else 1 if g>={wanted} else 0)\n")
        command = [sys.executable, script, self.phantom, "{}"]
        report = self.json("bisect", store, "--", *command)
        check(report["first_bad"] == wanted and
              report["last_good"] == numbers[numbers.index(wanted) - 1], f"bisect: {report}")
        steps = len(numbers).bit_length() + 3
        check(len(report["steps"]) <= steps, f"{len(report['steps'])} steps for {len(numbers)}")
        check(report["skipped_between"] == [], f"bisect: {report}")
        skip = numbers[numbers.index(wanted) - 1]
        report = self.json("bisect", "--good", str(numbers[0]), "--bad", str(numbers[-1]), store,
                           "--", *command, str(skip))
        check(report["first_bad"] == wanted and report["skipped_between"] == [skip],
              f"bisect with a skipped one: {report}")
        self.json("bisect", store, "--", "true", expect=2)  # nothing is bad
        self.json("bisect", "--good", "newest", store, "--", "true", expect=2)
        self.json("bisect", "--good", str(numbers[0]), "--bad", "newest", store, "--",
                  self.path("no such command"), expect=1)
        self.no_rubbish(store, script)

    def refusals(self):
        store, rows = self.world()
        with open(store, "rb") as file:
            content = file.read()
        bad = {"missing": 2, "directory": 4, "fifo": 4, "empty": 4, "garbage": 4, "short": 4}
        os.mkdir(self.path("directory"))
        os.mkfifo(self.path("fifo"))
        for name, bytes_ in (("empty", b""), ("garbage", os.urandom(300000)),
                             ("short", content[:100 * BLOCK])):
            with open(self.path(name), "wb") as file:
                file.write(bytes_)
        more = {"copy": ["out"], "clone": ["out"], "salvage": ["out"], "diff": ["1"],
                "tag": ["name"], "untag": ["name"], "rollback": ["1"], "bisect": ["--", "true"]}
        for name, code in bad.items():
            for command in COMMANDS:
                operands = [self.path("out") if x == "out" else x for x in more.get(command, [])]
                document = self.json(command, self.path(name), *operands, expect=code)
                check("error" in document and document["error"]["message"],
                      f"{command} {name}: {document}")
                check(not os.path.exists(self.path("out")), f"{command} {name} left a file")
        for command in COMMANDS:  # usage errors are documents too
            document = self.json(command, "--no-such-option", store, expect=2)
            check("error" in document, f"{command}: {document}")
        self.json("copy", store, self.path("no/such/directory"), expect=2)
        self.json("copy", "--generation", "99999", store, self.path("out"), expect=2)
        self.json("copy", "--force", store, self.path("directory"), expect=2)
        self.json("salvage", store, store, expect=2)
        self.json("salvage", "--force", store, self.path("./world.phantom"), expect=2)
        for command in ("copy", "clone"):  # over itself: all but one generation would be gone
            refusal = self.json(command, "--force", store, self.path("./world.phantom"), expect=2)
            check("itself" in refusal["error"]["message"], f"{command} over itself: {refusal}")
        self.json("clone", store, "-", expect=2)
        check(not os.path.exists("-"), "a clone in a file called -")
        self.json("diff", store, "nobody", expect=2)
        space = self.path("space.phantom")  # the heap of a C program
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("some words and some more\n")
        subprocess.run([self.wordcount, space, self.path("text")], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        refusal = self.json("diff", "--objects", space, "newest", expect=6)["error"]
        check("space" in refusal["message"] and refusal["name"] == "PHANTOM_EUNSUPPORTED",
              f"objects of a space: {refusal}")
        self.json("diff", space, "newest")
        os.unlink(space)
        os.unlink(self.path("text"))
        check(self.json("stat", store)["current"]["hash"] == rows[-1]["hash"], "the store changed")

        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for command in (("copy", store, self.path("out")), ("clone", store, self.path("out")),
                        ("salvage", store, self.path("out")), ("compact", store)):
            result = self.run(command[0], "--json", *command[1:], preexec_fn=small_files)
            check(result.returncode == 5, f"{command} without room: exit {result.returncode}")
            json.loads(result.stdout)
            check(not os.path.exists(self.path("out")), f"{command} left a file")
        self.no_rubbish(store, *[self.path(n) for n in bad])
        if os.getuid() == 0:
            setpriv = shutil.which("setpriv")
            prefix = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
            if setpriv is None or subprocess.run([*prefix, self.phantom, "--version"], check=False,
                                                 capture_output=True).returncode != 0:
                return
            os.chmod(self.directory, 0o755)
            os.chmod(store, 0o644)
            for command in (("tag", store, "name"), ("rollback", store, "newest"),
                            ("compact", store), ("copy", store, self.path("out"))):
                result = subprocess.run([*prefix, self.phantom, command[0], "--json", *command[1:]],
                                        capture_output=True, check=False, timeout=60)
                check(result.returncode == 5, f"{command} without permission: {result}")
                json.loads(result.stdout)
            result = subprocess.run([*prefix, self.phantom, "log", "--json", store],
                                    capture_output=True, check=False, timeout=60)
            check(result.returncode == 0, f"log of a store that may be read: {result}")

    def full_disk(self):
        """A file system that is really full: exit 5, nothing stays behind, the source is whole."""
        if os.getuid() != 0:
            raise Skip("only root can mount a small file system")
        store, rows = self.world()
        small = self.path("small")
        os.mkdir(small)
        size = os.path.getsize(store) + (256 << 10)  # one store, not two
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            raise Skip(f"cannot mount: {mounted.stderr.decode(errors='replace').strip()}")
        try:
            inside = os.path.join(small, "world.phantom")
            shutil.copyfile(store, inside)
            before, filler = digest(inside), os.path.join(small, "filler")
            with open(filler, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(BLOCK)) == BLOCK:
                        pass
                except OSError:
                    pass
            out = os.path.join(small, "out")
            for command in (("copy", store, out), ("clone", store, out), ("salvage", store, out),
                            ("compact", inside), ("copy", inside, out)):
                document = self.json(*command, expect=5)
                check("error" in document, f"{command} on a full disk: {document}")
                check(sorted(os.listdir(small)) == ["filler", "world.phantom"],
                      f"{command} left {os.listdir(small)}")
                check(digest(inside) == before, f"{command} changed the store")
            self.check_whole(inside)  # reading needs no room
            os.unlink(filler)
            os.unlink(inside)
            self.json("copy", store, out)  # now there is room
            check(self.json("stat", out)["current"]["hash"] == rows[-1]["hash"], "the copy differs")
        finally:
            subprocess.run(["umount", small], check=True)

    def compact_history(self):
        """Generations that a tag has kept longer than the ring, and their tags, survive compact."""
        store, rows = self.world(interval="2")
        early = rows[len(rows) // 4]
        self.json("tag", store, str(early["generation"]), "early")
        self.json("tag", store, "newest", "end")
        self.run("rollback", store, "early", expect=0)  # its undo tag is the third
        rows = self.json("log", store)
        names = sorted(n for r in rows for n in r["tags"])
        check(len(names) == 3, f"tags: {names}")
        report = self.json("compact", store)
        after = self.json("log", store)
        check(report["generations_after"] == len(after), f"compact: {report}")
        # Giving a tag is a commit of its own, with the memory of the newest generation.
        check(len(rows) < len(after) <= len(rows) + 3 and
              all(r["hash"] == rows[-1]["hash"] for r in after[len(rows):]), f"compact: {report}")
        check([(r["generation"], r["hash"], r["tags"], r["time_ns"]) for r in after[:len(rows)]] ==
              [(r["generation"], r["hash"], r["tags"], r["time_ns"]) for r in rows],
              "compact lost generations or tags")
        check(self.json("diff", store, "early")["ranges"] == [], "early is not what it was")
        self.check_whole(store)
        self.json("untag", store, "early")
        self.no_rubbish(store)

    def outputs(self):
        store, rows = self.world()
        with open("/dev/full", "wb") as full:
            for command in (["log", store], ["stat", store], ["diff", store, "1"],
                            ["verify", store], ["copy", store, "-"], ["stat", "--json", store],
                            ["doctor"], ["doctor", "--json"], ["verify", "--json", store]):
                result = subprocess.run([self.phantom, *command], stdout=full,
                                        stderr=subprocess.PIPE, check=False, timeout=60,
                                        env=self.environment)
                if command[0] == "diff" and result.returncode == 2:
                    continue  # generation 1 may have been dropped
                check(result.returncode == 5 and b"No space left" in result.stderr,
                      f"{command} on a full device: {result}")
        for command in (["copy", store, "-"], ["log", store]):
            reader, writer = os.pipe()
            os.close(reader)
            result = subprocess.run([self.phantom, *command], stdout=writer, check=False,
                                    stderr=subprocess.PIPE, timeout=60, env=self.environment)
            os.close(writer)
            check(result.returncode == 5, f"{command} into a closed pipe: {result}")
        self.run("copy", "--json", store, "-", expect=2)
        progress = self.run("copy", "--progress", store, self.path("copy"), expect=0)
        check(b"phantom: copy: " in progress.stderr and b"%" in progress.stderr,
              f"no progress: {progress.stderr}")
        progress = self.run("verify", "--deep", "--progress", store, expect=0)
        check(b"phantom: verify: " in progress.stderr and b"%" in progress.stderr,
              f"no progress: {progress.stderr}")
        for command in (("copy", store, self.path("copy2")), ("verify", store)):
            quiet = self.run(*command, expect=0)
            check(quiet.stderr == b"", f"progress without a terminal: {quiet.stderr}")
        odd = os.path.join(os.fsencode(self.directory), b"odd \xff\n name")
        os.rename(store, odd)
        for command in ("stat", "log", "verify"):
            json.loads(self.run(command, "--json", odd, expect=0).stdout)
        missing = self.run("stat", self.path("a\nb"), expect=2)
        check(missing.stderr.count(b"\n") == 1, f"a path broke the message: {missing.stderr}")
        first = self.run("stat", odd, expect=0).stdout.split(b"\n")[0]
        check(first.endswith(b"odd \xff\\x0a name"), f"a path broke the line: {first}")
        going = self.run("run", "--verbose", odd, expect=0).stderr.split(b"\n")
        check(all(line.startswith(b"phantom: ") for line in going[:-1]) and b"resuming" in going[0],
              f"a path broke the messages of run: {going}")
        self.no_rubbish("copy", "copy2", "odd \udcff\n name")
        check(len(rows) >= 5, "no generations")

    def signals(self):
        """A signal in the middle of a copy to a pipe that nobody reads: nothing stays behind."""
        store, _ = self.world()
        for number in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([self.phantom, "copy", store, "-"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=self.environment) as copy:
                copy.stdout.read(BLOCK)  # the rest does not fit into the pipe
                copy.send_signal(number)
                copy.communicate(timeout=60)
                check(copy.returncode == -number, f"{number}: exit {copy.returncode}")
        with subprocess.Popen([self.phantom, "bisect", "--good", "newest", store],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as usage:
            check(usage.wait(timeout=60) == 2, "bisect without a command")
        with subprocess.Popen([self.phantom, "bisect", store, "--", "sh", "-c",
                               "echo started; exec sleep 600"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env=self.environment) as search:
            search.stderr.readline()
            search.send_signal(signal.SIGTERM)
            check(search.wait(timeout=60) == -signal.SIGTERM, f"bisect: {search.returncode}")
        self.no_rubbish(store)

    # ---- Prometheus ------------------------------------------------------------------------------

    def prometheus(self):
        strange = 'we"ird \\ na\nme.phantom'
        store, rows = self.world(strange)
        text = self.run("stat", "--prometheus", store, expect=0).stdout.decode()
        samples = parse_exposition(text)
        stat = self.json("stat", store)

        def value(name, **labels):
            found = [v for n, l, v in samples if n == name and
                     all(l.get(k) == w for k, w in labels.items())]
            check(len(found) == 1, f"{name} {labels}: {found}")
            return found[0]

        check(value("phantom_store_file_bytes") == stat["file_bytes"], "file bytes")
        check(value("phantom_store_generations") == len(rows), "generations")
        check(value("phantom_store_generation_number") == rows[-1]["generation"], "newest")
        check(abs(value("phantom_store_generation_timestamp_seconds") -
                  rows[-1]["time_ns"] / 1e9) < 0.001, "time")
        check(value("phantom_store_pause_seconds_count") == len(rows), "pauses")
        check(abs(value("phantom_store_pause_seconds_sum") -
                  sum(r["pause_ns"] for r in rows) / 1e9) < 1e-9, "sum of the pauses")
        check(value("phantom_store_sealed") == int(rows[-1]["sealed"]), "sealed")
        check(all(l["store"] == store for n, l, v in samples), "the label does not name the store")
        self.run("stat", "--prometheus", "--json", store, expect=2)


def asleep_with(pid, path):
    """Does the process have the file open, and sleep for a while?"""
    try:
        files = {os.path.realpath(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            call = file.read().split()[0]
    except (OSError, IndexError):
        return False
    return os.path.realpath(path) in files and call in ("35", "230")  # (clock_)nanosleep, x86-64


def parse_exposition(text):
    """A strict reader of the text format: returns (name, labels, value) and refuses what is odd."""
    check(text.endswith("\n"), "the last line does not end")
    families, samples, seen, family = {}, [], set(), None
    name = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
    for line in text[:-1].split("\n"):
        comment = re.fullmatch(rf"# (HELP|TYPE) ({name}) (.+)", line)
        if comment:
            kind, family, rest = comment.groups()
            entry = families.setdefault(family, {})
            check(kind not in entry, f"{kind} of {family} twice")
            check(kind == "HELP" or rest in ("counter", "gauge", "histogram"), f"type {rest}")
            entry[kind] = rest
            continue
        sample = re.fullmatch(rf'({name})\{{(.*)\}} (\S+)', line)
        check(sample is not None, f"not a sample: {line!r}")
        labels, rest = {}, sample.group(2)
        while rest:
            label = re.match(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)', rest)
            check(label is not None, f"not a label: {rest!r}")
            check(label.group(1) not in labels, f"label twice: {line!r}")
            labels[label.group(1)] = re.sub(
                r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), label.group(2))
            rest = rest[label.end():]
        full = sample.group(1)
        base = re.sub(r"_(bucket|sum|count)$", "", full)
        base = base if families.get(base, {}).get("TYPE") == "histogram" else full
        check(base == family, f"{full} is not below its HELP and TYPE")
        check(set(families[base]) == {"HELP", "TYPE"}, f"{base} lacks HELP or TYPE")
        check(families[base]["TYPE"] != "counter" or full.endswith("_total"), f"{full}: a counter")
        identity = (full, tuple(sorted(labels.items())))
        check(identity not in seen, f"twice: {identity}")
        seen.add(identity)
        samples.append((full, labels, float(sample.group(3).replace("+Inf", "inf"))))
    for base, entry in families.items():
        if entry["TYPE"] == "histogram":
            buckets = [(float(l["le"].replace("+Inf", "inf")), v) for n, l, v in samples
                       if n == base + "_bucket"]
            check(buckets == sorted(buckets) and buckets[-1][0] == float("inf"), f"{base}: buckets")
            check([v for _, v in buckets] == sorted(v for _, v in buckets), f"{base}: not cumulative")
            count = [v for n, _, v in samples if n == base + "_count"]
            check(count == [buckets[-1][1]], f"{base}: count is not the last bucket")
    return samples


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--phantom", required=True)
    parser.add_argument("--classes", required=True)
    parser.add_argument("--wordcount", required=True)
    parser.add_argument("case")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="phantom-commands-", dir=os.environ.get("TMPDIR")) as d:
        try:
            getattr(Case(arguments, d), arguments.case.replace("-", "_"))()
        except Skip as reason:
            print(f"SKIP: {reason}")
            return SKIP
        except Failure as reason:
            print(f"FAIL: {arguments.case}: {reason}")
            return 1
    print(f"ok: {arguments.case} ({time.monotonic() - began:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
