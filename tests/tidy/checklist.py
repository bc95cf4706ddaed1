#!/usr/bin/env python3
"""Checklists name tests that exist: docs/*-checklist.md, docs/*-matrix.md.

    tests/tidy/checklist.py [ROOT]         exit status 1 if an item names a test that does not exist
    tests/tidy/checklist.py --self-test    break every rule once and see it found

An item is `- [x] text` with lines `  - KIND: NAME` below it, or `- [ ] text` with a line below it
that starts with "Not built" or "Built" and gives the reason.
KIND is unit (a Catch2 test case), conformance (SUITE.CASE), vm (a check of tests/vm/guest.sh) or nasty
(an archive of the nasty suite, `*` stands for anything).
"""

import ast
import fnmatch
import pathlib
import re
import sys

TEST_CASE = re.compile(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
ITEM = re.compile(r"- \[(.)\] (.*)")
NAMED = re.compile(r"  - (\w+): (.*)")
REASON = re.compile(r"  (Built|Not built)\b")


def unit_tests(root):
    names = set()
    for path in (root / "tests").rglob("*.cc"):
        for found in TEST_CASE.finditer(path.read_text()):
            names.add("".join(STRING.findall(found.group(1))).replace('\\"', '"'))
    return names


def is_case(decorator):
    return isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "case"


def conformance_cases(root):
    """Those of the suites that ctest runs."""
    names = set()
    registered = (root / "tests/conformance/CMakeLists.txt").read_text()
    for path in (root / "tests/conformance").glob("test_*.py"):
        if not re.search(rf"\b{path.stem.removeprefix('test_')}\b", registered):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any(map(is_case, node.decorator_list)):
                names.add(path.stem.removeprefix("test_") + "." + node.name)
    return names


def vm_checks(root):
    return set(re.findall(r"^\s*check (\w+) ", (root / "tests/vm/guest.sh").read_text(), re.M))


def nasty_archives(root):
    sys.path.insert(0, str(root / "tests/conformance"))
    from test_nasty import all_cases  # pylint: disable=import-outside-toplevel,import-error

    return {one.name for one in all_cases()}


class Checklist:
    def __init__(self, names):
        self.names = names  # Kind to set of names.
        self.problems = []
        self.done = self.open = 0

    def check_name(self, where, kind, name):
        if kind not in self.names:
            self.problems.append(f"{where}: [kind] {kind!r} is no kind of test")
        elif not any(fnmatch.fnmatchcase(one, name) if kind == "nasty" else one == name
                     for one in self.names[kind]):
            self.problems.append(f"{where}: [missing] there is no {kind} test {name!r}")

    def check(self, file, text):
        item = None  # Where it is, whether it is ticked, how much is said below it.
        for number, line in enumerate(text.splitlines(), 1):
            where = f"{file}:{number}"
            if found := ITEM.match(line):
                self.close(item)
                item = [f"{where}: {found.group(2)}", found.group(1), 0, 0]
                if found.group(1) not in "x ":
                    self.problems.append(f"{where}: [tick] it is [x] or [ ]")
            elif item and (found := NAMED.match(line)):
                item[2] += 1
                self.check_name(where, *found.groups())
            elif item and REASON.match(line):
                item[3] += 1
        self.close(item)

    def close(self, item):
        if item is None:
            return
        where, tick, tests, said = item
        self.done += tick == "x"
        self.open += tick == " "
        if tick == "x" and not tests:
            self.problems.append(f"{where}: [no-test] ticked, but no test is named")
        if tick == " " and not said:
            self.problems.append(f"{where}: [no-reason] unticked, and nothing says why")


def self_test():
    names = {"unit": {"a test"}, "conformance": {"run.it"}, "nasty": {"wh-file"}}
    clean = "- [x] one\n  - unit: a test\n  - conformance: run.it\n  - nasty: wh-*\n- [ ] two\n  Not built: why\n"
    broken = {"missing": "- [x] one\n  - unit: no test\n", "kind": "- [x] one\n  - magic: a test\n",
              "no-test": "- [x] one\n", "no-reason": "- [ ] one,\n  two\n", "tick": "- [y] one\n", "": clean}
    failed = []
    for rule, text in broken.items():
        checklist = Checklist(names)
        checklist.check("self", text)
        found = {re.search(r"\[([\w-]+)\]", line).group(1) for line in checklist.problems}
        if (rule and rule not in found) or (not rule and found):
            failed.append(f"self-test: {rule or 'clean list'}: found {checklist.problems}")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        problems = self_test()
    else:
        root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
        names = {"unit": unit_tests(root), "conformance": conformance_cases(root), "vm": vm_checks(root),
                 "nasty": nasty_archives(root)}
        checklist = Checklist(names)
        files = sorted([*(root / "docs").glob("*-checklist.md"), *(root / "docs").glob("*-matrix.md")])
        for path in files:
            checklist.check(path.relative_to(root), path.read_text())
        problems = checklist.problems or ([] if files else ["there is no checklist in docs/"])
        print(f"{checklist.done} items done, {checklist.open} open")
    for line in problems:
        print(line)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
