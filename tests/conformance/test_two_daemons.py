#!/usr/bin/env python3
"""Two davit daemons on one host: neither takes anything of the other's away.

Goal: the published ports, the way out, the names and the isolation of each go on whatever the other
does, comes to, or leaves. Method: two engines with directories of their own in one network namespace
and below one cgroup; both are used, one of them dies, is uninstalled, comes back, and ends.
"""

import contextlib
import errno
import os
import pathlib
import re
import subprocess

from harness import DAVIT, Engine, Skip, case, check, contains, equal, eventually, import_busybox, main
from network_support import HOST, REMOTE, Remote, ask, bind_error, http, links, run, start_in_child_cgroup

SERVE = "mkdir -p /www; echo {0} > /www/index.html; httpd -f -p 80 -h /www"
LO = pathlib.Path("/proc/sys/net/ipv4/conf/lo")


def prepare(engine, stack):
    try:
        run("tc", "-V")
    except OSError:
        raise Skip("tc is missing") from None
    remote = Remote()
    stack.callback(remote.close)
    before = host_state()
    start_in_child_cgroup(engine, stack)
    other = Engine(engine.directory / "other")
    other.options = engine.options
    stack.callback(other.stop)
    other.start()
    import_busybox(other)
    return {"remote": remote, "other": other, "before": before}


def filters(link):
    """The names of davit's filters on a link."""
    return re.findall(r"\b(davit_from_\S+)", run("tc", "filter", "show", "dev", link, "ingress"))


def host_state():
    return {
        "links": links(),
        "filters": {link: filters(link) for link in links() if filters(link)},
        "qdiscs": [line for line in run("tc", "qdisc").splitlines() if "clsact" in line],
        "lo": [(LO / name).read_text().strip() for name in ("accept_local", "route_localnet")],
    }


def check_filters(count, what):
    equal((len(filters("up0")), len(filters("lo"))), (count, count), what)


def serve(engine, name, port, *options):
    engine.out("run", "-d", "--name", name, "-p", f"{port}:80", *options, "bb", "sh", "-c",
               SERVE.format(name))
    eventually(lambda: http(HOST, port).startswith(name), f"{name} answers")
    return next(iter(engine.inspect(name)["NetworkSettings"]["Networks"].values()))["IPAddress"]


def inside(engine, name):
    return "nsenter", "--target", str(engine.inspect(name)["State"]["Pid"]), "--net"


def check_served(remote, name, port, clients=()):
    """By every path there is."""
    equal(http(HOST, port, enter=remote.enter()), f"{name} {HOST}:{port}", "from outside")
    equal(http("127.0.0.1", port), f"{name} 127.0.0.1:{port}", "by the socket hooks")
    equal(http("127.0.0.1", port, source="127.0.0.1"), f"{name} 127.0.0.1:{port}", "by the loopback")
    for enter in clients:
        equal(http(HOST, port, enter=enter), f"{name} {HOST}:{port}", "from a container")
    equal(bind_error("0.0.0.0", port), errno.EADDRINUSE, "nobody else gets the port")


def check_leads_out(enter):
    equal(ask("udp", REMOTE, 7000, enter=enter), f"{HOST} 1 {REMOTE}:7000", "out by masquerade")


def uninstall(engine):
    done = subprocess.run(
        [DAVIT, "network", "uninstall", "--data-root", str(engine.data_root), "--run-dir",
         str(engine.run_dir)], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, f"davit network uninstall: {done.stdout}{done.stderr}")
    return done.stdout


def end_containers(engine):
    """Of an engine whose daemon is dead."""
    owner = (engine.data_root / "engine-id").read_text()
    for cgroup in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if any(id in cgroup.read_text() for id in engine.ids):
                os.kill(int(cgroup.parent.name), 9)
    eventually(lambda: f"davit:{owner}:endpoint" not in run("ip", "link"), "its veths end")


@case("davit")
def both_are_served_and_one_goes(engine, remote, other, before):
    first = serve(engine, "first", 8081)
    second = serve(other, "second", 8082)
    check(first != second, f"two default bridges have two subnets: {first}, {second}")
    check_filters(2, "each has its filters")
    clients = inside(engine, "first"), inside(other, "second")
    check_served(remote, "first", 8081, clients)
    check_served(remote, "second", 8082, clients)
    for enter, target in zip(clients, (second, first)):
        check_leads_out(enter)
        contains(http(target, 80, enter=enter, patience=0.5), "error:", "the other's containers")
    taken = engine.docker("run", "-d", "-p", "8082:80", "bb", "true", status=125)
    contains(taken.stderr, "port is already allocated", "the other's port")

    other.kill()
    check_served(remote, "second", 8082, clients)
    end_containers(other)
    contains(uninstall(other), "up0", "its filter was there")
    check_filters(1, "the other's filters stay")
    check_served(remote, "first", 8081, clients[:1])
    check_leads_out(clients[0])
    equal(bind_error("0.0.0.0", 8082), None, "the port of the one that left is free")

    other.start()
    other.remove_all()
    serve(other, "second", 8082)
    clients = clients[0], inside(other, "second")
    check_served(remote, "second", 8082, clients)
    engine.kill()
    engine.start()
    check_filters(2, "a daemon that comes back has one filter")
    check_served(remote, "second", 8082, clients[1:])
    # The first to come is the first to go: it knew what lo had been like.
    engine.remove_all()
    engine.stop()
    check_filters(1, "the second's filters stay")
    check_served(remote, "second", 8082, clients[1:])
    other.remove_all()
    other.stop()
    eventually(lambda: host_state() == before, f"as before both: {host_state()}, {before}")
    engine.start()
    other.start()


@case("davit")
def networks_that_come_later(engine, remote, other, before):
    """A bridge of one is a link of the host's to the other, also one that is made while both run."""
    serve(engine, "web", 8083)
    other.out("network", "create", "late")
    other.out("run", "-d", "--name", "client", "--network", "late", "bb", "sleep", "1000")
    enter = inside(other, "client")
    # Without the filter on the new bridge a socket of the host's would refuse.
    eventually(lambda: http(HOST, 8083, enter=enter, patience=1) == f"web {HOST}:8083",
               "from a container of a network that is new")
    serve(other, "named", 8084, "--network", "late")
    equal(other.out("exec", "client", "wget", "-q", "-O", "-", "http://named/"), "named", "names")
    check_served(remote, "named", 8084, [inside(engine, "web"), enter])
    other.remove_all()
    other.out("network", "rm", "late")
    check_served(remote, "web", 8083)


@case("davit")
def subnets_are_chosen_apart(engine, remote, other, before):
    def subnet(one, name):
        return one.api("GET", f"/networks/{name}").json["IPAM"]["Config"][0]["Subnet"]

    for one, name in ((engine, "here"), (other, "there")):
        one.out("network", "create", name)
        one.out("run", "--rm", "bb", "true")
    found = [subnet(engine, "bridge"), subnet(engine, "here"), subnet(other, "bridge"),
             subnet(other, "there")]
    equal(len(set(found)), 4, f"subnets: {found}")
    engine.out("network", "rm", "here")
    other.out("network", "rm", "there")


if __name__ == "__main__":
    main(prepare)
