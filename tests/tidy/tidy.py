#!/usr/bin/env python3
"""House rules that no compiler checks: banned calls, include arrows, coroutine traps, dead files.

    tests/tidy/tidy.py [ROOT]         check the tree; exit status 1 if a rule is broken
    tests/tidy/tidy.py --self-test    break every rule once and see it found

A line may be exempted with a reason: `// tidy: allow RULE: why`. Only files known to git, or new and
not ignored, are read.
"""

import pathlib
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
SOURCES = {".h", ".cc", ".c"}
# Which folders each folder may include, besides itself and reactor/base. `daemon` in cli is the one
# place where the client meets the engine.
ARROWS = {
    "reactor/base": set(),
    "reactor": set(),
    "libcontainer": set(),
    "http": {"reactor"},
    "http/registry": {"reactor", "http", "graph"},
    "runtime": {"libcontainer", "http", "graph"},  # JSON, and copies of trees.
    "graph": {"reactor", "http"},  # JSON lives in http; http itself knows no graph.
    "bpf": {"reactor"},
    "drivers": {"reactor", "libcontainer", "http", "graph", "bpf"},
    "jobs": {"reactor", "libcontainer", "runtime", "graph", "bpf", "drivers", "http", "http/registry"},
    "http/api": {"reactor", "http", "graph", "libcontainer", "drivers", "jobs", "http/registry"},
    # Names of images and credentials are what they are on both sides of the socket; main.cc also has
    # the daemon.
    "cli": {"reactor", "http", "http/registry", "http/api", "graph", "cli/runtime"},
    "cli/runtime": {"cli", "runtime", "libcontainer", "http"},
    "cli/daemon": {"reactor", "http", "http/api", "http/registry", "graph", "drivers", "jobs",
                   "libcontainer", "bpf", "cli"},
    "bench": None,  # Anything.
    "tests": None,
}
# (name, pattern, what to use instead, paths where it is allowed)
BANNED = [
    ("dup", r"(?<![\w:.>])dup\(", "Fd::duplicate", ()),
    ("system", r"(?<![\w.>])(?:std::|::)?(?:system|popen)\(", "clone3 or exec it yourself", ()),
    ("sleep", r"(?<![\w.>])(?:::)?(?:sleep|usleep|nanosleep)\(|\bthis_thread::sleep",
     "a timer, or the event itself", ()),
    ("strerror", r"(?<![\w.>])(?:std::|::)?strerror(?:_r)?\(", "errno_text", ()),
    ("uv_spawn", r"\buv_spawn\b", "libcontainer's launch, or reactor/child.h", ()),
    ("kill", r"(?<![\w.>] )(?<![\w.>])(?:::)?kill\([^(),]+,", "PidRef::signal: a pid may have been reused",
     ("reactor/base/pid_ref.cc",)),
    ("iptables", r"\b(?:iptables|ip6tables|nft)\b", "eBPF; no firewall program is ever run", ()),
    ("silent-drop", r"\breturn\b[^;]*\bTC_ACT_SHOT\b", "drop(): no packet goes without a counter",
     ("bpf/common.bpf.h",)),
    ("uv", r"\buv_\w+|#include [<\"]uv\.h", "an awaitable of reactor/", ("reactor/",)),
    ("throw", r"(?<!\w)throw\b(?!\()", "return an Error", ()),
    ("leftover", r"\b(?:FIXME|TODO|XXX|HACK)\b", "do it, or open an issue", ()),
    ("await-brace", r"co_await\s+[\w:.>\-]+\s*(?:<[^<>]*>)?\(?\s*\{",
     "name the value on the line above and move it in (g++ 12 destroys it twice)", ()),
    ("await-brace", r"co_await\s+[\w:.>\-]+\((?:[^()]*,)?\s*[A-Z]\w*\{",
     "name the value on the line above and move it in (g++ 12 destroys it twice)", ()),
    ("await-lambda", r"co_await\s+[\w:.>\-]+\([^;]*?\[(?!(?:this|&\w*)(?:, *(?:this|&\w+))*\])[^\]\s][^\]]*\]\s*[({]",
     "name the capturing lambda on the line above (g++ 12 destroys it twice)", ()),
    ("await-conditional", r"\?\s*co_await\b|\?[^;{}]*(?<!:):\s*co_await\b",
     "await in the arms of an if (g++ 12 destroys the result twice)", ()),
    ("await-condition", r"\b(?:if|while) \([^;{}=]*\bco_await\b",
     "name the result on the line above, or in the if (g++ 12 has never come back from one)", ()),
]
# What tests and benchmarks may do that the engine may not.
RELAXED = {"tests": {"kill", "uv", "throw", "sleep", "iptables", "await-brace", "await-lambda"},
           "bench": {"throw"}}
STRING_OR_COMMENT = re.compile(
    r'R"(?P<raw>[^(\s]*)\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*|/\*.*?\*/',
    re.S)


def blanked(text, keep_comments=False):
    """The text with strings (and comments) blanked out, line numbers kept."""

    def blank(found):
        piece = found.group()
        if keep_comments and piece.startswith("/"):
            return piece
        if piece.startswith('"') and re.search(r"#include\s*$", text[max(0, found.start() - 20):found.start()]):
            return piece
        return re.sub(r"[^\n]", " ", piece)

    return STRING_OR_COMMENT.sub(blank, text)


def folder_of(path):
    """The most specific entry of ARROWS that a path is under; None outside them."""
    text = str(path)
    if text.startswith("cli/") and path.stem in ("daemon", "daemon_command"):
        return "cli/daemon"
    found = [name for name in ARROWS if text.startswith(name + "/")]
    return max(found, key=len) if found else None


class Tidy:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.problems = []
        self.warnings = []

    def report(self, path, number, rule, text):
        self.problems.append(f"{path}:{number}: [{rule}] {text}")

    def check_banned(self, path, text, lines):
        relaxed = RELAXED.get(path.parts[0], set())
        code, with_comments = blanked(text), blanked(text, keep_comments=True)
        for rule, pattern, instead, allowed in BANNED:
            if rule in relaxed or any(str(path).startswith(place) for place in allowed):
                continue
            searched = with_comments if rule == "leftover" else code
            for found in re.finditer(pattern, searched):
                number = searched.count("\n", 0, found.start()) + 1
                around = lines[max(0, number - 2) : number]
                if any(f"tidy: allow {rule}:" in line for line in around):
                    continue
                self.report(path, number, rule, f"{found.group().strip()!r}: use {instead}")

    def check_includes(self, path, lines):
        folder = folder_of(path)
        if folder is None or ARROWS[folder] is None:
            return
        for number, line in enumerate(lines, 1):
            found = re.match(r'#include "([^"]+)"', line)
            target = folder_of(pathlib.PurePosixPath(found.group(1))) if found else None
            if target in (None, folder, "reactor/base") or target in ARROWS[folder]:
                continue
            self.report(path, number, "arrow", f"{folder} must not include {target}")

    def check_size(self, path, lines):
        if len(lines) > FILE_LINES_MAX:
            self.report(path, 1, "file-size", f"{len(lines)} lines, at most {FILE_LINES_MAX}: split it")
        begun = None
        for number, line in enumerate(lines, 1):
            if re.match(r"\S.*\{$", line) and not re.match(
                    r"(namespace|class|struct|enum|union|extern|constexpr \w+ \w+\[|#)", line):
                begun = number
            elif re.match(r"\}", line) and begun is not None:
                if number - begun > FUNCTION_LINES_MAX:
                    self.warnings.append(
                        f"{path}:{begun}: [function-size] {number - begun} lines, at most {FUNCTION_LINES_MAX}")
                begun = None

    def check_built(self, paths):
        """Every source is named by some CMake file."""
        listed = ""
        for path in paths:
            if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
                listed += (self.root / path).read_text()
        for path in paths:
            if path.suffix in (".cc", ".c") and not re.search(
                    rf"(?<![\w.]){re.escape(path.name)}(?![\w.])", listed):
                self.report(path, 1, "dead-file", "no CMake file names it")

    def check_header(self, path, lines):
        if path.suffix == ".h" and not any(line.startswith("#pragma once") for line in lines):
            self.report(path, 1, "pragma-once", "a header starts with #pragma once")

    def run(self, paths):
        for path in paths:
            if path.suffix not in SOURCES or not (self.root / path).is_file():
                continue
            text = (self.root / path).read_text()
            lines = text.splitlines()
            self.check_banned(path, text, lines)
            self.check_includes(path, lines)
            self.check_size(path, lines)
            self.check_header(path, lines)
        self.check_built(paths)


def tree(root):
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard"], capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    return [pathlib.PurePosixPath(name) for name in names if name and (pathlib.Path(root) / name).is_file()]


SELF_TEST = {
    "dup": ("graph/a.cc", "int f(int fd) { return dup(fd); }\n"),
    "system": ("graph/a.cc", 'int f() { return std::system("x"); }\n'),
    "sleep": ("jobs/a.cc", "void f() { std::this_thread::sleep_for(x); }\n"),
    "strerror": ("http/a.cc", "auto f() { return strerror(5); }\n"),
    "uv_spawn": ("reactor/a.cc", "void f() { uv_spawn(loop, handle, options); }\n"),
    "kill": ("jobs/a.cc", "void f() { ::kill(pid, 9); }\n"),
    "uv": ("http/a.cc", "uv_timer_t timer;\n"),
    "throw": ("graph/a.cc", "void f() { throw 5; }\n"),
    "silent-drop": ("bpf/a.bpf.c", "int f(int x) { return x ? TC_ACT_SHOT : 0; }\n"),
    "leftover": ("graph/a.cc", "// TO" + "DO: later\n"),
    "await-brace": ("jobs/a.cc", "Task<void> f() { co_await g({1, 2}); }\n"),
    "await-conditional": ("jobs/a.cc", "Task<void> f() { auto a = c ? T() : co_await g(); }\n"),
    "await-condition": ("jobs/a.cc", "Task<void> f() { if (a && !co_await g(b)) { h(); } }\n"),
    "await-lambda": ("jobs/a.cc", "Task<void> f() { co_await g([value] { return value; }); }\n"),
    "arrow": ("graph/a.cc", '#include "jobs/engine.h"\n'),
    "file-size": ("graph/a.cc", "int x;\n" * 601),
    "dead-file": ("graph/dead.cc", "int x;\n"),
    "pragma-once": ("graph/a.h", "int x;\n"),
}
CLEAN = '''#include "reactor/base/error.h"
// system( and sleep( in a comment, "kill(" in a string: fine.
const char* text = "kill(1, 9); uv_run dup( // not a comment";
Task<void> f(Request request) { request.kill(3); co_await g(std::move(request)); co_return ok; }
'''


def self_test():
    import tempfile

    failed = []
    for rule, (name, text) in {**SELF_TEST, "": ("graph/clean.cc", CLEAN)}.items():
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text(text)
            (root / "CMakeLists.txt").write_text("add_library(x a.cc clean.cc)\n")
            tidy = Tidy(root)
            tidy.run([pathlib.PurePosixPath(name), pathlib.PurePosixPath("CMakeLists.txt")])
            found = {re.search(r"\[([\w-]+)\]", line).group(1) for line in tidy.problems}
            if (rule and rule not in found) or (not rule and found):
                failed.append(f"self-test: {rule or 'clean file'}: found {tidy.problems}")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        problems, warnings = self_test(), []
    else:
        tidy = Tidy(sys.argv[1] if len(sys.argv) > 1 else ".")
        tidy.run(tree(tidy.root))
        problems, warnings = tidy.problems, tidy.warnings
    for line in warnings:
        print("warning:", line)
    for line in problems:
        print(line)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
