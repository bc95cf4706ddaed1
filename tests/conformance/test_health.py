"""Health checks: what is run and when, what it makes of a container, and who is told.

Goal: HEALTHCHECK of the image and the --health-* flags work as with Docker: states, log, events, list,
filter; checks stop with the container, and leave nothing. Method: short intervals and checks that look
at a file.
"""

import contextlib
import json
import threading
import time

from harness import CLI, ENGINE, case, check, contains, equal, eventually, main, matches, query

FAST = ("--health-interval", "100ms", "--health-timeout", "5s", "--health-retries", "2")


def health(engine, name):
    return engine.inspect(name)["State"].get("Health")


def status_is(engine, name, status):
    return eventually(lambda: (health(engine, name) or {}).get("Status") == status and health(engine, name),
                      f"{name} becomes {status}")


@contextlib.contextmanager
def container(engine, *options, script="exec sleep 1000", name="hc"):
    engine.docker("rm", "-f", name, status=None)
    engine.docker("run", "-d", "--name", name, "--network", "none", *options, "bb", "sh", "-c", script)
    try:
        yield name
    finally:
        engine.docker("rm", "-f", name)


def actions(engine, name, since):
    lines = engine.api("GET", "/events?" + query(since=since, until=str(time.time() + 0.01),
                                                 filters={"container": [name]})).body.splitlines()
    return [json.loads(line) for line in lines]


@case()
def healthy_unhealthy_and_back(engine):
    since = str(time.time())
    with container(engine, *FAST, "--health-cmd", "cat /fine && echo yes || { echo no; exit 7; }") as name:
        ill = status_is(engine, name, "unhealthy")
        check(ill["FailingStreak"] >= 2, "streak")
        entry = ill["Log"][-1]
        equal(entry["ExitCode"], 7, "exit code")
        contains(entry["Output"], "no\n", "output")
        check(entry["Start"] < entry["End"], "times")
        matches(engine.out("ps", "--format", "{{.Status}}"), r"^Up .* \(unhealthy\)$", "ps")
        engine.docker("exec", name, "touch", "/fine")
        well = status_is(engine, name, "healthy")
        equal((well["FailingStreak"], well["Log"][-1]["ExitCode"], well["Log"][-1]["Output"]), (0, 0, "yes\n"), "well")
        matches(engine.out("ps", "--format", "{{.Status}}"), r"^Up .* \(healthy\)$", "ps")
        equal(engine.out("ps", "-q", "--no-trunc", "--filter", "health=healthy"), engine.inspect(name)["Id"], "filter")
        equal(engine.out("ps", "-q", "--filter", "health=unhealthy"), "", "filter")
        engine.docker("exec", name, "rm", "/fine")
        status_is(engine, name, "unhealthy")
        eventually(lambda: len(health(engine, name)["Log"]) == 5, "five are kept")
        told = actions(engine, name, since)
        equal([event["Action"] for event in told if event["Action"].startswith("health_status")],
              ["health_status: unhealthy", "health_status: healthy", "health_status: unhealthy"], "events")
        execs = [event["Action"].split(":")[0] for event in told if event["Action"].startswith("exec_")]
        equal(set(execs), {"exec_create", "exec_start", "exec_die"}, "as every exec")
        command = next(event["Action"] for event in told if event["Action"].startswith("exec_create"))
        contains(command, "exec_create: /bin/sh -c cat /fine", "in words")


@case()
def before_the_first_check_it_is_starting(engine):
    with container(engine, "--health-cmd", "true", "--health-interval", "1h") as name:
        equal(health(engine, name), {"Status": "starting", "FailingStreak": 0, "Log": []}, "inspect")
        matches(engine.out("ps", "--format", "{{.Status}}"), r"^Up .* \(health: starting\)$", "ps")
        equal(engine.out("ps", "-q", "--filter", "health=starting") != "", True, "filter")
    with container(engine) as name:
        equal(health(engine, name), None, "without a check there is none")
        equal(engine.out("ps", "-q", "--filter", "health=none") != "", True, "filter")


@case()
def the_image_says_what_is_checked(engine):
    engine.docker("create", "--name", "base", "--network", "none", "bb", "true")
    for change, words in (('HEALTHCHECK --interval=100ms --retries=1 CMD ["cat", "/none"]', "cat: can't open"),
                          ("HEALTHCHECK --interval=100ms --retries=1 CMD echo shell $((1+1)) && false", "shell 2")):
        engine.docker("commit", "-c", change, "base", "checked:1")
        for options, expected in (((), "unhealthy"), (("--health-cmd", "true"), "healthy")):
            engine.docker("run", "-d", "--name", "hc", "--network", "none", *options, "checked:1", "sleep", "1000")
            found = status_is(engine, "hc", expected)
            if not options:
                contains(found["Log"][-1]["Output"], words, "output")
            engine.docker("rm", "-f", "hc")
        engine.docker("run", "-d", "--name", "hc", "--network", "none", "--no-healthcheck", "checked:1", "sleep", "1000")
        equal(health(engine, "hc"), None, "switched off")
        equal(engine.inspect("hc")["Config"]["Healthcheck"]["Test"], ["NONE"], "Config")
        engine.docker("rm", "-f", "hc")
        engine.docker("rmi", "checked:1")
    engine.docker("rm", "base")


@case()
def a_check_that_takes_too_long(engine):
    options = ("--health-interval", "100ms", "--health-timeout", "300ms", "--health-retries", "1")
    with container(engine, *options, "--health-cmd", "echo working; exec sleep 1000") as name:
        found = status_is(engine, name, "unhealthy")
        equal(found["Log"][-1]["ExitCode"], -1, "exit code")
        told = "Health check exceeded timeout (300ms)" + (": working\n" if ENGINE == "davit" else "")
        equal(found["Log"][-1]["Output"], told, "output")
        eventually(lambda: len(health(engine, name)["Log"]) >= 2, "the next one comes")
        check(engine.out("exec", name, "sh", "-c", "ps | grep -c '[s]leep 1000'") in ("1", "2"), "they do not pile up")


@case()
def a_command_that_is_not_there(engine):
    body = {"Image": "bb", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"},
            "Healthcheck": {"Test": ["CMD", "no-such-command"], "Interval": 100_000_000, "Retries": 1}}
    equal(engine.api("POST", "/containers/create?name=hc", body).status, 201, "created")
    engine.docker("start", "hc")
    found = status_is(engine, "hc", "unhealthy")
    contains(found["Log"][-1]["Output"], "executable file not found in $PATH", "told")
    engine.docker("rm", "-f", "hc")


@case()
def long_output_is_cut(engine):
    with container(engine, *FAST, "--health-cmd", "head -c 5000 /dev/zero | tr '\\0' x") as name:
        found = status_is(engine, name, "healthy")
        equal(found["Log"][-1]["Output"], "x" * 4096 + "...", "4096 bytes")


@case("davit")  # Docker 20 knows no start interval.
def the_start_period_forgives(engine):
    options = ("--health-interval", "1h", "--health-retries", "1", "--health-start-period", "1h",
               "--health-start-interval", "100ms")
    with container(engine, *options, "--health-cmd", "test -e /fine") as name:
        eventually(lambda: len(health(engine, name)["Log"]) >= 3, "checks come at the start interval")
        found = health(engine, name)
        equal((found["Status"], found["FailingStreak"]), ("starting", 0), "failures do not count")
        engine.docker("exec", name, "touch", "/fine")
        status_is(engine, name, "healthy")


@case()
def it_runs_as_the_container_does(engine):
    with container(engine, *FAST, "--user", "1000:2000", "-w", "/tmp", "-e", "WORD=said",
                   "--health-cmd", "echo $(id -u):$(id -g) $PWD $WORD") as name:
        found = status_is(engine, name, "healthy")
        equal(found["Log"][-1]["Output"], "1000:2000 /tmp said\n", "user, directory, environment")


@case()
def checks_end_with_the_container(engine):
    with container(engine, *FAST, "--health-cmd", "true") as name:
        status_is(engine, name, "healthy")
        engine.docker("kill", name)
        equal(engine.inspect(name)["State"]["Running"], False, "it has ended")
        since = str(time.time())
        kept = health(engine, name)
        equal(kept["Status"], "unhealthy", "nobody looks any more")
        time.sleep(0.5)
        equal([event["Action"] for event in actions(engine, name, since)], [], "no check any more")
        engine.docker("start", name)
        status_is(engine, name, "healthy")
    # While one runs.
    with container(engine, *FAST, "--health-cmd", "sleep 1000") as name:
        eventually(lambda: engine.inspect(name)["ExecIDs"], "a check runs")
        done = threading.Thread(target=lambda: engine.docker("kill", name))
        done.start()
        done.join()
        eventually(lambda: engine.inspect(name)["ExecIDs"] is None, "and ends")


@case("davit")
def health_survives_in_the_record(engine):
    with container(engine, *FAST, "--health-cmd", "echo once") as name:
        status_is(engine, name, "healthy")
        engine.docker("kill", name)
        before = health(engine, name)
        engine.kill()
        engine.start()
        equal(health(engine, name), before, "after the daemon's death")


if __name__ == "__main__":
    check(CLI in ("docker", "davit"), "a command line")
    main()
