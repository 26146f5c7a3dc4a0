#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The key-value server example: its protocol, and that no acknowledged change is ever lost.

usage: kvserver_test.py KVSERVER CASE [--kills N] [--seed S]

CASE is `commands`, `bad-input`, `asked` or `kills`. The last line of `kills` is `kills=N acknowledged=N seed=S`.
"""
import argparse
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


class Failure(Exception):
    pass


def check(truth, text):
    if not truth:
        raise Failure(text)


class Server:
    """One life of the server on a store."""

    def __init__(self, program, store, heap_mib=64, more=()):
        self.process = subprocess.Popen([program, store, "--heap-mib", str(heap_mib), *more],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+), (\d+) keys\n", line)
        check(match, f"the server said {line!r}")
        self.port, self.keys = int(match[1]), int(match[2])

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        self.socket.sendall(encode(*words))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server is gone")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            count = int(rest)
            if count < 0:
                return None
            data = self.file.read(count + 2)
            if len(data) != count + 2:
                raise ConnectionError("the server is gone")
            return data[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return int(rest) if kind == b":" else line[:-2]

    def ask(self, *words):
        self.send(*words)
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


def encode(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def case_commands(program, folder, _options):
    store = os.path.join(folder, "kv.phantom")
    server = Server(program, store)
    check(server.keys == 0, "a new store has keys")
    client = Client(server.port)
    table = [
        (("PING",), b"+PONG"), (("ping", "hello"), b"hello"), (("ECHO", "a b"), b"a b"),
        (("GET", "none"), None), (("SET", "a", "1"), b"+OK"), (("GET", "a"), b"1"),
        (("INCR", "a"), 2), (("INCRBY", "a", "-5"), -3), (("DECR", "a"), -4),
        (("INCRBY", "a", "x"), b"-ERR value is not an integer or out of range"),
        (("SET", "max", "9223372036854775807"), b"+OK"),
        (("INCR", "max"), b"-ERR increment or decrement would overflow"),
        (("APPEND", "a", "xyz"), 5), (("GET", "a"), b"-4xyz"), (("STRLEN", "a"), 5),
        (("INCR", "a"), b"-ERR value is not an integer or out of range"),
        (("MSET", "b", "2", "c", "3"), b"+OK"), (("MSET", "b", "2", "c"),
         b"-ERR wrong number of arguments for 'mset' command"),
        (("MGET", "a", "b", "zz", "c"), [b"-4xyz", b"2", None, b"3"]),
        (("EXISTS", "a", "b", "zz"), 2), (("DBSIZE",), 4), (("DEL", "a", "zz"), 1),
        (("DBSIZE",), 3), (("GET",), b"-ERR wrong number of arguments for 'get' command"),
        (("NOSUCH", "x"), b"-ERR unknown command 'NOSUCH'"),
        (("CONFIG", "GET", "appendfsync"), [b"appendfsync", b"always"]),
        (("COMMAND", "DOCS"), []), (("SELECT", "0"), b"+OK"),
        (("SET", "", "empty key"), b"+OK"), (("GET", ""), b"empty key"),
        (("SET", "bin", bytes(range(256))), b"+OK"), (("GET", "bin"), bytes(range(256))),
    ]
    for words, expected in table:
        got = client.ask(*words)
        check(got == expected, f"{words}: {got!r} instead of {expected!r}")
    big = os.urandom(3 << 20)
    check(client.ask("SET", "big", big) == b"+OK" and client.ask("GET", "big") == big, "big value")
    # Many commands in one piece, and one command in many.
    client.socket.sendall(b"".join(encode("SET", f"p{i}", i) + encode("GET", f"p{i}")
                                   for i in range(5000)))
    for i in range(5000):
        check(client.reply() == b"+OK" and client.reply() == b"%d" % i, f"pipeline at {i}")
    for byte in encode("SET", "slow", "ly"):
        client.socket.sendall(bytes([byte]))
    check(client.reply() == b"+OK", "a command in single bytes")
    client.socket.sendall(b"SET inline 7\r\nGET inline\r\n")
    check(client.reply() == b"+OK" and client.reply() == b"7", "inline commands")
    check(client.ask("QUIT") == b"+OK" and client.file.read() == b"", "QUIT")
    check(server.end(signal.SIGTERM) == 0, "SIGTERM")
    server = Server(program, store)
    client = Client(server.port)
    check(client.ask("GET", "big") == big and client.ask("GET", "p4999") == b"4999", "after SIGTERM")
    check(client.ask("FLUSHALL") == b"+OK" and client.ask("DBSIZE") == 0, "FLUSHALL")
    check(server.end(signal.SIGKILL) == -signal.SIGKILL, "SIGKILL")
    server = Server(program, store)
    check(server.keys == 0, "what was flushed came back")
    check(server.end(signal.SIGINT) == 0, "SIGINT")
    print("commands: ok")


def case_bad_input(program, folder, _options):
    for arguments in ([], ["x.phantom", "--port"], ["x.phantom", "--port", "-1"],
                      ["x.phantom", "--heap-mib", "1"], ["x.phantom", "--what", "1"],
                      ["--help"]):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, cwd=folder)
        check(done.returncode == 2 and "usage" in done.stderr, f"{arguments}: {done}")
    done = subprocess.run([program, folder], capture_output=True, text=True)
    check(done.returncode == 5 and done.stderr, "a folder as store")
    server = Server(program, os.path.join(folder, "kv.phantom"), heap_mib=8)
    for garbage in (b"*1\r\n!3\r\nGET\r\n", b"*-7\r\n", b"*1000000\r\n", b"*1\r\n$999999999999\r\n",
                    b"*1\r\n$3\r\nGETxx", b"*1\r\n$\r\n", b"*\r\n", b"x" * 70000,
                    bytes(random.Random(1).randbytes(4096)) + b"\n"):
        client = Client(server.port)
        client.socket.sendall(garbage)
        client.socket.shutdown(socket.SHUT_WR)
        while client.file.read(65536):
            pass
        client.close()
    client = Client(server.port)
    replies = [client.ask("SET", f"k{i}", b"v" * 100000) for i in range(100)]
    check(b"+OK" in replies and b"-OOM the space is full" in replies, "a full space says so")
    check(client.ask("DEL", "k0", "k1", "k2", "k3") == 4, "delete in a full space")
    check(client.ask("SET", "after", "x") == b"+OK", "room again")
    idle = [Client(server.port) for _ in range(200)]
    check(client.ask("GET", "after") == b"x", "beside 200 idle clients")
    for other in idle:
        other.close()
    check(server.end(signal.SIGTERM) == 0, "SIGTERM")
    print("bad-input: ok")


class Writer(threading.Thread):
    """Writes numbers to keys of its own until the server dies; remembers what was acknowledged."""

    KEYS = 20

    def __init__(self, number, port, first):
        super().__init__()
        self.number, self.port, self.value = number, port, first
        self.sent, self.safe = {}, {}

    def run(self):
        try:
            client = Client(self.port)
            while True:
                batch = [(f"w{self.number}:{(self.value + i) % self.KEYS}", self.value + i)
                         for i in range(1 + self.value % 3)]
                self.value += len(batch)
                for key, value in batch:
                    self.sent[key] = value
                client.socket.sendall(b"".join(encode("SET", k, v) for k, v in batch))
                for key, value in batch:
                    if client.reply() == b"+OK":
                        self.safe[key] = value
        except OSError:
            pass


def generations(client):
    return int(re.search(rb"generations:(\d+)", client.ask("INFO"))[1])


def case_asked(program, folder, _options):
    """--interval 0: acknowledged at once, durable when asked for. What comes later is lost."""
    for announced in ("0", "1"):
        store = os.path.join(folder, f"asked{announced}.phantom")
        more = ("--interval", "0", "--announced", announced)
        server = Server(program, store, more=more)
        client = Client(server.port)
        before = generations(client)
        for key in range(500):
            check(client.ask("SET", f"key{key}", f"value{key}") == b"+OK", "SET")
        check(generations(client) == before, "a snapshot that nobody asked for")
        check(client.ask("BGSAVE") == b"+Background saving started", "BGSAVE")
        deadline = time.monotonic() + 60
        while generations(client) == before:
            check(time.monotonic() < deadline, "BGSAVE makes no generation")
        check(client.ask("SET", "late", "lost") == b"+OK", "SET")
        check(generations(client) == before + 1, "a change alone makes no generation")
        server.end(signal.SIGKILL)
        server = Server(program, store, more=more)
        client = Client(server.port)
        check(server.keys == 500, f"{server.keys} keys came back")
        check(client.ask("GET", "key499") == b"value499", "what was saved")
        check(client.ask("GET", "late") is None, "what was not")
        check(server.end(signal.SIGTERM) == 0, "end")


def case_kills(program, folder, options):
    rng = random.Random(options.seed)
    store = os.path.join(folder, "kv.phantom")
    expected = {}  # key -> (acknowledged, newest sent)
    acknowledged = 0
    for kill in range(options.kills):
        server = Server(program, store)
        client = Client(server.port)
        for key, (safe, sent) in expected.items():
            got = client.ask("GET", key)
            value = int(got) if got is not None else -1
            check(safe <= value <= sent, f"kill {kill}: {key} is {value}, acknowledged {safe}, "
                                         f"last sent {sent}; seed {options.seed}")
            expected[key] = (value, value)
        client.close()
        writers = [Writer(i, server.port, kill * 1000000) for i in range(4)]
        for writer in writers:
            writer.start()
        wanted = rng.randint(1, 60)
        while sum(len(w.safe) for w in writers) < wanted and any(
                w.is_alive() for w in writers):
            writers[0].join(rng.random() * 0.02)
        server.end(signal.SIGKILL)
        for writer in writers:
            writer.join()
            for key, sent in writer.sent.items():
                former = expected.get(key, (-1, -1))[0]
                expected[key] = (writer.safe.get(key, former), sent)
            acknowledged += len(writer.safe)
    server = Server(program, store)
    check(server.end(signal.SIGTERM) == 0, "SIGTERM at the end")
    check(acknowledged > 0, "nothing was acknowledged in all these lives")
    print(f"kills={options.kills} acknowledged={acknowledged} seed={options.seed}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("case", choices=["commands", "bad-input", "asked", "kills"])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    case = {"commands": case_commands, "bad-input": case_bad_input, "asked": case_asked,
            "kills": case_kills}
    with tempfile.TemporaryDirectory(prefix="kvserver-") as folder:
        try:
            case[options.case](os.path.abspath(options.program), folder, options)
        except (Failure, OSError, subprocess.TimeoutExpired) as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
