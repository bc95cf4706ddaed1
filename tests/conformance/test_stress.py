"""Many containers, in a row and at once, then not a trace of any.

Goal: what a start takes is given back: processes, mounts, cgroups, namespaces, descriptors, files,
records, memory. DAVIT_CONFORMANCE_RUNS sets how many (issue size: 1000).
"""

import collections
import socket
import threading

from harness import COMMAND_SECONDS, ENGINE, RUNS, case, check, contains, equal, eventually, main

# What the daemon may have grown by after a first batch of the same work.
RESIDENT_GROWTH_KIB_MAX = 4096 if RUNS <= 200 else 8192


def holdings(engine):
    """All that a daemon holds, in countable form."""
    engine.check_clean()
    # dockerd's connections to containerd come and go; only davit's descriptors are counted.
    descriptors = engine.descriptors() if ENGINE == "davit" else []
    return {"descriptors": collections.Counter(descriptors), "records": engine.records()}


def settle(engine, before):
    """Holdings must come back to what they were; some things close a moment later."""

    def same():
        now = holdings(engine)
        return now["records"] == before["records"] and not now["descriptors"] - before["descriptors"]

    try:
        eventually(same, "what was taken is given back")
    except AssertionError as problem:
        now = holdings(engine)
        raise AssertionError(
            f"{problem}: descriptors {now['descriptors'] - before['descriptors']}, "
            f"records {before['records']} -> {now['records']}") from None


def run_api(engine, number):
    body = {"Image": "bb", "Cmd": ["true"],
            "HostConfig": {"NetworkMode": "none", "AutoRemove": True}}
    identity = engine.api("POST", "/containers/create", body).json["Id"]
    equal(engine.api("POST", f"/containers/{identity}/start").status, 204, f"start {number}")
    return identity


@case()
def in_a_row(engine):
    engine.docker("run", "--rm", "--network", "none", "bb", "true")
    before = holdings(engine)
    for number in range(RUNS):
        done = engine.docker("run", "--rm", "--network", "none", "bb", "echo", number)
        equal(done.stdout, f"{number}\n", "output")
    settle(engine, before)


@case()
def at_once(engine):
    before = holdings(engine)
    pending = [engine.spawn("run", "--rm", "--network", "none", "bb", "echo", number)
               for number in range(RUNS)]
    for number, process in enumerate(pending):
        output, errors = process.communicate(timeout=600)
        equal((process.returncode, output), (0, f"{number}\n".encode()), f"run {number}: {errors}")
    settle(engine, before)


@case("davit")
def starts_wait_their_turn(engine):
    """Many more than there are turns: all go well, one of another client does not come last, and one that waits can
    be removed. (Issue size: 1,000.)"""
    def made():
        body = {"Image": "bb", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
        return engine.api("POST", "/containers/create", body).json["Id"]

    def waited(identity):
        return "queue" in [phase["Name"] for phase in engine.inspect(identity)["Davit"]["StartPhases"]]

    before = holdings(engine)
    crowd = [made() for _ in range(max(RUNS, 100))]
    other = made()
    answers = {}

    def start(identity):
        answers[identity] = engine.api("POST", f"/containers/{identity}/start").status

    threads = [threading.Thread(target=start, args=(identity,)) for identity in crowd]
    for thread in threads:
        thread.start()
    engine.docker("rm", "-f", crowd[-1])
    engine.docker("start", other)
    for thread in threads:
        thread.join()
    check(answers.pop(crowd.pop()) in (204, 404, 409), "one that was removed meanwhile")
    equal(set(answers.values()), {204}, "all started")
    check(any(waited(identity) for identity in crowd), "the trace of some shows that they waited")
    began = engine.inspect(other)["State"]["StartedAt"]
    later = [identity for identity in crowd if engine.inspect(identity)["State"]["StartedAt"] > began]
    check(later, "another client's start does not come last")
    for identity in [*crowd, other]:
        equal(engine.api("POST", f"/containers/{identity}/wait").json["StatusCode"], 0, "its exit code")
    engine.docker("rm", *crowd, other)
    settle(engine, before)


@case()
def failing_starts(engine):
    """What fails halfway gives back what it had taken."""
    before = holdings(engine)
    for _ in range(max(RUNS // 10, 5)):
        engine.docker("run", "--rm", "--network", "none", "bb", "no-such-program", status=127)
        engine.docker("run", "--rm", "--network", "none", "-u", "nobody-here", "bb", "true", status=125)
        engine.docker("run", "--rm", "--network", "none", "-w", "/etc/passwd", "bb", "true", status=None)
    settle(engine, before)


@case()
def clients_that_vanish(engine):
    before = holdings(engine)
    for _ in range(max(RUNS // 10, 5)):
        process = engine.spawn("run", "--rm", "--network", "none", "bb", "sleep", "0.2")
        eventually(lambda: engine.api("GET", "/containers/json").json, "it runs")
        process.kill()
        process.communicate()
        eventually(lambda: not engine.api("GET", "/containers/json?all=1").json, "it is removed")
    settle(engine, before)


@case("davit")
def memory_stays(engine):
    for number in range(RUNS):
        run_api(engine, number)
    eventually(lambda: not engine.api("GET", "/containers/json?all=1").json, "all removed", 60)
    before = engine.resident_kib()
    for number in range(2 * RUNS):
        run_api(engine, number)
    eventually(lambda: not engine.api("GET", "/containers/json?all=1").json, "all removed", 60)
    growth = engine.resident_kib() - before
    check(growth < RESIDENT_GROWTH_KIB_MAX, f"grew by {growth} KiB over {2 * RUNS} containers")


@case()
def a_process_tree_dies_with_its_init(engine):
    """Children that fork on while they are killed, too."""
    bomb = "for i in 1 2 3 4 5 6 7 8; do (while :; do (sleep 100 &) ; sleep 0.01; done) & done; sleep 0.5"
    done = engine.docker("run", "--rm", "--network", "none", "--pids-limit", "64", "bb", "sh", "-c", bomb,
                         status=None)
    check(done.returncode in (0, 2), f"it ends: {done.returncode} {done.stderr[:200]}")
    name = engine.out("run", "-d", "--network", "none", "--pids-limit", "64", "bb", "sh", "-c",
                      bomb + "; sleep 1000")
    engine.docker("rm", "-f", name)
    engine.check_clean()


@case()
def attach_streams_come_and_go(engine):
    """Opened and closed while the container writes, at every moment of it. (Issue size: 100,000.)"""
    name = engine.out("run", "-d", "-i", "--name", "spring", "--network", "none", "bb", "sh", "-c",
                      "while :; do echo drop; usleep 1000; done")
    before = collections.Counter(engine.descriptors())
    request = (f"POST /containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n"
               "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n").encode()
    for number in range(5 * RUNS):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(COMMAND_SECONDS)
            stream.connect(engine.socket)
            stream.sendall(request)
            if number % 3:  # Else it is gone before it was answered.
                check(stream.recv(4096).startswith(b"HTTP/1.1 101 "), f"attached, {number}")
            if number % 3 == 2:
                stream.recv(1)
    eventually(lambda: not collections.Counter(engine.descriptors()) - before, "their descriptors are closed")
    contains(engine.out("logs", "--tail", "1", "spring"), "drop", "it was not disturbed")
    engine.docker("rm", "-f", "spring")


@case()
def zombies_are_no_burden(engine):
    """An init that reaps nobody: stop and rm end in bounded time, and nothing is left."""
    name = engine.out("run", "-d", "--network", "none", "--pids-limit", "300", "bb", "sh", "-c",
                      "i=0; while [ $i -lt 200 ]; do (sleep 5 &); i=$((i+1)); done; "
                      "trap '' TERM; exec sleep 1000")
    zombies = ("exec", name, "sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l")
    eventually(lambda: int(engine.out(*zombies)) >= 150, "zombies are there")
    engine.docker("stop", "-t", "1", name)
    engine.docker("rm", name)
    engine.check_clean()


if __name__ == "__main__":
    main()
