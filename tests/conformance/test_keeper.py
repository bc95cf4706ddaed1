"""The keeper: a daemon that dies, or is replaced, under containers that run.

Goal: nothing is lost by it: no container, no line of output, no exit code; and nothing is left over.
Method: engines as a user starts them, with a keeper; the daemon below it is killed by its pid. What
happens while no daemon runs is made to happen by stopping the keeper (SIGSTOP) meanwhile.
"""

import contextlib
import errno
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time
from http.client import HTTPException

from kept import KeptEngine
from network_support import HOST, Remote, bind_error, child_cgroup, http, links, run

from harness import (DAVIT, RUNS, Skip, case, cgroup_tree_remove, check, contains, equal, eventually,
                     import_busybox, main)

RUN = ("run", "--network", "none")


@contextlib.contextmanager
def engine_in(directory, name, options=()):
    engine = KeptEngine(directory / name)
    engine.options = list(options)
    try:
        engine.start()
        import_busybox(engine)
        yield engine
        engine.remove_all()
        engine.check_clean()
    finally:
        if engine.process is not None:
            engine.stop()
        cgroup_tree_remove(engine.cgroup_parent)


def running(engine, name):
    return engine.inspect(name)["State"]["Running"]


def exit_code(engine, name):
    return int(engine.out("wait", name))


def numbers(text):
    return [int(line) for line in text.split()]


@case("davit")
def a_detached_container_goes_on(directory):
    with engine_in(directory, "detached") as engine:
        engine.docker(*RUN, "-d", "--name", "box", "bb", "sh", "-c",
                      "trap 'echo end; exit 7' TERM; i=0; while :; do echo $i; i=$((i+1)); usleep 2000; done")
        pid = engine.inspect("box")["State"]["Pid"]
        started = engine.inspect("box")["State"]["StartedAt"]
        for _ in range(5):
            seen = len(engine.out("logs", "box").split())
            eventually(lambda n=seen: len(engine.out("logs", "box").split()) > n, "it writes on")
            engine.crash()
            state = engine.inspect("box")["State"]
            equal((state["Running"], state["Pid"], state["StartedAt"]), (True, pid, started), "its state")
        equal(engine.out("exec", "box", "echo", "x"), "x", "exec")
        equal(engine.out("ps", "--format", "{{.Names}}"), "box", "ps")
        follower = engine.spawn("logs", "-f", "--tail", "1", "box")
        engine.docker("stop", "box")
        contains(follower.communicate()[0].decode(), "end", "followed to its end")
        equal(exit_code(engine, "box"), 7, "exit code")
        lines = engine.out("logs", "box").split()
        equal(lines[-1], "end", "the last line")
        equal(numbers(" ".join(lines[:-1])), list(range(len(lines) - 1)), "every line, once")
        engine.docker("start", "box")
        check(running(engine, "box"), "it can be started again")


@case("davit")
def containers_in_one_pid_namespace_go_on(directory):
    with engine_in(directory, "joined") as engine:
        engine.docker(*RUN, "-d", "--name", "donor", "--ipc", "shareable", "bb", "sleep", "1000")
        for name in ("first", "second"):
            engine.docker(*RUN, "-d", "--name", name, "--pid", "container:donor", "--ipc",
                          "container:donor", "bb", "sh", "-c",
                          "trap 'echo end; exit 7' TERM; setsid sleep 3000 & while :; do sleep 0.05; done")
        engine.crash()
        for name in ("first", "second"):
            equal(running(engine, name), True, name)
            contains(engine.out("exec", name, "ps"), "sleep 1000")
        engine.docker("stop", "first")
        equal((exit_code(engine, "first"), engine.out("logs", "first")), (7, "end"), "its own end")
        equal(running(engine, "donor"), True, "the donor goes on")
        equal(len(re.findall(r"(?m) sleep 3000$", engine.out("exec", "donor", "ps"))), 1, "the other's is left")
        donor = engine.inspect("donor")["State"]["Pid"]
        with engine.no_daemon():
            os.kill(donor, signal.SIGKILL)
        equal((exit_code(engine, "donor"), exit_code(engine, "second")), (137, 137), "both ended with it")
        engine.docker("start", "donor", "second")
        equal(running(engine, "second"), True, "again")


@case("davit")
def what_it_writes_as_fast_as_it_can(directory):
    """Standard output and error, longer than any pipe; the daemon is killed wherever it happens to be."""
    with engine_in(directory, "fast") as engine:
        count = 400_000
        script = "(i=0; while [ $i -lt %d ]; do echo $i; i=$((i+1)); done)"
        script = f"{script % (count // 10)} >&2 & {script % count}; wait"
        engine.docker(*RUN, "-d", "--name", "box", "bb", "sh", "-c", script)
        crashes = 0
        while running(engine, "box") and crashes < 40:
            time.sleep(random.random() / 30)  # To vary the moment.
            engine.crash()
            crashes += 1
        equal(exit_code(engine, "box"), 0, "exit code")
        done = engine.docker("logs", "box")
        check(numbers(done.stdout) == list(range(count)), "every line of standard output, once, in order")
        check(numbers(done.stderr) == list(range(count // 10)), "every line of standard error")
        check(crashes > 2, f"the daemon was killed meanwhile: {crashes}")


@case("davit")
def a_log_that_is_being_compressed(directory):
    """Killed while files are packed: none is lost or there twice, and the next daemon packs the rest."""
    with engine_in(directory, "packed") as engine:
        count = 120_000
        engine.docker(*RUN, "-d", "--name", "box", "--log-opt", "max-size=500k", "--log-opt", "max-file=90",
                      "--log-opt", "compress=true", "bb", "sh", "-c",
                      f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done")
        for _ in range(8):
            time.sleep(random.random() / 30)  # To vary the moment.
            engine.crash()
        equal(exit_code(engine, "box"), 0, "exit code")
        check(numbers(engine.out("logs", "box")) == list(range(count)), "every line, once, in order")
        path = pathlib.Path(engine.inspect("box")["LogPath"])

        def rotated(*, packed):
            return [found for found in path.parent.glob(path.name + ".*") if (found.suffix == ".gz") == packed]

        eventually(lambda: not rotated(packed=False), "all are compressed")
        check(len(rotated(packed=True)) > 5, f"there are some: {rotated(packed=True)}")
        check(numbers(engine.out("logs", "box")) == list(range(count)), "and read as before")


@case("davit")
def a_syslog_server_gets_the_rest(directory):
    """The next daemon connects to it anew."""
    with socket.create_server(("127.0.0.1", 0)) as server, engine_in(directory, "syslog") as engine:
        server.settimeout(60)
        engine.docker(*RUN, "-d", "--name", "box", "--log-driver", "syslog", "--log-opt",
                      f"syslog-address=tcp://127.0.0.1:{server.getsockname()[1]}", "bb", "sh", "-c",
                      "i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done")
        with server.accept()[0] as first:
            engine.crash()
            first.settimeout(60)
            while first.recv(65536):
                pass
        with server.accept()[0] as second:
            second.settimeout(60)
            contains(second.recv(65536).decode(), "]: ", "a record of the next daemon's")
        engine.docker("rm", "-f", "box")


@case("davit")
def a_line_without_its_end(directory):
    """What the daemon holds back until a line is complete."""
    with engine_in(directory, "partial") as engine:
        engine.docker(*RUN, "-d", "-i", "--name", "box", "bb", "sh", "-c",
                      "printf half; read x; echo -$x; read x; printf last")
        for word in ("one", "two"):
            engine.crash()
            feeder = subprocess.Popen(["docker", "attach", "--sig-proxy=false", "box"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, env=engine.environment())
            feeder.stdin.write(word.encode() + b"\n")
            feeder.stdin.flush()
            eventually(lambda: "half-one" in engine.out("logs", "box"), "the line is complete")
            if word == "one":
                feeder.kill()
            feeder.communicate()
        equal(exit_code(engine, "box"), 0, "exit code")
        equal(engine.out("logs", "box"), "half-one\nlast", "log")


@case("davit")
def a_terminal(directory):
    with engine_in(directory, "tty") as engine:
        engine.docker(*RUN, "-dit", "--name", "box", "bb", "sh")
        engine.crash()
        connection = engine.spawn("attach", "--detach-keys", "ctrl-x", "--no-stdin", "box")
        eventually(lambda: "attach" in engine.out("events", "--since", "0", "--until", "0s", "--format",
                                                  "{{.Action}}").split("\n"), "it is attached")
        equal(engine.api("POST", "/containers/box/resize?h=33&w=77").status, 200, "resize")
        answer = engine.raw(b"POST /containers/box/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\n"
                            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nstty size; exit 5\n", half_close=True)
        contains(answer.decode(), "101 UPGRADED", "attach")
        equal(exit_code(engine, "box"), 5, "exit code")
        contains(connection.communicate()[0].decode(), "33 77", "who was attached sees it")
        contains(engine.out("logs", "box"), "33 77", "so does the log")


@case("davit")
def exits_that_nobody_saw(directory):
    with engine_in(directory, "exits") as engine:
        events = engine.out("info", "--format", "{{.SystemTime}}")
        engine.docker(*RUN, "-d", "--name", "code", "bb", "sh", "-c", "trap 'echo bye; exit 9' TERM; "
                      "echo ready; while :; do usleep 1000; done")
        engine.docker(*RUN, "-d", "--name", "signal", "bb", "sleep", "1000")
        engine.docker(*RUN, "-d", "--rm", "--name", "gone", "bb", "sleep", "1000")
        eventually(lambda: "ready" in engine.out("logs", "code"), "it has set its trap")
        states = {name: engine.inspect(name)["State"] for name in ("code", "signal", "gone")}
        with engine.no_daemon():
            os.kill(states["code"]["Pid"], signal.SIGTERM)
            for name in ("signal", "gone"):
                os.kill(states[name]["Pid"], signal.SIGKILL)
            for state in states.values():
                status = pathlib.Path(f"/proc/{state['Pid']}/status")
                eventually(lambda path=status: "State:\tZ" in path.read_text(), "it has ended")
            ended = time.time_ns()
        equal(exit_code(engine, "code"), 9, "exit code")
        equal(exit_code(engine, "signal"), 137, "killed")
        equal(engine.out("logs", "code"), "ready\nbye", "log")
        for name in ("code", "signal"):
            state = engine.inspect(name)["State"]
            equal((state["Status"], state["Error"]), ("exited", ""), "its state")
            check(state["FinishedAt"] > states[name]["StartedAt"], f"{ended}: {state}")
        eventually(lambda: "gone" not in engine.out("ps", "-a"), "--rm")
        seen = engine.out("events", "--since", events, "--until", str(int(time.time()) + 1), "--format",
                          "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}").split("\n")
        for line in ("die code 9", "die signal 137", "die gone 137"):
            check(line in seen, f"event {line}: {seen}")


@case("davit")
def events_of_three_daemons(directory):
    """Who asks for events since a time gets those of the daemons before this one, and what happened between."""
    with engine_in(directory, "events") as engine:
        since = time.time()
        engine.docker(*RUN, "-d", "--name", "box", "bb", "sleep", "1000")
        engine.crash()
        engine.docker("rename", "box", "other")
        engine.docker("kill", "other")
        engine.docker("wait", "other")
        engine.crash()
        engine.docker("rm", "other")
        seen = engine.out("events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}",
                          "--filter", "type=container", "--format", "{{.Action}}").split()
        equal(seen, ["create", "start", "rename", "kill", "die", "destroy"], "in order, each once")


@case("davit")
def attached_and_removed(directory):
    """A client that is attached loses its connection; its container goes on, and goes as it was to."""
    with engine_in(directory, "attached") as engine:
        client = engine.spawn(*RUN, "--rm", "--name", "box", "bb", "sh", "-c",
                              "echo begun; while [ ! -e /end ]; do usleep 10000; done")
        equal(client.stdout.readline(), b"begun\n", "it runs")
        engine.crash()
        client.communicate()
        check(client.returncode != 0, "the client learns that it was left")
        check(running(engine, "box"), "it goes on")
        engine.docker("exec", "box", "touch", "/end")
        eventually(lambda: not engine.out("ps", "-aq"), "removed")


@case("davit")
def the_keeper_dies_as_well(directory):
    with engine_in(directory, "both") as engine:
        engine.docker(*RUN, "-d", "--name", "box", "bb", "sh", "-c", "echo kept; exec sleep 1000")
        eventually(lambda: "kept" in engine.out("logs", "box"), "it runs")
        pid = engine.inspect("box")["State"]["Pid"]
        daemon = engine.daemon()
        engine.process.send_signal(signal.SIGSTOP)
        os.kill(daemon, signal.SIGKILL)
        engine.kill()
        engine.start()
        state = engine.inspect("box")["State"]
        equal((state["Running"], state["Pid"]), (True, pid), "found by its cgroup")
        equal(engine.out("logs", "box"), "kept", "its log")
        equal(engine.out("exec", "box", "echo", "x"), "x", "exec")
        engine.docker("kill", "box")
        code = exit_code(engine, "box")
        check(code in (137, 255), f"what can be known of its end: {code}")
        if code == 255:
            contains(engine.inspect("box")["State"]["Error"], "not known", "and it is said")
        engine.docker("start", "box")
        check(running(engine, "box"), "it starts again")


@case("davit")
def a_host_that_was_started_again(directory):
    """No process, no cgroup and no run directory is left of it."""
    with engine_in(directory, "boot") as engine:
        engine.docker(*RUN, "-d", "--name", "box", "bb", "sleep", "1000")
        engine.docker(*RUN, "-d", "--rm", "--name", "once", "bb", "sleep", "1000")
        pids = [engine.inspect(name)["State"]["Pid"] for name in ("box", "once")]
        ids = [engine.inspect(name)["Id"] for name in ("box", "once")]
        daemon = engine.daemon()
        engine.process.send_signal(signal.SIGSTOP)
        os.kill(daemon, signal.SIGKILL)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        engine.kill()
        eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all processes end")
        subprocess.run(["rm", "-rf", str(engine.run_dir)], check=True)
        for cgroup in {found.resolve() for name in ids for pattern in ("davit", "*/davit")
                       for found in pathlib.Path("/sys/fs/cgroup").glob(f"{pattern}/{name}")}:
            cgroup.rmdir()
        engine.start()
        state = engine.inspect("box")["State"]
        equal((state["Status"], state["ExitCode"], state["Pid"]), ("exited", 255, 0), "as Docker")
        equal(engine.out("ps", "-a", "--format", "{{.Names}}"), "box", "with --rm it is gone")


@case("davit")
def an_upgrade(directory):
    with engine_in(directory, "upgrade") as engine:
        engine.docker(*RUN, "-d", "--name", "box", "bb", "sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo $i; "
                      "i=$((i+1)); usleep 100; done; exit 3")
        for _ in range(3):
            before = engine.daemon()
            done = subprocess.run([DAVIT, "daemon", "--upgrade", "--run-dir", str(engine.run_dir)],
                                  capture_output=True, text=True, check=False)
            equal((done.returncode, done.stderr), (0, ""), "davit daemon --upgrade")
            engine.another_daemon(before)
        equal(exit_code(engine, "box"), 3, "exit code")
        equal(numbers(engine.out("logs", "box")), list(range(3000)), "log")
        check("started again" not in engine.log_tail(), "no daemon has crashed")


@case("davit")
def a_start_that_was_not_answered(directory):
    """Killed at moments spread over starts: what runs is known, and what is not known does not run."""
    with engine_in(directory, "starts") as engine:
        random.seed(4)
        for _ in range(min(RUNS, 12)):
            starts = [engine.spawn(*RUN, "-d", "--label", "k=v", "bb", "sleep", "1000") for _ in range(4)]
            time.sleep(random.random() / 20)  # Not to wait for anything: to vary the moment.
            engine.crash()
            answered = {start.communicate()[0].decode().strip() for start in starts
                        if start.wait() == 0}
            up = set(engine.out("ps", "-q", "--no-trunc").split())
            check(answered <= up, "what was answered runs")
            for name in up:
                check(os.path.exists(f"/proc/{engine.inspect(name)['State']['Pid']}"), "it really runs")
            engine.remove_all()
            engine.check_clean()


@case("davit")
def the_daemon_is_ended_with_its_keeper(directory):
    with engine_in(directory, "end") as engine:
        engine.docker(*RUN, "-d", "--name", "box", "--stop-timeout", "1", "bb", "sleep", "1000")
        engine.crash()
        pid, daemon = engine.inspect("box")["State"]["Pid"], engine.daemon()
        engine.stop()
        check(not os.path.exists(f"/proc/{pid}"), "containers are stopped")
        check(not os.path.exists(f"/proc/{daemon}"), "the daemon is")
        engine.start()
        equal(engine.inspect("box")["State"]["ExitCode"], 137, "its exit code")


@case("davit")
def a_keeper_is_small(directory):
    with engine_in(directory, "small") as engine:
        for number in range(20):
            engine.docker(*RUN, "-d", "bb", "sleep", "1000")
        check(engine.resident_kib() < 512, f"it takes {engine.resident_kib()} KiB")
        held = os.listdir(f"/proc/{engine.process.pid}/fd")
        check(len(held) > 60, f"it holds the containers: {len(held)}")


@case("davit")
def a_command_line_that_is_wrong(directory):
    """There is nothing to keep: the keeper ends as the daemon does."""
    done = subprocess.run([DAVIT, "daemon", "--data-root", "/proc/none", "--run-dir", str(directory / "r")],
                          capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 1, "exit status")
    contains(done.stderr, "/proc/none", "and it says why")


@contextlib.contextmanager
def echo_through(address, port):
    """A connection that stays: what is called says whether it still carries anything."""
    with socket.create_connection((address, port), 10) as stream:

        def answers(word):
            stream.sendall(word)
            return stream.recv(100) == word

        yield answers


@case("davit")
def its_network_goes_on(directory):
    """Port, address and names of a container while no daemon runs, and with the next one."""
    with contextlib.ExitStack() as stack:
        remote = Remote()
        stack.callback(remote.close)
        cgroup = stack.enter_context(child_cgroup())
        options = ["--network-cgroup", cgroup, "--cgroup-parent", cgroup + "/davit"]
        engine = stack.enter_context(engine_in(directory, "network", options))
        engine.out("network", "create", "front")
        serve = "mkdir /www; hostname > /www/index.html; httpd -p 80 -h /www; exec nc -ll -p 81 -e cat"
        for name, published in (("web", ("-p", "8900:80", "-p", "8901:81")), ("other", ())):
            engine.out("run", "-d", "--name", name, "--hostname", name, "--network", "front", *published,
                       "bb", "sh", "-c", serve)
        other = engine.inspect("other")["State"]["Pid"]
        address = engine.inspect("web")["NetworkSettings"]["Networks"]["front"]["IPAddress"]
        inside = ("nsenter", "--target", str(other), "--net")
        eventually(lambda: http(address, 80) == f"web {address}:80", "it serves")
        settings = engine.inspect("web")["NetworkSettings"]

        def served():
            equal(http(HOST, 8900, enter=remote.enter()), f"web {HOST}:8900", "from outside")
            equal(http("127.0.0.1", 8900), "web 127.0.0.1:8900", "from the host")
            equal(http("127.0.0.1", 8900, source="127.0.0.1"), "web 127.0.0.1:8900", "bound to loopback")
            equal(http(address, 80, enter=inside), f"web {address}:80", "from its neighbour")
            equal(bind_error("0.0.0.0", 8900), errno.EADDRINUSE, "the port is reserved")

        served()
        with echo_through("127.0.0.1", 8901) as answers:
            check(answers(b"before"), "a connection")
            with engine.no_daemon():
                check(answers(b"meanwhile"), "it is kept")
                served()
            for word in (b"after", b"later"):
                check(answers(word), "it is kept by the next daemon")
                served()
                equal(engine.inspect("web")["NetworkSettings"], settings, "what inspect says")
                equal(engine.out("exec", "other", "wget", "-qO-", "http://web/"), "web", "its name")
                engine.crash()
        clash = engine.docker("run", "-p", "8900:80", "bb", "true", status=125)
        contains(clash.stderr, "Bind for 0.0.0.0:8900 failed: port is already allocated", "its port")
        engine.out("run", "-d", "--name", "third", "--network", "front", "bb", "sleep", "1000")
        check(f"{address}/" not in engine.out("exec", "third", "ip", "addr"), "its address")
        contains(engine.docker("network", "rm", "front", status=1).stderr, "has active endpoints", "its network")

        with engine.no_daemon():
            os.kill(other, signal.SIGKILL)
        eventually(lambda: not running(engine, "other"), "an end that nobody saw")
        engine.out("start", "other")
        equal(engine.out("exec", "other", "wget", "-qO-", "http://web/"), "web", "it starts again")

        engine.out("rm", "-f", "web")
        equal(bind_error("0.0.0.0", 8900), None, "its port is free")
        contains(http(HOST, 8900, enter=remote.enter()), "error", "nobody serves")
        engine.remove_all()
        eventually(lambda: len([name for name in links() if name.startswith("dve")])
                   <= len(engine.warm_sandboxes()), f"{links()}")
        engine.out("network", "rm", "front")
        check(str(engine.run_dir / "bpf") in pathlib.Path("/proc/self/mountinfo").read_text(), "pins")
        engine.stop()
        equal(sorted(links()), ["lo", "up0"], "links")
        for link in ("lo", "up0"):
            check("clsact" not in run("tc", "qdisc", "show", "dev", link), f"what was put on {link}")
        check(str(engine.run_dir / "bpf") not in pathlib.Path("/proc/self/mountinfo").read_text(), "no pin")
        engine.start()


class Load:
    """Clients that meanwhile do what CI does. What they were promised is checked by them, what they were
    not is only made to be gone."""

    def __init__(self, engine):
        self.engine = engine
        self.stopping = threading.Event()
        self.broken = []  # Promises.
        self.kept = 0
        self.threads = [threading.Thread(target=self._work, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number):
        turn = 0
        try:
            while not self.stopping.is_set():
                turn += 1
                sort = random.randrange(4)
                if sort == 0:
                    self.engine.docker(*RUN, "--rm", "bb", "sh", "-c", "seq 1 1000; exit 3", status=None)
                elif sort == 1:
                    self.engine.docker(*RUN, "-dt", "--name", f"w{number}", "bb", "seq", "1", "300", status=None)
                    self.engine.docker("rm", "-f", f"w{number}", status=None)
                elif sort == 2:
                    self.engine.docker("exec", "kept", "true", status=None)
                else:
                    self._detached(f"d{number}-{turn}", 1 + turn % 200)
        except Exception as problem:  # A thread's end would not be noticed.
            self.broken.append(repr(problem))

    def _detached(self, name, code):
        """A start that was answered: its exit code and its lines are there when it has ended."""
        script = f"seq 1 200; usleep {random.randrange(200_000)}; seq 201 300; exit {code}"
        body = {"Image": "bb", "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}}
        self._until(lambda: self._status("POST", f"/containers/create?name={name}", body) in (201, 409), name)
        if self._status("POST", f"/containers/{name}/start") == 204:
            state = self._until(lambda: self._ended(name), f"{name} ends")
            if state["ExitCode"] != code:
                self.broken.append(f"{name} ended with {state['ExitCode']} instead of {code}")
            log = self._until(lambda: self._asked("GET", f"/containers/{name}/logs?stdout=1"), f"the log of {name}")
            lines = unframed(log.body)
            if lines != list(range(1, 301)):
                self.broken.append(f"{name} wrote 300 lines, {len(lines)} are there")
            self.kept += 1
        self._until(lambda: self._status("DELETE", f"/containers/{name}?force=1") == 404, f"{name} is removed")

    @staticmethod
    def _until(condition, what):
        return eventually(condition, what, 120)

    def _asked(self, *arguments):
        """None where the daemon died over it, or there is none."""
        try:
            answer = self.engine.api(*arguments)
        except (OSError, HTTPException):
            return None
        return answer if answer.status < 500 else None

    def _status(self, *arguments):
        answer = self._asked(*arguments)
        return answer.status if answer else None

    def _ended(self, name):
        answer = self._asked("GET", f"/containers/{name}/json")
        state = answer.json["State"] if answer and answer.status == 200 else {}
        return state if state.get("Status") == "exited" else None


def unframed(body):
    """The numbers in a log that came in frames."""
    text = b""
    while body:
        size = int.from_bytes(body[4:8], "big")
        text += body[8:8 + size]
        body = body[8 + size:]
    return numbers(text.decode())


@case("davit")
def killed_under_load(directory):
    """Runs of all sorts, and the daemon killed over and over; then nothing is lost, and nothing left."""
    with engine_in(directory, "load") as engine:
        random.seed(5)
        engine.crash()  # What a daemon opens as it goes is not in the counts.
        before = engine.counts()
        engine.docker(*RUN, "-d", "--name", "kept", "bb", "sh", "-c",
                      "i=0; while :; do echo $i; i=$((i+1)); usleep 300; done")
        with Load(engine) as load:
            for _ in range(max(RUNS // 10, 10)):
                time.sleep(random.random() / 5)  # To vary the moment.
                engine.crash()
        print(f"of {load.kept} containers that were told to have started nothing is lost", flush=True)
        equal(load.broken, [], "promises")
        check(load.kept >= RUNS // 100, f"promises were made: {load.kept}")
        check(running(engine, "kept"), "it has outlived them all")
        engine.docker("kill", "kept")
        lines = numbers(engine.out("logs", "kept"))
        check(lines == list(range(len(lines))), "every line, once")
        engine.remove_all()
        engine.check_clean()
        engine.crash()
        eventually(lambda: engine.counts() == before, f"{engine.counts()} is not {before}")


if __name__ == "__main__":
    main(engine_own=True)
