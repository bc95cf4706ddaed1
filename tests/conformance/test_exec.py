"""exec: further processes in a running container.

Goal: what is asked for is what runs (user, environment, directory, terminal, privileges), exit codes
and streams arrive whole, mistakes are told in the words that clients know, and nothing is left of
any of it. Method: the command line as people use it, and sockets of our own for what it never does.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from harness import (CLI, COMMAND_SECONDS, bad_request, case, check, command_line, contains, equal,
                     eventually, main, query)

MISSING = "0" * 64


@contextlib.contextmanager
def container(engine, *options, network="none"):
    identity = engine.out("run", "-d", "--network", network, *options, "bb", "sleep", "1000")
    try:
        yield identity
    finally:
        engine.docker("rm", "-f", identity, status=None)


def create(engine, identity, command, **fields):
    answer = engine.api("POST", f"/containers/{identity}/exec",
                        {"AttachStdout": True, "AttachStderr": True, "Cmd": command, **fields})
    equal(answer.status, 201, answer.body)
    return answer.json["Id"]


def inspect(engine, exec_id):
    answer = engine.api("GET", f"/exec/{exec_id}/json")
    equal(answer.status, 200, answer.body)
    return answer.json


def start(engine, exec_id, version="", **fields):
    """The connection of a started exec, behind its head, and the head."""
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(COMMAND_SECONDS)
    stream.connect(engine.socket)
    body = json.dumps({"Detach": False, "Tty": False, **fields})
    stream.sendall(f"POST {version}/exec/{exec_id}/start HTTP/1.1\r\nHost: d\r\n"
                   "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = stream.recv(1)
        check(piece, f"an answer: {head!r}")
        head += piece
    return stream, head.decode()


def read_all(stream):
    received = b""
    while piece := stream.recv(65536):
        received += piece
    return received


def frames(data):
    """[(number of the stream, bytes)], neighbours of one stream joined."""
    found = []
    while data:
        number, size = struct.unpack(">BxxxL", data[:8])
        piece, data = data[8:8 + size], data[8 + size:]
        if found and found[-1][0] == number:
            found[-1] = (number, found[-1][1] + piece)
        else:
            found.append((number, piece))
    return found


def detached(engine, exec_id):
    return engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True})


def ended(engine, exec_id):
    eventually(lambda: not inspect(engine, exec_id)["Running"], "the exec ends")
    return inspect(engine, exec_id)["ExitCode"]


class Events:
    """What happens to one container, from now on."""

    def __init__(self, engine, identity):
        self.engine, self.identity = engine, identity
        self.since = f"{time.time():.9f}"

    def seen(self, **filters):
        answer = self.engine.api("GET", "/events?" + query(
            since=self.since, until=f"{time.time():.9f}",
            filters={"container": [self.identity], **filters}))
        return [json.loads(line) for line in answer.body.splitlines()]


class Terminal:
    """The command line on a pseudo terminal."""

    def __init__(self, engine, *arguments, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen([command_line(), *arguments], env=engine.environment(),
                                        stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern):
        """Read until the pattern has come; gives its match and forgets what was before it."""
        while not (found := re.search(pattern, self.text)):
            ready, _, _ = select.select([self.master], [], [], COMMAND_SECONDS)
            check(ready, f"{pattern!r} comes: {self.text!r}")
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            check(piece, f"{pattern!r} comes before the end: {self.text!r}")
            self.text += piece.decode(errors="replace")
        self.text = self.text[found.end():]
        return found

    def end(self):
        status = self.process.wait(COMMAND_SECONDS)
        os.close(self.master)
        return status


@case()
def exit_codes_and_output(engine):
    with container(engine) as identity:
        done = engine.docker("exec", identity, "sh", "-c", "echo out; echo err >&2; exit 7",
                             status=7)
        equal(done.stdout, "out\n")
        equal(done.stderr, "err\n")
        engine.docker("exec", identity, "true")
        engine.docker("exec", identity, "sh", "-c", "kill -9 $$", status=137)
        equal(engine.out("exec", identity, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"),
              "x" * 3000000)


@case()
def commands_that_cannot_be_run(engine):
    prefix = "OCI runtime exec failed: exec failed: "
    with container(engine) as identity:
        engine.docker("exec", identity, "sh", "-c", "echo text > /plain")
        for command, status, text in (
                ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
                ("/nosuch", 127, "no such file or directory"),
                ("/plain", 126, "permission denied"),
                ("/etc", 126, "is a directory" if CLI == "davit" else "")):
            done = engine.docker("exec", identity, command, status=status)
            contains(done.stdout + done.stderr, prefix)
            contains(done.stdout + done.stderr, text)
        done = engine.docker("exec", "-w", "/nosuch", identity, "true", status=None)
        check(done.returncode in (126, 127), f"status {done.returncode}")
        contains(done.stdout + done.stderr, "chdir to cwd")
        done = engine.docker("exec", "-u", "nobodyhere", identity, "true", status=None)
        check(done.returncode in (1, 126), f"status {done.returncode}")
        contains(done.stdout + done.stderr,
                 "unable to find user nobodyhere: no matching entries in passwd file")
        exec_id = create(engine, identity, ["nosuch"])
        answer = detached(engine, exec_id)
        equal(answer.status, 400, answer.body)
        contains(answer.message, "executable file not found in $PATH")
        equal(inspect(engine, exec_id)["ExitCode"], 127)
        check(not inspect(engine, exec_id)["Running"], "it does not run")


@case()
def stdin_to_its_end(engine):
    with container(engine) as identity:
        equal(engine.out("exec", "-i", identity, "sh", "-c", "cat; echo end", stdin="a\nb\n"),
              "a\nb\nend")
        data = os.urandom(2_000_000)
        done = engine.docker("exec", "-i", identity, "cat", stdin=data, text=False)
        check(done.stdout == data, "all of it comes back")
        # Without -i there is none.
        equal(engine.out("exec", identity, "cat", stdin="not read"), "")


@case()
def user_environment_and_directory(engine):
    with container(engine, "-e", "A=container", "-e", "B=container", "-w", "/tmp",
                   "--hostname", "host1") as identity:
        engine.docker("exec", identity, "sh", "-c",
                      "echo 'web:x:1234:1235::/home/web:/bin/sh' >> /etc/passwd;"
                      "echo 'staff:x:50:web' >> /etc/group")
        show = "echo $(id -u):$(id -g) $HOME $A $B $(pwd) $HOSTNAME $TERM"
        equal(engine.out("exec", identity, "sh", "-c", show),
              "0:0 " + engine.out("exec", identity, "sh", "-c", "echo $HOME") +
              " container container /tmp host1")
        equal(engine.out("exec", "-u", "web", "-e", "A=exec", "-w", "/etc", identity, "sh", "-c",
                         show), "1234:1235 /home/web exec container /etc host1")
        equal(engine.out("exec", "-u", "web:50", "-e", "HOME=/own", identity, "sh", "-c", show),
              "1234:50 /own container container /tmp host1")
        equal(engine.out("exec", "-u", "4711:4712", identity, "sh", "-c", show),
              "4711:4712 / container container /tmp host1")
        equal(engine.out("exec", "-u", "web", identity, "sh", "-c", "id -G"), "1235 50")
    with container(engine, "-u", "5:6") as identity:
        equal(engine.out("exec", identity, "sh", "-c", "echo $(id -u):$(id -g)"), "5:6")
        equal(engine.out("exec", "-u", "0", identity, "id", "-u"), "0")


@case()
def environment_files(engine):
    path = engine.directory / "env"
    path.write_text("# comment\nONE=1\nTWO=two words\n")
    with container(engine) as identity:
        equal(engine.out("exec", "--env-file", str(path), "-e", "ONE=first", identity, "sh", "-c",
                         "echo $ONE $TWO"), "first two words")


@case()
def privileges(engine):
    with container(engine) as identity:
        show = ["grep", "-E", "Cap(Eff|Bnd)|NoNewPrivs|Seccomp:", "/proc/self/status"]
        first = engine.out("exec", identity, "grep", "-E", "Cap(Eff|Bnd)|NoNewPrivs|Seccomp:",
                           "/proc/1/status")
        equal(engine.out("exec", identity, *show), first)
        more = engine.out("exec", "--privileged", identity, *show)
        own = int(re.search(r"CapEff:\s+(\w+)", first).group(1), 16)
        all_of_them = int(re.search(r"CapEff:\s+(\w+)", more).group(1), 16)
        check(all_of_them & own == own and all_of_them != own, f"more capabilities: {more}")
        plain = engine.out("exec", "--privileged", "-u", "1000", identity, *show)
        equal(int(re.search(r"CapEff:\s+(\w+)", plain).group(1), 16), 0, "but not for others")
    with container(engine, "--security-opt", "no-new-privileges", "--ulimit", "nofile=99:101",
                   "--cap-drop", "ALL") as identity:
        contains(engine.out("exec", identity, *show), "NoNewPrivs:\t1")
        contains(engine.out("exec", identity, *show), "CapEff:\t0000000000000000")
        equal(engine.out("exec", identity, "sh", "-c", "ulimit -n; ulimit -Hn"), "99\n101")


@case()
def where_the_container_is(engine):
    with container(engine) as identity:
        script = ("for n in mnt pid net ipc uts cgroup; do "
                  "test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo $n; done; "
                  "cat /proc/self/cgroup > /tmp/own; cmp /tmp/own /proc/1/cgroup; "
                  "ls /proc/self/fd | wc -l")
        # 0, 1, 2 and the one that ls reads with.
        equal(engine.out("exec", identity, "sh", "-c", script), "4")


@case()
def a_terminal(engine):
    with container(engine) as identity:
        script = ("stty size; tty; echo TERM is $TERM; read line; echo line is $line; "
                  "echo ready; until test \"$(stty size)\" = '40 120'; do sleep 0.05; done; exit 9")
        terminal = Terminal(engine, "exec", "-it", identity, "sh", "-c", script, rows=31, columns=97)
        # Some command lines tell the size only when it runs already.
        terminal.expect(r"\d+ \d+\r\n|standard input\r\n")
        terminal.expect(r"/dev/pts/\d+\r\n")
        terminal.expect(r"TERM is xterm")
        terminal.send("typed\n")
        terminal.expect(r"typed\r\n")
        terminal.expect(r"line is typed\r\n")
        terminal.expect("ready")
        terminal.resize(40, 120)

        def told():
            # Again, if the command line did not listen yet.
            terminal.process.send_signal(signal.SIGWINCH)
            return terminal.process.poll() is not None

        eventually(told, "the new size arrives", COMMAND_SECONDS)
        equal(terminal.end(), 9)


@case()
def interrupt_and_detach_from_a_terminal(engine):
    with container(engine) as identity:
        terminal = Terminal(engine, "exec", "-it", identity, "sh", "-c",
                            "echo here; sleep 1000; echo not reached")
        terminal.expect("here")
        terminal.send("\x03")
        equal(terminal.end(), 130)

        terminal = Terminal(engine, "exec", "-it", "--detach-keys", "ctrl-a,x", identity, "sh", "-c",
                            "echo here; while ! test -e /stop; do sleep 0.05; done; exit 3")
        terminal.expect("here")
        exec_id, = engine.inspect(identity)["ExecIDs"]
        terminal.send("\x01x")
        terminal.end()
        check(inspect(engine, exec_id)["Running"], "it goes on")
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 3)


@case()
def detach_keys_through_the_api(engine):
    with container(engine) as identity:
        happened = Events(engine, identity)
        exec_id = create(engine, identity, ["cat"], Tty=True, AttachStdin=True)
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            stream.sendall(b"typed\n")
            seen = b""
            while not seen.endswith(b"typed\r\ntyped\r\n"):
                piece = stream.recv(100)
                check(piece, f"it is read: {seen}")
                seen += piece
            stream.sendall(b"\x10\x11")
            read_all(stream)
        check(inspect(engine, exec_id)["Running"], "it goes on")
        contains([event["Action"] for event in happened.seen()], "exec_detach")
        equal(happened.seen()[-1]["Actor"]["Attributes"]["execID"], exec_id)


@case()
def in_the_background(engine):
    with container(engine) as identity:
        equal(engine.out("exec", "-d", identity, "sh", "-c",
                         "while ! test -e /stop; do sleep 0.05; done; touch /done"), "")
        exec_id, = engine.inspect(identity)["ExecIDs"]
        facts = inspect(engine, exec_id)
        check(facts["Running"] and facts["ExitCode"] is None and facts["Pid"] > 0, f"{facts}")
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 0)
        engine.docker("exec", identity, "test", "-e", "/done")
        equal(engine.inspect(identity)["ExecIDs"], None)


@case()
def what_inspect_tells(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "exit 4"], User="0:0", Tty=False,
                         AttachStdin=True, DetachKeys="ctrl-a", Env=["A=1"])
        equal(engine.inspect(identity)["ExecIDs"], [exec_id])
        facts = inspect(engine, exec_id)
        pid = facts.pop("Pid")
        equal(facts, {
            "ID": exec_id, "Running": False, "ExitCode": None,
            "ProcessConfig": {"tty": False, "entrypoint": "sh", "arguments": ["-c", "exit 4"],
                              "privileged": False, "user": "0:0"},
            "OpenStdin": True, "OpenStderr": True, "OpenStdout": True, "CanRemove": False,
            "ContainerID": identity, "DetachKeys": "AQ=="})
        equal(pid, 0)
        equal(detached(engine, exec_id).status, 200)
        equal(ended(engine, exec_id), 4)
        equal(engine.inspect(identity)["ExecIDs"], None)


@case()
def events(engine):
    with container(engine, "--name", "watched", "-l", "color=blue") as identity:
        happened = Events(engine, identity)
        engine.docker("exec", identity, "sh", "-c", "exit 5", status=5)
        eventually(lambda: happened.seen()[-1]["Action"] == "exec_die", "its end is told")
        seen = happened.seen()
        equal([event["Action"] for event in seen],
              ["exec_create: sh -c exit 5", "exec_start: sh -c exit 5", "exec_die"])
        ids = {event["Actor"]["Attributes"]["execID"] for event in seen}
        equal(len(ids), 1)
        equal(seen[-1]["Actor"]["Attributes"]["exitCode"], "5")
        for event in seen:
            attributes = event["Actor"]["Attributes"]
            equal((attributes["name"], attributes["image"], attributes["color"]),
                  ("watched", "bb", "blue"))
        equal([event["Action"] for event in happened.seen(event=["exec_start"])],
              ["exec_start: sh -c exit 5"])


@case()
def requests_that_are_refused(engine):
    answer = engine.api("POST", "/containers/nosuch/exec", {"Cmd": ["true"]})
    equal((answer.status, answer.message), (404, "No such container: nosuch"))
    for method, path, body in (("POST", "start", {"Detach": True}), ("GET", "json", None),
                               ("POST", "resize?h=1&w=1", None)):
        answer = engine.api(method, f"/exec/{MISSING}/{path}", body)
        equal((answer.status, answer.message), (404, "No such exec instance: " + MISSING), path)
    with container(engine) as identity:
        answer = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": []})
        bad_request(answer, "no command")
        contains(answer.message, "No exec command specified")
        answer = engine.api("POST", f"/containers/{identity}/exec",
                            {"Cmd": ["true"], "DetachKeys": "ctrl-1x"})
        bad_request(answer, "detach keys")
        bad_request(engine.api("POST", f"/containers/{identity}/exec", "{"), "half a document")
        exec_id = create(engine, identity, ["true"])
        bad_request(engine.api("POST", f"/exec/{exec_id}/resize?h=x&w=1"), "height")
        engine.docker("stop", "-t", "0", identity)
        answer = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": ["true"]})
        equal((answer.status, answer.message.lower()), (409, f"container {identity} is not running"))
        equal(engine.api("GET", f"/exec/{exec_id}/json").status, 404, "not started, never will be")
        done = engine.docker("exec", identity, "true", status=1)
        contains(done.stderr, "is not running")


@case("davit")
def only_once(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "while ! test -e /stop; do sleep 0.05; done"])
        equal(detached(engine, exec_id).status, 200)
        answer = detached(engine, exec_id)
        equal((answer.status, answer.message),
              (409, f"Error: Exec command {exec_id} is already running"))
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 0)
        answer = detached(engine, exec_id)
        equal((answer.status, answer.message), (409, f"Error: Exec command {exec_id} has already run"))
        stream, head = start(engine, exec_id)
        with stream:
            contains(head.split("\r\n")[0], "409")


@case()
def frames_and_their_type(engine):
    with container(engine) as identity:
        script = ["sh", "-c", "echo out; echo err >&2"]
        stream, head = start(engine, create(engine, identity, script))
        with stream:
            contains(head, "101")
            contains(head, "application/vnd.docker.multiplexed-stream")
            equal(sorted(frames(read_all(stream))), [(1, b"out\n"), (2, b"err\n")])
        stream, head = start(engine, create(engine, identity, script), version="/v1.41")
        with stream:
            contains(head, "application/vnd.docker.raw-stream")
            equal(sorted(frames(read_all(stream))), [(1, b"out\n"), (2, b"err\n")])
        stream, head = start(engine, create(engine, identity, script, Tty=True), Tty=True)
        with stream:
            contains(head, "application/vnd.docker.raw-stream")
            equal(read_all(stream), b"out\r\nerr\r\n")
        stream, _ = start(engine, create(engine, identity, script, AttachStdout=False))
        with stream:
            equal(frames(read_all(stream)), [(2, b"err\n")])
        exec_id = create(engine, identity, ["stty", "size"], Tty=True, ConsoleSize=[11, 22])
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            equal(read_all(stream), b"11 22\r\n")


@case()
def a_half_closed_client_gets_the_output(engine):
    with container(engine) as identity:
        stream, _ = start(engine, create(engine, identity, ["sh", "-c", "cat; echo after"],
                                         AttachStdin=True))
        with stream:
            stream.sendall(b"sent\n")
            stream.shutdown(socket.SHUT_WR)
            equal(frames(read_all(stream)), [(1, b"sent\nafter\n")])


@case("davit")
def a_client_that_leaves_ends_nothing(engine):
    with container(engine) as identity:
        script = "echo here; while ! test -e /stop; do sleep 0.05; echo more; done; exit 6"
        exec_id = create(engine, identity, ["sh", "-c", script])
        stream, _ = start(engine, exec_id)
        check(stream.recv(100), "output")
        stream.close()
        check(inspect(engine, exec_id)["Running"], "it goes on")
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 6)


@case()
def a_client_that_does_not_read_holds_up_nobody_else(engine):
    size = 8_000_000
    with container(engine) as identity:
        exec_id = create(engine, identity, ["head", "-c", str(size), "/dev/zero"])
        stream, _ = start(engine, exec_id)
        with stream:
            for _ in range(3):
                equal(engine.out("exec", identity, "echo", "other"), "other")
            received = read_all(stream)
        equal(sum(len(piece) for _, piece in frames(received)), size)
        equal(ended(engine, exec_id), 0)


@case("davit")
def what_a_client_does_not_read_is_not_kept(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "yes; true"])
        before = engine.resident_kib()
        stream, _ = start(engine, exec_id)
        with stream:
            for _ in range(20):
                engine.docker("exec", identity, "true")
            grown = engine.resident_kib() - before
            check(grown < 8 * 1024, f"the daemon grew by {grown} KiB")
            check(inspect(engine, exec_id)["Running"], "it waits for its reader")


@case()
def output_of_what_outlives_the_command(engine):
    with container(engine) as identity:
        done = engine.docker("exec", identity, "sh", "-c", "echo first; sleep 1000 & exit 8", status=8)
        equal(done.stdout, "first\n")


@case()
def a_kill_of_the_container_is_the_end(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "echo here; sleep 1000"])
        stream, _ = start(engine, exec_id)
        with stream:
            check(stream.recv(100), "output")
            engine.docker("kill", identity)
            read_all(stream)
        equal(ended(engine, exec_id), 137)
        engine.docker("start", identity)
        equal(engine.out("exec", identity, "echo", "again"), "again")


@case()
def removed_with_its_container(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sleep", "1000"])
        equal(detached(engine, exec_id).status, 200)
        engine.docker("rm", "-f", identity)
        equal(engine.api("GET", f"/exec/{exec_id}/json").status, 404)


@case()
def resize_through_the_api(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh"], Tty=True, AttachStdin=True)
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            equal(engine.api("POST", f"/exec/{exec_id}/resize?h=33&w=44").status, 200)
            stream.sendall(b"stty size; exit\n")
            contains(read_all(stream).decode(), "33 44")
        check(engine.api("POST", f"/exec/{exec_id}/resize?h=3&w=4").status in (404, 409, 500),
              "it has ended")


@case("davit")
def a_resize_waits_for_the_start(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["stty", "size"], Tty=True)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            engine.api("POST", f"/exec/{exec_id}/resize?h=33&w=44").status))
        waiting.start()
        eventually(lambda: "exec_resize" in engine.api("GET", "/davit/jobs").body.decode(),
                   "the resize waits")
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            read_all(stream)
        waiting.join(COMMAND_SECONDS)
        check(answers and answers[0] in (200, 404), f"answered: {answers}")


@case()
def many_at_once(engine):
    with container(engine) as identity:
        results = []

        def run(number):
            done = engine.docker("exec", "-i", identity, "sh", "-c", f"cat; exit {number}",
                                 stdin=f"input {number}", status=None)
            results.append((done.returncode, done.stdout))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(sorted(results), [(number, f"input {number}") for number in range(32)])


@case("davit")
def nothing_is_left(engine):
    with container(engine) as identity:
        for _ in range(3):
            engine.docker("exec", identity, "true")
        before = engine.descriptors()
        for number in range(30):
            engine.docker("exec", "-i", identity, "sh", "-c", f"exit {number}", status=number)
            engine.docker("exec", identity, "nosuch", status=127)
            engine.docker("exec", "-d", identity, "true")
            engine.docker("exec", "-u", "nosuch", identity, "true", status=None)
        eventually(lambda: engine.inspect(identity)["ExecIDs"] is None, "all have ended")
        eventually(lambda: engine.descriptors() == before,
                   "no descriptor is left")
        # A child that nobody waited for would be there.
        children = open(f"/proc/{engine.process.pid}/task/{engine.process.pid}/children",
                        encoding="ascii").read().split()
        equal(children, [str(engine.inspect(identity)["State"]["Pid"])])
        equal(len(engine.out("exec", identity, "sh", "-c", "echo /proc/[0-9]*").split()), 2)


@case("davit")
def a_start_races_with_the_end(engine):
    """Whoever wins: an answer, no process left, and the container ends."""
    for _ in range(20):
        with container(engine) as identity:
            ids = [create(engine, identity, ["sleep", "1000"]) for _ in range(4)]
            answers = []
            threads = [threading.Thread(target=lambda exec_id=exec_id: answers.append(
                detached(engine, exec_id).status)) for exec_id in ids]
            for thread in threads:
                thread.start()
            engine.docker("kill", identity)
            for thread in threads:
                thread.join()
            check(all(status in (200, 404, 409, 500) for status in answers), f"{answers}")
            eventually(lambda: not engine.inspect(identity)["State"]["Running"], "it ends")
            eventually(lambda: engine.inspect(identity)["ExecIDs"] is None, "and they do")


@case("davit")
def a_daemon_that_dies_leaves_no_exec(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sleep", "1000"])
        equal(detached(engine, exec_id).status, 200)
        pid = inspect(engine, exec_id)["Pid"]
        check(os.path.exists(f"/proc/{pid}"), "it runs")
        engine.kill()
        engine.start()
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), "it ends")
        equal(engine.api("GET", f"/exec/{exec_id}/json").status, 404)
        check(not engine.inspect(identity)["State"]["Running"], "and so does its container")


@case("davit")
def pid_and_network_of_the_host(engine):
    with container(engine, "--pid", "host", network="host") as identity:
        exec_id = create(engine, identity, ["sleep", "1000"])
        equal(detached(engine, exec_id).status, 200)
        equal(engine.out("exec", identity, "readlink", "/proc/self/ns/pid"),
              os.readlink("/proc/self/ns/pid"))
        engine.docker("kill", identity)
        equal(ended(engine, exec_id), 137)


if __name__ == "__main__":
    main()
