#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The interface of the Genode port, row by row: interface.tsv made into C and compiled.

For each row of the layers hal, persistence and libc: its header can be included on its own, twice,
with only the port's folder on the include path, and then
  function   is declared with exactly that signature, and links; a declaration that says nothing of
             the parameters fits every signature for C, so headers may have none
  global     likewise
  callback   a member, a type or a declared function with exactly that type
  constant   has that value
  field      exists, with that type, and at that position where the list says one
  type       is that type
  macro      is defined, and a sample of its use compiles
  header     can be included
Rows of layer pvm are counted, not checked. A row that may differ is in deviations.tsv: of kind
`form` (the check must fail, or the entry is stale, and what the entry says is there instead must
pass it) or `meaning` (the check must pass; what it does differs). Every entry must stand in the
table of docs/port-differences.md with the same words.

not_yet.tsv names rows that are not there yet: they are printed and fail nothing.

usage: check_interface.py --include DIR --library FILE --work DIR [--docs FILE] [--show]
                          [--only HEADER] [-- CC [ARGUMENTS...]]
  --include   the port's headers          --library   libphantom-port.so; without it nothing is linked
  --work      a folder for what is generated; made if missing, files in it are overwritten
  --only      look at one header          --docs      docs/port-differences.md
  --show      print the errors behind each failing row
Exit status 0: every row is as it should be.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS = ("hal", "persistence", "libc")
ROWS = 645  # of those layers

Row = collections.namedtuple("Row", "line header kind name text layer")

# What a header stands for in the printed table; the longest prefix that fits counts.
GROUPS = {
    "threads.h": "threads", "thread_private.h": "threads",
    "kernel/mutex.h": "sync", "kernel/cond.h": "sync", "kernel/sem.h": "sync", "spinlock.h": "sync",
    "kernel/atomic.h": "sync",
    "hal.h": "memory", "kernel/vm.h": "memory", "kernel/page.h": "memory", "arch/arch-page.h": "memory",
    "kernel/physalloc.h": "memory", "arch/arch_vmem_util.h": "memory",
    "disk.h": "disk", "pager_io_req.h": "disk", "pc/": "disk", "genode_disk.h": "disk",
    "fs_map.h": "disk", "phantom_disk.h": "disk format",
    "kernel/timedcall.h": "time and DPC", "kernel/net_timer.h": "time and DPC",
    "kernel/dpc.h": "time and DPC", "ph_time.h": "time and DPC",
    "kernel/stats.h": "statistics", "kernel/profile.h": "statistics",
    "debug_ext.h": "console and tests", "test.h": "console and tests",
    "testenv.h": "console and tests", "kernel/debug.h": "console and tests",
    "ph_syslog.h": "console and tests", "phantom_assert.h": "console and tests",
    "phantom_libc.h": "console and tests", "genode_misc.h": "console and tests",
    "svn_version.h": "console and tests",
    "kernel/init.h": "boot and traps", "init_routines.h": "boot and traps",
    "kernel/trap.h": "boot and traps", "kernel/config.h": "boot and traps", "machdep.h": "boot and traps",
    "kunix.h": "files and net", "kernel/net": "files and net",
    "kernel/amap.h": "containers", "kernel/pool.h": "containers", "kernel/khash.h": "containers",
    "queue.h": "containers", "hashfunc.h": "containers", "newos/": "containers",
    "bits/udp_json.h": "json", "kernel/json.h": "json",
    "ph_": "strings and memory", "stdlib.h": "types and errors", "sys/": "types and errors",
    "errno.h": "types and errors", "arch/arch-types.h": "types and errors",
    "phantom_types.h": "types and errors", "shorttypes.h": "types and errors",
    "misc.h": "types and errors", "user/": "types and errors",
    "video/": "windows", "event.h": "windows", "kernel/debug_graphical.h": "windows",
    "pager.h": "pager", "pagelist.h": "pager", "vm_map.h": "snapshots", "snap_internal.h": "snapshots",
    "kernel/snap_sync.h": "snapshots", "squidlib.h": "snapshots", "(none)": "no header",
}

# How a file of the port uses the macro. `FILE` samples stand outside a function.
SAMPLES = {
    "_stub_print": "_stub_print();",
    "PREV_PAGE_ALIGN": "_Static_assert(PREV_PAGE_ALIGN(8191) == 4096, \"\");",
    "STAT_INC_CNT": "STAT_INC_CNT(1);",
    "STAT_INC_CNT_N": "STAT_INC_CNT_N(1, 2);",
    "spinlock_init": "hal_spinlock_t s; spinlock_init(&s);",
    "spinlock_lock": "hal_spinlock_t s; spinlock_init(&s); spinlock_lock(&s, \"why\");",
    "spinlock_unlock": "hal_spinlock_t s; spinlock_init(&s); spinlock_unlock(&s, \"why\");",
    "test_check_eq": "test_check_eq(1, 1);",
    "test_check_false": "test_check_false(0);",
    "test_check_ge": "test_check_ge(2, 1);",
    "test_check_true": "test_check_true(1);",
    "GET_CURRENT_THREAD": "void *t = GET_CURRENT_THREAD(); (void)t;",
    "INT32_TO_RGBA": "rgba_t c; int i = 5; INT32_TO_RGBA(c, i); (void)c;",
    "SHOW_ERROR": "SHOW_ERROR(0, \"%d\", 1);",
    "SHOW_ERROR0": "SHOW_ERROR0(0, \"text\");",
    "SHOW_FLOW": "SHOW_FLOW(0, \"%d\", 1);",
    "SHOW_FLOW0": "SHOW_FLOW0(0, \"text\");",
    "SHOW_INFO": "SHOW_INFO(0, \"%d\", 1);",
    "SHOW_INFO0": "SHOW_INFO0(0, \"text\");",
    "LOG_FLOW0": "LOG_FLOW0(0, \"text\");",
    "mutex_unlock": "hal_mutex_t m; hal_mutex_init(&m, \"m\"); hal_mutex_lock(&m); mutex_unlock(&m);",
    "offsetof": "struct s { char a; int b; }; _Static_assert(offsetof(struct s, b) == 4, \"\");",
    "assert": "assert(1 + 1 == 2);",
    "queue_init": "queue_head_t q; queue_init(&q); (void)q;",
    "queue_last": "queue_head_t q; queue_init(&q); (void)queue_last(&q);",
    "queue_enter": "struct e { int i; queue_chain_t c; } e; queue_head_t q; queue_init(&q); "
                   "queue_enter(&q, &e, struct e *, c);",
    "queue_enter_first": "struct e { int i; queue_chain_t c; } e; queue_head_t q; queue_init(&q); "
                         "queue_enter_first(&q, &e, struct e *, c);",
    "queue_remove": "struct e { int i; queue_chain_t c; } e; queue_head_t q; queue_init(&q); "
                    "queue_enter(&q, &e, struct e *, c); queue_remove(&q, &e, struct e *, c);",
    "__countof": "int a[7]; _Static_assert(__countof(a) == 7, \"\");",
    "DISK_STRUCT_SB_OFFSET_LIST": "unsigned l[] = DISK_STRUCT_SB_OFFSET_LIST; "
                                  "_Static_assert(sizeof(l) == 24, \"\"); (void)l;",
    "SQUID_ERROR_FMT": "const char *f = SQUID_ERROR_FMT \"more\"; (void)f;",
    "DEBUG_MSG_PREFIX": "const char *p = DEBUG_MSG_PREFIX; (void)p;",
}
FILE_SAMPLES = {"INIT_ME": "static void init_me_sample(void) {}\nINIT_ME(init_me_sample, 0, 0)"}
# Names that the including file defines: the header must leave them alone.
OF_THE_FILE = {"debug_level_error", "debug_level_flow", "debug_level_info"}


def read_rows(path):
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if number > 1 and line.strip():
                cells = line.rstrip("\n").split("\t")
                rows.append(Row(number, *cells[:5]))
    return rows


def read_table(path, width):
    """Rows of a tab-separated file with a head line; # begins a comment line."""
    table = []
    if path and os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                cells = line.rstrip("\n").split("\t")
                if not line.startswith("#") and len(cells) >= width:
                    table.append(cells[:width])
    return table[1:]


def group_of(row):
    if row.header == "(none)":
        return "pager" if row.layer == "persistence" else "console and tests"
    fitting = [prefix for prefix in GROUPS if row.header.startswith(prefix)]
    return GROUPS[max(fitting, key=len)] if fitting else "other"


def alias(text, name, new):
    """The declaration `text` of `name`, declaring `new` instead."""
    places = list(re.finditer(r"\b%s\b" % re.escape(name), text))
    call = [p for p in places if re.match(r"\s*[(\[)]", text[p.end():])]
    place = call[0] if call else places[-1]
    return text[:place.start()] + new + text[place.end():]


def same_type(line, thing, declaration, name):
    """C that compiles if the type of expression `thing` is the one of `declaration`."""
    new = f"port_type_{line}"
    declared = re.sub(r"\(\s*\)$", "(void)", alias(declaration, name, new))
    if not declared.startswith("typedef "):
        declared = "typedef " + re.sub(r"^extern\s+", "", declared)
    return (f"{declared}; _Static_assert(__builtin_types_compatible_p(__typeof__({thing}), {new}), "
            f"\"has another type\");")


def check_of(row):
    """(C outside functions, reference for the linker or None)"""
    text = re.sub(r"\s*\(member .*\)$", "", row.text)
    name = row.name
    if row.kind == "header":
        return "", None
    if row.kind in ("function", "global") or (row.kind == "callback" and "." not in name
                                              and not text.startswith("typedef")):
        before = f"extern {text};\n#line {row.line} \"row\"\n" if row.header == "(none)" else ""
        code = before + same_type(row.line, f"({name})" if row.kind != "global" else name, text, name)
        return code, None if row.kind == "callback" else f"(const void *)&{name}"
    if row.kind in ("field", "callback") and "." in name:
        tag, path = name.split(".", 1)
        thing = f"((struct {tag} *)0)->{path}"
        if text.startswith(("struct{", "union{")):
            return f"_Static_assert(sizeof({thing}) > 0, \"\");", None
        return same_type(row.line, thing, text, path.rsplit(".", 1)[-1]), None
    if row.kind in ("type", "callback"):
        if text.startswith("typedef "):
            return same_type(row.line, name, text, name), None
        return f"_Static_assert(sizeof({text}) > 0, \"\");", None
    if row.kind == "constant":
        if text.startswith('"'):
            code = f"_Static_assert(__builtin_strcmp({name}, {text}) == 0, \"has another value\");"
        elif text.startswith("0 or 1"):
            code = f"_Static_assert(({name}) == 0 || ({name}) == 1, \"has another value\");"
        else:
            value = re.match(r"-?\d+", text).group(0)
            code = f"_Static_assert((long long)({name}) == {value}, \"has another value\");"
        return code, None
    assert row.kind == "macro", row
    if name in OF_THE_FILE:
        return f"#ifdef {name}\n#error it is the including file that defines it\n#endif", None
    guard = f"#ifndef {name}\n#line {row.line} \"row\"\n#error is not defined\n#endif\n"
    guard += f"#line {row.line} \"row\"\n"
    if name in FILE_SAMPLES:
        return guard + FILE_SAMPLES[name], None
    sample = SAMPLES[name]
    return guard + f"void sample_{row.line}(void); void sample_{row.line}(void) {{ {sample} }}", None


def positions(rows):
    """Checks that the members of a struct with given positions follow each other without a gap
    that another member could fill: (line, C)."""
    structs = collections.defaultdict(list)
    for row in rows:
        match = re.search(r"\(member (\d+)", row.text)
        if match:
            structs[row.name.split(".")[0]].append((int(match.group(1)), row))
    checks = []
    for tag, members in structs.items():
        members.sort(key=lambda member: member[0])
        if [number for number, _ in members] != list(range(len(members))):
            continue
        before = None
        for _, row in members:
            field = row.name.split(".")[1]
            here = f"__builtin_offsetof(struct {tag}, {field})"
            if before is None:
                code = f"_Static_assert({here} == 0, \"is not the first member\");"
            else:
                end = (f"(__builtin_offsetof(struct {tag}, {before}) + "
                       f"sizeof(((struct {tag} *)0)->{before}))")
                align = f"_Alignof(__typeof__(((struct {tag} *)0)->{field}))"
                code = (f"_Static_assert({here} == ({end} + {align} - 1) / {align} * {align}, "
                        f"\"is not at its position\");")
            checks.append((row.line, code))
            before = field
    return checks


def generate(header, rows, skip, number):
    """The C file for one header, without the rows in skip."""
    lines = []
    if header == "(none)":
        lines += ["#include <disk.h>", "#include <kernel/mutex.h>", "#include <kernel/cond.h>"]
    else:
        lines += [f"#include <{header}>", f"#include <{header}>"]
    if header == "debug_ext.h":  # the protocol: a file defines these
        lines.insert(0, '#define DEBUG_MSG_PREFIX "check"')
        rows = sorted(rows, key=lambda row: row.name not in OF_THE_FILE)
    defined_levels = False
    references = []
    for row in rows:
        if row.line in skip:
            continue
        if header == "debug_ext.h" and row.name not in OF_THE_FILE and not defined_levels:
            lines += [f"#define {name} 1" for name in sorted(OF_THE_FILE)]
            defined_levels = True
        code, reference = check_of(row)
        for struct in re.findall(r"\bstruct (\w+)", row.text):
            lines.append(f"struct {struct};")
        lines += [f"#line {row.line} \"row\"", code]
        if reference:
            references.append((row.line, reference))
    for line, code in positions([row for row in rows if row.line not in skip]):
        lines += [f"#line {line} \"row\"", code]
    lines += [f"extern const void *const references_{number}[];",
              f"const void *const references_{number}[] = {{"]
    for line, reference in references:
        lines += [f"#line {line} \"row\"", reference + ","]
    lines += ["0};", ""]
    return "\n".join(lines)


class Checker:
    def __init__(self, arguments, rows, instead):
        self.cc = arguments.cc or ["cc"]
        self.include, self.library, self.work = arguments.include, arguments.library, arguments.work
        self.rows, self.instead = rows, instead
        self.failures = {}  # row line -> first error
        self.deferred = []  # errors that belong to no row

    def compile(self, header, number, skip, output):
        rows = [row for row in self.rows if row.header == header]
        path = os.path.join(self.work, f"interface_{number}.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(generate(header, rows, skip, number))
        clang = any("clang" in os.path.basename(word) for word in self.cc)
        command = self.cc + ["-std=gnu11", "-Wall", "-Wno-unused", "-Wno-attributes", "-D_GNU_SOURCE",
                             "-Werror=strict-prototypes",
                             "-ferror-limit=0" if clang else "-fmax-errors=0", f"-I{self.include}",
                             "-fPIC", "-c", path, "-o", output]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.returncode, result.stderr

    def check_header(self, header, number):
        """Compile, take out the rows that fail, until the rest compiles."""
        output = os.path.join(self.work, f"interface_{number}.o")
        rows = [row for row in self.rows if row.header == header]
        failed = {}
        for _ in range(8):
            status, errors = self.compile(header, number, failed, output)
            if status == 0:
                return failed, output, ""
            found = {}
            for match in re.finditer(r"^row:(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", errors, re.M):
                found.setdefault(int(match.group(1)), match.group(2))
            new = {line: text for line, text in found.items() if line not in failed}
            if not new:
                break
            failed.update(new)
        first = re.search(r"error: .*", errors)
        reason = first.group(0) if first else errors[:200]
        return {row.line: f"{header} alone: {reason}" for row in rows}, None, errors

    def check_deviations(self, number):
        """What the entries of kind form say is there instead of their rows is there; not linked."""
        rows = [row._replace(text=self.instead[row.header, row.name]) for row in self.rows
                if (row.header, row.name) in self.instead]
        checker = Checker(argparse.Namespace(cc=self.cc, include=self.include, library=None,
                                             work=self.work), rows, {})
        for header in sorted({row.header for row in rows}):
            failed, _, _ = checker.check_header(header, number)
            for row in rows:
                if row.line in failed:
                    self.deferred.append(f"{row.header} {row.name}: is not {row.text} either: "
                                         f"{failed[row.line]}")

    def check_links(self, objects):
        """Names that no library has."""
        main = os.path.join(self.work, "interface_main.c")
        numbers = sorted(objects)
        with open(main, "w", encoding="utf-8") as file:
            file.write("#include <stdio.h>\n")
            for number in numbers:
                file.write(f"extern const void *const references_{number}[];\n")
            file.write("static const void *const *const all[] = {%s};\n" %
                       ", ".join(f"references_{number}" for number in numbers))
            file.write("int main(void)\n{\n    int n = 0;\n"
                       f"    for (int i = 0; i < {len(numbers)}; i++) {{\n"
                       "        for (const void *const *p = all[i]; *p; p++) {\n"
                       "            n++;\n        }\n    }\n    printf(\"%d\\n\", n);\n    return 0;\n}\n")
        program = os.path.join(self.work, "interface_links")
        folder = os.path.dirname(os.path.abspath(self.library))
        command = self.cc + ["-std=gnu11", main] + [objects[n] for n in numbers] + [
            self.library, f"-Wl,-rpath,{folder}", "-Wl,--allow-shlib-undefined", "-o", program]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        missing = set(re.findall(r"undefined reference to [`']([^'`]+)'", result.stderr))
        if result.returncode != 0:
            return missing, -1, result.stderr
        count = subprocess.run([program], capture_output=True, text=True, check=False)
        return missing, int(count.stdout or -1), count.stderr

    def run(self):
        os.makedirs(self.work, exist_ok=True)
        headers = sorted({row.header for row in self.rows})
        numbers = {header: number for number, header in enumerate(headers)}
        objects, texts = {}, {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = {h: pool.submit(self.check_header, h, numbers[h]) for h in headers}
            for header, job in jobs.items():
                failed, output, errors = job.result()
                self.failures.update(failed)
                if output:
                    objects[numbers[header]] = output
                if errors:
                    texts[header] = errors
        self.check_deviations(len(headers))
        linked = 0
        if self.library:
            missing, linked, errors = self.check_links(objects)
            for row in self.rows:
                if row.kind in ("function", "global") and row.name in missing:
                    self.failures.setdefault(row.line, "does not link")
                    number = numbers[row.header]
                    skip = {line: "" for line in self.failures}
                    self.compile(row.header, number, skip, objects[number])
            if missing:  # what is left must link as a whole, and the program must start
                _, linked, errors = self.check_links(objects)
            expected = sum(row.kind in ("function", "global") and row.line not in self.failures
                           for row in self.rows)
            if linked != expected:
                self.deferred.append(f"{linked} of {expected} references link: " + errors[:2000])
        return texts, linked


def check_docs(path, deviations):
    """docs/port-differences.md has exactly the deviations, in the same words."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    table = set(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (form|meaning) \| (.*?) \|$", text, re.M))
    wanted = {tuple(entry) for entry in deviations}
    return ([f"{path} lacks or words differently: {entry[0]} {entry[1]}" for entry in sorted(wanted - table)]
            + [f"{path} has, and deviations.tsv has not: {entry[0]} {entry[1]}"
               for entry in sorted(table - wanted)])


def judge(rows, failures, deviations, not_yet):
    """(findings, per group [rows, checked, deviating, not yet])"""
    findings, groups = [], collections.defaultdict(lambda: [0, 0, 0, 0])
    allowed = {(header, name): kind for header, name, kind, _ in deviations}
    known = {(row.header, row.name) for row in rows}
    for header, name in list(allowed) + not_yet:
        if (header, name) not in known:
            findings.append(f"no row is called {header} {name}")
    for row in rows:
        count = groups[group_of(row)]
        count[0] += 1
        key, failure = (row.header, row.name), failures.get(row.line)
        kind = allowed.get(key)
        if kind:
            count[2] += 1
        if key in not_yet:
            count[3] += 1
            if not failure:
                print(f"note: {row.header} {row.name} is there now: take it off not_yet.tsv")
        elif failure and kind != "form":
            findings.append(f"row {row.line}: {row.header} {row.kind} {row.name}: {failure}")
        elif not failure and kind == "form":
            findings.append(f"{row.header} {row.name} deviates no more: take it off the list")
        elif not failure:
            count[1] += 1
    return findings, groups


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage:")[1], description=__doc__.split("usage:")[0])
    parser.add_argument("--include", required=True)
    parser.add_argument("--library")
    parser.add_argument("--work", required=True)
    parser.add_argument("--docs")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--only", help="look at this header alone")
    parser.add_argument("cc", nargs="*")
    arguments = parser.parse_args()
    everything = read_rows(os.path.join(HERE, "interface.tsv"))
    rows = [row for row in everything if row.layer in LAYERS]
    deviations = read_table(os.path.join(HERE, "deviations.tsv"), 4)
    instead = {tuple(entry[:2]): entry[4] for entry in
               read_table(os.path.join(HERE, "deviations.tsv"), 5)}
    not_yet = [tuple(entry) for entry in read_table(os.path.join(HERE, "not_yet.tsv"), 2)]
    if arguments.only:
        rows = [row for row in rows if row.header == arguments.only]
        deviations = [entry for entry in deviations if entry[0] == arguments.only]
        not_yet = [entry for entry in not_yet if entry[0] == arguments.only]
    checker = Checker(arguments, rows, instead)
    texts, linked = checker.run()
    findings, groups = judge(rows, checker.failures, deviations, not_yet)
    findings += checker.deferred
    if arguments.docs:
        findings += check_docs(arguments.docs, deviations)
    if arguments.show:
        for header, text in sorted(texts.items()):
            print(f"==== {header}\n{text[:1500]}")
    print(f"{'group':24}{'rows':>6}{'as said':>9}{'deviate':>9}{'not yet':>9}")
    for group, counts in sorted(groups.items()):
        print(f"{group:24}" + "".join(f"{count:{width}}" for count, width in zip(counts, (6, 9, 9, 9))))
    total = [sum(counts[i] for counts in groups.values()) for i in range(4)]
    print(f"{'all':24}" + "".join(f"{count:{width}}" for count, width in zip(total, (6, 9, 9, 9))))
    print(f"{linked} functions and globals linked; {len(everything) - len(rows)} rows of layer pvm are "
          f"not looked at; {len(not_yet)} rows are not there yet")
    for finding in findings:
        print(finding)
    if total[0] != ROWS and not arguments.only:
        print(f"{total[0]} rows instead of {ROWS}: the list was changed")
        return 1
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
