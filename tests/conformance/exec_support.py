"""What the suites of exec share: a container, execs through the API, and what a terminal shows."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time

from harness import COMMAND_SECONDS, check, command_line, equal, eventually, query


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
