#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Worlds on machines that deny something.

usage: limits_test.py --phantom EXE --classes DIR --grow-classes DIR --deny EXE --kill-test FILE CASE

CASE: no-userfaultfd, no-io-uring, neither, ordinary-user, full-disk, flipped-byte, damaged-late,
      signals, busy,
      bad-input, resume-without-classes, closed-descriptors, signals-at-the-end,
      nobody-listens.
Exit status 77: this machine cannot run the case (the reason is the last line).
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77
DATA_START = (16 + 256) * 4096  # docs/formats/store.md: superblocks, seal, record ring before it


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failure(text)


def run(command, timeout=120, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False,
                          **options)


class Case:
    def __init__(self, arguments, directory):
        self.a = arguments
        self.directory = directory
        self.store = os.path.join(directory, "world.phantom")

    def world(self, program, *more, store=None):
        return [self.a.phantom, "run", store or self.store, "--boot", program, "--classes",
                self.a.classes, "--classes", self.a.grow_classes, "--interval", "10", *more]

    def queens(self, prefix=(), more=()):
        result = run([*prefix, *self.world(".examples.queens", "-v", *more)])
        check(result.returncode == 0, f"queens ended with {result.returncode}: {result.stderr}")
        check(result.stdout == "8 queens: 92\n10 queens: 724\n11 queens: 2680\n",
              f"queens printed {result.stdout!r}")
        return result.stderr

    def kills(self, prefix):
        """The kill test with another `phantom`: a small script that puts the prefix in front."""
        wrapper = os.path.join(self.directory, "phantom-wrapper")
        with open(wrapper, "w", encoding="utf-8") as script:
            script.write("#!/bin/sh\nexec " + " ".join([*prefix, self.a.phantom]) + ' "$@"\n')
        os.chmod(wrapper, 0o755)
        result = run([sys.executable, self.a.kill_test, "--phantom", wrapper, "--classes",
                      self.a.classes, "--program", "ledger", "--kills", "5", "--transfers",
                      "100000", "--seed", "3", "--open-directory"], timeout=300)
        check(result.returncode == 0, f"killed world: {result.stdout}{result.stderr}")
        print(result.stdout.strip().splitlines()[-1])

    def deny(self, calls):
        prefix = [self.a.deny, calls, "--"]
        probe = run([*prefix, "true"])
        if probe.returncode == SKIP:
            raise Skip(probe.stderr.strip() or "this kernel has no seccomp filters")
        check(probe.returncode == 0, f"deny: {probe.stderr}")
        return prefix

    # ---- cases -----------------------------------------------------------------------------------

    def no_userfaultfd(self):
        prefix = self.deny("userfaultfd")
        messages = self.queens(prefix)
        check(messages.count("using full") == 1, f"the fallback was not said once: {messages}")
        doctor = run([*prefix, self.a.phantom, "doctor", "--json", self.directory])
        check(json.loads(doctor.stdout)["strategy"] == "full", f"doctor: {doctor.stdout}")
        asked = run([*prefix, *self.world(".examples.queens", "--strategy", "async",
                                          store=self.store + "2")])
        check(asked.returncode == 6, f"async where it is denied: exit {asked.returncode}")
        self.kills(prefix)

    def no_io_uring(self):
        prefix = self.deny("io_uring")
        messages = self.queens(prefix)
        check("pwrite threads" in messages, f"not the pwrite back end: {messages}")
        doctor = run([*prefix, self.a.phantom, "doctor", "--json", self.directory])
        check(json.loads(doctor.stdout)["io"] == "pwrite threads", f"doctor: {doctor.stdout}")
        self.kills(prefix)

    def neither(self):
        prefix = self.deny("io_uring,userfaultfd")
        self.queens(prefix)
        self.kills(prefix)

    def ordinary_user(self):
        if os.getuid() != 0:
            self.queens()
            return
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise Skip("running as root and there is no setpriv")
        os.chmod(self.directory, 0o777)
        prefix = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
        if run([*prefix, self.a.phantom, "--version"]).returncode != 0:
            raise Skip("an ordinary user cannot execute files in the build directory")
        with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as value:
            print(f"vm.unprivileged_userfaultfd={value.read().strip()}")
        messages = self.queens(prefix)
        check("strategy async" in messages, f"not strategy async: {messages}")
        check(os.stat(self.store).st_uid == 65534, "the store belongs to somebody else")
        check(os.stat(self.store).st_mode & 0o777 == 0o600, "the store's mode is not 0600")
        self.kills(prefix)

    def full_disk(self):
        if os.getuid() != 0:
            raise Skip("mounting a small file system needs root")
        image = os.path.join(self.directory, "disk.img")
        mount = os.path.join(self.directory, "mnt")
        os.mkdir(mount)
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        made = run(["mkfs.ext4", "-q", "-F", "-m", "0", image])
        if made.returncode != 0 or run(["mount", "-o", "loop", image, mount]).returncode != 0:
            raise Skip("no ext4 on a loop device here")
        try:
            self.fill_and_free(mount)
        finally:
            run(["umount", mount])

    def fill_and_free(self, mount):
        store = os.path.join(mount, "world.phantom")
        ballast = os.path.join(mount, "ballast")
        with open(ballast, "wb") as file:
            file.write(b"\1" * (5 << 20))
        log = os.path.join(self.directory, "messages")
        with open(log, "w", encoding="utf-8") as messages:
            process = subprocess.Popen(
                self.world(".test.grow", "-v", "--env", "grow.limit=13", store=store),
                stdout=subprocess.PIPE, stderr=messages, text=True)

        def said(text, seconds):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                with open(log, encoding="utf-8") as lines:
                    if text in lines.read():
                        return True
                if process.poll() is not None:
                    break
                time.sleep(0.01)
            with open(log, encoding="utf-8") as lines:
                return text in lines.read()

        try:
            check(said("snapshot refused", 60), "the full disk refused no snapshot")
            with open(log, encoding="utf-8") as lines:
                text = lines.read()
            refusal = [line for line in text.splitlines() if "snapshot refused" in line][0]
            check(store in refusal, f"the refusal does not name the store: {refusal}")
            check(process.poll() is None, "the world ended when the disk was full")
            verify = run([self.a.phantom, "verify", store])
            check(verify.returncode == 0, f"last generation: {verify.stdout}{verify.stderr}")
            os.unlink(ballast)
            check(said("snapshots go on", 60), "snapshots did not go on after space was freed")
            out, _ = process.communicate(timeout=60)
            check(process.returncode == 0, f"exit {process.returncode}")
            check(out.splitlines()[-1] == "grown 13", f"output ends with {out[-40:]!r}")
            verify = run([self.a.phantom, "verify", "--deep", store])
            check(verify.returncode == 0, f"at the end: {verify.stdout}{verify.stderr}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def flipped_byte(self):
        self.queens(more=["--interval", "0"])  # a small file, most of it live
        before = run([self.a.phantom, "verify", self.store])
        check(before.returncode == 0, before.stderr)
        rng = random.Random(5)
        with open(self.store, "rb") as file:
            content = file.read()
        written = [block for block in range(0, len(content), 4096)
                   if content.count(0, block, block + 4096) < 4096]
        data = [block for block in written if block >= DATA_START]
        found, named, flips = 0, 0, 100
        with open(self.store, "r+b") as file:
            for flip in range(flips):
                offset = rng.choice(data if flip % 4 else written) + rng.randrange(4096)
                file.seek(offset)
                old = file.read(1)
                file.seek(offset)
                file.write(bytes([old[0] ^ (1 << rng.randrange(8))]))
                file.flush()
                verify = run([self.a.phantom, "verify", self.store])
                check(verify.returncode in (0, 4), f"verify: {verify.returncode} {verify.stderr}")
                if verify.returncode == 4:
                    found += 1
                    text = verify.stdout + verify.stderr
                    check("generation" in text or "record" in text or "superblock" in text,
                          f"what is damaged is not named: {text}")
                    opened = run(self.world(".examples.queens", "--eager"))
                    if re.search(r"generation \d+, page \d+", text):
                        named += 1
                        check(opened.returncode == 4,
                              f"opened a damaged store: {opened.returncode}, {text}")
                    else:  # a copy or a record that opening does not need
                        check(opened.returncode in (0, 4), f"{opened.returncode}: {text}")
                        file.seek(0)
                        file.write(content)
                file.seek(offset)
                file.write(old)
                file.flush()
        after = run([self.a.phantom, "verify", self.store])
        check(after.returncode == 0, after.stderr)
        check(found >= flips // 4, f"only {found} of {flips} flips hit a live page")
        check(named >= found // 2, f"page and generation named only {named} of {found} times")
        print(f"flips={flips} detected={found} named={named}")

    def damaged_late(self):
        """A world that goes on at once meets the damage while it runs."""
        command = self.world(".examples.counter", "--interval", "0")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        check(process.returncode == 0, f"exit {process.returncode}")
        log = run([self.a.phantom, "log", self.store]).stdout
        with open(self.store, "rb") as file:
            content = file.read()
        damaged = 0
        for block in range(DATA_START, len(content), 4096):
            if content.count(0, block, block + 4096) == 4096:
                continue
            with open(self.store, "r+b") as file:
                file.seek(block + 100)
                file.write(bytes([content[block + 100] ^ 8]))
            text = run([self.a.phantom, "verify", self.store]).stdout
            where = re.search(r"generation \d+, page \d+ in block \d+", text)
            if where:
                damaged += 1
                lazy = run(command, timeout=60)
                check(lazy.returncode == 4, f"{where.group(0)}: exit {lazy.returncode}")
                check(where.group(0) in lazy.stderr and "expected" in lazy.stderr,
                      f"{where.group(0)} is not named: {lazy.stderr}")
                eager = run(self.world(".examples.counter", "--eager"))
                check(eager.returncode == 4 and eager.stdout == "", f"eager: {eager}")
                check(run([self.a.phantom, "log", self.store]).stdout == log, "something committed")
            with open(self.store, "r+b") as file:
                file.seek(block)
                file.write(content[block:block + 4096])
            if damaged == 10:
                break
        check(damaged == 10, f"only {damaged} blocks are pages of the newest generation")
        print(f"pages damaged and met: {damaged}")

    def signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(self.world(".examples.counter", "--interval", "0"),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            line = process.stdout.readline()
            check(line.startswith("count "), f"first line {line!r}")
            process.send_signal(number)
            out, errors = process.communicate(timeout=30)
            check(process.returncode == 0, f"{number}: exit {process.returncode}: {errors}")
            last = ([line] + out.splitlines())[-1].split()
            check(last[0] == "count", f"last line {last}")
            if number == signal.SIGINT:
                stopped_at = int(last[1])
            else:
                check(int(line.split()[1]) == stopped_at + 1,
                      f"went on with {line!r} after stopping at {stopped_at}")

    def signals_at_the_end(self):
        """A second, other signal while the world is closing may kill, but nothing crashes."""
        rng = random.Random(7)
        ends = set()
        for _ in range(30):
            process = subprocess.Popen(self.world(".examples.counter"), stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            time.sleep(rng.uniform(0, 0.01))
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            ends.add(process.wait())
        check(ends <= {0, -signal.SIGTERM}, f"ended with {ends}")
        verify = run([self.a.phantom, "verify", "--deep", self.store])
        check(verify.returncode == 0, f"{verify.stdout}{verify.stderr}")

    def nobody_listens(self):
        """An acknowledgement that cannot be written, or a store that is gone, ends the world."""
        for store in (self.store, self.store):  # at birth, then resumed
            deaf = run(["sh", "-c", "exec " + " ".join(
                self.world(".examples.counter", "--ack-fd", "9", store=store)) + " 9>/dev/full"],
                timeout=60)
            check(deaf.returncode == 5, f"a dead ack descriptor: exit {deaf.returncode}")
        process = subprocess.Popen(self.world(".examples.counter"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        os.unlink(self.store)
        _, errors = process.communicate(timeout=60)
        check(process.returncode == 5, f"a deleted store: exit {process.returncode}")
        check("was deleted while it was in use" in errors, f"said {errors}")

    def resume_without_classes(self):
        """All classes that the program names are in the store from the first generation on."""
        process = subprocess.Popen(self.world(".examples.ledger", "--env", "ledger.transfers=20000"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not os.path.exists(self.store):
            check(process.poll() is None, "the world ended before it was born")
        process.kill()
        process.communicate()
        resumed = run([self.a.phantom, "run", self.store])
        check(resumed.returncode == 0, f"exit {resumed.returncode}: {resumed.stderr}")
        check("20000 transfers, total 1000000: ok" in resumed.stdout, f"said {resumed.stdout}")

    def closed_descriptors(self):
        """Console output must never land in the store. In memory, where no write is misaligned."""
        if not os.access("/dev/shm", os.W_OK):
            raise Skip("no /dev/shm to write to")
        with tempfile.TemporaryDirectory(prefix="phantom-limits-", dir="/dev/shm") as directory:
            self.run_with_closed_descriptors(os.path.join(directory, "closed.phantom"))

    def run_with_closed_descriptors(self, store):
        for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
            birth = " ".join(self.world(".examples.counter", store=store))
            born = run(["sh", "-c", f"exec timeout -s INT 1 {birth} >/dev/null"])
            check(born.returncode in (0, 124), f"birth: {born.returncode} {born.stderr}")
            run(["sh", "-c", f"exec timeout -s INT 1 {self.a.phantom} run -v {store} {closed}"])
            verify = run([self.a.phantom, "verify", "--deep", store])
            check(verify.returncode == 0, f"{closed}: {verify.stdout}{verify.stderr}")
            os.unlink(store)

    def busy(self):
        process = subprocess.Popen(self.world(".examples.counter"), stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        try:
            process.stdout.readline()
            second = run(self.world(".examples.counter"))
            check(second.returncode == 3, f"second writer: exit {second.returncode}")
            for command in ("stat", "log", "verify"):
                reader = run([self.a.phantom, command, "--json", self.store])
                check(reader.returncode == 0, f"{command} beside a writer: {reader.stderr}")
                json.loads(reader.stdout)
        finally:
            process.kill()
            process.communicate()

    def bad_input(self):
        """Every row: arguments, expected exit code. None may crash, hang or leave a file."""
        d = self.directory
        text = os.path.join(d, "text")
        with open(text, "w", encoding="utf-8") as file:
            file.write("not a store " * 1000)
        empty = os.path.join(d, "empty")
        with open(empty, "w", encoding="utf-8"):
            pass
        fifo = os.path.join(d, "fifo")
        os.mkfifo(fifo)
        rows = [
            ([], 2), (["frobnicate"], 2), (["run"], 2), (["run", "a", "b"], 2),
            (["run", self.store, "--interval", "-1"], 2),
            (["run", self.store, "--interval", "1e9"], 2),
            (["run", self.store, "--heap", "10 G"], 2), (["run", self.store, "--heap", ""], 2),
            (["run", self.store, "--env", "novalue"], 2),
            (["run", self.store, "--ack-fd", "99"], 2),
            (["run", self.store, "--heap", "1T"], 2),
            (["run", self.store, "--strategy", "magic", "--boot", ".examples.queens", "--classes",
              self.a.classes], 2),
            (["run", self.store, "--boot", ".no.such.class", "--classes", self.a.classes], 2),
            (["run", self.store, "--boot", "nodot", "--classes", self.a.classes], 2),
            (["run", self.store, "--boot", ".../../x", "--classes", self.a.classes], 2),
            (["run", text], 4), (["run", empty], 4), (["run", d], 4), (["run", fifo], 4),
            (["run", "/dev/null"], 4),
            (["stat", text], 4), (["stat", empty], 4), (["stat", d], 4), (["stat", fifo], 4),
            (["stat", os.path.join(d, "missing")], 2), (["log", "--deep", text], 2),
            (["verify", "--json", text], 4), (["--version"], 0), (["--help"], 0),
            (["run", os.path.join(d, "no", "such", "dir.phantom"), "--boot", ".examples.queens",
              "--classes", self.a.classes], 2),
        ]
        for words, expected in rows:
            result = run([self.a.phantom, *words], timeout=20)
            check(result.returncode == expected,
                  f"phantom {words}: exit {result.returncode}, expected {expected}: "
                  f"{result.stderr}")
            if expected not in (0, 2) or words:
                check(expected == 0 or result.stderr.strip(), f"phantom {words}: no message")
            check(not os.path.exists(self.store), f"phantom {words} left a store")
        left = sorted(os.listdir(d))
        check(left == ["empty", "fifo", "text"], f"left behind: {left}")
        self.queens()
        full = run(["sh", "-c", f"exec {self.a.phantom} stat {self.store} >/dev/full"])
        check(full.returncode == 5, f"stat to a full device: exit {full.returncode}")
        for command in ("stat", "log", "verify"):
            document = run([self.a.phantom, command, "--json", self.store])
            json.loads(document.stdout)
        os.chmod(self.store, 0)
        if os.getuid() != 0:
            denied = run([self.a.phantom, "stat", self.store])
            check(denied.returncode == 5, f"stat of an unreadable store: {denied.returncode}")
        print(f"rows={len(rows)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", required=True)
    parser.add_argument("--classes", required=True)
    parser.add_argument("--grow-classes", required=True)
    parser.add_argument("--deny", required=True)
    parser.add_argument("--kill-test", required=True)
    parser.add_argument("case")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="phantom-limits-") as directory:
        case = Case(arguments, directory)
        try:
            getattr(case, arguments.case.replace("-", "_"))()
        except Skip as skip:
            print(f"skipped: {skip}")
            return SKIP
        except (Failure, subprocess.TimeoutExpired) as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
