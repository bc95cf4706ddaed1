"""pause and unpause.

Goal: a paused container stands still and says so everywhere, refuses what Docker refuses, and still
ends when it is told to. Method: a container that counts in a file; the count is read on the host.
"""

import json
import os
import pathlib
import threading
import time

from exec_support import Events
from harness import ENGINE, case, check, contains, equal, eventually, main, query


def counter(engine, *options):
    """A container that counts as fast as it can, in a file that the host sees."""
    place = engine.directory / f"count-{time.monotonic_ns()}"
    place.mkdir()
    script = "i=0; while :; do i=$((i+1)); echo $i > /count/next; mv /count/next /count/now; done"
    identity = engine.out("run", "-d", "--network", "none", "-v", f"{place}:/count", *options, "bb",
                          "sh", "-c", script)
    eventually((place / "now").exists, "it counts")
    return identity, place / "now"


def moves(count):
    before = count.read_text()
    eventually(lambda: count.read_text() != before, "it counts on")


def stands_still(count):
    before = count.read_text()
    time.sleep(0.2)
    equal(count.read_text(), before, "nothing happens in it")


def status(engine, identity):
    listed = engine.api("GET", "/containers/json?" + query(filters={"id": [identity]})).json
    return listed[0]["Status"] if listed else None


@case()
def stands_still_and_goes_on(engine):
    identity, count = counter(engine, "--name", "counter")
    happened = Events(engine, identity)
    equal(engine.out("pause", "counter"), "counter")
    stands_still(count)
    state = engine.inspect(identity)["State"]
    equal((state["Status"], state["Running"], state["Paused"]), ("paused", True, True))
    check(state["Pid"] > 0, "its process is there")
    contains(status(engine, identity), "(Paused)")
    contains(engine.out("ps"), "(Paused)")
    equal(engine.out("ps", "-q", "--no-trunc", "--filter", "status=paused"), identity)
    equal(engine.out("ps", "-q", "--filter", "status=running"), "")
    info = engine.api("GET", "/info").json
    equal((info["ContainersPaused"], info["ContainersRunning"]), (1, 0))
    equal(engine.out("unpause", "counter"), "counter")
    moves(count)
    state = engine.inspect(identity)["State"]
    equal((state["Status"], state["Paused"]), ("running", False))
    check("Paused" not in status(engine, identity), "no longer shown")
    equal([event["Action"] for event in happened.seen()], ["pause", "unpause"])
    for _ in range(10):
        engine.docker("pause", identity)
        engine.docker("unpause", identity)
    moves(count)


@case()
def what_is_refused(engine):
    identity, count = counter(engine)
    for verb in ("pause", "unpause"):
        answer = engine.api("POST", f"/containers/nosuch/{verb}")
        equal((answer.status, answer.message), (404, "No such container: nosuch"))
    answer = engine.api("POST", f"/containers/{identity}/unpause")
    check(answer.status in ((409,) if ENGINE == "davit" else (409, 500)), f"{answer.status}")
    contains(answer.message, "is not paused")
    exec_id = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": ["true"]}).json["Id"]
    equal(engine.api("POST", f"/containers/{identity}/pause").status, 204)
    answer = engine.api("POST", f"/containers/{identity}/pause")
    check(answer.status in ((409,) if ENGINE == "davit" else (409, 500)), f"{answer.status}")
    contains(answer.message, "is already paused")
    for path, body, text in (
            ("exec", {"Cmd": ["true"]}, "is paused, unpause the container before exec"),
            ("attach?stream=1&stdout=1", None, "is paused, unpause the container before attach"),
            ("start", None, "cannot start a paused container, try unpause instead")):
        answer = engine.api("POST", f"/containers/{identity}/{path}", body)
        if path.startswith("attach") and ENGINE == "dockerd":
            continue  # Docker 20 says it in the stream.
        check(answer.status in ((409,) if ENGINE == "davit" else (409, 500)), f"{answer.status}")
        contains(answer.body.decode(), text)
    answer = engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True})
    equal(answer.status, 409)
    answer = engine.api("DELETE", f"/containers/{identity}")
    equal(answer.status, 409)
    if ENGINE == "davit":
        contains(answer.message, "container is paused and must be unpaused first")
    done = engine.docker("exec", identity, "true", status=1)
    contains(done.stderr, "is paused, unpause the container before exec")
    stands_still(count)
    engine.docker("unpause", identity)
    engine.docker("stop", "-t", "0", identity)
    for verb in ("pause", "unpause"):
        done = engine.docker(verb, identity, status=1)
        contains(done.stderr, "is not running" if verb == "pause" else "is not paused")


@case()
def kill_wakes_and_ends_it(engine):
    for options, signal, code in (((), "KILL", 137), ((), "TERM", 143),
                                  (("--stop-signal", "USR1"), "USR1", 138)):
        identity = engine.out("run", "-d", "--network", "none", *options, "bb", "sh", "-c",
                              "trap 'exit 143' TERM; trap 'exit 138' USR1;"
                              "while :; do sleep 0.01; done")
        happened = Events(engine, identity)
        engine.docker("pause", identity)
        engine.docker("kill", "-s", signal, identity)
        equal(engine.out("wait", identity), str(code), signal)
        state = engine.inspect(identity)["State"]
        equal((state["Status"], state["Paused"]), ("exited", False))
        actions = [event["Action"] for event in happened.seen()]
        if ENGINE == "dockerd" and "unpause" not in actions:
            actions.append("unpause")  # Docker 20 may see the end first.
        equal(sorted(actions), sorted(["pause", "kill", "unpause", "die"]), signal)


@case()
def another_signal_waits(engine):
    """With a stop signal of its own only that one (and KILL) wakes it."""
    identity = engine.out("run", "-d", "--network", "none", "--stop-signal", "USR1", "bb", "sh",
                          "-c", "trap 'exit 143' TERM; while :; do sleep 0.01; done")
    engine.docker("pause", identity)
    engine.docker("kill", "-s", "TERM", identity)
    check(engine.inspect(identity)["State"]["Paused"], "it is paused still")
    engine.docker("unpause", identity)
    equal(engine.out("wait", identity), "143")


@case()
def stop_restart_and_remove(engine):
    identity, count = counter(engine)
    engine.docker("pause", identity)
    engine.docker("stop", "-t", "1", identity)
    equal(engine.inspect(identity)["State"]["Status"], "exited")
    engine.docker("start", identity)
    moves(count)
    engine.docker("pause", identity)
    engine.docker("restart", "-t", "1", identity)
    state = engine.inspect(identity)["State"]
    equal((state["Status"], state["Paused"]), ("running", False))
    moves(count)
    engine.docker("pause", identity)
    engine.docker("rm", "-f", identity)
    equal(engine.api("GET", f"/containers/{identity}/json").status, 404)
    identity, _ = counter(engine, "--rm")
    engine.docker("pause", identity)
    engine.docker("kill", identity)
    eventually(lambda: engine.api("GET", f"/containers/{identity}/json").status == 404, "removed")


@case()
def commit_leaves_it_paused(engine):
    identity, count = counter(engine)
    engine.docker("pause", identity)
    engine.docker("commit", identity, "paused:latest")
    check(engine.inspect(identity)["State"]["Paused"], "it is paused still")
    stands_still(count)
    engine.docker("unpause", identity)
    moves(count)
    engine.docker("rmi", "paused:latest")


@case()
def streams_and_processes_are_whole(engine):
    """Output that was under way comes after the pause; execs stand still, too."""
    identity = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                          "while :; do echo line; done")
    exec_id = engine.api("POST", f"/containers/{identity}/exec",
                         {"Cmd": ["sh", "-c", "while :; do :; done"]}).json["Id"]
    equal(engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True}).status, 200)
    engine.docker("pause", identity)
    pid = engine.api("GET", f"/exec/{exec_id}/json").json["Pid"]

    def ticks():
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]

    before = ticks()
    time.sleep(0.2)
    equal(ticks(), before, "the exec stands still")
    engine.docker("unpause", identity)
    eventually(lambda: ticks() != before, "the exec goes on")
    engine.docker("kill", identity)
    lines = set(engine.docker("logs", identity).stdout.splitlines())
    check(lines <= {"line", "lin", "li", "l", ""}, f"whole lines: {list(lines)[:5]}")


@case("davit")
def races(engine):
    """Whoever wins: every request has an answer, and the container can always be removed."""
    for _ in range(10):
        identity = engine.out("run", "-d", "--network", "none", "bb", "sleep", "1000")
        statuses = []

        def post(verb):
            statuses.append(engine.api("POST", f"/containers/{identity}/{verb}").status)

        threads = [threading.Thread(target=post, args=(verb,))
                   for verb in ("pause", "unpause", "pause", "kill?signal=TERM", "stop?t=0")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(set(statuses) <= {204, 304, 409}, f"{statuses}")
        engine.docker("rm", "-f", identity)


@case("davit")
def a_daemon_that_dies(engine):
    identity, _ = counter(engine)
    engine.docker("pause", identity)
    pid = engine.inspect(identity)["State"]["Pid"]
    engine.kill()
    engine.start()
    state = engine.inspect(identity)["State"]
    if state["Status"] == "paused":
        engine.docker("unpause", identity)
        equal(engine.inspect(identity)["State"]["Status"], "running")
    else:
        equal((state["Status"], state["Paused"]), ("exited", False))
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), "its process ends")
        engine.docker("start", identity)
        equal(engine.inspect(identity)["State"]["Status"], "running")


@case("davit")
def a_daemon_that_is_stopped(engine):
    identity, _ = counter(engine)
    engine.docker("pause", identity)
    engine.stop()
    engine.start()
    state = engine.inspect(identity)["State"]
    check(not state["Paused"] or state["Running"], json.dumps(state))


if __name__ == "__main__":
    main()
