#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill a persistent program at random moments and check that it goes on.

usage: kill_test.py --phantom EXE --classes DIR --program NAME [--kills N] [--seed S]
                    [--strategy NAME] [--heap SIZE] [--env K=V]...

Program NAME is examples/NAME (boot class .examples.NAME). Each run is ended with SIGKILL at a random
moment: after a random time, or a random number of acknowledged generations, and resumed, until it
was killed N times. A program that finishes is checked and started anew in a new store.

What must hold (docs/testing.md):
  - the recovered generation is never older than the last one acknowledged on --ack-fd;
  - at most one generation is newer than that;
  - the console, with what is repeated after each restart removed, is a piece of what the program
    prints when nobody kills it, without a hole;
  - a program that ends, ends with exit code 0 and with all of its output.

The last line is `kills=N runs=N finished=N seed=S`. A failure prints the command that repeats it.
"""
import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

COUNTER_LINES = 200000


def expected_output(program, transfers):
    """What the program prints when it is left alone (the counter: a long piece of it)."""
    if program == "queens":
        return "8 queens: 92\n10 queens: 724\n11 queens: 2680\n"
    if program == "ledger":
        lines = [f"ledger: {tenth * 10} %\n" for tenth in range(1, 11)]
        lines.append(f"audit: 1000 accounts, {transfers} transfers, total 1000000: ok\n")
        return "".join(lines)
    if program == "counter":
        return "".join(f"count {n}\n" for n in range(1, COUNTER_LINES + 1))
    raise SystemExit(f"no expected output for program {program}")


class Failure(Exception):
    pass


class Console:
    """The output of all lives of one world, put together."""

    def __init__(self, expected):
        self.expected = expected
        self.seen = 0  # bytes of `expected` printed by some life

    def add(self, segment):
        """One life's output must be a piece of the expected text that starts no later than what
        has been seen, so that no hole is left."""
        if not segment:
            return
        start = self.expected.find(segment, 0, self.seen + len(segment))
        if start < 0 or start > self.seen:
            raise Failure(
                "console differs from the uninterrupted output; this life printed "
                f"{segment[:200]!r}, expected from {self.expected[self.seen:self.seen + 100]!r}")
        self.seen = max(self.seen, start + len(segment))


class World:
    def __init__(self, arguments, directory, number):
        self.arguments = arguments
        self.store = os.path.join(directory, f"world-{number}.phantom")
        self.console = Console(expected_output(arguments.program, arguments.transfers))
        self.acknowledged = 0

    def command(self, ack_fd):
        a = self.arguments
        command = [a.phantom, "run", self.store, "--boot", f".examples.{a.program}", "--classes",
                   a.classes, "--interval", str(a.interval), "--ack-fd", str(ack_fd)]
        for variable in a.env:
            command += ["--env", variable]
        if a.program == "ledger":
            command += ["--env", f"ledger.transfers={a.transfers}"]
        if a.strategy:
            command += ["--strategy", a.strategy]
        if a.heap:
            command += ["--heap", a.heap]
        return command

    def check_recovered(self):
        """Before a new life: what is in the store must be the last acknowledged generation or the
        one that was in flight."""
        if not os.path.exists(self.store):
            if self.acknowledged:
                raise Failure("the store is gone")
            return
        stat = subprocess.run([self.arguments.phantom, "stat", "--json", self.store],
                              capture_output=True, text=True, timeout=60, check=False)
        if stat.returncode != 0:
            raise Failure(f"stat failed with {stat.returncode}: {stat.stderr}")
        generation = json.loads(stat.stdout)["current"]["generation"]
        if generation < self.acknowledged:
            raise Failure(f"generation {generation} recovered, {self.acknowledged} was acknowledged")

    def live(self, kill_after, kill_acks):
        """One life. Returns True if the program ended by itself."""
        self.check_recovered()
        ack_read, ack_write = os.pipe()
        process = subprocess.Popen(self.command(ack_write), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, pass_fds=[ack_write])
        os.close(ack_write)
        output, errors, acks = bytearray(), bytearray(), bytearray()
        streams = {process.stdout.fileno(): output, process.stderr.fileno(): errors,
                   ack_read: acks}
        deadline = time.monotonic() + kill_after
        hang = time.monotonic() + self.arguments.timeout
        killed = False
        while streams:
            now = time.monotonic()
            if not killed and (now >= deadline or acks.count(b"\n") >= kill_acks):
                process.send_signal(signal.SIGKILL)
                killed = True
            if now > hang:
                process.kill()
                raise Failure("the program did not end: hang")
            for fd in select.select(list(streams), [], [], 0.002)[0]:
                data = os.read(fd, 65536)
                if data:
                    streams[fd] += data
                else:
                    del streams[fd]
        os.close(ack_read)
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
        self.take_acks(acks.decode())
        self.console.add(output.decode())
        if status == -signal.SIGKILL:
            return False
        if status != 0:
            raise Failure(f"exit status {status}: {errors.decode(errors='replace')}")
        return True

    def take_acks(self, text):
        for line in text.splitlines():
            word, number, digest = line.split()
            if word != "ack" or len(digest) != 32:
                raise Failure(f"bad ack line {line!r}")
            if int(number) <= self.acknowledged:
                raise Failure(f"generation {number} acknowledged after {self.acknowledged}")
            self.acknowledged = int(number)

    def check_end(self):
        if self.console.seen != len(self.console.expected):
            missing = self.console.expected[self.console.seen:]
            raise Failure(f"the program ended without printing {missing!r}")

    def verify(self):
        verify = subprocess.run([self.arguments.phantom, "verify", "--deep", self.store],
                                capture_output=True, text=True, timeout=120, check=False)
        if verify.returncode != 0:
            raise Failure(f"verify failed: {verify.stdout}{verify.stderr}")

    def remove(self):
        if os.path.exists(self.store):
            os.unlink(self.store)


def campaign(arguments, rng, directory):
    kills = runs = finished = 0
    world = World(arguments, directory, 0)
    while kills < arguments.kills:
        by_time = rng.random() < 0.6
        kill_after = rng.uniform(0.01, arguments.longest) if by_time else arguments.timeout - 5
        kill_acks = 1 << 60 if by_time else rng.randint(1, 6)
        runs += 1
        if world.live(kill_after, kill_acks):
            world.check_end()
            world.verify()
            world.remove()
            finished += 1
            world = World(arguments, directory, finished)
        else:
            kills += 1
    if os.path.exists(world.store):
        world.check_recovered()
        world.verify()
        if arguments.program != "counter":  # let it end, so that every campaign sees an end
            if not world.live(arguments.timeout, 1 << 60):
                raise Failure("the program did not end in time")
            world.check_end()
            finished += 1
        world.remove()
    print(f"kills={kills} runs={runs} finished={finished} program={arguments.program} "
          f"seed={arguments.seed}")


def main():
    parser = argparse.ArgumentParser(description="kill a persistent program at random moments")
    parser.add_argument("--phantom", required=True)
    parser.add_argument("--classes", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--interval", type=int, default=10, help="ms between snapshots")
    parser.add_argument("--longest", type=float, default=0.4, help="longest life in seconds")
    parser.add_argument("--timeout", type=float, default=120, help="seconds until a life is a hang")
    parser.add_argument("--transfers", type=int, default=400000, help="of the ledger")
    parser.add_argument("--strategy")
    parser.add_argument("--heap", help="address range of the heap")
    parser.add_argument("--open-directory", action="store_true",
                        help="let other users write where the stores are")
    parser.add_argument("--env", action="append", default=[])
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = int(os.environ.get("PH_SEED", "1"))
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="phantom-kill-") as directory:
        if arguments.open_directory:
            os.chmod(directory, 0o777)
        try:
            campaign(arguments, rng, directory)
        except (Failure, subprocess.TimeoutExpired) as failure:
            print(f"FAILED: {failure}")
            print("REPRO: kill_test.py " + " ".join(sys.argv[1:]) + f" --seed {arguments.seed}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
