#!/usr/bin/env python3
"""Networks whose containers hang on a link of the host's: macvlan, and ipvlan where the kernel has it.

Goal: a container is a neighbour on the link's own network, as with Docker, with addresses, names and
gateways of it; what such networks have not is refused. Method: the suite's host has an uplink to a
neighbour (network_support.py), which is the router of the containers' subnet.
"""

import contextlib
import errno
import json
import re
import subprocess

from harness import DAVIT, ENGINE, Skip, case, check, contains, equal, eventually, main
from network_support import BEYOND, Remote, bind_error, links, run, start_in_child_cgroup

SUBNET, ROUTER = "10.70.0.0/24", "10.70.0.1"
SUBNET6, ROUTER6 = "fd70::/64", "fd70::1"
SERVE = "mkdir -p /www; echo {0} > /www/index.html; httpd -f -p 80 -h /www"


def has_kind(kind):
    """Whether the kernel knows such links: without a parent it says that one is missing."""
    done = subprocess.run(["ip", "link", "add", "probe0", "type", kind], capture_output=True,
                          text=True, check=False)
    if done.returncode == 0:
        run("ip", "link", "delete", "probe0")
    return "Unknown device type" not in done.stderr


def prepare(engine, stack):
    if not has_kind("macvlan"):
        raise Skip("this kernel has no macvlan links")
    remote = Remote()
    stack.callback(remote.close)
    for address, flag in ((ROUTER + "/24", ()), (ROUTER6 + "/64", ("nodad",))):
        run(*remote.enter(), "ip", "addr", "add", address, "dev", "eth0", *flag)
    start_in_child_cgroup(engine, stack)
    return {"remote": remote}


@contextlib.contextmanager
def network(engine, name, *options, driver="macvlan"):
    engine.out("network", "create", "-d", driver, *options, name)
    try:
        yield name
    finally:
        for identity in engine.api("GET", f"/networks/{name}").json.get("Containers", {}):
            engine.api("DELETE", f"/containers/{identity}?force=1")
        engine.out("network", "rm", name)


def lan(engine, name="lan", *options):
    return network(engine, name, "--subnet", SUBNET, "--gateway", ROUTER, "-o", "parent=up0",
                   *options)


def place(engine, name, net):
    return engine.inspect(name)["NetworkSettings"]["Networks"][net]


def sleeper(engine, name, *options):
    engine.out("run", "-d", "--name", name, *options, "bb", "sleep", "1000")


def server(engine, name, *options):
    engine.out("run", "-d", "--name", name, *options, "bb", "sh", "-c", SERVE.format(name))
    eventually(lambda: ":0050 " in engine.out("exec", name, "cat", "/proc/net/tcp6"), "httpd listens")


def fetch(engine, container, host):
    done = engine.docker("exec", container, "timeout", "2", "wget", "-qO-", f"http://{host}/",
                         status=None)
    return done.stdout.strip()


def enter(engine, name):
    return "nsenter", "--target", str(engine.inspect(name)["State"]["Pid"]), "--net"


def details(engine, name, interface="eth0"):
    return json.loads(run(*enter(engine, name), "ip", "-d", "-j", "link", "show", interface))[0]


@case()
def a_container_is_a_neighbour(engine, remote):
    with lan(engine, "lan", "--ip-range", "10.70.0.128/25", "--aux-address", "nas=10.70.0.128"):
        shown = json.loads(engine.out("network", "inspect", "lan"))[0]
        equal((shown["Driver"], shown["Options"], shown["Internal"]),
              ("macvlan", {"parent": "up0"}, False), "inspect")
        server(engine, "web", "--network", "lan")
        got = place(engine, "web", "lan")
        equal((got["IPAddress"], got["IPPrefixLen"], got["Gateway"]), ("10.70.0.129", 24, ROUTER), "")
        equal(got["MacAddress"], "02:42:0a:46:00:81", "MAC address of the address")
        link = details(engine, "web")
        equal((link["address"], link["linkinfo"]["info_kind"], link["linkinfo"]["info_data"]["mode"]),
              (got["MacAddress"], "macvlan", "bridge"), "link")
        contains(run(*enter(engine, "web"), "ip", "route"), f"default via {ROUTER} dev eth0", "route")
        client = 'import urllib.request as u; print(u.urlopen("http://10.70.0.129/", timeout=5).read())'
        contains(run(*remote.enter(), "python3", "-c", client), "web", "the neighbour reaches it")
        sleeper(engine, "peer", "--network", "lan", "--ip", "10.70.0.9", "--mac-address",
                "02:42:00:00:00:77")
        equal(details(engine, "peer")["address"], "02:42:00:00:00:77", "a MAC address of its own")
        equal(place(engine, "peer", "lan")["IPAddress"], "10.70.0.9", "static address")
        equal(fetch(engine, "peer", "10.70.0.129"), "web", "container to container")
        for target in (ROUTER, BEYOND):
            equal(engine.out("exec", "peer", "sh", "-c", f"echo x | nc -w 2 {target} 7000"),
                  "10.70.0.9", f"{target} sees the container itself")
        taken = engine.docker("run", "--network", "lan", "--ip", "10.70.0.9", "bb", "true", status=125)
        contains(taken.stderr, "Address already in use", "taken")
    check("up0" in links(), "the parent stays")


@case()
def an_address_is_used_again_at_once(engine, remote):
    """And with it the MAC address, of which a parent bears but one."""
    with lan(engine):
        for _ in range(10):
            equal(engine.out("run", "--rm", "--network", "lan", "bb", "cat", "/sys/class/net/eth0/address"),
                  "02:42:0a:46:00:02", "the lowest address")


@case()
def names_are_answered(engine, remote):
    with lan(engine):
        server(engine, "web", "--network", "lan", "--network-alias", "www")
        sleeper(engine, "client", "--network", "lan")
        contains(engine.out("exec", "client", "cat", "/etc/resolv.conf"), "nameserver 127.0.0.11", "")
        for name in ("web", "www", "web.lan", engine.inspect("web")["Id"][:12]):
            equal(fetch(engine, "client", name), "web", name)
        address = place(engine, "web", "lan")["IPAddress"]
        reverse = engine.docker("exec", "client", "nslookup", address, status=None).stdout
        contains(reverse, "web.lan", "reverse")
        engine.out("rename", "web", "renamed")
        equal(fetch(engine, "client", "renamed"), "web", "renamed")
        own = engine.docker("exec", "client", "sh", "-c", "nc -l -p 53 -s 0.0.0.0 & sleep 0.2; kill %1",
                            status=None)
        check("in use" not in own.stderr, f"port 53 is the container's own: {own.stderr}")
        engine.out("rm", "-f", "renamed")
        check(engine.docker("exec", "client", "nslookup", "www", status=None).returncode != 0,
              "names end with their container")


@case()
def both_families(engine, remote):
    with lan(engine, "lan", "--ipv6", "--subnet", SUBNET6, "--gateway", ROUTER6):
        server(engine, "web", "--network", "lan")
        sleeper(engine, "client", "--network", "lan", "--ip6", "fd70::99")
        equal(place(engine, "client", "lan")["GlobalIPv6Address"], "fd70::99", "static address")
        contains(run(*enter(engine, "client"), "ip", "-6", "route"), f"default via {ROUTER6} dev eth0",
                 "route")
        six = place(engine, "web", "lan")["GlobalIPv6Address"]
        equal(fetch(engine, "client", f"[{six}]"), "web", "by address")
        done = engine.docker("exec", "client", "ping", "-6", "-c", "1", "-W", "2", ROUTER6, status=None)
        contains(done.stdout, "1 packets received", "the router")


@case()
def without_a_parent_it_leads_nowhere(engine, remote):
    before = links()
    for options in ((), ("--internal",)):
        with network(engine, "cave", *options):
            check(len(links()) > len(before), "it hangs on a link of its own")
            server(engine, "web", "--network", "cave")
            sleeper(engine, "client", "--network", "cave")
            equal(place(engine, "client", "cave")["Gateway"], "", "no gateway")
            check("default" not in run(*enter(engine, "client"), "ip", "route"), "no default route")
            equal(fetch(engine, "client", "web"), "web", "but its siblings, by name")
        eventually(lambda: links() == before, f"its link is gone: {links()}")


@case()
def modes(engine, remote):
    for mode in ("bridge", "private", "vepa"):
        with lan(engine, "lan", "-o", f"macvlan_mode={mode}"):
            server(engine, "web", "--network", "lan")
            sleeper(engine, "client", "--network", "lan")
            equal(details(engine, "web")["linkinfo"]["info_data"]["mode"], mode, "mode")
            reached = fetch(engine, "client", place(engine, "web", "lan")["IPAddress"])
            # A switch that sends back what it got is not there for vepa.
            equal(reached, "web" if mode == "bridge" else "", f"siblings in mode {mode}")
    with lan(engine, "lan", "-o", "macvlan_mode=passthru"):
        refused = engine.docker("network", "create", "-d", "macvlan", "-o", "parent=up0", "second",
                                status=1)
        contains(refused.stderr, "network lan is already using parent interface up0", "passthru")
    with lan(engine), network(engine, "second", "-o", "parent=up0", "--subnet", "10.71.0.0/24"):
        sleeper(engine, "in", "--network", "second")
        equal(place(engine, "in", "second")["IPAddress"], "10.71.0.2", "a parent is shared")


@case()
def ports_are_not_published(engine, remote):
    with lan(engine):
        warned = engine.docker("create", "--network", "lan", "-p", "8080:80", "bb", "true").stderr
        if ENGINE == "davit":
            contains(warned, "Published ports are discarded when using macvlan network lan", "create")
        server(engine, "web", "--network", "lan", "-p", "8080:80")
        equal(bind_error("0.0.0.0", 8080), None, "the host's port is free")
        equal(engine.out("port", "web"), "", "docker port")
        equal(engine.inspect("web")["NetworkSettings"]["Ports"].get("80/tcp"), None, "Ports")


@case()
def together_with_a_bridge(engine, remote):
    with lan(engine), network(engine, "front", driver="bridge"):
        server(engine, "web", "--network", "front", "-p", "8080:80")
        sleeper(engine, "client", "--network", "lan")
        engine.out("network", "connect", "lan", "web")
        networks = engine.inspect("web")["NetworkSettings"]["Networks"]
        equal(sorted(networks), ["front", "lan"], "networks")
        equal(details(engine, "web", "eth1")["linkinfo"]["info_kind"], "macvlan", "one more link")
        equal(bind_error("0.0.0.0", 8080), errno.EADDRINUSE, "still published")
        equal(fetch(engine, "client", "web"), "web", "by name, over the LAN")
        engine.out("network", "disconnect", "lan", "web")
        check("eth1" not in engine.out("exec", "web", "ls", "/sys/class/net"), "the link is gone")
        equal(fetch(engine, "client", "web"), "", "no name any more")
        engine.out("network", "connect", "front", "client")
        equal(fetch(engine, "client", "web"), "web", "by the bridge's resolver")
        engine.out("network", "disconnect", "front", "client")
        server(engine, "other", "--network", "lan")
        equal(fetch(engine, "client", "other"), "other", "by its own resolver again")
        engine.out("create", "--name", "later", "--network", "front", "bb", "sleep", "1000")
        engine.out("network", "connect", "lan", "later")
        engine.out("start", "later")
        check(all(place(engine, "later", net)["IPAddress"] for net in ("front", "lan")), "both at start")
        engine.out("rm", "-f", "web", "client", "other", "later")


@case("davit")
def what_such_networks_cannot_be(engine, remote):
    def create(driver="macvlan", options=None, **body):
        return engine.api("POST", "/networks/create",
                          {"Name": "odd", "Driver": driver, "Options": options or {}, **body})

    for answer, status, message in (
            (create(options={"parent": "nope0"}), 400, "invalid subinterface vlan name nope0"),
            (create(options={"parent": "nope0.7"}), 404, "failed to find master interface nope0"),
            (create(options={"parent": "up0.5000"}), 400, "vlan id must be between 1-4094"),
            (create(options={"parent": "lo"}), 400, "loopback interface is not a valid macvlan parent"),
            (create(options={"macvlan_mode": "l2"}), 400, "requested macvlan mode 'l2' is not valid"),
            (create(options={"com.docker.network.bridge.name": "br7"}), 400, "of bridge networks alone"),
            (create(options={"com.docker.network.bridge.enable_icc": "false"}), 400, "of bridge networks"),
            (create(options={"parent": "up0"}, Internal=True), 400, "an internal macvlan network hangs"),
            (create("ipvlan", {"ipvlan_mode": "l7"}), 400, "requested ipvlan mode 'l7' is not valid"),
            (create("ipvlan", {"macvlan_mode": "bridge"}), 400, "is not one of ipvlan networks")):
        equal(answer.status, status, f"{message}: {answer.body}")
        contains(answer.message, message, "message")
    if not has_kind("ipvlan"):
        answer = create("ipvlan", {"parent": "up0"})
        equal((answer.status, answer.message), (501, "this host's kernel has no ipvlan links"), "ipvlan")
    if not has_kind("vlan"):
        answer = create(options={"parent": "up0.7"})
        equal((answer.status, answer.message), (501, "this host's kernel has no vlan links"), "vlan")
    equal(engine.api("GET", "/networks/odd").status, 404, "nothing was made")


@case()
def a_vlan_is_made_for_it(engine, remote):
    if not has_kind("vlan"):
        raise Skip("this kernel has no VLAN links")
    with network(engine, "tagged", "-o", "parent=up0.7"):
        check("up0.7" in links(), "the VLAN is there")
        sleeper(engine, "in", "--network", "tagged")
    check("up0.7" not in links(), "and gone")


@case()
def ipvlan(engine, remote):
    if not has_kind("ipvlan"):
        raise Skip("this kernel has no ipvlan links")
    for mode in ("l2", "l3", "l3s"):
        with network(engine, "lan", "--subnet", SUBNET, "--gateway", ROUTER, "-o", "parent=up0", "-o",
                     f"ipvlan_mode={mode}", driver="ipvlan"):
            server(engine, "web", "--network", "lan")
            sleeper(engine, "client", "--network", "lan")
            equal(details(engine, "web")["linkinfo"]["info_data"]["mode"], mode, "mode")
            equal(fetch(engine, "client", "web"), "web", "siblings, by name")
            refused = engine.docker("run", "--network", "lan", "--mac-address", "02:42:00:00:00:01",
                                    "bb", "true", status=125)
            contains(refused.stderr, "do not support custom mac address", "MAC address")


@case("davit")
def it_outlives_the_daemon(engine, remote):
    with lan(engine), network(engine, "cave"):
        sleeper(engine, "client", "--network", "lan")
        sleeper(engine, "caver", "--network", "cave")
        kept = engine.inspect("client")["State"]["Pid"]
        engine.kill()
        try:
            equal(run(*enter_pid(kept), "ip", "-4", "-o", "addr", "show", "eth0").split()[3],
                  "10.70.0.2/24", "its link stays")
            refused = subprocess.run(
                [DAVIT, "network", "uninstall", "--data-root",
                 str(engine.data_root), "--run-dir", str(engine.run_dir)], capture_output=True,
                text=True, check=False)
            contains(refused.stderr, "stop these containers first", "uninstall")
            check(re.search(r"\bclient\b.*\bcaver\b|\bcaver\b.*\bclient\b", refused.stderr),
                  f"they are named: {refused.stderr}")
        finally:
            engine.start()
        if engine.inspect("client")["State"]["Status"] == "running":
            equal(place(engine, "client", "lan")["IPAddress"], "10.70.0.2", "adopted")
            server(engine, "web", "--network", "lan")
            equal(fetch(engine, "client", "web"), "web", "names are answered again")
            engine.out("network", "disconnect", "lan", "client")
            check("eth0" not in engine.out("exec", "client", "ls", "/sys/class/net"), "link is gone")


def enter_pid(pid):
    return "nsenter", "--target", str(pid), "--net"


if __name__ == "__main__":
    main(prepare)
