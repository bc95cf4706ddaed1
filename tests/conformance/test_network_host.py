#!/usr/bin/env python3
"""The host's side of davit's networks: what is counted, where packets would go, what can be taken away.

Goal: `davit network uninstall` leaves nothing, and refuses while somebody needs it; counters count what
really happened; `davit network trace` tells what packets really do. Method: a host of the suite's own
(network_support.py), whose links, qdiscs, filters, hooks and settings are compared before and after.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess

from harness import DAVIT, Skip, case, check, contains, equal, eventually, main, matches
from network_support import HOST, REMOTE, Remote, ask, http, links, run, start_in_child_cgroup

SERVE = "mkdir -p /www; echo {0} > /www/index.html; httpd -f -p 80 -h /www"
LO = pathlib.Path("/proc/sys/net/ipv4/conf/lo")


def prepare(engine, stack):
    for program in ("tc", "bpftool"):
        try:
            run(program, "-V")
        except OSError:
            raise Skip(f"{program} is missing") from None
    remote = Remote()
    stack.callback(remote.close)
    host = Host(engine)  # Before davit has touched anything.
    start_in_child_cgroup(engine, stack)
    return {"remote": remote, "host": host}


class Host:
    """What a daemon may change of this namespace, its cgroup and its mounts."""

    def __init__(self, engine):
        self.engine = engine
        self.before = self.state()

    def hooks(self):
        options = self.engine.options
        if "--network-cgroup" not in options:
            return []
        name = options[options.index("--network-cgroup") + 1]
        for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            if pathlib.Path(top + name).exists():
                return json.loads(run("bpftool", "-j", "cgroup", "show", top + name).strip() or "[]")
        return []

    def state(self):
        return {
            "links": links(),
            "addresses": re.findall(r"inet6? (?!fe80)(\S+)", run("ip", "addr")),
            "qdiscs": [line for line in run("tc", "qdisc").splitlines() if "clsact" in line],
            "filters": [line for link in links()
                        for line in run("tc", "filter", "show", "dev", link, "ingress").splitlines()],
            "hooks": self.hooks(),
            "mounts": [line.split()[4] for line in open("/proc/self/mountinfo")
                       if " - bpf " in line and str(self.engine.run_dir) in line],
            "lo": [(LO / name).read_text().strip() for name in ("accept_local", "route_localnet")],
            "pins": (self.engine.run_dir / "bpf").exists(),
        }

    def maps(self):
        """Ids of the maps that the pins of this engine's are of."""
        found = []
        for path in (self.engine.run_dir / "bpf").glob("v*/*"):
            if not path.name.startswith("link_"):
                found.append(json.loads(run("bpftool", "-j", "map", "show", "pinned", str(path)))["id"])
        return found


def davit(engine, *arguments, status=0):
    done = subprocess.run([DAVIT, *arguments], env=engine.environment(), capture_output=True,
                          text=True, check=False)
    if status is not None:
        equal(done.returncode, status, f"davit {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done


def uninstall(engine, status=0):
    done = davit(engine, "network", "uninstall", "--data-root", str(engine.data_root), "--run-dir",
                 str(engine.run_dir), status=status)
    return done.stdout if status == 0 else done.stderr


def server(engine, name, *options):
    engine.out("run", "-d", "--name", name, *options, "bb", "sh", "-c", SERVE.format(name))
    networks = engine.inspect(name)["NetworkSettings"]["Networks"]
    address = next(iter(networks.values()))["IPAddress"]

    def up():
        with contextlib.suppress(OSError):
            socket.create_connection((address, 80), 1).close()
            return True
        return False

    eventually(up, f"{name} answers")
    return address


def is_gone(map_id):
    return subprocess.run(["bpftool", "map", "show", "id", str(map_id)], capture_output=True,
                          check=False).returncode != 0


@case("davit")
def uninstall_leaves_nothing(engine, remote, host):
    server(engine, "web", "-p", "8080:80")
    engine.out("network", "create", "--ipv6", "front")
    engine.out("run", "-d", "--name", "in", "--network", "front", "bb", "sleep", "1000")
    process = engine.inspect("web")["State"]["Pid"], engine.inspect("in")["State"]["Pid"]
    used = host.state()
    check(used["hooks"] and used["filters"] and used["mounts"], f"davit's networking is there: {used}")
    equal(used["lo"], ["1", "1"], "lo is open")
    contains(uninstall(engine, status=1), "in use by another davit daemon", "a daemon runs")
    equal(host.state(), used, "nothing is changed by a refusal")
    engine.kill()
    try:
        refused = uninstall(engine, status=1)
        contains(refused, "stop these containers first", "containers run")
        check("web" in refused and "in" in refused, f"they are named: {refused}")
        equal(http(HOST, 8080, enter=remote.enter()), f"web {HOST}:8080", "they are still served")
        for pid in process:
            os.kill(pid, 9)
        eventually(lambda: not [name for name in links() if name.startswith("dve")], "the veths end")
        maps = host.maps()
        check(maps, "maps are pinned")
        run("ip", "link", "add", "mine", "type", "bridge")
        told = uninstall(engine)
        for piece in ("removed links: ", "removed filters on: ", "up0", "removed socket hooks: ",
                      "host_connect4", "removed maps: ", "port_map"):
            contains(told, piece, "what was removed")
        run("ip", "link", "delete", "mine")  # Another's bridge is nobody's to take.
        equal(host.state(), host.before, "as before davit")
        eventually(lambda: all(is_gone(one) for one in maps), f"no map of {maps} is left")
        equal(uninstall(engine).strip(), "there was nothing to remove", "twice")
    finally:
        engine.start()
    engine.out("rm", "-f", "web", "in")
    engine.out("run", "-d", "--name", "in", "--network", "front", "bb", "sleep", "1000")
    engine.out("rm", "-f", "in")
    engine.out("network", "rm", "front")


@case("davit")
def another_directory_is_refused(engine, remote, host):
    refused = davit(engine, "network", "uninstall", "--data-root", "/nonexistent/davit", status=1)
    contains(refused.stderr, "no davit daemon has ever used /nonexistent/davit", "message")
    check(not os.path.exists("/nonexistent"), "nothing is made by it")


@case("davit")
def a_daemon_that_ends_leaves_nothing(engine, remote, host):
    server(engine, "web", "-p", "8080:80")
    engine.stop()
    try:
        eventually(lambda: not [name for name in links() if name.startswith("dve")], "the veths end")
        equal(host.state(), host.before, "as before davit")
    finally:
        engine.start()


def stats(engine):
    rows = davit(engine, "network", "stats", "--format", "{{.Name}} {{.Packets}} {{.Dropped}}").stdout
    return {name: int(packets) for name, packets, _ in map(str.split, rows.splitlines())}


def metrics(engine):
    answer = engine.api("GET", "/metrics")
    equal((answer.status, answer.headers["Content-Type"]),
          (200, "text/plain; version=0.0.4; charset=utf-8"), "answer")
    values = {}
    for line in answer.body.decode().splitlines():
        if line.startswith("#"):
            matches(line, r"^# (HELP davit_\w+ \S.*|TYPE davit_\w+ (gauge|counter))$", "comment")
            continue
        matches(line, r'^davit_\w+(\{\w+="[^"\\]*"(,\w+="[^"\\]*")*\})? [0-9.e+-]+$', "sample")
        name, value = line.rsplit(" ", 1)
        check(name not in values, f"{name} is there twice")
        values[name] = float(value)
    return values


@case("davit")
def drops_are_counted_by_their_reason(engine, remote, host):
    """Each reason grows by what was sent, and no other does."""
    for name in ("left", "right"):
        engine.out("network", "create", name)
    engine.out("network", "create", "--internal", "cave")
    server(engine, "lefty", "--network", "left")
    right = server(engine, "righty", "--network", "right")
    engine.out("run", "-d", "--name", "caver", "--network", "cave", "bb", "sleep", "1000")
    own = engine.inspect("lefty")["NetworkSettings"]["Networks"]["left"]["IPAddress"]

    def grown(act):
        before, counted = metrics(engine), stats(engine)
        act()
        after, now = metrics(engine), stats(engine)
        drops = {name.split('"')[1]: after[name] - before[name] for name in after
                 if name.startswith("davit_network_dropped_packets") and after[name] != before[name]}
        equal({name: now[name] - counted[name] for name in drops}, drops, "stats and metrics agree")
        return drops

    def ping(container, address):
        return lambda: engine.docker("exec", container, "ping", "-c", "2", "-W", "1", address,
                                     status=None)

    equal(grown(ping("lefty", right)), {"other_network": 2}, "another network")
    equal(grown(ping("caver", REMOTE)), {}, "an internal container has no route")
    inside = ("nsenter", "--target", str(engine.inspect("caver")["State"]["Pid"]), "--net")
    run(*inside, "ip", "route", "add", "default", "via",
        json.loads(engine.out("network", "inspect", "cave"))[0]["IPAM"]["Config"][0]["Gateway"])
    equal(grown(ping("caver", REMOTE)), {"internal": 2}, "internal")
    inside = ("nsenter", "--target", str(engine.inspect("lefty")["State"]["Pid"]), "--net")
    run(*inside, "ip", "addr", "add", "10.99.0.1/32", "dev", "eth0")
    equal(grown(lambda: ask("udp", REMOTE, 9, enter=inside, source="10.99.0.1", patience=0.2)),
          {"spoofed": 1}, "another's address")
    equal(grown(lambda: remote.ask("udp", own, 9, patience=0.2)), {"unpublished": 1},
          "from outside straight to a container")
    taken = stats(engine)["masqueraded"]
    ping("lefty", REMOTE)()
    equal(stats(engine)["masqueraded"], taken + 1, "one flow to the outside")
    engine.remove_all()
    for name in ("left", "right", "cave"):
        engine.out("network", "rm", name)


@case("davit")
def metrics_of_the_daemon(engine, remote, host):
    engine.out("run", "-d", "--name", "up", "--network", "none", "bb", "sleep", "1000")
    engine.out("create", "--name", "made", "bb", "true")
    values = metrics(engine)
    equal({state: values[f'davit_containers{{state="{state}"}}'] for state in
           ("created", "running", "paused", "exited")},
          {"created": 1, "running": 1, "paused": 0, "exited": 0}, "containers")
    equal((values["davit_images"], values["davit_networks"]), (1, 3), "images and networks")
    check(values["davit_jobs_running"] >= 1, "this call is a job")
    check(values["davit_loop_turns_total"] > 0, "turns of the loop")
    check('davit_network_dropped_packets_total{reason="spoofed"}' in values, "drops, even if none")


def trace(engine, source, target, port, *options):
    """What `davit network trace` prints, by its first column."""
    text = davit(engine, "network", "trace", "--from", source, "--to", target, "--port", str(port),
                 *options).stdout
    return dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in text.splitlines())


def flows(engine):
    path = next((engine.run_dir / "bpf").glob("v*/flow"))
    return len(json.loads(run("bpftool", "-j", "map", "dump", "pinned", str(path))))


@case("davit")
def a_trace_tells_what_packets_do(engine, remote, host):
    """Each row of the table is traced, and then tried."""
    for name in ("left", "right"):
        engine.out("network", "create", name)
    left = server(engine, "lefty", "--network", "left")
    server(engine, "other", "--network", "left")
    right = server(engine, "righty", "--network", "right", "-p", "8080:80")
    before = flows(engine)
    told = trace(engine, "lefty", "other", 80)
    matches(told["packet"], rf"^tcp {re.escape(left)}:\d+ -> [0-9.]+:80$", "packet")
    equal((told["network"], told["program"]), ("left", "from_container"), "")
    matches(told["verdict"], r"^goes into container other by dve\w+$", "same network")
    contains(told["reason"], "direct: ", "reason")
    told = trace(engine, "lefty", "righty", 80)
    equal((told["verdict"], told["reason"].split(":")[0]), ("dropped", "other_network"), "other net")
    told = trace(engine, "lefty", HOST, 8080)
    matches(told["verdict"], r"^goes into container righty by dve\w+$", "hairpin")
    contains(told["reason"], "hairpin: ", "reason")
    contains(told["becomes"], f"-> {right}:80", "rewritten")
    told = trace(engine, "lefty", REMOTE, 443, "--proto", "udp")
    equal((told["verdict"], told["reason"].split(":")[0]), ("goes out by up0", "masqueraded"), "outside")
    matches(told["becomes"], rf"^udp {re.escape(HOST)}:\d+ -> {re.escape(REMOTE)}:443$", "masqueraded")
    told = trace(engine, REMOTE, HOST, 8080)
    equal(told["enters by"], "up0", "from outside")
    matches(told["verdict"], r"^goes into container righty by dve\w+$", "published")
    told = trace(engine, REMOTE, HOST, 8081)
    equal(told["verdict"], "left to this host's own stack", "not published")
    told = trace(engine, REMOTE, "righty", 80)
    equal((told["verdict"], told["reason"].split(":")[0]), ("dropped", "unpublished"), "straight")
    told = trace(engine, "host", "host", 8080)
    contains(told["connect"], f"{right}:80, container righty", "the socket hook")
    contains(told["reason"], "loopback: ", "what the hooks do not see")
    told = trace(engine, "lefty", "host", 7100)
    equal(told["verdict"], "left to this host's own stack", "a service of the host's")
    equal(flows(engine), before, "no flow is left by it")
    for arguments, message in (
            (("nobody", "lefty", 80), "No such container: nobody"),
            (("lefty", "lefty", 80), "are the same"),
            (("lefty", "righty", 0), "invalid port"),
            (("lefty", "righty", 80, "--proto", "sctp"), 'invalid protocol "sctp"')):
        source, target, port, *options = arguments
        refused = davit(engine, "network", "trace", "--from", source, "--to", target, "--port",
                        str(port), *options, status=1)
        contains(refused.stderr, message, str(arguments))
    engine.remove_all()
    for name in ("left", "right"):
        engine.out("network", "rm", name)


if __name__ == "__main__":
    main(prepare)
