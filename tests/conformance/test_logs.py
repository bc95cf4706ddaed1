"""docker logs: nothing lost, nothing added, in order; follow, tail, since, timestamps.

Goal: a container that lives for a millisecond leaves a complete log, and wait's answer means that
the log is complete.
"""

import contextlib
import json
import pathlib
import socket
import struct
import tempfile
import threading
import time

from harness import RUNS, UnixHttp, case, check, contains, equal, eventually, main, matches


def run(engine, script, *options):
    name = engine.out("run", "-d", "--network", "none", *options, "bb", "sh", "-c", script)
    engine.docker("wait", name)
    return name


def frames(data):
    """Take apart the multiplexed stream (API.md 2.6)."""
    at = 0
    while at < len(data):
        check(len(data) - at >= 8, f"a frame header is cut: {data[at:]!r}")
        kind, zeros, length = struct.unpack_from(">B3sI", data, at)
        equal(zeros, b"\0\0\0", "padding")
        check(length > 0, "no empty frame")
        check(len(data) >= at + 8 + length, "a frame is cut")
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length


@case()
def short_containers_lose_nothing(engine):
    """Through the raw API, so that nothing is slow enough to hide a loss."""
    for number in range(RUNS):
        text = f"only line {number}\n"
        body = {"Image": "bb", "Cmd": ["printf", "%s", text], "HostConfig": {"NetworkMode": "none"}}
        identity = engine.api("POST", "/containers/create", body).json["Id"]
        equal(engine.api("POST", f"/containers/{identity}/start").status, 204, "start")
        equal(engine.api("POST", f"/containers/{identity}/wait").json["StatusCode"], 0, "wait")
        data = engine.api("GET", f"/containers/{identity}/logs?stdout=1&stderr=1").body
        equal(list(frames(data)), [(1, text.encode())], f"log of run {number}")
        equal(engine.api("DELETE", f"/containers/{identity}").status, 204, "remove")


@case()
def attached_short_containers_lose_nothing(engine):
    for number in range(min(RUNS, 100)):
        done = engine.docker("run", "--rm", "--network", "none", "bb", "echo", number)
        equal(done.stdout, f"{number}\n", f"run {number}")


@case()
def streams_and_order(engine):
    name = run(engine, "for i in 1 2 3; do echo out$i; done; for i in 1 2 3; do echo err$i >&2; done")
    done = engine.docker("logs", name)
    equal(done.stdout, "out1\nout2\nout3\n", "stdout")
    equal(done.stderr, "err1\nerr2\nerr3\n", "stderr")
    refused = engine.api("GET", f"/containers/{name}/logs")
    equal(refused.status, 400, "neither stream asked for")
    only = engine.api("GET", f"/containers/{name}/logs?stderr=1").body
    equal({kind for kind, _ in frames(only)}, {2}, "only stderr")


@case()
def tail_since_timestamps(engine):
    name = run(engine, "for i in 1 2 3 4 5; do echo $i; done")
    equal(engine.docker("logs", "-n", "2", name).stdout, "4\n5\n", "tail 2")
    equal(engine.docker("logs", "-n", "0", name).stdout, "", "tail 0")
    equal(engine.docker("logs", "-n", "99", name).stdout, "1\n2\n3\n4\n5\n", "tail 99")
    stamped = engine.docker("logs", "-t", name).stdout.splitlines()
    stamp = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "
    for number, line in enumerate(stamped, 1):
        matches(line, stamp + f"{number}$", "timestamp")
    third = stamped[2].split()[0]
    equal(engine.docker("logs", "--since", third, name).stdout, "3\n4\n5\n", "since, inclusive")
    equal(engine.docker("logs", "--until", third, name).stdout.splitlines()[:2], ["1", "2"], "until")
    equal(engine.docker("logs", "--since", "2100-01-01T00:00:00Z", name).stdout, "", "since later")


@case()
def follow_ends_with_the_container(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                      "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    equal(engine.docker("logs", "-f", name).stdout, "1\n2\n3\n4\n5\n", "all of it, then the end")
    equal(engine.docker("logs", "-f", name).stdout, "1\n2\n3\n4\n5\n", "also when it has ended")
    quiet = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c", "echo up; sleep 1000")
    following = engine.spawn("logs", "-f", quiet)
    equal(following.stdout.readline(), b"up\n", "following")
    engine.docker("rm", "-f", quiet)
    equal(following.wait(60), 0, "removal ends it too")


@case()
def long_lines_and_odd_bytes(engine):
    name = run(engine, "head -c 100000 /dev/zero | tr '\\0' a; echo; printf 'no newline at the end'")
    equal(engine.docker("logs", name).stdout, "a" * 100_000 + "\nno newline at the end", "rejoined")
    name = run(engine, r"""printf 'quote" back\\slash\ttab \001\n\n\nüml\n'""")
    equal(engine.docker("logs", name).stdout, 'quote" back\\slash\ttab \x01\n\n\nüml\n', "escapes")


@case()
def many_lines_in_order(engine):
    name = run(engine, "seq 1 50000")
    lines = engine.docker("logs", name).stdout.split()
    equal(lines, [str(number) for number in range(1, 50001)], "50,000 lines")


@case()
def log_file_is_json_lines(engine):
    name = run(engine, "echo a; echo b >&2")
    path = pathlib.Path(engine.inspect(name)["LogPath"])
    records = [json.loads(line) for line in path.read_text().splitlines()]
    # Two pipes: which of the two is read first is nobody's promise.
    equal(sorted((item["stream"], item["log"]) for item in records),
          [("stderr", "b\n"), ("stdout", "a\n")], "records")
    for item in records:
        matches(item["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", "time")


@case()
def driver_none(engine):
    name = run(engine, "echo x", "--log-driver", "none")
    done = engine.docker("logs", name, status=1)
    contains(done.stderr, "configured logging driver does not support reading", "text")
    engine.docker("create", "--log-driver", "bogus", "bb", "true", status=1)


@case("davit")
def attach_sends_its_head_alone(engine):
    """docker-py reads the head through a buffer and loses what comes with it (API.md 2.5)."""
    body = {"Image": "bb", "Cmd": ["echo", "at once"], "HostConfig": {"NetworkMode": "none"}}
    identity = engine.api("POST", "/containers/create", body).json["Id"]
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(60)
        stream.connect(engine.socket)
        stream.sendall(f"POST /containers/{identity}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\n"
                       "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        engine.api("POST", f"/containers/{identity}/start")
        engine.api("POST", f"/containers/{identity}/wait")
        head = stream.recv(65536)
        check(head.startswith(b"HTTP/1.1 101 UPGRADED\r\n"), f"head: {head!r}")
        check(head.endswith(b"\r\n\r\n") and head.count(b"\r\n\r\n") == 1, f"alone: {head!r}")
        rest = b""
        while piece := stream.recv(65536):
            rest += piece
        equal(list(frames(rest)), [(1, b"at once\n")], "the stream after it")


def created(engine, script, *options):
    return engine.out("run", "-d", "--network", "none", *options, "bb", "sh", "-c", script)


@case("davit")
def a_long_log_holds_nobody(engine):
    """Records that nobody wants are read, too: others get their turns meanwhile."""
    name = run(engine, "echo x")
    path = pathlib.Path(engine.inspect(name)["LogPath"])
    path.write_bytes(path.read_bytes() * 2_000_000)
    reading = threading.Thread(
        target=lambda: engine.api("GET", f"/containers/{name}/logs?stderr=1"))
    reading.start()
    longest = 0.0
    while reading.is_alive():
        begun = time.monotonic()
        engine.api("GET", "/_ping")
        longest = max(longest, time.monotonic() - begun)
    check(longest < 0.5, f"a ping took {longest:.2f} s")


@case("davit")
def a_tail_is_of_what_there_was(engine):
    """With --rm the file is made with the first output: all of that is new to a follower."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:
        name = created(engine, "while [ ! -e /go/now ]; do sleep 0.05; done; echo 1; echo 2; echo 3",
                       "--rm", "-v", f"{shared}:/go")
        connection = UnixHttp(engine.socket)
        with contextlib.closing(connection):
            connection.request("GET", f"/containers/{name}/logs?stdout=1&follow=1&tail=1")
            answer = connection.getresponse()
            pathlib.Path(shared, "now").touch()
            text = b"".join(piece for _, piece in frames(answer.read()))
            equal(text, b"1\n2\n3\n", "nothing of it is skipped")


@case("davit")
def attach_with_logs_gives_each_byte_once(engine):
    """The log, the line that is not complete, then what follows."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:
        name = created(engine, "seq 1 20000; printf half; touch /go/up; "
                       "while [ ! -e /go/now ]; do sleep 0.05; done; echo way; seq 1 20000",
                       "-v", f"{shared}:/go")
        eventually(pathlib.Path(shared, "up").exists, "the first part is written")
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(60)
            stream.connect(engine.socket)
            stream.sendall(f"POST /containers/{name}/attach?logs=1&stream=1&stdout=1 HTTP/1.1\r\n"
                           "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
            check(stream.recv(65536).endswith(b"\r\n\r\n"), "the head")
            pathlib.Path(shared, "now").touch()
            rest = b""
            while piece := stream.recv(65536):
                rest += piece
        text = b"".join(piece for _, piece in frames(rest))
        numbers = "".join(f"{number}\n" for number in range(1, 20001))
        check(text == (numbers + "halfway\n" + numbers).encode(), f"{len(text)} bytes: once each")


if __name__ == "__main__":
    main()
