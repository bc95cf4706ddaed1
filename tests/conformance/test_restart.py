"""Restart policies: who is started again, when, and what is said of it.

Method: containers that count their runs in a file of theirs and end; the daemon is stopped, killed
and started between them. Nothing rests on how long a pause is.
"""

import os
import signal
import time

from harness import (CLI, ENGINE, case, check, contains, equal, eventually, main)

RUN = ("run", "-d", "--network", "none")
COUNT = "echo run >>/runs; [ $(wc -l </runs) -ge %d ] && exec sleep 1000; exit %d"


def runs(engine, name):
    return engine.out("exec", name, "cat", "/runs").count("run")


def up(engine, name, restarts=None):
    """Running; and, if given, after so many restarts: both told by one answer."""
    found = engine.inspect(name)
    state = found["State"]
    return state["Running"] and not state["Restarting"] and restarts in (None, found["RestartCount"])


@case()
def always(engine):
    for code in (0, 3):
        engine.docker(*RUN, "--restart", "always", "--name", "box", "bb", "sh", "-c", COUNT % (3, code))
        eventually(lambda: up(engine, "box", 2), "the third run")
        equal(runs(engine, "box"), 3, "runs")
        engine.docker("stop", "-t", "0", "box")
        state = engine.inspect("box")["State"]
        equal((state["Status"], state["ExitCode"]), ("exited", 137), "stopped, it stays so")
        engine.docker("start", "box")
        equal(engine.inspect("box")["RestartCount"], 0, "a start begins to count anew")
        engine.docker("rm", "-f", "box")


@case()
def on_failure(engine):
    engine.docker(*RUN, "--restart", "on-failure", "--name", "good", "bb", "true")
    equal(engine.out("wait", "good"), "0", "an end that is none")
    equal(engine.inspect("good")["RestartCount"], 0, "no restart")
    engine.docker(*RUN, "--restart", "on-failure:2", "--name", "bad", "bb", "sh", "-c", "echo x; exit 5")
    eventually(lambda: engine.inspect("bad")["State"]["Status"] == "exited", "it gives up")
    found = engine.inspect("bad")
    equal((found["RestartCount"], found["State"]["ExitCode"]), (2, 5), "restarts, code")
    equal(engine.out("logs", "bad").split(), ["x"] * 3, "the log has all runs")
    equal(found["HostConfig"]["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 2}, "inspect")


@case()
def between_two_runs(engine):
    engine.docker(*RUN, "--restart", "always", "--name", "box", "bb", "sh", "-c", "exit 6")
    # The pause has doubled a few times: the state between two runs can be met.
    eventually(lambda: engine.inspect("box")["RestartCount"] >= 5, "some restarts")
    eventually(lambda: engine.inspect("box")["State"]["Restarting"], "restarting")
    state = engine.inspect("box")["State"]
    equal((state["Status"], state["Running"], state["Pid"], state["ExitCode"]), ("restarting", True, 0, 6),
          "its state")
    equal(engine.out("ps", "-q", "--no-trunc", "--filter", "status=restarting"), engine.inspect("box")["Id"],
          "the filter")
    contains(engine.out("ps", "--format", "{{.Status}}"), "Restarting (6)", "ps")
    equal(engine.api("POST", "/containers/box/start").status, 304, "start")
    equal(engine.api("DELETE", "/containers/box").status, 409, "rm")
    equal(engine.docker("exec", "box", "true", status=1 if CLI == "docker" else None).returncode != 0, True,
          "exec")
    engine.docker("stop", "box")
    state = engine.inspect("box")["State"]
    equal((state["Status"], state["ExitCode"], state["Restarting"]), ("exited", 6, False), "stopped")
    count = engine.inspect("box")["RestartCount"]
    engine.docker("run", "--rm", "--network", "none", "bb", "sleep", "1")
    equal(engine.inspect("box")["RestartCount"], count, "and it stays so")
    for command in (("kill",), ("rm", "-f")):
        engine.docker("start", "box")
        eventually(lambda: engine.inspect("box")["RestartCount"] >= 5, "some restarts")
        eventually(lambda: engine.inspect("box")["State"]["Restarting"], "restarting")
        engine.docker(*command, "box")
        if command[0] == "kill":
            equal(engine.inspect("box")["State"]["Status"], "exited", "killed")
    equal(engine.out("ps", "-aq"), "", "removed")


@case()
def events_of_restarts(engine):
    engine.docker(*RUN, "--restart", "on-failure:1", "--name", "told", "bb", "sh", "-c", "exit 2")
    eventually(lambda: engine.inspect("told")["State"]["Status"] == "exited", "its end")
    # Docker's command line cuts the time to whole seconds.
    seen = engine.out("events", "--since", "0", "--until", str(int(time.time()) + 1), "--filter",
                      "container=told", "--format", "{{.Action}}").split("\n")
    equal([action for action in seen if action in ("start", "die")], ["start", "die"] * 2, "events")


@case()
def what_is_refused(engine):
    for policy, piece in (({"Name": "sometimes"}, "unknown policy"),
                          ({"Name": "always", "MaximumRetryCount": 2}, "maximum retry count"),
                          ({"Name": "on-failure", "MaximumRetryCount": -1}, "negative")):
        if ENGINE == "davit":
            answer = engine.api("POST", "/containers/create", {
                "Image": "bb", "HostConfig": {"NetworkMode": "none", "RestartPolicy": policy}})
            equal(answer.status, 400, f"{policy}: {answer.body}")
            contains(answer.message, piece, "reason")
    answer = engine.api("POST", "/containers/create", {
        "Image": "bb", "HostConfig": {"NetworkMode": "none", "AutoRemove": True,
                                      "RestartPolicy": {"Name": "always"}}})
    equal(answer.status, 400, "with --rm")
    contains(answer.message, "AutoRemove", "reason")


def started_again(engine, death):
    """Which containers run in the next daemon's life, after one that ended by `death`."""
    for policy in ("no", "always", "unless-stopped", "on-failure"):
        for kind in ("up", "stopped"):
            engine.docker(*RUN, "--restart", policy, "--name", f"{policy}-{kind}", "bb", "sh", "-c",
                          "trap 'exit 4' TERM; while :; do sleep 0.01; done")
    engine.docker("stop", *(f"{policy}-stopped" for policy in ("no", "always", "unless-stopped", "on-failure")))
    engine.docker("create", "--restart", "always", "--network", "none", "--name", "created", "bb", "true")
    ids = {name: engine.inspect(name)["State"]["Pid"] for name in
           ("no-up", "always-up", "unless-stopped-up", "on-failure-up")}
    death(ids.values())
    engine.start()
    # on-failure: both have ended with a code that is none of success.
    expected = {"always-up", "always-stopped", "unless-stopped-up", "on-failure-up", "on-failure-stopped"}
    eventually(lambda: set(engine.out("ps", "--format", "{{.Names}}").split()) == expected,
               f"{engine.out('ps', '--format', '{{.Names}}')}")
    check(all(up(engine, name) for name in expected), "they run")
    equal(engine.inspect("created")["State"]["Status"], "created", "never started, never started again")
    engine.remove_all()


@case()
def a_daemon_that_was_stopped(engine):
    started_again(engine, lambda _: engine.stop())


@case("davit")
def a_host_that_was_started_again(engine):
    """Daemon and containers have ended at once."""
    def death(pids):
        os.kill(engine.process.pid, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        engine.kill()
    started_again(engine, death)


if __name__ == "__main__":
    main()
