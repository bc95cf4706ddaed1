"""`davit bench`: the verb finds the harness, and hands over what it was given.

Goal: a user gets the table and the page from one command; where the harness is not installed, that
is said. Method: a copy of davit without a harness, with a program in its place that tells its words,
and the real one with a made-up engine.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

DAVIT = os.environ.get("DAVIT_BINARY", "build/release/cli/davit")
FAKE = pathlib.Path(__file__).resolve().parent / "fake_engine.py"
TELLS = "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\"\nexit 7\n"


def run(*words, **options):
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=100, **options)


class Bench(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="davit-bench-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.base)
        (self.base / "bin").mkdir()
        (self.base / "tmp").mkdir()
        self.davit = self.base / "bin" / "davit"

    def install(self, place):
        shutil.copy(DAVIT, self.davit)
        harness = self.base / place / "davit_bench_startup"
        harness.parent.mkdir(parents=True, exist_ok=True)
        harness.write_text(TELLS, encoding="ascii")
        harness.chmod(0o755)

    def test_without_a_harness_it_says_where_it_looked(self):
        shutil.copy(DAVIT, self.davit)
        done = run(self.davit, "bench")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the harness is not installed", done.stderr)
        self.assertIn(f"{self.base}/bin/davit_bench_startup, "
                      f"{self.base}/bin/../libexec/davit/davit_bench_startup", done.stderr)

    @unittest.skipUnless("DAVIT_BUILD" in os.environ, "there is no build to install")
    def test_an_installed_one_has_all_it_needs(self):
        done = run("cmake", "--install", os.environ["DAVIT_BUILD"], "--prefix", self.base)
        self.assertEqual(done.returncode, 0, done.stderr)
        folder = self.base / "libexec" / "davit"
        self.assertTrue((folder / "report" / "report.py").exists())
        self.assertTrue(os.access(folder / "davit_bench_startup", os.X_OK))
        done = run(self.davit, "bench", "--only", "nobody")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no contender's name has any of these texts in it", done.stderr)

    def test_the_harness_gets_the_words(self):
        self.install("libexec/davit")
        done = run(self.davit, "bench", "--only", "davit,floor", "--engine", "a=/b", "--engine=c=/d",
                   "--running", "0,100", "--html", "/tmp/page.html")
        self.assertEqual(done.returncode, 7)
        words = done.stdout.splitlines()
        self.assertEqual(words[1:3], ["--davit", str(self.davit)])
        given = list(zip(words[3::2], words[4::2]))
        self.assertEqual(given, [
            ("--scenarios", "run,exec"), ("--networks", "none,bridge"), ("--clients", "1,16"),
            ("--running", "0,100"), ("--adversity", "none"), ("--rounds", "3"),
            ("--only", "davit,floor"), ("--engine", "a=/b"), ("--engine", "c=/d"),
            ("--html", "/tmp/page.html"), ("--json", "/tmp/page.html.jsonl")])
        self.install("bin")  # The nearest one.
        self.assertIn("/bin/davit_bench_startup", run(self.davit, "bench").stdout.splitlines()[0])

    def test_help_and_completion_know_it(self):
        help_text = run(DAVIT, "bench", "--help").stdout
        self.assertIn("davit bench [OPTIONS]", help_text)
        self.assertIn("--adversity list", help_text)
        self.assertIn("bench", run(DAVIT, "__complete", "be").stdout)
        self.assertIn("xtables", run(DAVIT, "__complete", "bench", "--adversity", "").stdout)
        unknown = run(DAVIT, "bench", "--nope")
        self.assertEqual(unknown.returncode, 125)
        self.assertIn("unknown flag: --nope", unknown.stderr)

    def bench(self, *more, path=None):
        program = self.base / "honest"
        if not program.exists():
            program.symlink_to(FAKE)
        environment = dict(os.environ, TMPDIR=str(self.base / "tmp"),
                           FAKE_STATE=str(self.base / "state"), FAKE_PIPE="/dev/null")
        if path is not None:
            environment["PATH"] = path
        return run(DAVIT, "bench", "--only", "honest", "--engine", f"honest={program}",
                   "--scenarios", "run", "--networks", "none", "--clients", "1,2", "--rounds", "2",
                   *more, env=environment)

    def test_a_table_and_a_page(self):
        page = self.base / "page.html"
        done = self.bench("--html", str(page))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("run, network none, 2 client(s)", done.stdout)
        self.assertIn(f"plots: {page}", done.stdout)
        self.assertIn("</html>", page.read_text(encoding="utf-8"))
        lines = pathlib.Path(f"{page}.jsonl").read_text(encoding="utf-8").splitlines()
        self.assertIn("sample", {json.loads(line)["kind"] for line in lines})
        self.assertEqual(list((self.base / "tmp").iterdir()), [])

    def test_without_python_there_is_the_table(self):
        """The made-up engine needs one: under another name."""
        programs = self.base / "programs"
        programs.mkdir()
        for name in ("busybox", "gzip", "sh", "sleep"):
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        program = self.base / "honest"
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -B {FAKE} \"$@\"\n", encoding="ascii")
        program.chmod(0o755)
        page = self.base / "page.html"
        done = self.bench("--html", str(page), path=str(programs))
        if (pathlib.Path("/usr/sbin/python3").exists() or pathlib.Path("/sbin/python3").exists()):
            self.skipTest("python3 is in a directory that is always looked at")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("no page: python3 is not installed; the samples are in "
                      f"{page}.jsonl", done.stderr)
        self.assertFalse(page.exists())


if __name__ == "__main__":
    if not shutil.which("busybox"):
        print("busybox is not installed: scripts/install-deps bench")
        sys.exit(77)
    unittest.main()
