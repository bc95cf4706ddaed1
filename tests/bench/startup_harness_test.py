"""davit_bench_startup against engines that fail, hang, lie and leave things behind.

Goal: such an engine is told of in its column and ends nothing; what it made is removed, also after
Ctrl-C. Method: fake_engine.py under the names of its faults, beside an honest one; then its state,
the harness's directory and the processes are looked at. Needs no root: no other engine is started.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HARNESS = os.environ.get("DAVIT_BENCH_STARTUP", "build/release/bench/davit_bench_startup")
FAKE = pathlib.Path(__file__).resolve().parent / "fake_engine.py"
PATIENCE_S = 300


def ended(pid):
    """Whether a process has ended or is about to: nobody may have reaped it yet."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] in "ZX"


class Harness(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="davit-harness-test-"))
        self.addCleanup(shutil.rmtree, self.base)
        (self.base / "tmp").mkdir()
        self.pipe = self.base / "pipe"
        os.mkfifo(self.pipe)
        # Opened for both ways: neither side waits for the other.
        self.told = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, self.told)
        self.environment = dict(os.environ, TMPDIR=str(self.base / "tmp"),
                                FAKE_STATE=str(self.base / "state"), FAKE_PIPE=str(self.pipe))

    def command(self, *names, limit=5, clients="1,2", more=()):
        words = [HARNESS, "--only", ",".join(names), "--clients", clients, "--rounds", "2",
                 "--networks", "none,port", "--seconds", "0.01", "--limit", str(limit),
                 "--json", str(self.base / "run.jsonl"), *more]
        for name in names:
            if name == "floor":
                continue
            program = self.base / name
            if not program.exists():
                program.symlink_to(FAKE)
            words += ["--engine", f"{name}={program}"]
        return words

    def measure(self, *names, **options):
        done = subprocess.run(self.command(*names, **options), env=self.environment, text=True,
                              capture_output=True, check=False, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, self.lines()

    def lines(self):
        text = (self.base / "run.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def assert_clean(self):
        left = [path for path in (self.base / "state").rglob("*") if path.is_file()]
        self.assertEqual(left, [])
        self.assertEqual(list((self.base / "tmp").iterdir()), [])

    def samples(self, lines, name):
        return {(line["scenario"], line["network"], line["clients"]) for line in lines
                if line["kind"] == "sample" and line["contender"] == name}

    def reasons(self, lines, name):
        return [line["reason"] for line in lines
                if line["kind"] in ("failed", "left", "absent") and line["contender"] == name]

    def test_an_honest_one_is_measured_beside_the_others(self):
        told, lines = self.measure("fails", "lies", "honest", "missing-one")
        everything = {(scenario, network, clients) for scenario in ("run", "steps")
                      for network in ("none", "port") for clients in (1, 2)}
        everything |= {("exec", "none", 1), ("exec", "none", 2)}
        self.assertEqual(self.samples(lines, "honest"), everything)
        self.assertEqual(self.reasons(lines, "honest"), [])
        steps = [line for line in lines if line["kind"] == "sample" and
                 line["scenario"] == "steps"][0]
        self.assertLessEqual({"create_us", "start_us", "wait_us", "rm_us", "whole_us"},
                             set(steps))
        run = [line for line in lines if line["kind"] == "sample" and line["scenario"] == "run"][0]
        self.assertLessEqual(run["first_us"], run["whole_us"])
        turn = [line for line in lines if line["kind"] == "turn"][0]
        self.assertGreater(turn["cpu_us"] + turn["elapsed_us"], 0)
        # A liar says 0 at once, in all it does by one command.
        self.assertEqual(self.samples(lines, "fails"),
                         {key for key in everything if key[0] == "steps"})
        self.assertNotIn("run", {key[0] for key in self.samples(lines, "lies")})
        self.assertNotIn("exec", {key[0] for key in self.samples(lines, "lies")})
        self.assertIn("cannot start containers today", self.reasons(lines, "fails")[0])
        self.assertRegex(told, r"fails: not measured: .*cannot start containers today")
        self.assert_clean()

    def test_one_that_lies_is_found_out(self):
        _, lines = self.measure("lies", clients="1")
        self.assertEqual(len(self.reasons(lines, "lies")), 3)  # run twice, exec.
        for reason in self.reasons(lines, "lies"):
            self.assertRegex(reason, r'should write .*; told was "all is well\n" and 0')

    def test_one_that_hangs_is_out_and_its_processes_are_gone(self):
        told, lines = self.measure("hangs", "honest", limit=2)
        self.assertEqual(self.samples(lines, "hangs"), set())
        self.assertEqual(len(self.samples(lines, "honest")), 10)
        self.assertEqual(self.reasons(lines, "hangs")[0], "no end in time")
        self.assertIn("hangs: not measured: out since it took too long", told)
        pids = os.read(self.told, 4096).decode().split()
        self.assertEqual(len(pids), 2)  # It was asked once only.
        self.assertEqual([pid for pid in pids if not ended(pid)], [])
        self.assert_clean()

    def test_what_one_leaves_is_told_and_removed(self):
        told, lines = self.measure("leaves", clients="1")
        self.assertRegex(told, r"leaves left \d+ containers behind")
        self.assertEqual({(line["scenario"], line["network"]) for line in lines
                          if line["kind"] == "left"}, {("run", "none"), ("run", "port")})
        self.assert_clean()

    def test_some_run_already(self):
        told, lines = self.measure("honest", "fails", clients="1",
                                   more=("--running", "3,0", "--only", "honest,fails,floor",
                                         "--scenarios", "run,exec", "--networks", "none"))
        seen = {(line["kind"], line["running"]) for line in lines
                if line.get("contender") == "honest"}
        self.assertEqual(seen, {(kind, count) for kind in ("sample", "turn") for count in (0, 3)})
        filled = {(line["engine"], line["running"]) for line in lines if line["kind"] == "filled"}
        self.assertIn(("honest", 3), filled)
        # They were there, and no table took them away.
        self.assertEqual([line for line in lines if line["kind"] == "left"
                          and line["contender"] == "honest"], [])
        self.assertIn("by the number of containers that already run", told)
        self.assertEqual({line["running"] for line in lines if line["kind"] == "sample"
                          and line["contender"] == "floor"}, {0, 3} if os.geteuid() == 0 else set())
        self.assert_clean()

    def test_one_that_cannot_have_so_many_is_out_with_them(self):
        _, lines = self.measure("few", "honest", clients="1", more=(
            "--running", "0,2,4", "--scenarios", "run", "--networks", "none"))
        self.assertEqual({line["running"] for line in lines if line["kind"] == "sample"
                          and line["contender"] == "few"}, {0, 2})
        self.assertEqual({line["running"] for line in lines if line["kind"] == "sample"
                          and line["contender"] == "honest"}, {0, 2, 4})
        reasons = [line["reason"] for line in lines if line["kind"] == "unfilled"]
        self.assertEqual(len(reasons), 1)
        self.assertRegex(reasons[0], "(?s)^2 of 4 containers ran: .*no more than 2")
        self.assert_clean()

    ADVERSITIES = "pull,prune,removes,dirty,cpu"

    def test_each_adversity_goes_on_beside_the_work(self):
        names = ["none"] + self.ADVERSITIES.split(",")
        told, lines = self.measure("honest", clients="2", limit=100, more=(
            "--adversity", self.ADVERSITIES, "--dirty", "8", "--scenarios", "run",
            "--networks", "none"))
        samples = {line["adversity"] for line in lines if line["kind"] == "sample"}
        self.assertEqual(samples, set(names))
        self.assertEqual(self.reasons(lines, "honest"), [])
        for turn in (line for line in lines if line["kind"] == "turn"):
            of_engine = turn["adversity"] in ("pull", "prune", "removes")
            self.assertEqual("cpu_us" in turn, turn["adversity"] == "none")
            self.assertGreaterEqual(turn.get("adversity_rounds", 0), 1 if of_engine else 0, turn)
        self.assertIn("8 MiB written before each turn, 8 of them wanted", told)
        self.assertRegex(told, r"contender +none +pull +prune +removes +dirty +cpu")
        self.assert_clean()

    def test_the_lock_of_iptables_is_held(self):
        told, lines = self.measure("honest", clients="1", limit=100, more=(
            "--adversity", "xtables", "--scenarios", "run", "--networks", "none"))
        missing = [line for line in lines if line["kind"] == "absent"]
        if missing:
            self.assertIn("iptables is not installed", missing[0]["reason"])
            return
        self.assertIn("xtables: /run/xtables.lock held for 1 s", told)
        self.assertEqual({line["adversity"] for line in lines if line["kind"] == "sample"},
                         {"none", "xtables"})
        self.assert_clean()

    def test_an_adversity_that_fails_is_told(self):
        told, lines = self.measure("offline", "floor", clients="1", limit=100, more=(
            "--adversity", "pull", "--scenarios", "run", "--networks", "none"))
        self.assertIn("no route to anywhere", self.reasons(lines, "offline")[0])
        self.assertRegex(told, r"(?s)offline: pull: .*no route to anywhere")
        if os.geteuid() == 0:
            self.assertIn(("floor", "there is no engine"), {
                (line["contender"], line["reason"]) for line in lines if line["kind"] == "unfit"})
        self.assert_clean()

    def interrupt(self, number, names=("honest", "hangs"), **options):
        process = subprocess.Popen(self.command(*names, limit=1000, **options),
                                   env=self.environment, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        os.set_blocking(self.told, True)
        pids = os.read(self.told, 4096).decode().split()  # Now one container hangs.
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted: removing what was made", errors)
        self.assertEqual([pid for pid in pids if not ended(pid)], [])
        self.assert_clean()

    def test_after_ctrl_c_nothing_is_left(self):
        self.interrupt(signal.SIGINT)

    def test_after_ctrl_c_those_that_ran_already_are_gone(self):
        self.interrupt(signal.SIGINT, more=("--running", "3"))

    def test_after_ctrl_c_no_adversity_goes_on(self):
        """The first container is untimed, the second has no adversity, the third hangs with it."""
        for adversity in self.ADVERSITIES.split(","):
            with self.subTest(adversity):
                (self.base / "third-count").unlink(missing_ok=True)
                self.interrupt(signal.SIGINT, names=("third",), clients="1", more=(
                    "--adversity", adversity, "--dirty", "8", "--scenarios", "run"))
                turns = {line["adversity"] for line in self.lines() if line["kind"] == "turn"}
                self.assertIn("none", turns)

    def test_after_sigterm_nothing_is_left(self):
        self.interrupt(signal.SIGTERM)


if __name__ == "__main__":
    if not shutil.which("busybox"):
        print("busybox is not installed: scripts/install-deps bench")
        sys.exit(77)
    unittest.main()
