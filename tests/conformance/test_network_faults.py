#!/usr/bin/env python3
"""What goes wrong around davit's networks, and what is left of them then.

Goal: each row of docs/network-matrix.md that is a failure has the answer that is written there.
Method: a host of the suite's own (network_support.py) whose links, addresses, firewall, settings and
BPF maps are broken on purpose, one at a time, and mended again.
"""

import contextlib
import errno
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys

from harness import Skip, case, check, contains, equal, eventually, main
from network_support import (HOST, REMOTE, Remote, ask, bind_error, host_server, http, inside, links, run,
                             serve, start_in_child_cgroup)

PORTS_MAX = 65536
NO_ANSWER = "error: "


def prepare(engine, stack):
    for program in ("tc", "bpftool"):
        if not shutil.which(program):
            raise Skip(f"{program} is missing: scripts/install-deps test")
    remote = Remote()
    stack.callback(remote.close)
    start_in_child_cgroup(engine, stack)
    return {"remote": remote}


def pinned(engine, name):
    return str(next((engine.run_dir / "bpf").glob(f"v*/{name}")))


def dump(engine, name):
    return json.loads(run("bpftool", "-j", "map", "dump", "pinned", pinned(engine, name)))


def batch(engine, commands):
    """Many map commands by one bpftool."""
    file = engine.directory / "bpftool.batch"
    file.write_text("\n".join(commands) + "\n", encoding="ascii")
    run("bpftool", "batch", "file", str(file))


def counted(engine, reason):
    text = engine.api("GET", "/metrics").body.decode()
    return int(float(re.search(rf'dropped_packets_total{{reason="{reason}"}} (\S+)', text).group(1)))


@contextlib.contextmanager
def setting(name, value):
    path = pathlib.Path("/proc/sys") / name
    before = path.read_text(encoding="ascii")
    path.write_text(str(value), encoding="ascii")
    try:
        yield
    finally:
        path.write_text(before, encoding="ascii")


@case("davit")
def a_full_table_of_ports_publishes_nothing(engine, remote):
    serve(engine, "first", "-p", "8100:80")
    path = pinned(engine, "port_map")
    # Ports of an address that nobody has, until nothing more is taken.
    keys = [" ".join(f"{byte:02x}" for byte in (*[0] * 10, 255, 255, 203, 0, 113, 7, port >> 8, port & 255,
                                               6, 0)) for port in range(PORTS_MAX)]
    value = " ".join(["00"] * 20)
    taken = len(dump(engine, "port_map"))
    batch(engine, [f"map update pinned {path} key hex {key} value hex {value}"
                   for key in keys[:PORTS_MAX - taken]])
    try:
        refused = engine.docker("run", "-d", "--name", "late", "-p", "8101:80", "bb", "sleep", "1000",
                                status=125)
        contains(refused.stderr, "port_map", "what was full")
        equal(engine.inspect("late")["State"]["Status"], "created", "it was not started")
        equal(bind_error("0.0.0.0", 8101), None, "its port is not held")
        equal(http(HOST, 8100, enter=remote.enter()), f"first {HOST}:8100", "the other goes on")
    finally:
        batch(engine, [f"map delete pinned {path} key hex {key}" for key in keys[:PORTS_MAX - taken]])
    engine.out("start", "late")
    equal(bind_error("0.0.0.0", 8101), errno.EADDRINUSE, "with room it starts")


@case()
def a_held_port_cannot_be_stolen(engine, remote):
    serve(engine, "web", "-p", "8110:80")
    for options in ((socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,),
                    (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
        with socket.socket() as thief:
            for option in options:
                thief.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                thief.bind(("0.0.0.0", 8110))
            except OSError as problem:
                equal(problem.errno, errno.EADDRINUSE, f"options {options}")
            else:
                check(False, f"bound with {options}")
    equal(http("127.0.0.1", 8110), "web 127.0.0.1:8110", "it still answers")


@case("davit")
def without_a_daemon_a_port_may_be_ephemeral(engine, remote):
    """No daemon holds it, so connect(2) may take it; both are served."""
    serve(engine, "web", "-p", "8120:80")
    engine.kill()
    try:
        with setting("net/ipv4/ip_local_port_range", "8120 8121"):
            with socket.socket() as client:
                client.settimeout(5)
                client.connect((REMOTE, 7000))
                equal(client.recv(100).decode(), HOST, "an answer to the host's own connection")
        equal(http(HOST, 8120, enter=remote.enter()), f"web {HOST}:8120", "published all the same")
    finally:
        engine.start()


@case("davit")
def masquerade_without_a_free_port(engine, remote):
    """One port is to serve all: the second to one server is dropped, and counted."""
    engine.out("run", "-d", "--name", "in", "bb", "sleep", "1000")
    enter = inside(engine, "in")
    path = pinned(engine, "config")
    before = dump(engine, "config")[0]["value"]
    narrow = before[:12] + before[12:14] + before[12:14]  # From the first to the first.

    def put(value):
        run("bpftool", "map", "update", "pinned", path, "key", "hex", "00", "00", "00", "00", "value",
            "hex", *(byte.removeprefix("0x") for byte in value))

    def ask_from(port):
        # A privileged port is never kept: one of the range has to be found.
        script = ("import socket\nc=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nc.settimeout(0.5)\n"
                  f"c.bind(('', {port}))\nc.connect(('{REMOTE}', 7000))\nc.send(b'x')\n"
                  "try: print(c.recv(100).decode())\nexcept OSError as e: print('error:', e)\n")
        return subprocess.run([*enter, sys.executable, "-c", script], capture_output=True, text=True,
                              check=False).stdout.strip()

    equal(ask_from(500), f"{HOST} 1", "with all ports")
    put(narrow)
    try:
        equal(ask_from(501), f"{HOST} 1", "the one port")
        drops = counted(engine, "no_port")
        contains(ask_from(502), NO_ANSWER, "none is left")
        equal(counted(engine, "no_port"), drops + 1, "counted by its reason")
        equal(ask("udp", REMOTE, 7000, enter=enter), f"{HOST} 1 {REMOTE}:7000", "a port that can be kept")
    finally:
        put(before)
    equal(ask_from(503), f"{HOST} 1", "with all ports again")


@case("davit")
def flows_that_were_evicted(engine, remote):
    """What the table of flows forgets ends; what is new begins."""
    serve(engine, "web", "-p", "8130:80")
    engine.out("run", "-d", "--name", "in", "bb", "sleep", "1000")
    equal(http(HOST, 8130, enter=remote.enter()), f"web {HOST}:8130", "before")
    path = pinned(engine, "flow")
    keys = [" ".join(byte.removeprefix("0x") for byte in entry["key"]) for entry in dump(engine, "flow")]
    check(keys, "there are flows")
    batch(engine, [f"map delete pinned {path} key hex {key}" for key in keys])
    equal(http(HOST, 8130, enter=remote.enter()), f"web {HOST}:8130", "a new connection")
    equal(ask("udp", REMOTE, 7000, enter=inside(engine, "in")), f"{HOST} 1 {REMOTE}:7000", "the way out")


@case()
def a_link_that_somebody_deletes(engine, remote):
    serve(engine, "web", "-p", "8140:80")
    serve(engine, "other", "-p", "8141:80")
    peer = int(engine.out("exec", "web", "cat", "/sys/class/net/eth0/iflink"))
    name = next(line.split(":")[1].strip().split("@")[0] for line in run("ip", "-o", "link").splitlines()
                if line.startswith(f"{peer}:"))
    run("ip", "link", "delete", name)
    contains(http(HOST, 8140, enter=remote.enter(), patience=0.5), NO_ANSWER, "it is gone")
    equal(http(HOST, 8141, enter=remote.enter()), f"other {HOST}:8141", "the others are there")
    engine.out("restart", "-t", "0", "web")
    eventually(lambda: http(HOST, 8140, enter=remote.enter(), patience=1) == f"web {HOST}:8140",
               "a restart makes it anew")


@case("davit")
def an_address_of_the_host_changes(engine, remote):
    serve(engine, "web", "-p", "8150:80")
    enter = inside(engine, "web")
    other = "198.51.100.77"
    run("ip", "addr", "add", other + "/24", "dev", "up0")
    try:
        eventually(lambda: http(other, 8150, enter=remote.enter(), patience=1) == f"web {other}:8150",
                   "published on an address that is new")
        run("ip", "addr", "del", HOST + "/24", "dev", "up0")
        run("ip", "addr", "replace", other + "/24", "dev", "up0")
        eventually(lambda: ask("udp", REMOTE, 7000, enter=enter, patience=1) ==
                   f"{other} 1 {REMOTE}:7000", "masqueraded with what is left")
    finally:
        run("ip", "addr", "replace", HOST + "/24", "dev", "up0")
        run("ip", "addr", "del", other + "/24", "dev", "up0")
        run("ip", "addr", "replace", HOST + "/24", "dev", "up0")
        run("ip", "route", "replace", "default", "via", REMOTE)
    eventually(lambda: ask("udp", REMOTE, 7000, enter=enter, patience=1) == f"{HOST} 1 {REMOTE}:7000",
               "and back")
    contains(http(other, 8150, enter=remote.enter(), patience=0.5), NO_ANSWER, "an address that is gone")


@case("davit")
def links_that_come_and_go_under_load(engine, remote):
    serve(engine, "web", "-p", "8160:80")
    for number in range(10):
        run("ip", "link", "add", f"dum{number}", "type", "bridge")
        run("ip", "addr", "add", f"203.0.113.{100 + number}/32", "dev", f"dum{number}")
        run("ip", "link", "set", f"dum{number}", "up")
        equal(http(HOST, 8160, enter=remote.enter()), f"web {HOST}:8160", "while they come")
    eventually(lambda: http("203.0.113.109", 8160, patience=1).startswith("web"), "published there, too")
    for number in range(10):
        run("ip", "link", "delete", f"dum{number}")
        equal(http(HOST, 8160, enter=remote.enter()), f"web {HOST}:8160", "while they go")


@contextlib.contextmanager
def firewall(*rules):
    """Rules of an iptables of this namespace's, and none afterwards."""
    if not shutil.which("iptables"):
        raise Skip("iptables is missing")
    try:
        for rule in rules:
            run("iptables", *rule.split())
        yield
    finally:
        for chain in ("INPUT", "FORWARD"):
            run("iptables", "-P", chain, "ACCEPT")
        run("iptables", "-F")


def paths(engine, remote):
    """Everything that a container's packets do, by what it is."""
    address = next(iter(engine.inspect("other")["NetworkSettings"]["Networks"].values()))["IPAddress"]
    enter = inside(engine, "web")
    return {
        "remote to published": http(HOST, 8170, enter=remote.enter(), patience=1),
        "host to published": http("127.0.0.1", 8170, patience=1),
        "bound to the loopback": http("127.0.0.1", 8170, source="127.0.0.1", patience=1),
        "hairpin": http(HOST, 8170, enter=enter, patience=1),
        "out": ask("udp", REMOTE, 7000, enter=enter, patience=1),
        "to a sibling": http(address, 80, enter=enter, patience=1),
        "host to container": http(address, 80, patience=1),
    }


@case("davit")
def a_firewall_that_forwards_nothing(engine, remote):
    """As another engine's: FORWARD drops, and bridges are asked (br_netfilter)."""
    serve(engine, "web", "-p", "8170:80")
    serve(engine, "other")
    free = paths(engine, remote)
    check(not any(answer.startswith(NO_ANSWER) for answer in free.values()), f"without: {free}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(firewall("-P FORWARD DROP"))
        for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
            if pathlib.Path("/proc/sys/net/bridge", name).exists():
                stack.enter_context(setting(f"net/bridge/{name}", 1))
        equal(paths(engine, remote), free, "with FORWARD DROP")


@case("davit")
def a_firewall_that_lets_nothing_in(engine, remote):
    serve(engine, "web", "-p", "8170:80")
    serve(engine, "other")
    free = paths(engine, remote)
    with host_server(7100), firewall("-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT",
                                     "-A INPUT -i lo -j ACCEPT", "-P INPUT DROP"):
        equal(paths(engine, remote), free, "with INPUT DROP")
        contains(ask("tcp", HOST, 7100, enter=inside(engine, "web"), patience=0.5), NO_ANSWER,
                 "a service of the host's is behind the firewall")
    with host_server(7100):
        contains(ask("tcp", HOST, 7100, enter=inside(engine, "web")), f" {HOST}:7100", "without it is not")


@case("davit")
def filters_of_others(engine, remote):
    """One before ours that says nothing, one behind it that drops what gets there: both are asked."""
    serve(engine, "web", "-p", "8180:80")
    for priority, verdict in (("1", 0xffffffff), ("1000", 2)):  # TC_ACT_UNSPEC, TC_ACT_SHOT
        run("tc", "filter", "add", "dev", "up0", "ingress", "prio", priority, "protocol", "ip", "bpf",
            "direct-action", "bytecode", f"1,6 0 0 {verdict},")
    try:
        equal(http(HOST, 8180, enter=remote.enter()), f"web {HOST}:8180", "published: ours is before it")
        with host_server(7100):
            contains(ask("tcp", HOST, 7100, enter=remote.enter(), patience=0.5), NO_ANSWER,
                     "what ours passes comes to it")
        engine.remove_all()
        engine.stop()
        try:
            text = run("tc", "filter", "show", "dev", "up0", "ingress")
            check("bytecode" in text and "davit" not in text, f"theirs stay: {text}")
        finally:
            engine.start()
    finally:
        for priority in ("1", "1000"):
            run("tc", "filter", "delete", "dev", "up0", "ingress", "prio", priority)


@case("davit")
def a_host_that_forwards(engine, remote):
    """The neighbour has a route to containers' addresses: still nobody gets in that way."""
    address = serve(engine, "web", "-p", "8190:80")
    with setting("net/ipv4/ip_forward", 1):
        drops = counted(engine, "unpublished")
        contains(http(address, 80, enter=remote.enter(), patience=0.5), NO_ANSWER, "straight to a container")
        check(counted(engine, "unpublished") > drops, "counted by its reason")
        equal(http(HOST, 8190, enter=remote.enter()), f"web {HOST}:8190", "published")
        contains(ask("udp", REMOTE, 7000, enter=inside(engine, "web")), f"{HOST} 1", "out")


@case("davit")
def a_container_that_has_just_gone(engine, remote):
    """Its port is still in the table: what comes is dropped, and counted."""
    serve(engine, "web", "-p", "8195:80")
    for entry in dump(engine, "endpoint"):
        run("bpftool", "map", "delete", "pinned", pinned(engine, "endpoint"), "key", "hex",
            *(byte.removeprefix("0x") for byte in entry["key"]))
    drops = counted(engine, "no_flow")
    contains(http(HOST, 8195, enter=remote.enter(), patience=0.5), NO_ANSWER, "nobody is there")
    check(counted(engine, "no_flow") > drops, "counted by its reason")
    engine.out("restart", "-t", "0", "web")
    eventually(lambda: http(HOST, 8195, enter=remote.enter(), patience=1) == f"web {HOST}:8195", "again")


if __name__ == "__main__":
    main(prepare)
