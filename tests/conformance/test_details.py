"""top and diff: what a container runs, and what it changed.

Goal: Docker's lists, whatever ps is asked for and whatever became of a file. Method: ps of the host,
or a PATH without one; trees with every kind of change.
"""

import os
import pathlib
import shutil
import stat

from exec_support import Events, container
from harness import (ENGINE, Engine, case, check, contains, equal, eventually, import_busybox,
                     main, query)


def top(engine, identity, arguments=None):
    path = f"/containers/{identity}/top"
    return engine.api("GET", path + ("?" + query(ps_args=arguments) if arguments else ""))


@case()
def processes(engine):
    with container(engine) as identity:
        engine.docker("exec", "-d", identity, "sh", "-c", "sleep 777; true")
        eventually(lambda: len(top(engine, identity).json["Processes"]) == 3, "three processes")
        listed = top(engine, identity).json
        equal(listed["Titles"], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
        equal(sorted(process[-1] for process in listed["Processes"]),
              ["sh -c sleep 777; true", "sleep 1000", "sleep 777"])
        pids = {process[1] for process in listed["Processes"]}
        check(str(engine.inspect(identity)["State"]["Pid"]) in pids, "pids are the host's")
        check(all(os.path.exists(f"/proc/{pid}") for pid in pids), f"{pids}")
        text = engine.docker("top", identity).stdout
        equal(text.splitlines()[0].split(), listed["Titles"])
        equal(len(text.splitlines()), 4)
        contains(text, "sleep 777")


@case()
def arguments_of_ps(engine):
    with container(engine) as identity:
        listed = top(engine, identity, "-o pid,args").json
        equal(listed["Titles"], ["PID", "COMMAND"])
        equal([process[1] for process in listed["Processes"]], ["sleep 1000"])
        listed = top(engine, identity, "aux").json
        check("%CPU" in listed["Titles"] and len(listed["Processes"]) == 1, f"{listed}")
        listed = top(engine, identity, "-ef f").json
        equal(len(listed["Processes"]), 1, "options that -q does not go with")
        equal(engine.docker("top", identity, "-o", "pid,comm").stdout.split()[-1], "sleep")
        done = engine.docker("top", identity, "-o", "comm", status=1)
        contains(done.stderr.lower(), "couldn't find pid field in ps output")
        answer = top(engine, identity, "-o user=PID")
        check(answer.status in ((400,) if ENGINE == "davit" else (400, 500)), f"{answer.status}")
        answer = top(engine, identity, "--nosuch")
        check(answer.status == 500 and answer.message, f"{answer.status} {answer.body}")


@case()
def top_refused_and_told(engine):
    created = engine.out("create", "--network", "none", "bb", "true")
    answer = top(engine, created)
    check(answer.status in ((409,) if ENGINE == "davit" else (409, 500)), f"{answer.status}")
    contains(answer.message, f"ontainer {created} is not running")
    equal(top(engine, "nosuch").status, 404)
    with container(engine) as identity:
        happened = Events(engine, identity)
        top(engine, identity)
        equal([event["Action"] for event in happened.seen()], ["top"])
        engine.docker("pause", identity)
        equal(len(top(engine, identity).json["Processes"]), 1, "a paused one has processes, too")


@case("davit")
def without_ps(engine):
    """A daemon on a host that has none shows what `ps -ef` would."""
    folder = engine.directory / "other"
    programs = folder / "programs"
    programs.mkdir(parents=True)
    other = Engine(folder / "engine")
    path = os.environ["PATH"]
    os.environ["PATH"] = str(programs)
    try:
        other.start()
    finally:
        os.environ["PATH"] = path
    try:
        import_busybox(other)
        with container(other) as identity:
            listed = top(other, identity).json
            equal(listed["Titles"], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
            process, = listed["Processes"]
            equal((process[0], process[1], process[7]),
                  ("root", str(other.inspect(identity)["State"]["Pid"]), "sleep 1000"))
            answer = top(other, identity, "aux")
            equal(answer.status, 501)
            contains(answer.message, "ps is not installed on this host")
        other.check_clean()
    finally:
        other.stop()
        shutil.rmtree(folder)


def diff(engine, identity):
    answer = engine.api("GET", f"/containers/{identity}/changes")
    equal(answer.status, 200, answer.body)
    return {change["Path"]: "CAD"[change["Kind"]] for change in answer.json or []}


@case()
def untouched(engine):
    created = engine.out("create", "--network", "none", "bb", "true")
    equal(engine.api("GET", f"/containers/{created}/changes").json, None)
    with container(engine) as identity:
        equal(diff(engine, identity), {}, "a start changes nothing")
        equal(engine.out("diff", identity), "")
    equal(engine.api("GET", "/containers/nosuch/changes").status, 404)


@case()
def changes(engine):
    base = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                      "mkdir -p /data/deep /data/emptied /data/replaced; cd /data;"
                      "for f in kept changed removed moded touched replaced/x emptied/x; do"
                      " echo $f > $f; done; ln -s kept link")
    engine.docker("wait", base)
    engine.docker("commit", base, "base:latest")
    identity = engine.out("run", "-d", "--network", "none", "base", "sh", "-c",
                          "cd /data; echo more >> changed; rm removed; chmod 600 moded;"
                          "touch touched; rm -r replaced; echo file > replaced; rm emptied/x;"
                          "rm -r deep; mkdir deep; echo 1 > deep/new; ln -sf changed link;"
                          "mkdir -p /fresh/er; echo 2 > /fresh/er/file; sleep 1000")
    eventually(lambda: "/fresh/er/file" in diff(engine, identity), "all is done")
    expected = {"/data": "C", "/data/changed": "C", "/data/removed": "D", "/data/moded": "C",
                "/data/touched": "C", "/data/replaced": "C", "/data/emptied": "C",
                "/data/emptied/x": "D", "/data/deep": "C", "/data/deep/new": "A",
                "/data/link": "C", "/fresh": "A", "/fresh/er": "A", "/fresh/er/file": "A"}
    equal(diff(engine, identity), expected)
    lines = engine.out("diff", identity).splitlines()
    equal(sorted(lines), sorted(f"{kind} {path}" for path, kind in expected.items()))
    engine.docker("stop", "-t", "0", identity)
    equal(diff(engine, identity), expected, "of a stopped one")
    engine.docker("rm", identity, base)
    engine.docker("rmi", "base")


@case()
def what_is_mounted_is_no_change(engine):
    place = pathlib.Path(engine.directory) / "mounted"
    place.mkdir()
    identity = engine.out("run", "-d", "--network", "none", "-v", f"{place}:/mnt/here", "--tmpfs",
                          "/scratch", "bb", "sh", "-c",
                          "echo x > /mnt/here/file; echo y > /scratch/file; touch /own; sleep 1000")
    eventually(lambda: "/own" in diff(engine, identity), "it has begun")
    seen = diff(engine, identity)
    check(not any("file" in path for path in seen), f"{seen}")
    check(stat.S_ISREG((place / "file").stat().st_mode), "it is on the host")
    equal(seen["/own"], "A")


if __name__ == "__main__":
    main()
