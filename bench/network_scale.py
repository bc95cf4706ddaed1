#!/usr/bin/env python3
"""How davit's networks grow: networks on one host, published ports, questions to the resolver.

    bench/network_scale.py [--davit PATH] [--traffic PATH] [--networks N] [--ports N] [--only WHAT]

The daemon has a directory and a network namespace of its own. What is measured:

  networks  N networks are created one after the other; the last ones against the first ones
  ports     one container publishes N ports; a container with one port is started and stopped beside
            it, before and after; the longest turn of the daemon's loop meanwhile
  dns       one container asks as fast as it can, 32 questions at a time, for a name of its network,
            while another container asks one question at a time

Times are the API's, as a client sees them. Needs root.
"""

import argparse
import contextlib
import io
import pathlib
import statistics
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/conformance"))
import harness  # pylint: disable=wrong-import-position
from network_support import start_in_child_cgroup  # pylint: disable=wrong-import-position

PORTS_AT = 20000
NAMES_BESIDE = 100


def call(engine, method, path, body=None, statuses=(200, 201, 204)):
    begun = time.monotonic()
    answer = engine.api(method, path, body)
    took = (time.monotonic() - begun) * 1000
    if answer.status not in statuses:
        raise SystemExit(f"{method} {path}: {answer.status}: {answer.body[:300]}")
    return took, answer


def row(what, value):
    print(f"{what:58} {value}", flush=True)


def networks(engine, count):
    took = []
    for number in range(count):
        took.append(call(engine, "POST", "/networks/create", {"Name": f"scale-{number}"})[0])
    part = max(1, min(50, count // 10))
    first, last = statistics.median(took[:part]), statistics.median(took[-part:])
    row(f"ms: create a network, the first {part}", f"{first:.2f}")
    row(f"ms: create a network, the last {part} of {count}", f"{last:.2f}")
    row("the last against the first (goal 2)", f"{last / first:.2f}")
    engine.out("run", "--rm", "--network", "scale-0", "bb", "true")
    run = [call_run(engine, f"scale-{count - 1}") for _ in range(10)]
    row(f"ms: create, start, wait, remove on one of {count}", f"{statistics.median(run):.2f}")
    removed = [call(engine, "DELETE", f"/networks/scale-{number}")[0] for number in range(count)]
    row(f"ms: remove a network, of {count}", f"{statistics.median(removed):.2f}")
    loop_row(engine)


def create(engine, network, command, **config):
    body = {"Image": "bb", "Cmd": command, "HostConfig": {"NetworkMode": network, **config}}
    return call(engine, "POST", "/containers/create", body)[1].json["Id"]


def call_run(engine, network, **config):
    begun = time.monotonic()
    identity = create(engine, network, ["true"], **config)
    call(engine, "POST", f"/containers/{identity}/start")
    call(engine, "POST", f"/containers/{identity}/wait")
    call(engine, "DELETE", f"/containers/{identity}")
    return (time.monotonic() - begun) * 1000


def loop_row(engine):
    longest = engine.api("GET", "/davit/loop").json["LongestNs"] / 1e6
    engine.api("POST", "/davit/loop/reset")
    row("ms: longest turn of the loop meanwhile", f"{longest:.2f}")


def ports(engine, count):
    def one_more():
        bound = {"PortBindings": {"80/tcp": [{"HostPort": "19999"}]}}
        return statistics.median(call_run(engine, "bridge", **bound) for _ in range(20))

    call_run(engine, "bridge")
    alone = one_more()
    engine.api("POST", "/davit/loop/reset")
    bindings = {f"{PORTS_AT + at}/tcp": [{"HostPort": str(PORTS_AT + at)}] for at in range(count)}
    begun = time.monotonic()
    identity = create(engine, "bridge", ["sleep", "100000"], PortBindings=bindings)
    row(f"ms: create a container with {count} ports", f"{(time.monotonic() - begun) * 1000:.1f}")
    row("ms: start it", f"{call(engine, 'POST', f'/containers/{identity}/start')[0]:.1f}")
    loop_row(engine)
    beside = one_more()
    row("ms: run a container with one port, alone", f"{alone:.2f}")
    row(f"ms: run it beside {count} ports", f"{beside:.2f}")
    row("beside against alone (goal 1.5)", f"{beside / alone:.2f}")
    loop_row(engine)
    row("ms: inspect it", f"{call(engine, 'GET', f'/containers/{identity}/json')[0]:.1f}")
    row("ms: list", f"{call(engine, 'GET', '/containers/json')[0]:.1f}")
    loop_row(engine)
    row("ms: remove it", f"{call(engine, 'DELETE', f'/containers/{identity}?force=1')[0]:.1f}")
    loop_row(engine)
    row("ms: run with one of its ports, at once", f"""{call_run(engine, 'bridge', PortBindings={
        '80/tcp': [{'HostPort': str(PORTS_AT + count - 1)}]}):.2f}""")


def traffic_image(engine, traffic):
    """bb with the program that asks."""
    archive = io.BytesIO()
    with tarfile.open(harness.busybox_tar(engine.directory)) as old, \
            tarfile.open(fileobj=archive, mode="w") as new:
        for member in old.getmembers():
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
        new.add(traffic, "bin/traffic")
    engine.out("import", "-c", "ENV PATH=/bin:/usr/bin", "-", "asker:latest", stdin=archive.getvalue())


def dns(engine, traffic, milliseconds=4000):
    traffic_image(engine, traffic)
    engine.out("network", "create", "names")
    for name in ("target", "flood", "quiet"):
        engine.out("run", "-d", "--name", name, "--network", "names", "asker", "sleep", "100000")
    for crowd in (0, NAMES_BESIDE):
        for number in range(crowd):
            engine.out("run", "-d", "--name", f"crowd-{number}", "--network", "names", "bb", "sleep", "100000")
        ask = ["traffic", "names", "127.0.0.11", "53", "target"]
        alone = engine.out("exec", "quiet", *ask, "1", "1000")
        engine.api("POST", "/davit/loop/reset")
        flood = engine.spawn("exec", "flood", *ask, "32", str(milliseconds))
        time.sleep(0.5)
        beside = engine.out("exec", "quiet", *ask, "1", str(milliseconds - 1500))
        many, _ = flood.communicate()
        beside_names = f", {crowd + 3} containers in it"
        row("answers/s, p99 us, lost: 32 questions at once" + beside_names, many.decode().strip())
        row("the same: another one meanwhile, one at a time", beside)
        row("the same, alone", alone)
        loop_row(engine)
    engine.remove_all()
    engine.out("network", "rm", "names")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--davit", default=str(ROOT / "build/release/cli/davit"))
    parser.add_argument("--traffic", default=str(ROOT / "build/release/bench/davit_bench_traffic"))
    parser.add_argument("--networks", type=int, default=2000)
    parser.add_argument("--ports", type=int, default=10000)
    parser.add_argument("--only", choices=("networks", "ports", "dns"))
    options = parser.parse_args()
    harness.DAVIT = options.davit
    directory = tempfile.mkdtemp(prefix="davit-scale-", dir="/var/tmp")
    harness.private_network()
    with contextlib.ExitStack() as stack:
        engine = harness.Engine(directory)
        start_in_child_cgroup(engine, stack)
        stack.callback(engine.remove_all)
        if options.only in (None, "networks"):
            networks(engine, options.networks)
        if options.only in (None, "ports"):
            ports(engine, options.ports)
        if options.only in (None, "dns"):
            dns(engine, options.traffic)
    harness.shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
