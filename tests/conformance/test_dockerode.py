"""A container's life, its streams, volumes and images, through dockerode.

Goal: a client of another language, with its own idea of streams, finds what it expects. Method:
dockerode/suite.js in node, a process a case, with the released package from npm.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

from engine_rows import all_called
from harness import Skip, case, check, main, start_engine

VERSION = "4.0.7"
SUITE = pathlib.Path(__file__).parent / "dockerode" / "suite.js"
CASES = "life attach run exec events archive volumes verbs files images".split()

def javascript(name):
    def run(engine):
        environment = {"NODE_PATH": MODULES + "/node_modules", "PATH": os.environ["PATH"]}
        done = subprocess.run(["node", SUITE, engine.socket, name], capture_output=True, text=True,
                              timeout=120, env=environment)
        check(done.returncode == 0, done.stderr)

    run.__name__ = name
    return run


for one in CASES:
    case()(javascript(one))


@case("davit")
def every_row(engine):
    """The harness asked for HEAD /_ping, which dockerode has no call for."""
    if "DAVIT_CONFORMANCE_ONLY" in os.environ:
        raise Skip("it wants the other cases")
    all_called(engine)


def install():
    """Before the suite has a network of its own. Gives: why the package is not there, or ""."""
    if not shutil.which("npm"):
        return "npm is missing: scripts/install-deps test"
    done = subprocess.run(
        ["npm", "install", "--prefix", MODULES, "--no-package-lock", "--no-audit", "--no-fund",
         "--ignore-scripts", f"dockerode@{VERSION}"], capture_output=True, text=True, timeout=300)
    return f"npm has no dockerode: {done.stderr.strip()[-200:]}" if done.returncode else ""


def prepare(engine, stack):
    if MISSING:
        raise Skip(MISSING)
    start_engine(engine, stack)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="davit-npm-") as directory:
        MODULES = directory
        MISSING = install()
        main(prepare)
