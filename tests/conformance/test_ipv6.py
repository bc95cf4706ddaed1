#!/usr/bin/env python3
"""IPv6 with the command line: dual-stack networks, who reaches whom, names, published ports.

Goal: what `docker network create --ipv6` promises holds, packet by packet.
Method: as test_network.py, with IPv6 addresses on the host and on its neighbour.
"""

import contextlib
import errno
import ipaddress
import json
import socket

from harness import case, check, contains, equal, eventually, main
from network_support import HOST, Remote, ask, bind_error, host_server, http, run, start_in_child_cgroup

HOST6 = "2001:db8::1"
REMOTE6 = "2001:db8::2"
BEYOND6 = "2001:db8:9::9"
SERVE = "mkdir -p /www; echo {0} > /www/index.html; httpd -f -p 80 -h /www"


def prepare(engine, stack):
    remote = Remote()
    stack.callback(remote.close)
    run("ip", "addr", "add", HOST6 + "/64", "dev", "up0", "nodad")
    run("ip", "-6", "route", "add", "default", "via", REMOTE6)
    for command in (f"ip addr add {REMOTE6}/64 dev eth0 nodad", f"ip addr add {BEYOND6}/128 dev lo",
                    # What the host must not forward to: containers' addresses.
                    f"ip route add fd00::/8 via {HOST6}"):
        run(*remote.enter(), *command.split())
    start_in_child_cgroup(engine, stack)
    return {"remote": remote}


@contextlib.contextmanager
def network(engine, name, *options):
    engine.out("network", "create", "--ipv6", *options, name)
    try:
        yield json.loads(engine.out("network", "inspect", name))[0]
    finally:
        for identity in engine.api("GET", f"/networks/{name}").json.get("Containers", {}):
            engine.api("DELETE", f"/containers/{identity}?force=1")
        engine.out("network", "rm", name)


def place(engine, name, net):
    return engine.inspect(name)["NetworkSettings"]["Networks"][net]


def server(engine, name, net, *options):
    """A container that answers on port 80 with its name; its IPv6 address."""
    engine.out("run", "-d", "--name", name, "--network", net, *options, "bb", "sh", "-c",
               SERVE.format(name))
    address = place(engine, name, net)["GlobalIPv6Address"]
    listens = "httpd listens"
    eventually(lambda: ":0050 " in engine.out("exec", name, "cat", "/proc/net/tcp6"), listens)
    return address


def fetch(engine, container, host, status=0):
    done = engine.docker("exec", container, "timeout", "2", "wget", "-qO-", f"http://{host}/",
                         status=None)
    equal(done.returncode != 0, status != 0, f"wget {host} from {container}: {done.stderr}")
    return done.stdout.strip()


def ping(engine, container, host):
    done = engine.docker("exec", container, "ping", "-6", "-c", "1", "-W", "2", host, status=None)
    return "1 packets received" in done.stdout


@case()
def a_network_gets_a_local_subnet(engine, remote):
    with network(engine, "first") as first, network(engine, "second") as second:
        subnets = []
        for shown in (first, second):
            equal(shown["EnableIPv6"], True, "EnableIPv6")
            four, six = shown["IPAM"]["Config"]
            check("." in four["Subnet"] and "." in four["Gateway"], f"IPv4 first: {four}")
            subnet = ipaddress.ip_network(six["Subnet"])
            equal(subnet.prefixlen, 64, "prefix")
            check(subnet.subnet_of(ipaddress.ip_network("fd00::/8")), f"not local: {subnet}")
            equal(six["Gateway"], str(subnet[1]), "gateway")
            subnets.append(subnet)
        check(not subnets[0].overlaps(subnets[1]), f"two networks: {subnets}")
        equal(subnets[0].supernet(new_prefix=48), subnets[1].supernet(new_prefix=48), "of one host")
        listed = engine.api("GET", '/networks?filters={"name":["first"]}').json[0]
        equal((listed["EnableIPv6"], listed["IPAM"]["Config"]), (True, first["IPAM"]["Config"]), "ls")
    plain = json.loads(engine.out("network", "inspect", "bridge"))[0]
    equal((plain["EnableIPv6"], len(plain["IPAM"]["Config"])), (False, 1), "the default bridge")


@case()
def subnets_that_were_asked_for(engine, remote):
    # Small: no places wait in it for containers to come.
    with network(engine, "front", "--subnet", "fd66::/64", "--gateway", "fd66::fe", "--subnet",
                 "10.66.0.0/29", "--ip-range", "fd66::100/120", "--aux-address",
                 "nas=fd66::100") as shown:
        equal(shown["IPAM"]["Config"], [
            {"Subnet": "10.66.0.0/29", "Gateway": "10.66.0.1"},
            {"Subnet": "fd66::/64", "IPRange": "fd66::100/120", "Gateway": "fd66::fe",
             "AuxiliaryAddresses": {"nas": "fd66::100"}}], "IPAM")
        engine.out("run", "-d", "--name", "any", "--network", "front", "bb", "sleep", "1000")
        equal(place(engine, "any", "front")["GlobalIPv6Address"], "fd66::101", "first of the range")
        engine.out("run", "-d", "--name", "fixed", "--network", "front", "--ip6", "fd66::9", "bb",
                   "sleep", "1000")
        got = place(engine, "fixed", "front")
        equal((got["GlobalIPv6Address"], got["IPAMConfig"]), ("fd66::9", {"IPv6Address": "fd66::9"}),
              "--ip6")
        taken = engine.docker("run", "--network", "front", "--ip6", "fd66::9", "bb", "true",
                              status=None)
        check(taken.returncode == 125 and "Address already in use" in taken.stderr, taken.stderr)
        four = place(engine, "fixed", "front")["IPAddress"]
        engine.out("rm", "-f", "fixed")
        engine.out("run", "-d", "--name", "next", "--network", "front", "--ip6", "fd66::9", "bb",
                   "sleep", "1000")
        equal(place(engine, "next", "front")["IPAddress"], four,
              "the start that failed kept no IPv4 address")
        overlap = engine.api("POST", "/networks/create", {
            "Name": "other", "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd66::/48"}]}})
        equal(overlap.status, 403, "overlap")
        contains(overlap.message, "Pool overlaps with other one on this address space", "overlap")
    with network(engine, "derived"):
        refused = engine.docker("run", "--network", "derived", "--ip6", "fd66::9", "bb", "true",
                                status=125)
        contains(refused.stderr, "only when connecting to networks with user configured subnets", "")


@case("davit")
def what_a_network_cannot_be(engine, remote):
    for body, status, message in (
            ({"EnableIPv6": False, "IPAM": {"Config": [{"Subnet": "fd66::/64"}]}}, 400, "add --ipv6"),
            ({"IPAM": {"Config": [{"Subnet": "fd66::/127"}]}}, 400, "prefixes from 8 to 126"),
            ({"IPAM": {"Config": [{"Subnet": "fd66::/64", "Gateway": "fd67::1"}]}}, 400,
             "invalid gateway address fd67::1"),
            ({"IPAM": {"Config": [{"Subnet": "fd66::/64", "IPRange": "fd67::/80"}]}}, 400,
             "invalid ip-range fd67::/80"),
            ({"IPAM": {"Config": [{"Subnet": "fd66::/64"}, {"Subnet": "fd67::/64"}]}}, 501,
             "several subnets")):
        refused = engine.api("POST", "/networks/create",
                             {"Name": "odd", "EnableIPv6": True, **body})
        equal(refused.status, status, f"{body}: {refused.body}")
        contains(refused.message, message, str(body))
    equal(engine.api("GET", "/networks/odd").status, 404, "nothing was made")


@case()
def what_a_container_has(engine, remote):
    with network(engine, "front") as shown:
        six = shown["IPAM"]["Config"][1]
        engine.out("run", "-d", "--name", "in", "--network", "front", "bb", "sleep", "1000")
        got = place(engine, "in", "front")
        address = got["GlobalIPv6Address"]
        equal(address, str(ipaddress.ip_network(six["Subnet"])[2]), "address")
        equal((got["GlobalIPv6PrefixLen"], got["IPv6Gateway"]), (64, six["Gateway"]), "inspect")
        member = next(iter(engine.api("GET", "/networks/front").json["Containers"].values()))
        equal(member["IPv6Address"], address + "/64", "network inspect")
        inside = engine.out("exec", "in", "ip", "-6", "addr", "show", "dev", "eth0")
        contains(inside, f"inet6 {address}/64 scope global", "ip addr")
        check("tentative" not in inside, f"duplicates are asked for: {inside}")
        contains(engine.out("exec", "in", "ip", "-6", "route"), f"default via {six['Gateway']}", "route")
        contains(engine.out("exec", "in", "cat", "/etc/hosts"), f"{address}\t", "/etc/hosts")
        setting = "/proc/sys/net/ipv6/conf/eth{}/disable_ipv6"
        equal(engine.out("exec", "in", "cat", setting.format(0)), "0", "IPv6 is on")
        engine.out("network", "connect", "bridge", "in")
        equal(engine.out("exec", "in", "cat", setting.format(1)), "1", "and off without")
        equal(place(engine, "in", "bridge")["GlobalIPv6Address"], "", "the default bridge")
        engine.out("run", "-d", "--name", "four", "bb", "sleep", "1000")
        equal(engine.out("exec", "four", "cat", setting.format(0)), "1", "off without")
        equal(engine.out("exec", "four", "cat", setting.format(0).replace("eth0", "lo")), "0", "lo")
        engine.out("network", "connect", "front", "four")
        later = place(engine, "four", "front")
        check(ping(engine, "four", address), "connected later")
        contains(engine.out("exec", "four", "ip", "-6", "route"), f"default via {six['Gateway']}", "")
        contains(engine.out("exec", "four", "cat", "/etc/hosts"), later["GlobalIPv6Address"] + "\t", "")
        engine.out("network", "disconnect", "front", "four")
        hosts = engine.out("exec", "four", "cat", "/etc/hosts")
        check(later["GlobalIPv6Address"] not in hosts, f"disconnected: {hosts}")
        engine.out("stop", "-t", "0", "in")
        equal(place(engine, "in", "front")["GlobalIPv6Address"], "", "stopped")
        engine.out("rm", "-f", "four")


@case()
def who_reaches_whom(engine, remote):
    with network(engine, "left") as left, network(engine, "right"), \
            network(engine, "cave", "--internal"), \
            network(engine, "shy", "-o", "com.docker.network.bridge.enable_icc=false"):
        one, two = server(engine, "one", "left"), server(engine, "two", "left")
        equal(fetch(engine, "one", f"[{two}]"), "two", "in one network")
        check(ping(engine, "one", two), "ping")
        contains(http(one, 80), "one ", "host to container")
        gateway = left["IPAM"]["Config"][1]["Gateway"]
        check(ping(engine, "one", gateway), "ping the gateway")
        with host_server(7100, family="6"):
            equal(engine.out("exec", "one", "sh", "-c", f"echo x | nc -w 2 {gateway} 7100"), one,
                  "container to host")
        far = server(engine, "far", "right")
        fetch(engine, "one", f"[{far}]", status=1)
        check(not ping(engine, "one", far), "ping another network")
        inside = server(engine, "caver", "cave")
        server(engine, "c2", "cave")
        equal(fetch(engine, "c2", f"[{inside}]"), "caver", "within an internal network")
        check(not ping(engine, "caver", REMOTE6), "no way out")
        check(not ping(engine, "caver", one), "nor in elsewhere")
        equal(place(engine, "caver", "cave")["IPv6Gateway"], "", "no gateway")
        server(engine, "s1", "shy")
        fetch(engine, "s1", f"[{server(engine, 's2', 'shy')}]", status=1)
        contains(http(one, 80, enter=remote.enter(), patience=1), "error",
                 "a container's address is nobody's from outside")


@case()
def a_container_is_nobody_else(engine, remote):
    """With an address of another's, or one that is nobody's, its packets go nowhere."""
    with network(engine, "front"):
        victim = server(engine, "victim", "front")
        server(engine, "user", "front")
        engine.out("run", "-d", "--name", "thief", "--network", "front", "--cap-add", "NET_ADMIN", "bb",
                   "sleep", "1000")
        check(ping(engine, "thief", victim), "with its own address")
        free = str(ipaddress.ip_address(victim) + 100)
        engine.out("exec", "thief", "ip", "addr", "add", free + "/64", "dev", "eth0")
        engine.out("exec", "thief", "ip", "addr", "del",
                   place(engine, "thief", "front")["GlobalIPv6Address"] + "/64", "dev", "eth0")
        check(not ping(engine, "thief", victim), "with another one")
        engine.out("stop", "-t", "0", "victim")
        engine.out("exec", "thief", "ip", "addr", "add", victim + "/64", "dev", "eth0")
        check(not ping(engine, "user", victim), "with another's")


@case()
def out_by_masquerade(engine, remote):
    with network(engine, "front"), host_server(7001, enter=remote.enter(), family="6"):
        engine.out("run", "-d", "--name", "in", "--network", "front", "bb", "sleep", "1000")
        inside = ("nsenter", "--target", str(engine.inspect("in")["State"]["Pid"]), "--net")
        for target in (REMOTE6, BEYOND6):
            equal(engine.out("exec", "in", "sh", "-c", f"echo x | nc -w 2 {target} 7001"), HOST6, target)
            check(ping(engine, "in", target), f"ping {target}")
        for size in (5, 1900):  # That in fragments, too.
            equal(ask("udp", REMOTE6, 7001, enter=inside, size=size),
                  f"{HOST6} {size} {REMOTE6}:7001", "UDP")
        contains(ask("udp", REMOTE6, 7999, enter=inside, size=5), "ConnectionRefused", "closed port")
        forwarding = "/proc/sys/net/ipv6/conf/all/forwarding"
        equal(open(forwarding, encoding="ascii").read().strip(), "0", "the host is no router")
    with network(engine, "plain", "-o", "com.docker.network.bridge.enable_ip_masquerade=false"):
        engine.out("run", "-d", "--name", "in", "--network", "plain", "bb", "sleep", "1000")
        check(not ping(engine, "in", REMOTE6), "without masquerade")


@case()
def published_ports(engine, remote):
    with network(engine, "front") as shown:
        gateway = shown["IPAM"]["Config"][1]["Gateway"]
        server(engine, "web", "front", "-p", "8080:80", "-p", "[::1]:8081:80", "-p",
               f"[{HOST6}]:8082:80", "-p", "[::]:8083:80")
        ports = engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"]
        for address, number in (("0.0.0.0", 8080), ("::", 8080), ("::1", 8081), (HOST6, 8082),
                                ("::", 8083)):
            contains(ports, {"HostIp": address, "HostPort": str(number)}, "Ports")
        equal(len(ports), 5, "Ports")
        contains(engine.out("port", "web"), "80/tcp -> [::]:8080", "docker port")
        contains(engine.out("ps", "--format", "{{.Ports}}"), "[::]:8080->80/tcp", "docker ps")
        for address in ("::1", HOST6, "127.0.0.1", HOST):
            equal(http(address, 8080), f"web {address}:8080", f"host to {address}")
        equal(http("::1", 8080, source="::1"), "web ::1:8080", "bound to loopback")
        equal(http(HOST6, 8080, source=HOST6), f"web {HOST6}:8080", "bound to its own address")
        equal(http(HOST6, 8080, enter=remote.enter()), f"web {HOST6}:8080", "remote")
        equal(http(HOST, 8080, enter=remote.enter()), f"web {HOST}:8080", "remote, IPv4")
        equal(http("::1", 8081), "web ::1:8081", "on loopback only")
        contains(http(HOST6, 8081, enter=remote.enter()), "error", "not from outside")
        equal(http(HOST6, 8082, enter=remote.enter()), f"web {HOST6}:8082", "on one address")
        contains(http("::1", 8082), "error", "not on another")
        equal(http(HOST6, 8083, enter=remote.enter()), f"web {HOST6}:8083", "IPv6 only")
        contains(http(HOST, 8083, enter=remote.enter()), "error", "not by IPv4")
        server(engine, "client", "front")
        equal(fetch(engine, "client", f"[{HOST6}]:8080"), "web", "container to published")
        equal(fetch(engine, "web", f"[{HOST6}]:8080"), "web", "to itself")
        check(gateway != HOST6, "a gateway of its own")
        for address, number in (("::", 8080), ("::1", 8080), ("::1", 8081), (HOST6, 8082)):
            equal(bind_error(address, number), errno.EADDRINUSE, f"[{address}]:{number} is reserved")
        equal(bind_error(HOST6, 8081), None, "that of another address is not")
        clash = engine.docker("run", "-d", "--network", "front", "-p", "[::]:8083:80", "bb", "sleep",
                              "1000", status=125)
        contains(clash.stderr, "failed: port is already allocated", "clash")
        engine.out("rm", "-f", "web")
        equal(bind_error("::", 8080), None, "free again")


@case()
def published_udp_and_any_port(engine, remote):
    with network(engine, "front") as shown:
        gateway = shown["IPAM"]["Config"][1]["Gateway"]
        engine.out("run", "-d", "--name", "echo", "--network", "front", "-p", "8181:81/udp", "-P",
                   "--expose", "82", "bb", "sleep", "1000")
        ports = engine.inspect("echo")["NetworkSettings"]["Ports"]["82/tcp"]
        equal([one["HostIp"] for one in ports], ["0.0.0.0", "::"], "both families")
        equal(ports[0]["HostPort"], ports[1]["HostPort"], "one number for both")
        inside = ("nsenter", "--target", str(engine.inspect("echo")["State"]["Pid"]), "--net")
        with host_server(81, enter=inside, family="6"):
            for address in ("::1", HOST6):
                equal(ask("udp", address, 8181, size=5), f"{gateway} 5 {address}:8181", "host")
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                    client.settimeout(5)
                    client.sendto(b"x" * 5, (address, 8181))
                    answer, peer = client.recvfrom(100)
                equal((answer.decode(), *peer[:2]), (f"{gateway} 5", address, 8181), "unconnected")
            equal(ask("udp", "::1", 8181, size=5, source="::1"), f"{gateway} 5 ::1:8181",
                  "bound to loopback")
            equal(remote.ask("udp", HOST6, 8181, size=1900), f"{REMOTE6} 1900 {HOST6}:8181",
                  "in fragments")


@case("davit")
def without_ipv6_there_is_none_to_publish(engine, remote):
    refused = engine.docker("run", "--rm", "-p", "[::]:8084:80", "bb", "true", status=125)
    contains(refused.stderr, "needs a network with IPv6", "the default bridge")
    engine.out("run", "-d", "--name", "four", "-p", "8085:80", "bb", "sh", "-c", SERVE.format("four"))
    ports = engine.inspect("four")["NetworkSettings"]["Ports"]["80/tcp"]
    equal(ports, [{"HostIp": "0.0.0.0", "HostPort": "8085"}], "IPv4 alone")
    eventually(lambda: http("127.0.0.1", 8085).startswith("four"), "it answers")
    contains(http("::1", 8085), "four ", "but by ::1 it is reached")
    contains(http(HOST6, 8085, enter=remote.enter(), patience=1), "error", "not from outside")


@case()
def names(engine, remote):
    with network(engine, "front"):
        one = server(engine, "one", "front")
        two = server(engine, "two", "front", "--network-alias", "web")
        for name in ("two", "TWO", "two.front", "web"):
            found = engine.out("exec", "one", "nslookup", "-type=aaaa", name)
            contains(found, two, name)
        four = place(engine, "two", "front")["IPAddress"]
        check(four not in engine.out("exec", "one", "nslookup", "-type=aaaa", "two"), "AAAA alone")
        check(two not in engine.out("exec", "one", "nslookup", "-type=a", "two"), "A alone")
        contains(engine.out("exec", "one", "nslookup", two), "two.front", "reverse")
        check(ping(engine, "one", "two"), "ping -6 by name")
        equal(fetch(engine, "one", "two"), "two", "by name")
        check(one != two, "addresses differ")


@case("davit")
def it_outlives_the_daemon(engine, remote):
    """SIGKILL: traffic goes on, and the next daemon knows the addresses."""
    with network(engine, "front") as before:
        two = server(engine, "two", "front", "-p", "8600:80")
        one = server(engine, "one", "front")
        pid = engine.inspect("one")["State"]["Pid"]
        engine.kill()
        contains(http(two, 80, enter=("nsenter", "--target", str(pid), "--net")), "two ", "meanwhile")
        equal(http(HOST6, 8600, enter=remote.enter()), f"two {HOST6}:8600", "published")
        equal(bind_error("::", 8600), errno.EADDRINUSE, "the port stays reserved")
        engine.start()
        equal(engine.inspect("one")["State"]["Status"], "running", "taken over")
        equal(json.loads(engine.out("network", "inspect", "front"))[0]["IPAM"], before["IPAM"], "IPAM")
        equal(place(engine, "one", "front")["GlobalIPv6Address"], one, "address")
        contains(engine.out("exec", "one", "nslookup", "-type=aaaa", "two"), two, "names")
        three = server(engine, "three", "front")
        equal(http(HOST6, 8600, enter=remote.enter()), f"two {HOST6}:8600", "still published")
        check(three not in (one, two), f"a taken address was given out: {three}")
        equal(fetch(engine, "three", f"[{two}]"), "two", "and with new ones")


if __name__ == "__main__":
    main(prepare)
