#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cut the power under a store and check that what was acknowledged is there.

usage: power_test.py --writer EXE --mutant-writer EXE --phantom EXE --classes DIR [--shim EXE]
                     [--cycles N] [--seed S] CASE

Cases:
  direct          the store in the FUSE file system of power_shim.c, which forgets what was not flushed
  examples        the same with `phantom run` and the example programs
  mutant          writers that acknowledge before they flush, or do not make a new file's name durable:
                  must be caught, or the lab is blind
  errors          the N-th write or flush fails (EIO, ENOSPC, short) while the writer runs
  ext4, xfs       a file system on a loop device on a file in the FUSE file system; after the cut its
                  journal recovers
  shutdown-ext4, shutdown-xfs
                  a file system on a loop device, stopped by its shutdown ioctl

One store lives through all the cycles of a case. After each cut: what opens is the last acknowledged
generation or the one in flight (P2), every page is what the program makes of so many steps (P1), all
generations verify, and two more snapshots work (P6).

The last line is `cuts=N case=NAME acks=N dropped=N seed=S`. Exit status 77 when this machine cannot
do it, with the reason. A failure prints the command that repeats it. Everything that is mounted or
attached is taken down again, also after a failure or a signal.
"""
import argparse
import fcntl
import json
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125  # _IOR('X', 125, uint32_t)
NO_LOG_FLUSH = 2
SECONDS = 60  # longest life of anything here
IMAGE_BYTES = {"ext4": 64 << 20, "xfs": 320 << 20}


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def run(*command, check=True):
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if check and result.returncode != 0:
        raise Failure(f"{' '.join(command)}: {result.returncode}: {result.stdout}{result.stderr}")
    return result


class Lab:
    """Folders, mounts and loop devices of one run; close() takes down what is still there."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.undo = []
        self.root = tempfile.mkdtemp(prefix="phantom-power-")
        for name in ("backing", "fuse", "mount"):
            os.mkdir(self.path(name))
        self.shim = None

    def path(self, *names):
        return os.path.join(self.root, *names)

    def push(self, undo):
        self.undo.append(undo)

    def pop(self):
        self.undo.pop()()

    def close(self):
        while self.undo:
            try:
                self.pop()
            except (OSError, Failure, subprocess.SubprocessError) as problem:
                print(f"cleaning up: {problem}")
        shutil.rmtree(self.root, ignore_errors=True)

    # -- the FUSE file system

    def mount_shim(self):
        self.shim = subprocess.Popen([self.arguments.shim, self.path("backing"), self.path("fuse")],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.push(self.unmount_shim)
        end = time.monotonic() + SECONDS
        while not os.path.exists(self.path("fuse", ".power")):
            if self.shim.poll() is not None or time.monotonic() > end:
                raise Skip(f"FUSE does not work here: {self.shim.communicate()[1].strip()}")
            select.select([], [], [], 0.005)

    def unmount_shim(self):
        run("fusermount3", "-u", self.path("fuse"), check=False)
        try:
            self.shim.wait(10)
        except subprocess.TimeoutExpired:
            run("fusermount3", "-u", "-z", self.path("fuse"), check=False)
            self.shim.kill()
            self.shim.wait()
        self.shim.stdout.close()
        self.shim.stderr.close()

    def tell_shim(self, words):
        with open(self.path("fuse", ".power"), "wb", buffering=0) as control:
            control.write(words.encode())

    def counters(self):
        with open(self.path("fuse", ".power"), "rb", buffering=0) as control:
            return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", control.read(4096).decode())}

    def cut(self):
        os.kill(self.shim.pid, signal.SIGUSR1)
        end = time.monotonic() + SECONDS
        while not self.counters()["cut"]:
            if time.monotonic() > end:
                raise Failure("the shim does not cut the power")

    # -- a file system in a file

    def mount_image(self, image, direct):
        device = run("losetup", "-f", "--show", *(["--direct-io=on"] if direct else []), image)
        name = device.stdout.strip()
        self.push(lambda: run("losetup", "-d", name))
        options = "nouuid" if self.arguments.case.endswith("xfs") else "defaults"
        run("mount", "-o", options, name, self.path("mount"))
        self.push(lambda: self.unmount_image())

    def unmount_image(self):
        for _ in range(50):
            if run("umount", self.path("mount"), check=False).returncode == 0:
                return
            select.select([], [], [], 0.05)
        run("umount", "-l", self.path("mount"))


# ---- lives of the program --------------------------------------------------------------------------


class Life:
    """One run of a writer: collects its acknowledgements until it ends."""

    def __init__(self, command, ack_fd=None):
        read, write = os.pipe()
        if ack_fd is not None:
            command = [*command, ack_fd, str(write)]
        self.read = read
        self.process = subprocess.Popen(
            command, stdout=write if ack_fd is None else subprocess.DEVNULL,
            stderr=subprocess.PIPE, pass_fds=[write])
        os.close(write)
        self.text = b""

    def until(self, acks, seconds):
        """Wait for so many acknowledgements or so long. False: it has ended."""
        end = time.monotonic() + seconds
        while self.text.count(b"\n") < acks and time.monotonic() < end:
            if select.select([self.read], [], [], max(0, end - time.monotonic()))[0]:
                data = os.read(self.read, 65536)
                if not data:
                    return False
                self.text += data
        return True

    def end(self):
        """(exit status, error text), with all the acknowledgements read."""
        try:
            while self.until(1 << 60, SECONDS):
                raise Failure("the writer neither ends nor acknowledges: hang")
            errors = self.process.communicate(timeout=SECONDS)[1].decode(errors="replace")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            os.close(self.read)
        return self.process.returncode, errors

    def acknowledged(self):
        lines = re.findall(rb"^ack (\d+) (\S+)$", self.text, re.M)
        return int(lines[-1][0]) if lines else None, len(lines)


class WriterWorld:
    """power_writer and its store."""

    def __init__(self, arguments, mutant=None):
        self.arguments = arguments
        self.name = f"store-{mutant}"
        self.mutant = mutant
        self.exe = arguments.mutant_writer if mutant else arguments.writer
        self.acked = 0

    def prepare(self, directory):
        run(self.exe, "write", os.path.join(directory, self.name), "--seed", self.seed(), "--steps",
            "3")
        self.acked = 3

    def seed(self):
        return str(self.arguments.seed)

    def live(self, directory, rng):
        command = [self.exe, "write", os.path.join(directory, self.name), "--seed", self.seed()]
        if rng.random() < 0.3:
            command.append("--no-uring")
        if self.mutant:
            command += ["--mutant", self.mutant]
        return Life(command)

    def check(self, directory):
        store = os.path.join(directory, self.name)
        if self.acked and not os.path.exists(store):
            raise Failure(f"the store is gone, generation {self.acked} was acknowledged")
        result = run(self.exe, "check", store, "--seed", self.seed(), check=False)
        opened = re.search(r"^opened (\d+) (\d+)$", result.stdout, re.M)
        if result.returncode != 0 or opened is None:
            raise Failure(f"recovery: exit {result.returncode}: {result.stdout}{result.stderr}")
        generation = int(opened.group(1))
        if generation < self.acked:
            raise Failure(f"generation {generation} recovered, {self.acked} was acknowledged")
        self.acked = int(re.findall(r"^went-on (\d+)", result.stdout, re.M)[-1])


class ExampleWorld:
    """`phantom run` of an example program."""

    def __init__(self, arguments, program):
        self.arguments = arguments
        self.program = program
        self.acked = 0

    def prepare(self, directory):
        pass

    def live(self, directory, rng):
        a = self.arguments
        command = [a.phantom, "run", os.path.join(directory, self.program), "--boot",
                   f".examples.{self.program}", "--classes", a.classes, "--interval", "3",
                   "--env", "ledger.transfers=1000000000"]
        if rng.random() < 0.3:
            command.append("--no-io-uring")
        return Life(command, "--ack-fd")

    def check(self, directory):
        store = os.path.join(directory, self.program)
        if not os.path.exists(store):
            if self.acked:
                raise Failure("the store is gone")
            return
        stat = run(self.arguments.phantom, "stat", "--json", store)
        generation = json.loads(stat.stdout)["current"]["generation"]
        if generation < self.acked:
            raise Failure(f"generation {generation} recovered, {self.acked} was acknowledged")
        run(self.arguments.phantom, "verify", "--deep", store)


def live_until_cut(world, directory, rng, cut):
    """Run, cut at a random moment, return the count of acknowledgements. `cut` None: the
    power goes by itself."""
    life = world.live(directory, rng)
    if cut is not None:
        life.until(rng.randint(1, 12), 20)
        if rng.random() < 0.7:
            life.until(1 << 60, rng.uniform(0, 0.01))
        cut()
    status, errors = life.end()
    if status <= 0:
        raise Failure(f"the writer did not feel the cut, or died of a signal ({status}): {errors}")
    last, count = life.acknowledged()
    if last is not None:
        world.acked = last
    return count


# ---- cases -----------------------------------------------------------------------------------------


def how_to_cut(lab, rng, sums, writes):
    """Every second time after a given write, which is dropped then; else by a signal at some moment."""
    sums["cuts"] += 1
    if sums["cuts"] % 2 == 0:
        return lab.cut
    lab.tell_shim(f"cut {rng.randint(1, writes)}")
    return None


def cycle_direct(lab, world, rng, sums):
    lab.mount_shim()
    cut = how_to_cut(lab, rng, sums, 60)
    sums["acks"] += live_until_cut(world, lab.path("fuse"), rng, cut)
    counted = lab.counters()
    sums["dropped"] += counted["dropped"] + counted["undone"]
    lab.pop()
    world.check(lab.path("backing"))


def cycle_errors(lab, world, rng, sums):
    """The disk fails once or for good, the writer must give up; then the power goes as well."""
    lab.mount_shim()
    kind = rng.choice(["write", "flush"])
    how = rng.choice(["EIO", "ENOSPC", "short"] if kind == "write" else ["EIO", "ENOSPC"])
    sticky = rng.choice(["", " sticky"])
    lab.tell_shim(f"fail {kind} {rng.randint(1, 60)} {how}{sticky}")
    life = world.live(lab.path("fuse"), rng)
    alive = life.until(60, 20)
    counted = lab.counters()
    if counted["failed"] == 0:
        raise Failure(f"the fault ({kind} {how}{sticky}) was never met")
    lab.cut()
    status, errors = life.end()
    if status < 0:
        raise Failure(f"the writer died of signal {-status}: {errors}")
    if how != "short" and alive and not re.search("no space|ENOSPC", errors, re.I) \
            and kind == "flush":
        raise Failure(f"a failed flush was survived: {errors}")
    last, count = life.acknowledged()
    world.acked = last if last is not None else world.acked
    counted = lab.counters()
    sums["acks"] += count
    sums["dropped"] += counted["dropped"]
    sums["failed"] = sums.get("failed", 0) + counted["failed"]
    lab.pop()
    world.check(lab.path("backing"))


def make_image(lab, directory, kind):
    image = os.path.join(directory, "disk.img")
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES[kind])
    flags = ["-F"] if kind == "ext4" else ["-f"]
    run(f"mkfs.{kind}", "-q", *flags, image)
    lab.mount_image(image, False)
    lab.pop()
    return image


def cycle_loop(lab, world, rng, sums):
    lab.mount_shim()
    lab.mount_image(lab.path("fuse", "disk.img"), True)
    cut = how_to_cut(lab, rng, sums, 200)
    sums["acks"] += live_until_cut(world, lab.path("mount"), rng, cut)
    sums["dropped"] += lab.counters()["dropped"]
    lab.pop()  # the mount; the file system has failed, which unmounting does not mind
    lab.pop()
    lab.pop()
    lab.mount_image(lab.path("backing", "disk.img"), False)
    world.check(lab.path("mount"))
    lab.pop()
    lab.pop()


def cycle_shutdown(lab, world, rng, sums):
    def shut_down():
        fd = os.open(lab.path("mount"), os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("=I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    lab.mount_image(lab.path("backing", "disk.img"), False)
    sums["acks"] += live_until_cut(world, lab.path("mount"), rng, shut_down)
    lab.pop()
    lab.pop()
    lab.mount_image(lab.path("backing", "disk.img"), False)
    world.check(lab.path("mount"))
    lab.pop()
    lab.pop()


def prepare_image(lab, world, kind):
    image = make_image(lab, lab.path("backing"), kind)
    lab.mount_image(image, False)
    world.prepare(lab.path("mount"))
    lab.pop()
    lab.pop()


def catch_mutants(arguments, lab, rng):
    """Each defect must be seen within the cycles."""
    caught = 0
    for mutant in ("ACK_BEFORE_FLUSH", "DIRECTORY_NOT_SYNCED"):
        world = WriterWorld(arguments, mutant)
        if mutant != "DIRECTORY_NOT_SYNCED":
            world.prepare(lab.path("backing"))
        try:
            for cycle in range(arguments.cycles):
                cut_after_acks(lab, world, rng)
            raise Failure(f"{mutant} was not caught in {arguments.cycles} cuts")
        except Failure as failure:
            if "was acknowledged" not in str(failure):
                raise
            caught += 1
            print(f"mutant {mutant} killed at cut {cycle + 1}: {failure}")
    print(f"cuts={caught} case=mutant mutants={caught}/2 seed={arguments.seed}")


def cut_after_acks(lab, world, rng):
    lab.mount_shim()
    live_until_cut(world, lab.path("fuse"), rng, lab.cut)
    lab.pop()
    world.check(lab.path("backing"))


def campaign(arguments, lab, rng):
    if arguments.case == "mutant":
        catch_mutants(arguments, lab, rng)
        return
    sums = {"cuts": 0, "acks": 0, "dropped": 0}
    case = arguments.case
    kind = case.rsplit("-", maxsplit=1)[-1]
    worlds = [WriterWorld(arguments)]
    if case == "examples":
        worlds = [ExampleWorld(arguments, "counter"), ExampleWorld(arguments, "ledger")]
    if kind in IMAGE_BYTES:
        cycle = cycle_shutdown if case.startswith("shutdown") else cycle_loop
        prepare_image(lab, worlds[0], kind)
    else:
        cycle = cycle_errors if case == "errors" else cycle_direct
        for world in worlds:
            world.prepare(lab.path("backing"))
    cuts = 0
    for _ in range(arguments.cycles):
        for world in worlds:
            cuts += 1
            sums["cuts"] = cuts - 1
            cycle(lab, world, rng, sums)
    if not case.startswith("shutdown") and sums["dropped"] == 0:
        raise Failure("not one write was dropped in the whole campaign: it proves nothing")
    if sums["acks"] == 0:
        raise Failure("nothing was ever acknowledged")
    del sums["cuts"]
    text = " ".join(f"{name}={value}" for name, value in sums.items())
    print(f"cuts={cuts} case={case} {text} seed={arguments.seed}")


# ---- can this machine do it? -----------------------------------------------------------------------


def require(arguments):
    case = arguments.case
    kind = case.rsplit("-", maxsplit=1)[-1]
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not case.startswith("shutdown"):
        if not arguments.shim:
            raise Skip("built without libfuse3: no power_shim")
        if not os.path.exists("/dev/fuse") or not shutil.which("fusermount3"):
            raise Skip("no FUSE here (/dev/fuse, fusermount3)")
    if kind in IMAGE_BYTES:
        for tool in ("losetup", "mount", "umount", f"mkfs.{kind}"):
            if not shutil.which(tool):
                raise Skip(f"{tool} is not installed")
        if not os.path.exists("/dev/loop-control"):
            raise Skip("no loop devices here")
        run("modprobe", kind, check=False) if shutil.which("modprobe") else None
        with open("/proc/filesystems", encoding="utf-8") as known:
            if not re.search(rf"\b{kind}$", known.read(), re.M):
                raise Skip(f"this kernel has no {kind}")


def skip_if_refused(failure):
    """A container may have the devices and still forbid to use them."""
    if re.search(r"(losetup|mount).*(Operation not permitted|Permission denied|Inappropriate)",
                 str(failure), re.S):
        raise Skip(f"loop devices or mounts are refused here: {str(failure)[:200]}")


def end_by_signal(number, _frame):
    raise Failure(f"ended by signal {number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writer", required=True)
    parser.add_argument("--mutant-writer", required=True)
    parser.add_argument("--phantom", required=True)
    parser.add_argument("--classes", required=True)
    parser.add_argument("--shim")
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PH_SEED", "1")))
    parser.add_argument("case", choices=["direct", "examples", "mutant", "errors", "ext4", "xfs",
                                         "shutdown-ext4", "shutdown-xfs"])
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    lab = None
    try:
        require(arguments)
        lab = Lab(arguments)
        campaign(arguments, lab, random.Random(arguments.seed))
    except Skip as reason:
        print(reason)
        return 77
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        try:
            skip_if_refused(failure)
        except Skip as reason:
            print(reason)
            return 77
        print(f"FAILED: {failure}")
        print(f"REPRO: power_test.py {arguments.case} --seed {arguments.seed} --cycles "
              f"{arguments.cycles}")
        return 1
    finally:
        if lab is not None:
            lab.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
