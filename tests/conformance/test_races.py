"""Requests that meet: floods, clients that go or never read, start against remove against stop.

Goal: whatever meets whatever, the daemon lives, answers, and no two answers contradict each other.
"""

import contextlib
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import (STOP_SECONDS, Engine, case, check, command_line, contains, equal,
                     eventually, main)

ROUNDS = 30
STUBBORN = "trap '' TERM; touch /go/up; while :; do sleep 0.1; done"


def create(engine, *command, **config):
    body = {"Image": "bb", "Cmd": list(command), "HostConfig": {"NetworkMode": "none"}, **config}
    return engine.api("POST", "/containers/create", body).json["Id"]


def running(engine, name):
    return engine.api("GET", f"/containers/{name}/json").json["State"]["Running"]


@contextlib.contextmanager
def stubborn(engine):
    """A container that ignores SIGTERM, and does so already."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:
        name = engine.out("run", "-d", "--network", "none", "-v", f"{shared}:/go", "bb", "sh", "-c",
                          STUBBORN)
        eventually(pathlib.Path(shared, "up").exists, "it ignores SIGTERM")
        yield name
        engine.docker("rm", "-f", name, status=None)


def together(*calls):
    """Run them at the same time; gives their results."""
    results = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(place, call):
        barrier.wait()
        results[place] = call()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def with_yes(engine, *arguments):
    """yes | docker ARGUMENTS. Gives both processes."""
    source = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    client = subprocess.Popen([command_line(), *arguments], env=engine.environment(),
                              stdin=source.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    source.stdout.close()
    return source, client


@case("davit")
def a_flood_leaves_room_for_others(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "yes")
    path = pathlib.Path(engine.inspect(name)["LogPath"])
    eventually(lambda: path.exists() and path.stat().st_size > 1 << 20, "the flood has begun")
    for _ in range(20):
        begun = time.monotonic()
        equal(engine.api("GET", "/_ping").status, 200, "ping")
        check(time.monotonic() - begun < 5, f"ping took {time.monotonic() - begun:.1f} s")
    engine.docker("rm", "-f", name)


@case("davit")
def two_clients_with_input(engine):
    name = create(engine, "sleep", "1000", OpenStdin=True)
    equal(engine.api("POST", f"/containers/{name}/start").status, 204, "start")
    pairs = [with_yes(engine, "attach", name) for _ in range(2)]
    try:
        for _ in range(20):
            equal(engine.api("GET", "/_ping").status, 200, "the daemon lives")
            check(engine.process.poll() is None, "the daemon lives")
            time.sleep(0.05)  # Nothing says that both are blocked: give them a second for it.
    finally:
        for process in (process for pair in pairs for process in pair):
            process.kill()
            process.wait()
    engine.docker("rm", "-f", name)


@case("davit")
def start_against_remove(engine):
    for number in range(ROUNDS):
        name = create(engine, "sleep", "1000")
        start, remove = (answer.status for answer in together(
            lambda: engine.api("POST", f"/containers/{name}/start"),
            lambda: engine.api("DELETE", f"/containers/{name}")))
        check((start, remove) != (204, 204), f"round {number}: both succeed")
        if start == 204:
            check(running(engine, name), f"round {number}: started, so it runs")
            engine.api("DELETE", f"/containers/{name}?force=1")


@case("davit")
def a_signal_while_it_starts(engine):
    """It comes to a container that runs by then, or is refused before it begins; it is not lost in between."""
    killed = 0
    for number in range(ROUNDS):
        name = create(engine, "sleep", "1000")

        def kill(delay=number % 10 / 1000):
            time.sleep(delay)  # To vary the moment.
            return engine.api("POST", f"/containers/{name}/kill").status

        start, kill = (answer.status if hasattr(answer, "status") else answer for answer in together(
            lambda: engine.api("POST", f"/containers/{name}/start"), kill))
        equal(start, 204, f"round {number}: it starts")
        check(kill in (204, 409), f"round {number}: the signal: {kill}")
        if kill == 204:
            eventually(lambda: not running(engine, name), f"round {number}: it has ended")
            code = engine.api("GET", f"/containers/{name}/json").json["State"]["ExitCode"]
            equal(code, 137, f"round {number}: of that signal")
            killed += 1
        else:
            check(running(engine, name), f"round {number}: it runs")
        engine.api("DELETE", f"/containers/{name}?force=1")
    check(killed > 0, "some came while it started, or after")


def ended(engine):
    name = create(engine, "true")
    equal(engine.api("POST", f"/containers/{name}/start").status, 204, "start")
    while running(engine, name):
        pass
    return name


@case("davit")
def what_has_ended_can_be_removed_and_started(engine):
    """An inspect that says "not running" is a promise to the next request."""
    for number in range(ROUNDS):
        name = ended(engine)
        equal(engine.api("DELETE", f"/containers/{name}").status, 204, f"remove, round {number}")
        name = ended(engine)
        equal(engine.api("POST", f"/containers/{name}/start").status, 204, f"start, round {number}")
        engine.api("DELETE", f"/containers/{name}?force=1")


@case("davit")
def input_for_nobody(engine):
    for number in range(20):
        source, client = with_yes(engine, "run", "-i", "--rm", "--network", "none", "bb", "true")
        try:
            _, error = client.communicate(timeout=60)
        finally:
            source.kill()
            source.wait()
            client.kill()
        equal((client.returncode, error), (0, b""), f"round {number}")


@case("davit")
def a_client_that_never_reads(engine):
    name = create(engine, "sh", "-c", "head -c 10000000 /dev/zero; sleep 1000")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(engine.socket)
        stream.sendall(f"POST /containers/{name}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
                       "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        check(stream.recv(12).startswith(b"HTTP/1.1 101"), "attached")
        equal(engine.api("POST", f"/containers/{name}/start").status, 204, "start")
        path = pathlib.Path(engine.inspect(name)["LogPath"])
        eventually(lambda: path.exists() and path.stat().st_size > 100_000, "it writes")
        begun = time.monotonic()
        engine.docker("rm", "-f", name)
        check(time.monotonic() - begun < 20, "the removal does not wait for the client")


@case("davit")
def a_stop_whose_client_goes(engine):
    with stubborn(engine) as name:
        stopping = engine.spawn("stop", "-t", "2", name)
        time.sleep(0.5)  # The request has been taken; nothing tells.
        stopping.send_signal(signal.SIGKILL)
        stopping.communicate()
        eventually(lambda: not running(engine, name), "it is stopped all the same", 10)


@case("davit")
def a_run_directory_of_another_daemon(engine):
    name = engine.out("run", "-d", "--rm", "--network", "none", "bb", "sleep", "1000")
    second = Engine(engine.directory / "second")
    second.run_dir = engine.run_dir
    with subprocess.Popen(second.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        try:
            text, _ = process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            text = b""
        finally:
            process.kill()
    check(running(engine, name), "the first one's container runs on")
    check(process.returncode not in (0, -signal.SIGKILL), "the second refuses")
    contains(text.decode(), str(engine.run_dir), "and says which directory")
    engine.docker("rm", "-f", name)


@case("davit")
def a_forced_remove_overtakes_a_stop(engine):
    with stubborn(engine) as name:
        stopping = engine.spawn("stop", "-t", "8", name)
        time.sleep(0.5)  # The request has been taken; nothing tells.
        begun = time.monotonic()
        engine.docker("rm", "-f", name)
        took = time.monotonic() - begun
        stopping.communicate()
        check(took < 4, f"it took {took:.1f} s")


if __name__ == "__main__":
    main()
