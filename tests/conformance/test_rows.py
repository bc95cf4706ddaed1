"""Every row of the Engine API that containers are made with, through the command line.

Goal: none is reached by tests of their own alone. Method: one walk over the verbs, and then what the
daemon says it was asked for (engine_rows.py).
"""

import tarfile

from engine_rows import all_called
from exec_support import Events, Terminal
from harness import case, check, contains, equal, main


@case()
def life(engine):
    engine.docker("create", "--name", "box", "--network", "none", "bb", "sh", "-c", "touch /made; sleep 1000; true")
    happened = Events(engine, engine.inspect("box")["Id"])
    engine.docker("start", "box")
    engine.docker("rename", "box", "other")
    engine.docker("pause", "other")
    engine.docker("unpause", "other")
    engine.docker("update", "--pids-limit", "50", "other")
    engine.docker("restart", "-t", "0", "other")
    contains(engine.out("top", "other"), "sleep 1000")
    contains(engine.out("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "other"), "other 2")
    contains(engine.out("diff", "other"), "A /made")
    engine.docker("kill", "other")
    equal(engine.out("wait", "other"), "137")
    engine.docker("start", "other")
    engine.docker("stop", "-t", "0", "other")
    equal(engine.out("ps", "-a", "--format", "{{.Names}}"), "other")
    engine.docker("rm", "other")
    seen = [event["Action"] for event in happened.seen()]
    equal([one for one in seen if one in ("start", "rename", "pause", "unpause", "update", "restart", "destroy")],
          ["start", "rename", "pause", "unpause", "update", "start", "restart", "start", "destroy"])


@case()
def streams(engine):
    screen = Terminal(engine, "run", "-it", "--name", "box", "--network", "none", "bb", "sh", rows=33, columns=77)
    screen.send("until stty size | grep -q 33; do usleep 1000; done; stty size; echo in-$((1+1))\n")
    screen.expect("33 77")
    screen.expect("in-2")
    inner = Terminal(engine, "exec", "-it", "box", "sh", rows=44, columns=66)
    inner.send("until stty size | grep -q 44; do usleep 1000; done; stty size; exit 4\n")
    inner.expect("44 66")
    equal(inner.process.wait(60), 4)
    equal(engine.docker("exec", "box", "sh", "-c", "exit 5", status=5).returncode, 5)
    screen.send("exit 3\n")
    equal(screen.process.wait(60), 3)
    contains(engine.out("logs", "box"), "in-2")


@case()
def files(engine):
    engine.docker("create", "--name", "box", "--network", "none", "bb", "cat", "/tmp/in")
    source = f"{engine.directory}/in"
    with open(source, "w", encoding="utf-8") as file:
        file.write("text\n")
    engine.docker("cp", source, "box:/tmp/")
    equal(engine.out("start", "-a", "box"), "text")
    engine.docker("cp", "box:/tmp/in", source + ".back")
    with open(source + ".back", encoding="utf-8") as file:
        equal(file.read(), "text\n")
    engine.docker("export", "-o", source + ".tar", "box")
    with tarfile.open(source + ".tar") as archive:
        equal(archive.extractfile("tmp/in").read(), b"text\n")
    engine.docker("commit", "box", "made:1")
    equal(engine.out("run", "--rm", "--network", "none", "made:1", "cat", "/tmp/in"), "text")
    engine.docker("rmi", "made:1")


@case()
def volumes(engine):
    engine.docker("volume", "create", "data")
    equal(engine.out("volume", "ls", "-q"), "data")
    equal(engine.out("volume", "inspect", "-f", "{{.Name}}", "data"), "data")
    engine.docker("volume", "rm", "data")
    name = engine.out("volume", "create")
    contains(engine.out("volume", "prune", "-f"), name)


@case()
def the_engine(engine):
    contains(engine.out("version", "--format", "{{.Server.Os}}"), "linux")
    equal(engine.out("info", "--format", "{{.OSType}}"), "linux")
    contains(engine.out("system", "df"), "Containers")
    engine.docker("create", "--network", "none", "bb", "true")
    contains(engine.out("container", "prune", "-f"), "Total reclaimed space")


@case("davit")
def every_row(engine):
    """GET /_ping is for clients that cannot ask for the head alone."""
    check(engine.api("GET", "/_ping").body == b"OK", "ping")
    all_called(engine)


if __name__ == "__main__":
    main()
