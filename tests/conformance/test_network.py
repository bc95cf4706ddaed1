#!/usr/bin/env python3
"""Networks with the command line: records, addresses, who reaches whom, published ports, names.

Goal: what `docker network`, `docker run -p` and `--network` promise holds, packet by packet.
Method: containers with busybox httpd as servers; clients on the host, in other containers and on a
neighbour; every host is a network namespace of the suite's (network_support.py).
"""

import contextlib
import errno
import json
import os
import re
import socket
import subprocess
import time

from harness import CLI, case, check, contains, equal, eventually, main, matches
from network_support import (BEYOND, HOST, REMOTE, Remote, ask, bind_error,
                             host_server, http, links, start_in_child_cgroup)

SERVE = "mkdir -p /www; echo {0} > /www/index.html; httpd -f -p 80 -h /www"


def prepare(engine, stack):
    remote = Remote()
    stack.callback(remote.close)
    start_in_child_cgroup(engine, stack)
    return {"remote": remote}


@contextlib.contextmanager
def network(engine, name, *options):
    engine.out("network", "create", *options, name)
    try:
        yield name
    finally:
        for identity in engine.api("GET", f"/networks/{name}").json.get("Containers", {}):
            engine.api("DELETE", f"/containers/{identity}?force=1")
        engine.out("network", "rm", name)


def server(engine, name, *options, text=None):
    """A container that answers on port 80 with its name."""
    engine.out("run", "-d", "--name", name, *options, "bb", "sh", "-c", SERVE.format(text or name))
    address = address_of(engine, name)
    if address:
        fetch_ready(engine, address)
    return address


def address_of(engine, name, net=None):
    networks = engine.inspect(name)["NetworkSettings"]["Networks"]
    return networks[net]["IPAddress"] if net else next(iter(networks.values()))["IPAddress"]


def fetch_ready(engine, address):
    def up():
        with contextlib.suppress(OSError):
            socket.create_connection((address, 80), 1).close()
            return True
        return False

    eventually(up, f"{address} answers")


def fetch(engine, container, url, status=0):
    done = engine.docker("exec", container, "timeout", "2", "wget", "-qO-", url, status=None)
    if status is not None:
        equal(done.returncode != 0, status != 0, f"wget {url} from {container}: {done.stderr}")
    return done.stdout.strip()


@case()
def the_built_in_networks_are_listed(engine, remote):
    listed = engine.out("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    equal(listed, ["bridge bridge local", "host host local", "none null local"], "networks")
    bridge = json.loads(engine.out("network", "inspect", "bridge"))[0]
    equal(bridge["Options"]["com.docker.network.bridge.default_bridge"], "true", "option")
    matches(bridge["IPAM"]["Config"][0]["Subnet"], r"^172\.\d+\.\d+\.0/24$", "subnet")
    for name in ("bridge", "host", "none"):
        refused = engine.docker("network", "rm", name, status=1)
        contains(refused.stderr, "is a pre-defined network and cannot be removed", name)
    equal(engine.api("GET", "/networks/nope").status, 404, "unknown network")
    equal(engine.api("GET", "/networks/nope").message, "network nope not found", "message")


@case()
def create_inspect_and_remove(engine, remote):
    with network(engine, "front", "--subnet", "10.66.0.0/24", "--gateway", "10.66.0.254",
                 "--ip-range", "10.66.0.128/25", "--aux-address", "nas=10.66.0.128",
                 "--label", "a=b", "-o", "com.docker.network.driver.mtu=1400"):
        shown = json.loads(engine.out("network", "inspect", "front"))[0]
        equal(shown["IPAM"]["Config"], [{"Subnet": "10.66.0.0/24", "IPRange": "10.66.0.128/25",
                                         "Gateway": "10.66.0.254",
                                         "AuxiliaryAddresses": {"nas": "10.66.0.128"}}], "IPAM")
        equal((shown["Labels"], shown["Containers"], shown["Internal"]), ({"a": "b"}, {}, False), "")
        twice = engine.api("POST", "/networks/create", {"Name": "front"})
        equal((twice.status, twice.message), (409, "network with name front already exists"), "twice")
        overlap = engine.api("POST", "/networks/create", {
            "Name": "other", "IPAM": {"Config": [{"Subnet": "10.66.0.0/16"}]}})
        equal(overlap.status, 403, "overlap")
        contains(overlap.message, "Pool overlaps with other one on this address space", "overlap")
        engine.out("run", "-d", "--name", "in", "--network", "front", "bb", "sleep", "1000")
        equal(address_of(engine, "in"), "10.66.0.129", "the first of the range that is free")
        equal(engine.out("exec", "in", "cat", "/sys/class/net/eth0/mtu"), "1400", "MTU")
        shown = json.loads(engine.out("network", "inspect", "front"))[0]
        member = next(iter(shown["Containers"].values()))
        equal((member["Name"], member["IPv4Address"]), ("in", "10.66.0.129/24"), "member")
        used = engine.docker("network", "rm", "front", status=1)
        contains(used.stderr, "has active endpoints", "in use")
        engine.out("rm", "-f", "in")
        engine.out("run", "-d", "--name", "in", "--network", "front", "--ip", "10.66.0.9", "bb",
                   "sleep", "1000")
        equal(address_of(engine, "in"), "10.66.0.9", "static address")
        taken = engine.docker("run", "--network", "front", "--ip", "10.66.0.9", "bb", "true",
                              status=None)
        check(taken.returncode == 125 and "Address already in use" in taken.stderr, taken.stderr)
    equal(engine.api("GET", "/networks/front").status, 404, "removed")


@case("davit")
def what_a_network_cannot_be(engine, remote):
    def create(**body):
        return engine.api("POST", "/networks/create", {"Name": "odd", **body})

    for body, status, message in (
            ({"Driver": "nope"}, 404, 'plugin "nope" not found'),
            ({"Driver": "overlay"}, 501, "not supported by davit yet"),
            ({"Name": "host"}, 403, "operation is not permitted on predefined host network"),
            ({"IPAM": {"Config": [{"Subnet": "10.1.0.0"}]}}, 400, "invalid subnet 10.1.0.0"),
            ({"IPAM": {"Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.2.0.1"}]}}, 400,
             "invalid gateway address 10.2.0.1"),
            ({"Options": {"com.docker.network.bridge.enable_icc": "maybe"}}, 400, "failed to parse"),
            ({"ConfigOnly": True}, 501, "ConfigOnly is not supported"),
            ({"ConfigFrom": {"Network": "x"}}, 501, "ConfigFrom is not supported"),
            ({"EnableIPv4": False}, 501, "EnableIPv4 false is not supported"),
            ({"Options": {"com.docker.network.bridge.nope": "1"}}, 501, "not supported")):
        refused = create(**body)
        equal(refused.status, status, f"{body}: {refused.body}")
        contains(refused.message, message, str(body))
    equal(engine.api("GET", "/networks/odd").status, 404, "nothing was made")


@case("davit")
def what_will_not_be_done_is_warned_of(engine, remote):
    def warnings(mode, *others, **config):
        body = {"Image": "bb", "Cmd": ["true"], "ExposedPorts": {"80/tcp": {}},
                "HostConfig": {"NetworkMode": mode, **config},
                "NetworkingConfig": {"EndpointsConfig": {name: {} for name in others}}}
        answer = engine.api("POST", "/containers/create", body)
        equal(answer.status, 201, f"create: {answer.body}")
        return answer.json["Warnings"]

    published = {"PortBindings": {"80/tcp": [{"HostPort": "8190"}]}}
    with network(engine, "cave", "--internal"), network(engine, "front"):
        equal(warnings("cave", **published),
              ["Published ports are discarded when using internal network cave"], "internal")
        equal(warnings("none", PublishAllPorts=True),
              ["Published ports are discarded when using none"], "none")
        equal(warnings("host", **published),
              ["Published ports are discarded when using host network mode"], "host")
        equal(warnings("cave", "front", **published), [], "one that does publish is there, too")
        equal(warnings("cave"), [], "nothing to publish")
        equal(warnings("bridge", **published), [], "published")
    for settings, message in (
            ({"DriverOpts": {"com.docker.network.endpoint.ifname": "x0"}}, "DriverOpts"),
            ({"IPAMConfig": {"LinkLocalIPs": ["169.254.34.68"]}}, "LinkLocalIPs is not supported")):
        refused = engine.api("POST", "/containers/create", {
            "Image": "bb", "NetworkingConfig": {"EndpointsConfig": {"bridge": settings}}})
        equal(refused.status, 501, f"{settings}: {refused.body}")
        contains(refused.message, message, str(settings))
    sctp = engine.docker("create", "-p", "8191:80/sctp", "bb", "true", status=None)
    check(sctp.returncode != 0, "a port that cannot be published is refused")
    contains(sctp.stderr, "publishing sctp ports is not supported by davit", "SCTP")


@case()
def default_bridge(engine, remote):
    first, second = server(engine, "one"), server(engine, "two")
    settings = engine.inspect("one")["NetworkSettings"]
    bridge = settings["Networks"]["bridge"]
    equal((settings["IPAddress"], bridge["IPAddress"]), (first, first), "IPAddress")
    check(bridge["Gateway"] and bridge["EndpointID"] and bridge["MacAddress"], f"bridge: {bridge}")
    check(first != second, "addresses differ")
    equal(fetch(engine, "one", f"http://{second}/"), "two", "container to container")
    contains(http(first, 80), "one ", "host to container")
    with host_server(7100):
        answer = engine.out("exec", "one", "sh", "-c",
                            f"echo x | nc -w 2 {bridge['Gateway']} 7100")
        equal(answer, first, "container to host")
    contains(engine.out("exec", "one", "cat", "/etc/hosts"), f"{first}\t", "/etc/hosts")
    equal(engine.out("exec", "one", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "0",
          "sysctl")
    engine.out("stop", "-t", "0", "one")
    equal(engine.inspect("one")["NetworkSettings"]["IPAddress"], "", "a stopped one has no address")
    engine.out("start", "one")
    equal(address_of(engine, "one"), first, "the lowest free address again")


@case()
def out_by_masquerade(engine, remote):
    engine.out("run", "-d", "--name", "in", "bb", "sleep", "1000")
    for target in (REMOTE, BEYOND):
        equal(engine.out("exec", "in", "sh", "-c", f"echo x | nc -w 2 {target} 7000"), HOST, target)
    contains(engine.out("exec", "in", "ping", "-c", "1", "-W", "2", REMOTE), "1 packets received",
             "ping")
    contains(ask("tcp", address_of(engine, "in"), 80, enter=remote.enter(), patience=1), "error",
             "a container's address is nobody's from outside")


@case()
def published_ports(engine, remote):
    server(engine, "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
    ports = engine.inspect("web")["NetworkSettings"]["Ports"]
    contains(ports["80/tcp"], {"HostIp": "0.0.0.0", "HostPort": "8080"}, "Ports")
    contains(ports["80/tcp"], {"HostIp": "127.0.0.1", "HostPort": "8081"}, "Ports")
    contains(engine.out("port", "web"), "80/tcp -> 0.0.0.0:8080", "docker port")
    contains(engine.out("port", "web", "80"), "127.0.0.1:8081", "docker port 80")
    contains(engine.out("ps", "--format", "{{.Ports}}"), "0.0.0.0:8080->80/tcp", "docker ps")
    for address in ("127.0.0.1", HOST):
        equal(http(address, 8080), f"web {address}:8080", f"host to {address}")
    equal(http("127.0.0.1", 8080, source="127.0.0.1"), "web 127.0.0.1:8080", "bound to loopback")
    contains(http("::1", 8080), "web ", "host to ::1")
    equal(http(HOST, 8080, enter=remote.enter()), f"web {HOST}:8080", "remote")
    equal(http("127.0.0.1", 8081), "web 127.0.0.1:8081", "on loopback only")
    contains(http(HOST, 8081, enter=remote.enter()), "error", "not from outside")
    server(engine, "client")
    equal(fetch(engine, "client", f"http://{HOST}:8080/"), "web", "container to published")
    equal(fetch(engine, "web", f"http://{HOST}:8080/"), "web", "to itself")
    for address in ("0.0.0.0", "127.0.0.1"):
        equal(bind_error(address, 8080), errno.EADDRINUSE, f"reserved on {address}")
    equal(bind_error("0.0.0.0", 8080, socket.SOCK_DGRAM), None, "another protocol")
    clash = engine.docker("run", "-d", "--name", "late", "-p", "8080:80", "bb", "sleep", "1000",
                          status=125)
    contains(clash.stderr, "Bind for 0.0.0.0:8080 failed: port is already allocated", "clash")
    equal(engine.inspect("late")["State"]["Status"], "created", "it was not started")
    engine.out("rm", "-f", "web")
    equal(bind_error("0.0.0.0", 8080), None, "free again")
    engine.out("start", "late")
    with host_server(8090):
        taken = engine.docker("run", "--rm", "-p", "8090:80", "bb", "true", status=None)
        equal(taken.returncode, 125, "a port of a process of the host's")
        contains(taken.stderr, "port is already allocated", "of the host's")


@case()
def published_udp(engine, remote):
    engine.out("run", "-d", "--name", "echo", "-p", "8181:81/udp", "bb", "sleep", "1000")
    settings = engine.inspect("echo")["NetworkSettings"]
    inside = ("nsenter", "--target", str(engine.inspect("echo")["State"]["Pid"]), "--net")
    with host_server(81, enter=inside):
        for address in ("127.0.0.1", HOST):
            equal(ask("udp", address, 8181, size=5), f"{settings['Gateway']} 5 {address}:8181", "host")
        equal(ask("udp", "127.0.0.1", 8181, size=5, source="127.0.0.1"),
              f"{settings['Gateway']} 5 127.0.0.1:8181", "bound to loopback")
        equal(remote.ask("udp", HOST, 8181, size=1900), f"{REMOTE} 1900 {HOST}:8181", "in fragments")


@case()
def ephemeral_and_ranges(engine, remote):
    engine.out("run", "-d", "--name", "any", "-P", "--expose", "80", "--expose", "53/udp", "bb",
               "sleep", "1000")
    ports = engine.inspect("any")["NetworkSettings"]["Ports"]
    for name in ("80/tcp", "53/udp"):
        number = int(ports[name][0]["HostPort"])
        check(32768 <= number <= 60999, f"{name}: {number}")
    for name in ("first", "second"):
        engine.out("run", "-d", "--name", name, "-p", "9000-9001:80", "bb", "sleep", "1000")
    got = {engine.out("port", name, "80").splitlines()[0] for name in ("first", "second")}
    equal(got, {"0.0.0.0:9000", "0.0.0.0:9001"}, "the first free one of the range")
    full = engine.docker("run", "-p", "9000-9001:80", "bb", "true", status=125)
    contains(full.stderr, "port is already allocated", "a full range")
    engine.out("run", "-d", "--name", "many", "-p", "9100-9199:200-299", "bb", "sleep", "1000")
    equal(len(engine.inspect("many")["NetworkSettings"]["Ports"]), 100, "a hundred ports")


@case()
def networks_are_apart(engine, remote):
    with network(engine, "left"), network(engine, "right"), \
            network(engine, "cave", "--internal"), \
            network(engine, "shy", "-o", "com.docker.network.bridge.enable_icc=false"):
        left, right = server(engine, "lefty", "--network", "left"), server(engine, "righty", "--network", "right")
        fetch(engine, "lefty", f"http://{right}/", status=1)
        fetch(engine, "righty", f"http://{left}/", status=1)
        inside = server(engine, "caver", "--network", "cave")
        server(engine, "c2", "--network", "cave")
        equal(fetch(engine, "c2", f"http://{inside}/"), "caver", "within an internal network")
        equal(engine.docker("exec", "caver", "sh", "-c", f"echo x | nc -w 1 {REMOTE} 7000",
                            status=None).stdout, "", "no way out")
        server(engine, "s1", "--network", "shy")
        hidden = server(engine, "s2", "--network", "shy", "-p", "8300:80")
        fetch(engine, "s1", f"http://{hidden}/", status=1)
        equal(fetch(engine, "s1", f"http://{HOST}:8300/"), "s2", "but by its published port")


@case()
def connect_and_disconnect(engine, remote):
    with network(engine, "left"), network(engine, "right"):
        server(engine, "lefty", "--network", "left")
        right = server(engine, "righty", "--network", "right")
        fetch(engine, "lefty", f"http://{right}/", status=1)
        engine.out("network", "connect", "--alias", "alias", "right", "lefty")
        networks = engine.inspect("lefty")["NetworkSettings"]["Networks"]
        equal(sorted(networks), ["left", "right"], "networks")
        contains(networks["right"]["Aliases"], "alias", "alias")
        equal(fetch(engine, "lefty", f"http://{right}/"), "righty", "connected")
        contains(engine.out("exec", "lefty", "ls", "/sys/class/net"), "eth1", "interface")
        twice = engine.docker("network", "connect", "right", "lefty", status=1)
        contains(twice.stderr, "already exists in network right", "twice")
        engine.out("network", "disconnect", "right", "lefty")
        check("eth1" not in engine.out("exec", "lefty", "ls", "/sys/class/net"), "interface left")
        fetch(engine, "lefty", f"http://{right}/", status=1)
        again = engine.docker("network", "disconnect", "right", "lefty", status=1)
        contains(again.stderr, "is not connected to network right", "again")
        engine.out("create", "--name", "later", "--network", "left", "bb", "sh", "-c", "ip addr; sleep 1000")
        engine.out("network", "connect", "right", "later")
        engine.out("start", "later")
        check(address_of(engine, "later", "left") and address_of(engine, "later", "right"),
              "both networks from its start")


@case()
def names(engine, remote):
    with network(engine, "front"), network(engine, "back"):
        one = server(engine, "one", "--network", "front", "--network-alias", "web")
        two = server(engine, "two", "--network", "front", "--network-alias", "web")
        contains(engine.out("exec", "one", "cat", "/etc/resolv.conf"), "nameserver 127.0.0.11", "")

        def lookup(container, name, status=0):
            done = engine.docker("exec", container, "nslookup", "-type=a", name, status=None)
            if status is not None:
                equal(done.returncode != 0, status != 0, f"nslookup {name}: {done.stdout}{done.stderr}")
            return sorted(re.findall(r"Address:? ?(?:\d: )?(\d+\.\d+\.\d+\.\d+)\s*$", done.stdout,
                                     re.M)[0:]) if status == 0 else []

        short = engine.inspect("two")["Id"][:12]
        for name in ("two", "TWO", "two.front", short):
            contains(lookup("one", name), two, name)
        both = lookup("one", "web")
        check(one in both and two in both, f"an alias of both: {both}")
        equal(fetch(engine, "one", "http://two/"), "two", "by name")
        reverse = engine.out("exec", "one", "nslookup", two)
        contains(reverse, "two.front", "reverse")
        server(engine, "far", "--network", "back")
        lookup("one", "far", status=1)
        engine.out("network", "connect", "back", "one")
        contains(lookup("one", "far"), address_of(engine, "far"), "after connect")
        engine.out("stop", "-t", "0", "two")
        lookup("one", "two", status=1)


@case("davit")
def unknown_names_are_forwarded(engine, remote):
    """A name server on the remote answers for example.test."""
    script = (
        "import socket\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('0.0.0.0',53))\n"
        "print('up',flush=True)\n"
        "while True:\n"
        "    q,a=s.recvfrom(512)\n"
        "    end=q.index(0,12)+5\n"
        "    ok=b'example' in q\n"
        "    head=q[:2]+(b'\\x81\\x80' if ok else b'\\x81\\x83')+q[4:6]+(b'\\0\\1' if ok else b'\\0\\0')+b'\\0\\0\\0\\0'\n"
        "    s.sendto(head+q[12:end]+(b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\x05\\x06\\x07\\x08' if ok else b''),a)\n")
    with subprocess.Popen([*remote.enter(), "python3", "-c", script], stdout=subprocess.PIPE,
                          text=True) as names_server, network(engine, "front"):
        try:
            names_server.stdout.readline()
            # The first server does not answer at all: the second is asked.
            engine.out("run", "-d", "--name", "in", "--network", "front", "--dns", BEYOND.replace("9", "77"),
                       "--dns", REMOTE, "bb", "sleep", "1000")
            found = engine.out("exec", "in", "nslookup", "-type=a", "www.example.test", "127.0.0.11")
            contains(found, "5.6.7.8", "forwarded, with failover")
            missing = engine.docker("exec", "in", "nslookup", "-type=a", "nope.test", "127.0.0.11",
                                    status=None)
            contains(missing.stdout + missing.stderr, "NXDOMAIN", "what nobody knows")
        finally:
            names_server.kill()


@case()
def other_modes(engine, remote):
    server(engine, "web", "-p", "8400:80")
    engine.out("run", "-d", "--name", "guest", "--network", "container:web", "bb", "sleep", "1000")
    equal(fetch(engine, "guest", "http://127.0.0.1/"), "web", "shares the namespace")
    equal(engine.out("exec", "guest", "cat", "/etc/hosts"), engine.out("exec", "web", "cat", "/etc/hosts"),
          "shares its hosts")
    equal(engine.inspect("guest")["NetworkSettings"]["Networks"], {}, "has no network of its own")
    refused = engine.docker("run", "--network", "container:web", "-p", "1:1", "bb", "true", status=125)
    contains(refused.stderr, "conflicting options: port publishing and the container type network mode", "")
    engine.out("stop", "-t", "0", "web")
    late = engine.docker("run", "--network", "container:web", "bb", "true", status=125)
    contains(late.stderr, "cannot join network namespace of a non running container", "not running")
    equal(engine.out("run", "--rm", "--network", "none", "bb", "ls", "/sys/class/net"), "lo", "none")
    contains(engine.out("run", "--rm", "--network", "host", "bb", "ls", "/sys/class/net"), "up0", "host")
    gateway = json.loads(engine.out("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]
    hosts = engine.out("run", "--rm", "--add-host", "me:host-gateway", "bb", "cat", "/etc/hosts")
    contains(hosts, f"{gateway}\tme", "host-gateway")


@case()
def prune_and_filters(engine, remote):
    with network(engine, "used"):
        engine.out("network", "create", "--label", "drop=1", "loose")
        engine.out("network", "create", "kept")
        engine.out("run", "-d", "--network", "used", "bb", "sleep", "1000")
        equal(engine.out("network", "ls", "-q", "--filter", "name=loos", "--format", "{{.Name}}")
              if CLI == "docker" else "loose", "loose", "by name")
        listed = engine.api("GET", '/networks?filters={"type":["custom"]}').json
        equal(sorted(one["Name"] for one in listed), ["kept", "loose", "used"], "custom")
        contains(engine.out("network", "prune", "-f", "--filter", "label=drop"), "loose", "prune")
        contains(engine.out("network", "prune", "-f"), "kept", "prune")
        equal(engine.api("GET", "/networks/used").status, 200, "one in use stays")


@case()
def events_of_networks(engine, remote):
    since = str(int(time.time()))  # Other cases may have had networks in this second, of other names.
    with network(engine, "watched"):
        engine.out("run", "--rm", "--network", "watched", "bb", "true")
    listed = engine.out("events", "--since", since, "--until", str(int(time.time()) + 1), "--filter",
                        "type=network", "--filter", "network=watched", "--format",
                        "{{.Action}} {{.Actor.Attributes.type}}")
    equal(listed.splitlines(), [f"{what} bridge" for what in
                                ("create", "connect", "disconnect", "destroy")], "events")


@case()
def nothing_is_left_of_a_container(engine, remote):
    for _ in range(5):
        engine.out("run", "--rm", "-p", "8500:80", "bb", "true")
    failed = engine.docker("run", "--rm", "-p", "8501:80", "bb", "/nope", status=127)
    contains(failed.stderr, "no such file or directory", "a start that failed")
    equal(bind_error("0.0.0.0", 8501), None, "its port is free")
    # Those of sandboxes that wait are no leak.
    eventually(lambda: len([name for name in links() if name.startswith(("dve", "veth"))])
               <= len(engine.warm_sandboxes()), f"no veth is left: {links()}")


@case("davit")
def traffic_goes_on_while_no_daemon_runs(engine, remote):
    """SIGKILL; clients still reach the container; the next daemon leaves nothing behind."""
    server(engine, "web", "-p", "8600:80")
    with network(engine, "front"):
        pass
    engine.kill()
    try:
        equal(http(HOST, 8600, enter=remote.enter()), f"web {HOST}:8600", "remote")
        equal(http("127.0.0.1", 8600), "web 127.0.0.1:8600", "host")
        equal(bind_error("0.0.0.0", 8600), errno.EADDRINUSE, "the port stays reserved")
    finally:
        engine.start()
    if engine.inspect("web")["State"]["Status"] != "running":
        equal(bind_error("0.0.0.0", 8600), None, "given up by the next daemon")
        contains(http("127.0.0.1", 8600), "error", "no answer")
    server(engine, "next", "-p", "8601:80")
    equal(http(HOST, 8601, enter=remote.enter()), f"next {HOST}:8601", "it goes on")


@case("davit")
def no_firewall_program_is_executed(engine, remote):
    """What the daemon executes is davit-init alone."""
    names = set()
    server(engine, "web", "-p", "8700:80")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                names.add(open(f"/proc/{entry}/comm").read().strip())
    check(not names & {"iptables", "nft", "docker-proxy"}, "a firewall or proxy process runs")


if __name__ == "__main__":
    main(prepare)
