#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The story of `./dev demo`: a program without save or load code is killed again and again.

usage: demo.py --build DIR [--kills N] [--transfers N] [--seed S]

Starts examples/ledger (four threads move money between 1000 accounts), kills it with SIGKILL at
random moments, resumes it each time, and ends with the audit.
"""
import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

BOLD, DIM, RED, GREEN, OFF = "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m"
if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
    BOLD = DIM = RED = GREEN = OFF = ""

GENERATION = re.compile(r"generation (\d+), pause ([\d.]+) ms, (\d+) pages, (.*) written")
RESUMED = re.compile(r"resuming generation (\d+)")


def say(text=""):
    print(text, flush=True)


class Life:
    """One process that runs the world; its console and its snapshots are shown as they come."""

    def __init__(self, command):
        self.lock = threading.Lock()
        self.last = None
        self.snapshots = 0
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.readers = [threading.Thread(target=self.read_console),
                        threading.Thread(target=self.read_messages)]
        for reader in self.readers:
            reader.start()

    def read_console(self):
        for line in self.process.stdout:
            say(f"  {line.rstrip()}")

    def read_messages(self):
        for line in self.process.stderr:
            generation = GENERATION.search(line)
            if generation:
                with self.lock:
                    self.last = generation
                    self.snapshots += 1
            elif RESUMED.search(line):
                say(f"  {DIM}resumed from generation {RESUMED.search(line).group(1)}{OFF}")
            elif "born" not in line:
                say(f"  {RED}{line.rstrip()}{OFF}")

    def show_last_snapshot(self):
        with self.lock:
            if self.last:
                number, pause, pages, size = self.last.groups()
                say(f"  {DIM}generation {number}: pause {pause} ms, {pages} pages, {size}"
                    f" ({self.snapshots} snapshots in this life){OFF}")

    def wait(self):
        status = self.process.wait()
        for reader in self.readers:
            reader.join()
        return status


def main():
    parser = argparse.ArgumentParser(description="kill a persistent program and watch it go on")
    parser.add_argument("--build", required=True)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--transfers", type=int, default=3000000)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    phantom = os.path.join(arguments.build, "src/cli/phantom")
    classes = os.path.join(arguments.build, "examples")
    with tempfile.TemporaryDirectory(prefix="phantom-demo-") as directory:
        store = os.path.join(directory, "ledger.phantom")
        command = [phantom, "run", store, "--boot", ".examples.ledger", "--classes", classes,
                   "--interval", "100", "-v", "--env", f"ledger.transfers={arguments.transfers}"]
        say(f"{BOLD}$ phantom run ledger.phantom --boot .examples.ledger{OFF}")
        say("  1000 accounts, four threads moving money, one auditor; no save or load code.")
        started = time.monotonic()
        for kill in range(arguments.kills + 1):
            life = Life(command)
            if kill < arguments.kills:
                try:
                    life.process.wait(timeout=rng.uniform(0.4, 1.2))
                except subprocess.TimeoutExpired:
                    life.process.send_signal(signal.SIGKILL)
            status = life.wait()
            life.show_last_snapshot()
            if status == -signal.SIGKILL:
                say(f"{RED}{BOLD}  kill -9{OFF}")
                continue
            break
        if status != 0:
            say(f"{RED}the program ended with status {status}{OFF}")
            return 1
        say(f"{GREEN}{BOLD}The program was killed {kill} times and finished with the right answer "
            f"after {time.monotonic() - started:.1f} s.{OFF}")
        say(f"{BOLD}$ phantom log ledger.phantom | tail -3{OFF}")
        log = subprocess.run([phantom, "log", store], capture_output=True, text=True, check=True)
        say("\n".join("  " + line for line in log.stdout.splitlines()[-3:]))
        say(f"{BOLD}$ phantom verify ledger.phantom{OFF}")
        verify = subprocess.run([phantom, "verify", store], capture_output=True, text=True,
                                check=False)
        say("  " + verify.stdout.strip().replace(store, "ledger.phantom"))
        return verify.returncode


if __name__ == "__main__":
    sys.exit(main())
