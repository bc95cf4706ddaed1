"""stats: what containers use, streamed, sampled twice, sampled once.

Goal: Docker's shape with numbers that can be true, one sampler however many read, and the command
line's columns. Method: containers that do nothing, or nothing else than use a processor.
"""

import contextlib
import json
import os
import socket
import threading

from exec_support import container
from harness import (CLI, COMMAND_SECONDS, ENGINE, UnixHttp, case, check, contains, equal,
                     eventually, main, matches)

ZERO_TIME = "0001-01-01T00:00:00Z"


def busy(engine, *options):
    return engine.out("run", "-d", "--network", "none", *options, "bb", "sh", "-c",
                      "while :; do :; done")


def stats(engine, identity, parameters="stream=0"):
    answer = engine.api("GET", f"/containers/{identity}/stats?{parameters}")
    equal(answer.status, 200, answer.body)
    return answer.json


@contextlib.contextmanager
def stream(engine, identity):
    """Gives a function: the next object."""
    connection = UnixHttp(engine.socket)
    connection.request("GET", f"/containers/{identity}/stats")
    answer = connection.getresponse()
    equal(answer.status, 200)
    try:
        yield lambda: json.loads(answer.readline() or "null")
    finally:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()


def cpu(sample, key="cpu_stats"):
    return sample[key]["cpu_usage"]["total_usage"]


@case()
def shape(engine):
    identity = busy(engine, "--name", "worker", "--memory", "64m", "--pids-limit", "50")
    sample = stats(engine, "worker")
    equal((sample["id"], sample["name"]), (identity, "/worker"))
    check(ZERO_TIME < sample["preread"] < sample["read"], f"{sample['preread']} {sample['read']}")
    equal(sample["pids_stats"], {"current": 1, "limit": 50})
    equal((sample["num_procs"], sample["storage_stats"]), (0, {}))
    check("networks" not in sample, "it has no network")
    usage = sample["cpu_stats"]["cpu_usage"]
    check(usage["total_usage"] > 0, "it works")
    check(usage["usage_in_usermode"] + usage["usage_in_kernelmode"] > 0, "somewhere")
    equal(sample["cpu_stats"]["online_cpus"], os.cpu_count())
    spent = cpu(sample) - cpu(sample, "precpu_stats")
    host = sample["cpu_stats"]["system_cpu_usage"] - sample["precpu_stats"]["system_cpu_usage"]
    check(0 < spent <= host * 1.1, f"{spent} of {host}")
    equal(sorted(sample["cpu_stats"]["throttling_data"]),
          ["periods", "throttled_periods", "throttled_time"])
    memory = sample["memory_stats"]
    equal(memory["limit"], 64 * 1024 * 1024)
    check(0 < memory["usage"] < memory["limit"], f"{memory['usage']}")
    check("cache" in memory["stats"] or "file" in memory["stats"], "the kernel's own numbers")
    equal(sorted(sample["blkio_stats"]),
          sorted(["io_service_bytes_recursive", "io_serviced_recursive", "io_queue_recursive",
                  "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive",
                  "io_time_recursive", "sectors_recursive"]))


@case()
def no_limit_is_the_hosts(engine):
    with container(engine) as identity:
        sample = stats(engine, identity, "stream=0&one-shot=1")
        with open("/proc/meminfo", encoding="ascii") as text:
            total = int(text.readline().split()[1]) * 1024
        equal(sample["memory_stats"]["limit"], total)


@case()
def throttled(engine):
    identity = busy(engine, "--cpus", "0.2")
    first = stats(engine, identity)["cpu_stats"]["throttling_data"]
    check(first["periods"] > 0 and first["throttled_periods"] > 0 and first["throttled_time"] > 0,
          f"{first}")


@case("davit")
def once(engine):
    identity = busy(engine)
    sample = stats(engine, identity, "stream=0&one-shot=1")
    equal((sample["preread"], cpu(sample, "precpu_stats")), (ZERO_TIME, 0))
    check(cpu(sample) > 0, "it works")
    answer = engine.api("GET", f"/containers/{identity}/stats?stream=1&one-shot=1")
    equal((answer.status, answer.message), (400, "cannot have stream=true and one-shot=true"))
    equal(engine.api("GET", "/containers/nosuch/stats").status, 404)
    equal(engine.api("GET", "/containers/nosuch/stats?stream=0").status, 404)


@case()
def streamed(engine):
    identity = busy(engine)
    with stream(engine, identity) as following:
        first, second, third = following(), following(), following()
    equal((first["preread"], cpu(first, "precpu_stats")), (ZERO_TIME, 0), "nothing before it")
    for before, after in ((first, second), (second, third)):
        equal(after["preread"], before["read"])
        equal(after["precpu_stats"], before["cpu_stats"])
        check(cpu(after) > cpu(before), "it goes on")


@case()
def of_one_that_does_not_run(engine):
    identity = engine.out("create", "--network", "none", "--name", "still", "bb", "sleep", "1000")
    sample = stats(engine, identity)
    equal((sample["id"], sample["name"], sample["read"], sample["memory_stats"]),
          (identity, "/still", ZERO_TIME, {}))
    equal(cpu(sample), 0)
    with stream(engine, identity) as following:
        equal(following()["read"], ZERO_TIME)
        engine.docker("start", identity)
        eventually(lambda: following()["read"] != ZERO_TIME, "its start is seen")
        engine.docker("stop", "-t", "0", identity)
        eventually(lambda: following()["read"] == ZERO_TIME, "and its end")
        engine.docker("rm", identity)
        eventually(lambda: following() is None, "the stream ends with it")


@case("davit")
def one_sampler_for_all(engine):
    """Everybody who reads at the same time gets the same samples."""
    identity = busy(engine)
    seen = []

    def read():
        with stream(engine, identity) as following:
            seen.append([following()["read"] for _ in range(4)])

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(COMMAND_SECONDS)
    equal(len(seen), 20)
    check(len({time for times in seen for time in times}) <= 8, f"few samples: {seen}")


@case("davit")
def nobody_reads_nothing_is_open(engine):
    identity = busy(engine)
    before = engine.descriptors()
    for _ in range(5):
        with stream(engine, identity) as following:
            following()
    stats(engine, identity)
    eventually(lambda: not set(engine.descriptors()) - set(before), "no descriptor is left")


@case()
def pause_and_many(engine):
    identities = [busy(engine) for _ in range(3)]
    engine.docker("pause", identities[0])
    first = stats(engine, identities[0])
    second = stats(engine, identities[0])
    equal(cpu(first), cpu(second), "a paused one uses nothing")
    check(second["memory_stats"]["usage"] > 0, "but memory")
    engine.docker("unpause", identities[0])
    lines = engine.out("stats", "--no-stream", "--format", "{{.ID}} {{.CPUPerc}}").splitlines()
    equal(sorted(line.split()[0] for line in lines), sorted(id[:12] for id in identities))


@case()
def command_line(engine):
    identity = busy(engine, "--name", "columns", "--memory", "64m")
    heading, line = engine.docker("stats", "--no-stream", "columns").stdout.splitlines()
    equal(heading.split(), "CONTAINER ID NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS"
          .split())
    matches(line, rf"^{identity[:12]}\s+columns\s+\d+\.\d\d%\s+[\d.]+[KM]iB / 64MiB\s+\d+\.\d\d%"
            r"\s+0B / 0B\s+\S+ / \S+\s+1$")
    percent = float(line.split()[2].rstrip("%"))
    check(1 < percent < 110 * os.cpu_count(), f"{percent}")
    share = engine.out("stats", "--no-stream", "--format", "{{.MemPerc}} {{.Name}}", "columns")
    matches(share, r"^\d+\.\d\d% columns$")
    row = json.loads(engine.out("stats", "--no-stream", "--format", "json", "columns"))
    equal((row["Name"], row["PIDs"]), ("columns", "1"))
    stopped = engine.out("create", "--network", "none", "--name", "stopped", "bb", "true")
    equal(engine.out("stats", "--no-stream", "--format", "{{.Name}}"), "columns")
    shown = engine.out("stats", "--no-stream", "-a", "--no-trunc", "--format", "{{.ID}}").split()
    equal(sorted(shown), sorted([identity, stopped]))
    done = engine.docker("stats", "--no-stream", "nosuch", status=1)
    contains(done.stderr, "No such container: nosuch")


@case()
def command_line_streams(engine):
    busy(engine, "--name", "columns")
    following = engine.spawn("stats", "--format", "{{.Name}} {{.CPUPerc}}", "columns")
    text = b""
    while text.count(b"columns ") < 3:
        piece = following.stdout.read1(4096)
        check(piece, f"it goes on: {text!r}")
        text += piece
    following.kill()
    following.wait(COMMAND_SECONDS)
    if CLI == "davit" and ENGINE == "davit":
        matches(text.decode(), r"columns [1-9]\d*\.\d\d%")


if __name__ == "__main__":
    main()
