"""Log drivers: json-file with its rotation and attributes, local, none.

Goal: files as Docker's, bounded by default, read as one log however they are rotated meanwhile.
Method: containers that write numbered lines; what is read must be a run of numbers without a gap.
"""

import gzip
import json
import pathlib
import re
import socket
import time

from harness import ENGINE, Failure, case, check, contains, equal, eventually, main

DEFAULT_BYTES_MAX = 100_000_000


def writer(engine, *options, lines, detach=True):
    script = f"i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); done"
    return engine.out("run", *(["-d"] if detach else []), "--network", "none", *options, "bb", "sh",
                      "-c", script)


def finished(engine, *options, lines):
    identity = writer(engine, *options, lines=lines)
    equal(engine.out("wait", identity), "0")
    return identity


def numbers(text):
    return [int(line.split()[1]) for line in text.splitlines()]


def check_run(read, first, last, what=""):
    """Every number from first to before last, once, in order. Says no more of them than it must."""
    expected = list(range(first, last))
    if read != expected:
        place = next((i for i, pair in enumerate(zip(read, expected)) if pair[0] != pair[1]),
                     min(len(read), len(expected)))
        raise Failure(f"{what}: {len(read)} lines, expected {len(expected)}; they differ from"
                      f" number {place} on: {read[place:place + 3]}")


def files(engine, identity):
    path = pathlib.Path(engine.inspect(identity)["LogPath"])
    return {found.name[len(path.name):]: found.stat().st_size
            for found in path.parent.glob(path.name + "*")}


@case()
def rotated(engine):
    identity = finished(engine, "--log-opt", "max-size=10k", "--log-opt", "max-file=3", lines=2000)
    sizes = files(engine, identity)
    equal(sorted(sizes), ["", ".1", ".2"])
    check(all(0 < size < 11000 for size in sizes.values()), f"{sizes}")
    read = numbers(engine.docker("logs", identity).stdout)
    check_run(read, 2000 - len(read), 2000, "the end of it, without a gap")
    check(len(read) > 200, f"most of what is kept: {len(read)}")
    check_run(numbers(engine.docker("logs", "--tail", "250", identity).stdout), 1750, 2000,
              "a tail over files")
    path = pathlib.Path(engine.inspect(identity)["LogPath"])
    for suffix in sizes:
        for line in pathlib.Path(str(path) + suffix).read_text().splitlines():
            equal(sorted(json.loads(line)), ["log", "stream", "time"])
    engine.docker("start", identity)
    engine.docker("wait", identity)
    equal(sorted(files(engine, identity)), ["", ".1", ".2"], "a second run goes on")
    engine.docker("rm", identity)
    check(not path.parent.exists(), "removed with the container")


@case("davit")  # Docker 20 leaves a second one for a while.
def one_file(engine):
    identity = finished(engine, "--log-opt", "max-size=5k", lines=1000)
    equal(list(files(engine, identity)), [""])
    check(files(engine, identity)[""] < 6000, f"{files(engine, identity)}")
    read = numbers(engine.docker("logs", identity).stdout)
    check_run(read, 1000 - len(read), 1000)


@case("davit")
def bounded_by_default(engine):
    """More than fits: the newest of it is kept, in files of the default size."""
    identity = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                          "yes 'a line that is long enough to fill a disk if nobody looks after it,"
                          " one like it follows, and another one' | head -c 350000000; echo; echo end")
    equal(engine.out("wait", identity), "0")
    sizes = files(engine, identity)
    equal(sorted(sizes), ["", ".1", ".2"])
    check(max(sizes.values()) < DEFAULT_BYTES_MAX * 1.01, f"{sizes}")
    equal(engine.docker("logs", "--tail", "1", identity).stdout, "end\n")
    equal(engine.inspect(identity)["HostConfig"]["LogConfig"], {"Type": "json-file", "Config": {}})


@case("davit")
def rotation_off(engine):
    identity = finished(engine, "--log-opt", "max-size=-1", lines=3000)
    equal(list(files(engine, identity)), [""])
    check_run(numbers(engine.docker("logs", identity).stdout), 0, 3000)


@case("davit")  # Docker 20 gives lines twice.
def followed_across_rotations(engine):
    script = ("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1));"
              " [ $((i % 100)) = 0 ] && sleep 0.05; done")
    identity = engine.out("run", "-d", "--network", "none", "--log-opt", "max-size=20k",
                          "--log-opt", "max-file=4", "bb", "sh", "-c", script)
    done = engine.docker("logs", "-f", identity)
    check_run(numbers(done.stdout), 0, 3000)
    check(len(files(engine, identity)) == 4, f"it was rotated: {files(engine, identity)}")


@case("davit")
def attach_replays_across_rotations(engine):
    identity = engine.out("run", "-d", "-i", "--network", "none", "--log-opt", "max-size=2k",
                          "--log-opt", "max-file=9", "bb", "sh", "-c",
                          "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; cat")
    eventually(lambda: "line 99" in engine.docker("logs", identity).stdout, "all is written")
    answer = engine.api("POST", f"/containers/{identity}/attach?logs=1&stdout=1&stream=0")
    equal([int(number) for number in re.findall(rb"line (\d+)", answer.body)], list(range(100)))
    engine.docker("rm", "-f", identity)


@case()
def attributes(engine):
    identity = engine.out("run", "-d", "--network", "none", "-l", "team=blue", "-l", "other=x",
                          "-e", "STAGE=test", "--name", "tagged", "--log-opt", "labels=team,none",
                          "--log-opt", "env=STAGE", "--log-opt", "tag={{.Name}}/{{.ID}}", "bb",
                          "echo", "hello")
    engine.docker("wait", identity)
    record = json.loads(pathlib.Path(engine.inspect(identity)["LogPath"]).read_text())
    equal(record["attrs"], {"STAGE": "test", "team": "blue", "tag": f"tagged/{identity[:12]}"})
    equal(engine.docker("logs", identity).stdout, "hello\n")
    shown = engine.docker("logs", "--details", identity).stdout
    equal(shown, f"STAGE=test,tag=tagged%2F{identity[:12]},team=blue hello\n")
    plain = finished(engine, lines=1)
    equal(engine.docker("logs", "--details", plain).stdout, " line 0\n")


@case()
def local(engine):
    identity = finished(engine, "--log-driver", "local", "--log-opt", "max-size=10k", "--log-opt",
                        "max-file=2", "--log-opt", "compress=false", lines=2000)
    info = engine.inspect(identity)
    equal((info["LogPath"], info["HostConfig"]["LogConfig"]["Type"]), ("", "local"))
    read = numbers(engine.docker("logs", identity).stdout)
    check(50 < len(read) < 2000, f"{len(read)} lines are kept")
    check_run(read, 2000 - len(read), 2000)
    equal(engine.docker("logs", "--tail", "3", identity).stdout, "line 1997\nline 1998\nline 1999\n")
    stamped = engine.docker("logs", "-t", "--tail", "1", identity).stdout
    check(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 1999\n$", stamped), stamped)
    engine.docker("rm", identity)


@case()
def syslog(engine):
    path = engine.directory / "syslog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(path))
        service.settimeout(60)
        done = engine.docker("run", "--name", "loud", "--network", "none", "--log-driver", "syslog",
                             "--log-opt", f"syslog-address=unixgram://{path}", "--log-opt",
                             "syslog-facility=local1", "--log-opt", "tag={{.Name}}", "bb", "sh",
                             "-c", "echo one; echo two >&2")
        equal((done.stdout, done.stderr), ("one\n", "two\n"))
        got = sorted(service.recv(65536).decode() for _ in range(2))
        logs = engine.docker("logs", "loud")
    for line, number, text in zip(got, (139, 142), ("two", "one")):
        check(re.match(rf"^<{number}>\w{{3}} [ \d]\d [\d:]{{8}} loud\[\d+\]: {text}\n?$", line),
              f"{got}")
    equal((logs.stdout, logs.stderr), ("one\n", "two\n"), "it can be read all the same")
    equal(engine.inspect("loud")["LogPath"], "")
    path.unlink()


@case("davit")
def syslog_servers(engine):
    """By UDP, and by TCP with a name, in the formats of RFC 5424."""
    def run(address, *options, status=0):
        return engine.docker("run", "--rm", "--network", "none", "--log-driver", "syslog", "--log-opt",
                             f"syslog-address={address}", "--log-opt", "tag=web", *options, "bb", "sh", "-c",
                             "echo one; echo two >&2", status=status)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        run(f"udp://127.0.0.1:{server.getsockname()[1]}", "--log-opt", "syslog-format=rfc5424micro")
        got = sorted(server.recv(65536).decode() for _ in range(2))
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
    for line, number, text in zip(got, (27, 30), ("two", "one")):
        check(re.match(rf"^<{number}>1 {stamp}\.\d{{6}}Z \S+ web \d+ web - {text}$", line), f"{got}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        run(f"tcp://localhost:{port}", "--log-opt", "syslog-format=rfc3164")
        with server.accept()[0] as stream:
            stream.settimeout(60)
            got = b""
            while piece := stream.recv(65536):
                got += piece
    lines = sorted(got.decode().splitlines())
    for line, number, text in zip(lines, (27, 30), ("two", "one")):
        check(re.match(rf"^<{number}>\w{{3}} [ \d]\d [\d:]{{8}} \S+ web\[\d+\]: {text}$", line), f"{lines}")
    contains(run(f"tcp://127.0.0.1:{port}", status=125).stderr,
             f"failed to initialize logging driver: dial tcp 127.0.0.1:{port}: connection refused")
    contains(run("tcp://no-such-host.invalid:1", status=125).stderr, "failed to initialize logging driver")


def unpacked(path):
    """Rotated files of a log that are not gzip yet."""
    return [found for found in path.parent.glob(path.name + ".*") if found.suffix != ".gz"]


@case("davit")
def compressed(engine):
    """Rotated files are gzip; what is read is the same, from either end and by whoever follows."""
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    identity = engine.out("run", "-d", "--network", "none", "--log-opt", "max-size=20k", "--log-opt",
                          "max-file=90", "--log-opt", "compress=true", "bb", "sh", "-c", script)
    check_run(numbers(engine.docker("logs", "-f", identity).stdout), 0, 3000)
    path = pathlib.Path(engine.inspect(identity)["LogPath"])
    eventually(lambda: not unpacked(path), "all are compressed by and by")
    packed = sorted(path.parent.glob(path.name + ".*.gz"))
    check(len(packed) > 5, f"{packed}")
    first = gzip.decompress(packed[-1].read_bytes()).splitlines()
    check(json.loads(first[0])["log"].startswith("line "), "gzip reads it")
    check_run(numbers(engine.docker("logs", identity).stdout), 0, 3000)
    for count in (1, 100, 500, 2999):
        check_run(numbers(engine.docker("logs", "--tail", str(count), identity).stdout), 3000 - count, 3000)
    answer = engine.api("POST", f"/containers/{identity}/attach?logs=1&stdout=1&stream=0")
    equal([int(number) for number in re.findall(rb"line (\d+)", answer.body)], list(range(3000)), "attach")
    engine.docker("rm", identity)
    few = finished(engine, "--log-opt", "max-size=10k", "--log-opt", "max-file=3", "--log-opt", "compress=true",
                   lines=3000)
    read = numbers(engine.docker("logs", few).stdout)
    check(50 < len(read) < 3000, f"{len(read)} lines are kept")
    check_run(read, 3000 - len(read), 3000)


@case("davit")
def services_that_are_not_there(engine):
    for driver, options in (("journald", ()), ("syslog", ("--log-opt",
                                                          "syslog-address=unix:///no/such"))):
        if driver == "journald" and pathlib.Path("/run/systemd/journal/socket").exists():
            continue
        done = engine.docker("run", "--rm", "--network", "none", "--log-driver", driver, *options,
                             "bb", "true", status=125)
        contains(done.stderr, "failed to initialize logging driver")


@case()
def none(engine):
    identity = engine.out("run", "-d", "--network", "none", "--log-driver", "none", "bb", "sh",
                          "-c", "echo x; sleep 1000")
    done = engine.docker("logs", identity, status=1)
    contains(done.stderr, "configured logging driver does not support reading")
    equal(engine.inspect(identity)["LogPath"], "")
    equal(engine.docker("run", "--rm", "--network", "none", "--log-driver", "none", "bb", "echo",
                        "seen").stdout, "seen\n")


@case()
def what_is_refused(engine):
    def create(kind, **options):
        answer = engine.api("POST", "/containers/create", {
            "Image": "bb", "Cmd": ["true"],
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": kind, "Config": options}}})
        if answer.status == 201:  # Docker looks at most values at start only.
            answer = engine.api("POST", f"/containers/{answer.json['Id']}/start")
        return answer

    for kind, options, status, text in (
            ("json-file", {"max-size": "0"}, 400, "max-size must be a positive number"),
            ("json-file", {"max-file": "0"}, 400, "max-file cannot be less than 1"),
            ("json-file", {"max-size": "much"}, 400, "invalid size: 'much'"),
            ("json-file", {"nope": "1"}, 400, "unknown log opt 'nope' for json-file log driver"),
            ("local", {"labels": "a"}, 400, "unknown log opt 'labels' for log driver 'local'"),
            ("json-file", {"mode": "maybe"}, 400, "logger: logging mode not supported: maybe")):
        answer = create(kind, **options)
        if ENGINE == "davit":
            equal(answer.status, status, answer.body)
            contains(answer.message, text)
        else:
            check(answer.status >= 400, f"{kind} {options}: {answer.status}")
    if ENGINE == "davit":
        answer = create("json-file", **{"compress": "true", "max-file": "1"})
        equal(answer.status, 400)
        contains(answer.message, "compress cannot be true when max-file is less than 2")
        answer = create("syslog", **{"syslog-address": "tcp+tls://127.0.0.1:1"})
        equal(answer.status, 501)
        contains(answer.message, "use tcp://HOST:PORT")


@case("davit")
def a_reader_does_not_keep_what_is_rotated_away(engine):
    """A follower that reads nothing holds no more files open than there are."""
    identity = engine.out("run", "-d", "--network", "none", "--log-opt", "max-size=10k",
                          "--log-opt", "max-file=2", "bb", "sh", "-c",
                          "while :; do echo line; done")
    slow = engine.spawn("logs", "-f", identity)
    time.sleep(0.5)
    held = [name for name in engine.descriptors() if "json.log" in name]
    check(len(held) <= 6, f"{held}")
    engine.docker("rm", "-f", identity)
    slow.stdout.read()
    slow.wait(60)
    eventually(lambda: not [name for name in engine.descriptors() if identity in name],
               "no file is held")


if __name__ == "__main__":
    main()
