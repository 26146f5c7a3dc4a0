#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An encrypted world and every command on it: with its key, without, with another one.

usage: encryption_test.py --phantom EXE --classes DIR
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

KEY = bytes(range(7, 39))


class Failure(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failure(text)


class Case:
    def __init__(self, arguments, directory):
        self.phantom, self.classes, self.directory = arguments.phantom, arguments.classes, directory
        self.raw = self.key_file("raw", KEY)
        self.hexadecimal = self.key_file("hex", KEY.hex().upper().encode() + b"\n")
        self.other = self.key_file("other", bytes(32))

    def path(self, name):
        return os.path.join(self.directory, name)

    def key_file(self, name, content, mode=0o600):
        with open(self.path(name), "wb") as file:
            file.write(content)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def run(self, *command, expect=0, says="", never="\0"):
        result = subprocess.run([self.phantom, *command], capture_output=True, check=False,
                                timeout=120, env=dict(os.environ, TMPDIR=self.directory))
        text = result.stderr.decode(errors="replace")
        check(result.returncode == expect, f"{command}: exit {result.returncode}, not {expect}: {text}")
        check(says in text, f"{command}: '{says}' is not in: {text}")
        check(never not in text, f"{command}: '{never}' is in: {text}")
        return result.stdout

    def json(self, *command):
        return json.loads(self.run(*command, "--json"))

    def key_files(self, store):
        """Forms of a key that are refused, before the store is looked at."""
        for name, content, mode, says in (
                ("open", KEY, 0o644, "others may use it"), ("group", KEY, 0o640, "others may use it"),
                ("short", KEY[:31], 0o600, "neither 32 bytes"), ("long", KEY + b"x", 0o600, "neither"),
                ("nohex", b"g" * 64, 0o600, "neither"), ("tail", KEY.hex().encode() + b"xx", 0o600, "neither"),
                ("empty", b"", 0o600, "neither")):
            self.run("stat", "--key-file", self.key_file(name, content, mode), store, expect=2, says=says)
        self.run("stat", "--key-file", self.path("nowhere"), store, expect=2, says="nowhere")

    def commands(self, store):
        key = ("--key-file", self.hexadecimal)
        rows = self.json("log", *key, store)
        check(len(rows) >= 3, f"log: {rows}")
        middle, newest = str(rows[len(rows) // 2]["generation"]), str(rows[-1]["generation"])
        check(self.json("stat", *key, store)["encrypted"], "stat does not say that it is encrypted")
        check(self.json("verify", "--deep", *key, store)["damaged"] == 0, "verify")
        self.json("diff", *key, store, middle, newest)
        self.json("tag", *key, store, middle, "hidden-name")
        self.json("rollback", *key, store, "hidden-name")
        self.json("untag", *key, store, "hidden-name")
        for command in ("copy", "clone", "salvage"):
            made = self.path(command + ".phantom")
            self.json(command, *key, store, made)
            check(self.json("verify", "--deep", *key, made)["damaged"] == 0, command)
            self.run("stat", made, expect=2, says="needs its key")
        self.json("compact", *key, store)
        script = f"{self.phantom} verify --key-file {self.hexadecimal} {{}} >/dev/null || exit 125"
        self.run("bisect", *key, store, "--", "/bin/sh", "-c", script + "; exit 0", "{}", expect=2)
        check(self.json("verify", "--deep", *key, store)["damaged"] == 0, "verify at the end")

    def refusals(self, store):
        """Without the key, or with another, every command says so, and not that it is damaged."""
        with open(store, "rb") as file:
            before = file.read()
        new = self.path("new.phantom")
        for command in (("run",), ("stat",), ("log",), ("verify",), ("diff", "1", "2"), ("tag", "x"),
                        ("untag", "x"), ("rollback", "1"), ("copy", new), ("clone", new),
                        ("salvage", new), ("compact",)):
            self.run(command[0], store, *command[1:], expect=2, says="needs its key",
                     never="give birth")
            self.run(command[0], "--key-file", self.other, store, *command[1:], expect=2,
                     says="not the one of this store")
        check(not os.path.exists(new), "something was made without the key")
        with open(store, "rb") as file:
            check(file.read() == before, "a refused command changed the store")

    def all(self):
        store = self.path("world.phantom")
        born = ("run", store, "--boot", ".examples.queens", "--classes", self.classes, "--interval", "20")
        self.run(*born, "--key-file", self.raw)
        with open(store, "rb") as file:
            content = file.read()
        check(b"examples.queens" not in content, "the name of a class is in the file")
        self.key_files(store)
        self.refusals(store)
        self.commands(store)
        self.run("run", store, "--key-file", self.hexadecimal)
        plain = self.path("plain.phantom")
        self.run("run", plain, *born[2:])
        with open(plain, "rb") as file:
            check(b"examples.queens" in file.read(), "the search finds nothing in a plain store either")
        self.run("stat", "--key-file", self.raw, plain, expect=2, says="not encrypted")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--phantom", required=True)
    parser.add_argument("--classes", required=True)
    with tempfile.TemporaryDirectory(prefix="phantom-encryption-") as directory:
        try:
            Case(parser.parse_args(), directory).all()
        except Failure as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
