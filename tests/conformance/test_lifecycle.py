"""create, start, attach, wait, stop, kill, rm, ps, inspect: states and what each verb says in each.

Goal: the states and texts of API.md's tables, through the stock CLI and through the raw API.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time

from harness import DAVIT, case, check, contains, equal, eventually, main, matches, nanoseconds, query

UNSET_TIME = "0001-01-01T00:00:00Z"


def create(engine, *arguments):
    return engine.out("create", "--network", "none", *arguments)


def sleeper(engine, *options):
    return engine.out("run", "-d", "--network", "none", *options, "bb", "sleep", "1000")


@case()
def created_then_started_then_exited(engine):
    identity = create(engine, "--name", "one", "bb", "sh", "-c", "echo hello; exit 4")
    matches(identity, "^[0-9a-f]{64}$", "create prints the id")
    state = engine.inspect("one")["State"]
    equal((state["Status"], state["Running"], state["Pid"]), ("created", False, 0), "created")
    equal((state["StartedAt"], state["FinishedAt"]), (UNSET_TIME, UNSET_TIME), "no times yet")
    done = engine.docker("start", "-a", "one", status=4)
    equal(done.stdout, "hello\n", "start -a gives the output")
    state = engine.inspect("one")["State"]
    equal((state["Status"], state["ExitCode"], state["Pid"]), ("exited", 4, 0), "exited")
    started, finished = nanoseconds(state["StartedAt"]), nanoseconds(state["FinishedAt"])
    check(0 < started <= finished, f"times are in order: {state}")
    done = engine.docker("start", "-a", "one", status=4)
    equal(done.stdout, "hello\n", "it can be started again")


@case()
def running_when_start_has_answered(engine):
    identity = create(engine, "bb", "sleep", "1000")
    equal(engine.api("POST", f"/containers/{identity}/start").status, 204, "start")
    state = engine.api("GET", f"/containers/{identity}/json").json["State"]
    equal((state["Status"], state["Running"]), ("running", True), "at once")
    check(state["Pid"] > 0, "a pid")
    equal(engine.api("POST", f"/containers/{identity}/start").status, 304, "start again")


@case()
def start_that_fails(engine):
    identity = create(engine, "bb", "no-such-program")
    answer = engine.api("POST", f"/containers/{identity}/start")
    equal(answer.status, 400, "a missing command is the client's mistake")
    contains(answer.message, "executable file not found in $PATH", "text")
    state = engine.inspect(identity)["State"]
    equal((state["Status"], state["ExitCode"]), ("created", 127), "it did not start")
    contains(state["Error"], "executable file not found", "kept in the state")


@case()
def stop_asks_then_kills(engine):
    polite = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                        "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: "ready" in engine.out("logs", polite), "the trap is set")
    engine.docker("stop", polite)
    equal(engine.inspect(polite)["State"]["ExitCode"], 3, "it chose its exit code")
    stubborn = sleeper(engine)  # pid 1 without a handler does not get SIGTERM.
    engine.docker("stop", "-t", "1", stubborn)
    equal(engine.inspect(stubborn)["State"]["ExitCode"], 137, "killed after its time")
    engine.docker("stop", stubborn)
    equal(engine.api("POST", f"/containers/{stubborn}/stop").status, 304, "stop again")
    other = engine.out("run", "-d", "--network", "none", "--stop-signal", "USR1", "bb", "sh", "-c",
                       "trap 'exit 5' USR1; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: "ready" in engine.out("logs", other), "the trap is set")
    engine.docker("stop", other)
    equal(engine.inspect(other)["State"]["ExitCode"], 5, "by its own stop signal")


@case()
def kill_sends_signals(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                      "trap 'echo got' USR1; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: "ready" in engine.out("logs", name), "the trap is set")
    for spelling in ("USR1", "SIGUSR1", "10"):
        before = engine.out("logs", name).count("got")
        engine.docker("kill", "-s", spelling, name)
        eventually(lambda: engine.out("logs", name).count("got") > before, f"signal {spelling}")
    bad = engine.docker("kill", "-s", "NOSUCH", name, status=1)
    contains(bad.stderr.lower(), "invalid signal", "unknown signal")
    engine.docker("kill", name)
    equal(engine.out("wait", name), "137", "KILL by default")
    dead = engine.docker("kill", name, status=1)
    contains(dead.stderr, "is not running", "kill of the dead")


@case()
def remove(engine):
    name = sleeper(engine, "--name", "alive")
    refused = engine.docker("rm", "alive", status=1)
    contains(refused.stderr, "container is running: stop the container before removing or force remove"
             if not engine_is_old(engine) else "You cannot remove a running container", "running")
    engine.docker("rm", "-f", "alive")
    equal(engine.docker("inspect", name, status=1).stdout.strip(), "[]", "gone")
    missing = engine.docker("rm", "alive", status=1)
    contains(missing.stderr, "No such container: alive", "unknown")
    equal(engine.api("DELETE", "/containers/alive").status, 404, "unknown")
    sleeper(engine, "--name", "alive")  # The name is free again.


def engine_is_old(engine):
    """Texts changed over Docker's life; the peer on Debian 12 is version 20."""
    return int(engine.api("GET", "/version").json["Version"].split(".")[0]) < 25


@case()
def unknown_container_everywhere(engine):
    for method, path in (("GET", "json"), ("POST", "start"), ("POST", "stop"), ("POST", "kill"),
                         ("POST", "wait"), ("POST", "attach?stream=1&stdout=1"),
                         ("GET", "logs?stdout=1")):
        answer = engine.api(method, f"/containers/no-such/{path}")
        equal(answer.status, 404, path)
        # The attach endpoint of Docker answers in plain text: it has begun to hijack.
        contains(answer.body.decode(), "No such container: no-such", path)


@case()
def ps_lists_and_filters(engine):
    running = sleeper(engine, "--name", "runs", "--label", "kind=a", "--label", "x=1")
    exited = engine.out("run", "-d", "--name", "ended", "--network", "none", "--label", "kind=b", "bb",
                        "sh", "-c", "exit 7")
    engine.docker("wait", exited)
    created = create(engine, "--name", "waits", "bb", "true")

    def ids(*options):
        return engine.out("ps", "-q", "--no-trunc", *options).split()

    equal(ids(), [running], "running only")
    equal(ids("-a"), [created, exited, running], "all, newest first")
    equal(ids("-n", "2"), [created, exited], "the last two")
    equal(ids("-a", "-f", "name=end"), [exited], "name")
    equal(ids("-a", "-f", "name=^/runs$"), [running], "name as an expression")
    equal(ids("-a", "-f", "label=kind=b"), [exited], "label with value")
    equal(ids("-a", "-f", "label=kind"), [exited, running], "label")
    equal(ids("-a", "-f", "status=created"), [created], "status")
    equal(ids("-a", "-f", "status=exited", "-f", "exited=7"), [exited], "exited")
    equal(ids("-a", "-f", "exited=0"), [], "exited with another code")
    equal(ids("-a", "-f", f"id={running[:8]}"), [running], "id")
    equal(ids("-a", "-f", "ancestor=bb"), [created, exited, running], "ancestor")
    equal(ids("-a", "-f", "since=ended"), [created], "since")
    equal(ids("-a", "-f", "before=ended"), [running], "before")
    equal(engine.docker("ps", "-f", "bogus=1", status=1).stdout, "", "unknown filter")
    lines = dict(line.split("|") for line in
                 engine.out("ps", "-a", "--format", "{{.Names}}|{{.Status}}").splitlines())
    matches(lines["runs"], "^Up ", "status of the running")
    matches(lines["ended"], r"^Exited \(7\) ", "status of the exited")
    equal(lines["waits"], "Created", "status of the created")
    equal(engine.out("ps", "-f", "name=runs", "--format", "{{.Image}} {{.Command}}"),
          'bb "sleep 1000"', "columns")
    # Older CLIs print labels in any order.
    labels = engine.out("ps", "-f", "name=runs", "--format", "{{.Labels}}").split(",")
    equal(sorted(labels), ["kind=a", "x=1"], "labels")


@case()
def inspect_has_what_clients_read(engine):
    name = sleeper(engine, "--label", "l=v", "-e", "A=b", "-w", "/tmp", "-u", "guest")
    found = engine.inspect(name)
    for key in ("Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name "
                "RestartCount Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs "
                "HostConfig GraphDriver Mounts Config NetworkSettings").split():
        check(key in found, f"key {key}")
    for key in "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error".split():
        check(key in found["State"], f"State.{key}")
    equal((found["Path"], found["Args"]), ("sleep", ["1000"]), "Path, Args")
    config = found["Config"]
    equal((config["Cmd"], config["User"], config["WorkingDir"], config["Labels"]),
          (["sleep", "1000"], "guest", "/tmp", {"l": "v"}), "Config")
    contains(config["Env"], "A=b", "Env")
    equal(found["HostConfig"]["NetworkMode"], "none", "NetworkMode")
    contains(list(found["NetworkSettings"]["Networks"]), "none", "Networks")
    matches(found["Image"], "^sha256:[0-9a-f]{64}$", "Image")
    equal(found["HostConfig"]["LogConfig"]["Type"], "json-file", "log driver")


@case()
def names_and_prefixes(engine):
    identity = create(engine, "--name", "lookup", "bb", "true")
    for text in (identity, identity[:12], identity[:6], "lookup", "/lookup"):
        equal(engine.inspect(text)["Id"], identity, text)


@case()
def attach_before_start_loses_nothing(engine):
    identity = create(engine, "bb", "sh", "-c", "echo first; echo second >&2")
    attached = engine.spawn("start", "-a", identity)
    output, errors = attached.communicate(timeout=60)
    equal((output, errors), (b"first\n", b"second\n"), "both streams")


@case()
def attach_to_the_running(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                      "while :; do echo tick; sleep 0.1; done")
    attached = engine.spawn("attach", name)
    equal(attached.stdout.readline(), b"tick\n", "output from now on")
    engine.docker("kill", name)
    attached.communicate(timeout=60)
    equal(attached.returncode, 137, "the exit code of the container")


@case()
def start_interactively(engine):
    identity = create(engine, "-i", "bb", "cat")
    done = engine.docker("start", "-ai", identity, stdin="typed\n")
    equal(done.stdout, "typed\n", "what was typed came back")
    equal(engine.inspect(identity)["State"]["ExitCode"], 0, "end of stdin ended it")


@case()
def wait_conditions(engine):
    identity = create(engine, "bb", "sh", "-c", "exit 6")
    answers = {}

    def wait(condition):
        answers[condition] = engine.api("POST", f"/containers/{identity}/wait?condition={condition}")

    threads = [threading.Thread(target=wait, args=(name,)) for name in ("next-exit", "removed")]
    for thread in threads:
        thread.start()
    time.sleep(0.3)  # Both are waiting; nothing here depends on it.
    engine.docker("start", identity)
    threads[0].join(60)
    equal(answers["next-exit"].json["StatusCode"], 6, "next-exit")
    check("removed" not in answers, "removed waits on")
    equal(engine.api("POST", f"/containers/{identity}/wait").json["StatusCode"], 6, "not-running")
    engine.docker("rm", identity)
    threads[1].join(60)
    equal(answers["removed"].json["StatusCode"], 6, "removed")


@case()
def wait_for_what_never_ran(engine):
    identity = create(engine, "bb", "/none-such")
    check(engine.docker("start", identity, status=None).returncode != 0, "it cannot be started")
    answer = engine.api("POST", f"/containers/{identity}/wait").json
    equal(answer["StatusCode"], 127, "exit code")
    contains(answer["Error"]["Message"], "no such file or directory", "why")
    equal(engine.api("POST", f"/containers/{create(engine, 'bb', 'true')}/wait").json.get("Error"), None, "not started")


@case("davit")
def wait_condition_unknown(engine):
    identity = create(engine, "bb", "true")
    equal(engine.api("POST", f"/containers/{identity}/wait?condition=bogus").status, 400, "bogus")


@case("davit")
def why_it_ended(engine):
    """`davit why` says who sent the signal, which the exit code alone cannot."""
    def reason(name):
        return engine.inspect(name)["State"].get("ExitReason", "")

    sleeper(engine, "--name", "why")
    equal(reason("why"), "", "it runs")
    engine.docker("stop", "-t", "0", "why")
    matches(reason("why"), "^killed by SIGKILL from a stop request", "stopped")
    engine.docker("start", "why")
    engine.docker("kill", "why")
    eventually(lambda: reason("why") == "killed by SIGKILL from a kill request", "killed")
    engine.docker("start", "why")
    os.kill(engine.inspect("why")["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: reason("why") == "killed by SIGKILL, which davit did not send", "by somebody else")
    create(engine, "--name", "none", "bb", "/nothing")
    engine.docker("start", "none", status=1)
    matches(reason("none"), "^not started: exec: .*no such file", "not started")
    told = subprocess.run([DAVIT, "-H", "unix://" + engine.socket, "why", "why", "none"],
                          check=True, capture_output=True, text=True).stdout.splitlines()
    matches(told[0], r"^why: killed by SIGKILL, which davit did not send \(20", "why")
    matches(told[1], "^none: not started: exec: .*no such file", "why")


@case()
def auto_remove(engine):
    identity = create(engine, "--rm", "bb", "true")
    engine.docker("start", identity)
    eventually(lambda: engine.docker("inspect", identity, status=None).returncode == 1, "removed")
    # wait?condition=removed answers only once it is gone: the name can be used at once.
    for _ in range(20):
        engine.docker("run", "--rm", "--name", "again", "--network", "none", "bb", "true")


@case()
def concurrent_verbs_on_one_container(engine):
    identity = sleeper(engine)
    pending = [engine.spawn("rm", "-f", identity) for _ in range(8)]
    outcomes = [process.wait(60) for process in pending]
    check(0 in outcomes, "one removal succeeds")
    for process in pending:
        text = process.stderr.read().decode()
        check(process.returncode == 0 or re.search("No such container|already in progress", text),
              f"the others say why not: {text}")


@case()
def filters_of_both_shapes(engine):
    identity = sleeper(engine, "--label", "shape=1")
    for shape in ({"label": ["shape=1"]}, {"label": {"shape=1": True}}):
        found = engine.api("GET", "/containers/json?" + query(filters=shape)).json
        equal([item["Id"] for item in found], [identity], json.dumps(shape))


if __name__ == "__main__":
    main()
