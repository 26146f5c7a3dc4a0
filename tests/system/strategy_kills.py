#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill programs whose every opening of a store has another strategy and other options.

usage: strategy_kills.py --phantom EXE --classes DIR --writer EXE [--kills N] [--seed S] [--expect-lost]

Half of the stores are spaces of a C program (space_writer.c, one to six committing threads), half are worlds
(examples/ledger, counter, queens). Each store lives for some openings; each opening draws its strategy from
those that this machine can use, eager or lazy restore, io_uring or threads, the interval, check, the number of
threads, and for spaces group commit, announcing and retention; each birth draws compression and where the
store is. Most lives end with SIGKILL, at a random moment or acknowledgement; the others by themselves.

What must hold after each life:
  - `phantom verify --deep` finds nothing;
  - spaces: the next opening, with another draw, finds for each thread at least what it was told to be durable,
    and exactly what so many of its operations make (space_writer.c does them again);
  - worlds: what kill_test.py asks for.

With --expect-lost a store is put back to what it was before its last life, in which something was
acknowledged: that must be seen.

The draws are a function of the seed and the number of the opening alone: a run with more kills begins with the
same ones. The last line counts, by strategy, too. A failure prints the command that repeats it; when a life is
killed is up to the machine, so a failure may need more than one try.
"""
import argparse
import collections
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kill_test import Failure, World  # noqa: E402

STRATEGIES = ("async", "cards", "epoch", "sigbus", "mprotect", "fork", "full")
OWNERS = 6
UNSUPPORTED = 3


def usable(phantom):
    """Strategies that this machine has."""
    text = subprocess.run([phantom, "doctor"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = {name: word for word, name in re.findall(r"^([^\s:]+) +(" + "|".join(STRATEGIES) + r") ", text, re.M)}
    if set(found) != set(STRATEGIES):
        raise Failure(f"doctor names {sorted(found)}")
    return [name for name in STRATEGIES if found[name] in ("ok", "ask")]


def draw(rng, strategies):
    """One opening of any store."""
    return types.SimpleNamespace(
        strategy=rng.choice(strategies), eager=rng.random() < 0.4, no_uring=rng.random() < 0.3,
        check=rng.random() < 0.15, interval=rng.choice((1, 3, 10, 40)), threads=rng.randint(1, OWNERS),
        announced=rng.random() < 0.5, gather=rng.choice((0, 50, 150, 2000)), no_interval=rng.random() < 0.3,
        retain_bytes=rng.choice((0, 1 << 20, 8 << 20, 1 << 30)), retain_all=rng.choice((0, 1, 60)),
        retain_most=rng.choice((0, 1, 10, 1000)), closes=rng.random() < 0.1, operations=rng.randint(1, 60),
        by_time=rng.random() < 0.5, after_s=rng.uniform(0.004, 0.35), after_acks=rng.choice((1, 5, 30, 200)))


class Lost(Failure):
    pass


class Space:
    """A store of space_writer, over all of its lives."""

    def __init__(self, arguments, path, seed, compression):
        self.arguments, self.path, self.seed = arguments, path, seed
        self.compression = compression
        self.durable = [0] * OWNERS

    def command(self, d, threads):
        options = {"strategy": d.strategy, "compression": self.compression, "eager": int(d.eager),
                   "check": int(d.check), "announced": int(d.announced or d.strategy == "cards"),
                   "without-io-uring": int(d.no_uring), "interval-ms": 0 if d.no_interval else d.interval,
                   "gather-us": d.gather, "retain-bytes": d.retain_bytes, "retain-all-s": d.retain_all,
                   "retain-most-per-second": d.retain_most}
        if d.closes:
            options["operations"] = d.operations
        return [self.arguments.writer, self.path, str(self.seed), str(threads)] + [
            f"{name}={value}" for name, value in options.items()]

    def take(self, line):
        what, number, operations = line.split()
        number, operations = int(number), int(operations)
        if operations < self.durable[number]:
            raise Lost(f"owner {number}: {operations} operations ({what}), {self.durable[number]} were durable")
        self.durable[number] = operations

    def live(self, d, threads):
        """True: the program ended by itself."""
        process = subprocess.Popen(self.command(d, threads), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        streams = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        output, errors = streams.values()
        begun = time.monotonic()
        killed = None
        while streams:
            now = time.monotonic()
            over = now >= begun + d.after_s if d.by_time else output.count(b"a ") >= d.after_acks
            if threads and not d.closes and killed is None and over:
                process.kill()
                killed = now
            if now > (killed or begun) + self.arguments.timeout:
                process.kill()
                raise Failure("the program does not end")
            for fd in select.select(list(streams), [], [], 0.002)[0]:
                data = os.read(fd, 65536)
                if data:
                    streams[fd] += data
                else:
                    del streams[fd]
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
        for line in output.decode().splitlines():
            self.take(line)
        if status not in (0, -signal.SIGKILL):
            raise Failure(f"exit status {status}: {errors.decode(errors='replace')}")
        return status == 0

    def ended(self):
        if not os.path.exists(self.path):
            if any(self.durable):
                raise Failure("the store is gone")
            return
        result = subprocess.run([self.arguments.phantom, "verify", "--deep", self.path], capture_output=True,
                                text=True, timeout=120, check=False)
        if result.returncode != 0:
            raise Failure(f"verify failed: {result.stdout}{result.stderr}")

    def last(self, d):
        if os.path.exists(self.path):
            self.live(d, 0)
            self.ended()

    def remove(self):
        if os.path.exists(self.path):
            os.unlink(self.path)


class Drawn(World):
    """A world of kill_test.py whose openings are drawn."""

    def __init__(self, arguments, path, program, compression):
        transfers = 100000
        super().__init__(types.SimpleNamespace(
            phantom=arguments.phantom, classes=arguments.classes, program=program, transfers=transfers, env=[],
            heap=None, strategy=None, interval=10, timeout=arguments.timeout), os.path.dirname(path), 0)
        self.store = path
        self.compression = compression
        self.more = []

    def command(self, ack_fd):
        return super().command(ack_fd) + self.more

    def life(self, d):
        self.arguments.strategy, self.arguments.interval = d.strategy, d.interval
        self.more = ["--workers", str(1 + d.threads % 3)]
        self.more += ["--compress", self.compression] if not os.path.exists(self.store) else []
        for flag, wanted in (("--eager", d.eager), ("--no-io-uring", d.no_uring), ("--check", d.check)):
            self.more += [flag] if wanted else []
        if self.live(d.after_s if d.by_time else self.arguments.timeout - 5, 1 << 60 if d.by_time else d.after_acks):
            self.check_end()
            self.verify()
            return True
        if os.path.exists(self.store):
            self.check_recovered()
            self.verify()
        return False


class Campaign:
    def __init__(self, arguments, directories):
        self.arguments, self.directories = arguments, directories
        self.strategies = usable(arguments.phantom)
        self.counts = collections.Counter({name: 0 for name in ("kills", "closed", "finished", "spaces", "worlds")})
        self.opening = 0

    def next(self):
        """The next draw, and counts it. Its random numbers are its own."""
        self.opening += 1
        d = draw(random.Random(f"{self.arguments.seed} opening {self.opening}"), self.strategies)
        self.counts["openings"] += 1
        self.counts[d.strategy] += 1
        if self.arguments.verbose:
            print(f"opening {self.opening}: {vars(d)}", flush=True)
        return d

    def over(self):
        return self.counts["kills"] >= self.arguments.kills

    def space(self, path, number, compression, lives):
        space = Space(self.arguments, path, self.arguments.seed * 1000 + number, compression)
        self.counts["spaces"] += 1
        for _ in range(lives):
            if self.over():
                break
            d = self.next()
            by_itself = space.live(d, d.threads)
            space.ended()
            self.counts["closed" if by_itself else "kills"] += 1
        space.last(self.next())
        self.counts["operations"] += sum(space.durable)
        space.remove()

    def lose(self):
        """The defect that all of this is for, made by hand."""
        path = os.path.join(self.directories[0], "lost.phantom")
        space = Space(self.arguments, path, self.arguments.seed, "none")
        for life in range(2):
            d = self.next()
            d.by_time, d.after_acks, d.closes = False, 30, False
            space.live(d, 1 + life)
            space.ended()
            if life == 0:
                shutil.copyfile(path, path + ".before")
        os.replace(path + ".before", path)
        space.ended()  # it is a good store
        try:
            space.last(self.next())
        except Lost as lost:
            print(f"seen: {lost}")
            return
        raise Failure("a store without what was acknowledged last was not found")

    def world(self, path, program, compression, lives):
        world = Drawn(self.arguments, path, program, compression)
        self.counts["worlds"] += 1
        for _ in range(lives):
            if self.over():
                break
            if world.life(self.next()):
                self.counts["finished"] += 1
                break
            self.counts["kills"] += 1
        self.counts["generations"] += world.acknowledged
        world.remove()

    def run(self):
        number = 0
        while not self.over():
            number += 1
            rng = random.Random(f"{self.arguments.seed} store {number}")
            path = os.path.join(rng.choice(self.directories), f"store-{number}.phantom")
            compression, lives = rng.choice(("none", "lz4")), rng.randint(3, 14)
            program = rng.choice(("ledger", "ledger", "counter", "queens"))
            if number % 2 == 1:
                self.space(path, number, compression, min(lives, self.arguments.lives))
            else:
                self.world(path, program, compression, min(lives, self.arguments.lives))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--phantom", "--classes", "--writer"):
        parser.add_argument(name, required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--lives", type=int, default=14, help="most of one store")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PH_SEED", "1")))
    parser.add_argument("--timeout", type=float, default=120, help="seconds until a life is a hang")
    parser.add_argument("--expect-lost", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print each draw")
    arguments = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="phantom-draws-") as disk, \
            tempfile.TemporaryDirectory(prefix="phantom-draws-", dir=memory) as other:
        campaign = None
        try:
            campaign = Campaign(arguments, (disk, other))
            if arguments.expect_lost:
                campaign.lose()
            else:
                campaign.run()
        except (Failure, subprocess.TimeoutExpired) as failure:
            print(f"FAILED: opening {campaign.opening if campaign else 0}: {failure}")
            print("REPRO: strategy_kills.py " + " ".join(sys.argv[1:]) + f" --seed {arguments.seed}")
            return 1
        unusable = set(STRATEGIES) - set(campaign.strategies)
        if unusable:
            print(f"not usable here: {' '.join(sorted(unusable))}")
        print(" ".join(f"{name}={count}" for name, count in campaign.counts.items()) + f" seed={arguments.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
