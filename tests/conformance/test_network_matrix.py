#!/usr/bin/env python3
"""Who reaches whom: the rows of docs/network-matrix.md that no other suite has.

Goal: each packet takes the way that the row says, and its sender believes what it should. Method: a host
of the suite's own with a neighbour (network_support.py); clients in Python, on the host, on the
neighbour and in containers' namespaces.
"""

import collections
import json
import pathlib
import subprocess
import sys
import threading

from harness import RUNS, case, check, contains, equal, eventually, main
from network_support import (HOST, REMOTE, SERVE, SERVER, Remote, ask, bind_error, host_server, http, inside, links,
                             place, run, serve, start_in_child_cgroup, tunnel)

NO_ANSWER = "error: "
PORTS = 10000


def prepare(engine, stack):
    remote = Remote()
    stack.callback(remote.close)
    start_in_child_cgroup(engine, stack)
    return {"remote": remote}


def python(script, *arguments, enter=()):
    done = subprocess.run([*enter, sys.executable, "-c", script, *map(str, arguments)], capture_output=True,
                          text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


@case()
def published_on_one_address(engine, remote):
    """Refused on every other one, and free there."""
    serve(engine, "web", "-p", f"{HOST}:8200:80", "-p", "127.0.0.1:8201:80")
    equal(http(HOST, 8200), f"web {HOST}:8200", "host")
    equal(http(HOST, 8200, enter=remote.enter()), f"web {HOST}:8200", "remote")
    contains(http("127.0.0.1", 8200), "ConnectionRefused", "host, another address")
    equal(bind_error("127.0.0.1", 8200), None, "somebody else's there")
    contains(http(HOST, 8201), "ConnectionRefused", "the loopback's, at another address")
    contains(http(HOST, 8201, enter=remote.enter()), "ConnectionRefused", "and from outside")
    equal(http("0.0.0.0", 8201), "web 127.0.0.1:8201", "0.0.0.0 is oneself")


@case()
def udp_without_a_connection(engine, remote):
    """The answer comes from the address that was asked."""
    engine.out("run", "-d", "--name", "echo", "-p", "8210:81/udp", "bb", "sleep", "1000")
    script = ("import socket, sys\nc = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nc.settimeout(3)\n"
              "c.sendto(b'xyz', (sys.argv[1], 8210))\ndata, source = c.recvfrom(100)\n"
              "print(data.decode().split()[1], *source)\n")
    with host_server(81, enter=inside(engine, "echo")):
        for address in ("127.0.0.1", HOST):
            equal(python(script, address), f"3 {address} 8210", f"host, {address}")
        equal(python(script, HOST, enter=remote.enter()), f"3 {HOST} 8210", "remote")


@case()
def ports_that_nobody_listens_to(engine, remote):
    """The client hears of it at once: the errors' quotations are translated, too."""
    engine.out("run", "-d", "--name", "in", "-p", "8220:81/udp", "-p", "8221:81", "bb", "sleep", "1000")
    enter = inside(engine, "in")
    for client, how in (((), "host"), (remote.enter(), "remote")):
        contains(ask("udp", HOST, 8220, enter=client), "ConnectionRefused", f"{how}, UDP")
        contains(ask("tcp", HOST, 8221, enter=client), "ConnectionRefused", f"{how}, TCP")
    contains(ask("udp", REMOTE, 7999, enter=enter), "ConnectionRefused", "out, UDP")
    contains(ask("tcp", REMOTE, 7999, enter=enter), "ConnectionRefused", "out, TCP")


@case()
def out_in_fragments(engine, remote):
    engine.out("run", "-d", "--name", "in", "bb", "sleep", "1000")
    for size in (1, 1900, 20000):
        equal(ask("udp", REMOTE, 7000, enter=inside(engine, "in"), size=size),
              f"{HOST} {size} {REMOTE}:7000", f"{size} bytes")


@case("davit")
def a_way_out_without_ethernet_headers(engine, remote):
    """A tunnel: published there, masqueraded there, and the host's own traffic goes on."""
    engine.out("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six")
    serve(engine, "web", "--network", "six", "-p", "8225:80", "-p", "8226:81/udp")
    pairs = (("10.99.0.1", "10.99.0.2", 24), ("2001:db8:99::1", "2001:db8:99::2", 64))
    server6 = subprocess.Popen([*remote.enter(), sys.executable, "-c", SERVER, "7006", "6"],
                               stdout=subprocess.PIPE, text=True)
    try:
        server6.stdout.readline()
        with tunnel(remote, pairs), host_server(81, enter=inside(engine, "web")):
            enter = inside(engine, "web")

            def host_learns():
                return http("10.99.0.1", 8225, enter=remote.enter()) == "web 10.99.0.1:8225"

            eventually(host_learns, "published on a link that comes later")
            equal(http("2001:db8:99::1", 8225, enter=remote.enter()), "web 2001:db8:99::1:8225", "IPv6")
            equal(remote.ask("udp", "10.99.0.1", 8226), "10.99.0.2 1 10.99.0.1:8226", "UDP, who is seen")
            for kind in ("tcp", "udp"):
                size = " 1" if kind == "udp" else ""
                equal(ask(kind, "10.99.0.2", 7000, enter=enter), f"10.99.0.1{size} 10.99.0.2:7000", f"out by {kind}")
                equal(ask(kind, "2001:db8:99::2", 7006, enter=enter),
                      f"2001:db8:99::1{size} 2001:db8:99::2:7006", f"out by {kind}, IPv6")
                equal(ask(kind, "10.99.0.2", 7000), f"10.99.0.1{size} 10.99.0.2:7000", f"the host by {kind}")
                equal(ask(kind, "2001:db8:99::2", 7006),
                      f"2001:db8:99::1{size} 2001:db8:99::2:7006", f"the host by {kind}, IPv6")
            equal(ask("udp", "10.99.0.2", 7000, enter=enter, size=20000), "10.99.0.1 20000 10.99.0.2:7000",
                  "in fragments")
            contains(ask("tcp", "10.99.0.2", 7999, enter=enter), "ConnectionRefused", "a port that nobody has")
            contains(ask("udp", "10.99.0.2", 7999, enter=enter), "ConnectionRefused", "told by an error")
    finally:
        server6.kill()
        server6.wait()
    engine.remove_all()
    engine.out("network", "rm", "six")


SENT = """
import socket, sys
address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.create_connection((address, port), 5)
s.sendall(b"x" * size)
s.shutdown(socket.SHUT_WR)
got = 0
while piece := s.recv(65536):
    got += len(piece)
print(got)
"""

MIRROR = """
import socket
server = socket.create_server(("::", 7100), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
while True:
    client, _ = server.accept()
    total = 0
    while piece := client.recv(65536):
        total += len(piece)
    client.sendall(b"y" * total)
    client.close()
"""


@case("davit")
def a_narrow_way_out(engine, remote):
    """A link that takes less than the containers' links: streams and datagrams find to its size, both
    where a container begins and where it is asked."""
    engine.out("network", "create", "--ipv6", "--subnet", "fd00:79::/64", "six")
    engine.out("run", "-d", "--name", "in", "--network", "six", "-p", "8227:7100", "bb", "sleep", "1000")
    enter = inside(engine, "in")
    pairs = (("10.98.0.1", "10.98.0.2", 24), ("2001:db8:96::1", "2001:db8:96::2", 64))
    servers = [subprocess.Popen([*where, sys.executable, "-c", MIRROR], stdout=subprocess.PIPE, text=True)
               for where in (remote.enter(), enter)]
    try:
        for server in servers:
            server.stdout.readline()
        with tunnel(remote, pairs):
            run("ip", "link", "set", "tun0", "mtu", "1300")  # The neighbour believes that it could take more.
            eventually(lambda: ask("tcp", "10.98.0.2", 7000, enter=enter).startswith("10.98.0.1"), "the way is known")
            before = metric(engine, "answered")
            for address in ("10.98.0.2", "2001:db8:96::2"):
                equal(python(SENT, address, 7100, 2_000_000, enter=enter), "2000000", f"a stream to {address}")
            check(metric(engine, "answered") > before, "it was told")
            equal(ask("udp", "10.98.0.2", 7000, enter=enter, size=1272), "10.98.0.1 1272 10.98.0.2:7000",
                  "a datagram that fits")
            eventually(lambda: ask("udp", "10.98.0.2", 7000, enter=enter, size=5000, patience=1)
                       == "10.98.0.1 5000 10.98.0.2:7000", "one in fragments, once their size is known")
            equal(python(SENT, "10.98.0.1", 8227, 2_000_000, enter=remote.enter()), "2000000", "from there")
    finally:
        for server in servers:
            server.kill()
            server.wait()
    engine.remove_all()
    engine.out("network", "rm", "six")


HOPS = """
import socket, struct, sys
address, ttl, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
six = ":" in address
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
s.settimeout(3)
s.setsockopt(*((socket.IPPROTO_IPV6, 25, 1) if six else (socket.IPPROTO_IP, 11, 1)))  # RECVERR
s.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl) if six else (socket.IPPROTO_IP, socket.IP_TTL, ttl)))
try:
    s.connect((address, 7000))
    s.send(b"x" * 100)
    print("answered", s.recv(100) != b"")
except OSError as problem:
    data, control, _, _ = s.recvmsg(200, 500, socket.MSG_ERRQUEUE)
    _, _, error = control[0]
    family, = struct.unpack("H", error[16:18])
    packed = error[24:40] if family == socket.AF_INET6 else error[20:24]
    print(problem.errno, error[4], error[5], error[6], socket.inet_ntop(family, packed))
"""


@case("davit")
def a_way_that_ends_at_the_host(engine, remote):
    """Whoever sent it is told by the gateway; the host's own hop is the first, and the next one answers."""
    engine.out("network", "create", "--ipv6", "--subnet", "fd00:78::/64", "six")
    engine.out("run", "-d", "--name", "in", "--network", "six", "bb", "sleep", "1000")
    enter = inside(engine, "in")
    at = place(engine, "in")
    before = metric(engine, "answered")
    # EHOSTUNREACH, of ICMP (2) or ICMPv6 (3), its type and code.
    for kind in ("udp", "tcp"):
        equal(python(HOPS, REMOTE, 1, kind, enter=enter), f"113 2 11 0 {at['Gateway']}", kind)
        equal(python(HOPS, REMOTE, 2, kind, enter=enter), "answered True", f"{kind}, one hop more")
    run("ip", "-6", "addr", "add", "2001:db8:98::1/64", "dev", "up0", "nodad")
    run("ip", "-6", "route", "add", "default", "via", "2001:db8:98::2")

    def told6():
        return python(HOPS, "2001:db8:97::1", 1, "udp", enter=enter) == f"113 3 3 0 {at['IPv6Gateway']}"

    eventually(told6, f"IPv6: {python(HOPS, '2001:db8:97::1', 1, 'udp', enter=enter)}")
    check(metric(engine, "answered") >= before + 3, "it is counted")
    run("ip", "-6", "addr", "del", "2001:db8:98::1/64", "dev", "up0")
    engine.remove_all()
    engine.out("network", "rm", "six")


@case("davit")
def between_containers_by_the_bridge(engine, remote):
    """A switch for who wants to see it there: what goes past the bridge is counted."""
    engine.out("network", "create", "seen", "-o", "davit.bridge.direct=false")
    engine.out("network", "create", "fast")
    for network, passes in (("seen", False), ("fast", True)):
        serve(engine, f"web-{network}", "--network", network)
        engine.out("run", "-d", "--name", f"in-{network}", "--network", network, "bb", "sleep", "1000")
        address = place(engine, f"web-{network}")["IPAddress"]
        before = metric(engine, "direct")
        equal(http(address, 80, enter=inside(engine, f"in-{network}")), f"web-{network} {address}:80", network)
        equal(metric(engine, "direct") > before, passes, f"{network}: past the bridge")
    bad = engine.docker("network", "create", "-o", "davit.bridge.direct=maybe", "odd", status=1)
    contains(bad.stderr, "failed to parse davit.bridge.direct value: maybe", "a typo")
    engine.remove_all()
    for network in ("seen", "fast"):
        engine.out("network", "rm", network)


@case()
def hairpin_by_every_address(engine, remote):
    """By the host's, the gateway's of one's own network, and another network's."""
    for name in ("left", "right"):
        engine.out("network", "create", name)
    serve(engine, "web", "--network", "left", "-p", "8230:80")
    for name, net in (("sibling", "left"), ("stranger", "right")):
        engine.out("run", "-d", "--name", name, "--network", net, "bb", "sleep", "1000")
    gateways = [place(engine, name)["Gateway"] for name in ("web", "stranger")]
    for client in ("web", "sibling", "stranger"):
        for address in (HOST, *gateways):
            equal(http(address, 8230, enter=inside(engine, client)), f"web {address}:8230",
                  f"{client} by {address}")
    engine.remove_all()
    for name in ("left", "right"):
        engine.out("network", "rm", name)


@case("davit")
def clients_that_the_hooks_do_not_see(engine, remote):
    """Of another cgroup: by the loopback, TCP and UDP."""
    serve(engine, "web", "-p", "8240:80", "-p", "8241:81/udp")
    options = engine.options
    name = options[options.index("--network-cgroup") + 1]
    top = next(top for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if pathlib.Path(top + name).exists())
    outside = pathlib.Path(top + name + "-outside")
    outside.mkdir()
    try:
        enter = ("sh", "-c", f"echo $$ > {outside}/cgroup.procs; exec \"$@\"", "sh")
        translated = metric(engine, "socket_translated")
        equal(http("127.0.0.1", 8240, enter=enter), "web 127.0.0.1:8240", "TCP")
        equal(http(HOST, 8240, enter=enter), f"web {HOST}:8240", "TCP, the host's address")
        with host_server(81, enter=inside(engine, "web")):
            contains(ask("udp", "127.0.0.1", 8241, enter=enter), " 1 127.0.0.1:8241", "UDP")
        equal(metric(engine, "socket_translated"), translated, "no hook has seen them")
    finally:
        eventually(lambda: not outside.joinpath("cgroup.procs").read_text(encoding="ascii"), "they have ended")
        outside.rmdir()


def metric(engine, name):
    for line in engine.api("GET", "/metrics").body.decode().splitlines():
        if line.startswith("davit_network_packets") and f'"{name}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return None


CLIENTS = 32


class PortClients:
    """Clients that create, start, inspect and remove over and over, by ports of their own and by free ones."""

    def __init__(self, engine, cycles):
        self.engine = engine
        self.cycles = cycles
        self.lock = threading.Lock()
        self.held = set()
        self.problems = []

    def run(self):
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(self.problems, [], "no conflict")

    def _client(self, number):
        try:
            for turn in range(number, self.cycles, CLIENTS):
                self._cycle(number, str(21000 + number) if turn // CLIENTS % 2 else "")
        except Exception as problem:  # A thread's end would not be noticed.
            self.problems.append(repr(problem))

    def _cycle(self, number, port):
        body = {"Image": "bb", "Cmd": ["sleep", "1000"],
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port}]}}}
        identity = self.engine.api("POST", "/containers/create", body).json["Id"]
        answer = self.engine.api("POST", f"/containers/{identity}/start")
        equal(answer.status, 204, f"start of client {number}: {answer.body}")
        settings = self.engine.api("GET", f"/containers/{identity}/json").json["NetworkSettings"]
        got = settings["Ports"]["80/tcp"][0]["HostPort"]
        with self.lock:
            check(got not in self.held and got in (port or got), f"port {got} for {port!r}")
            self.held.add(got)
        check(settings["IPAddress"], "its address")
        with self.lock:
            self.held.discard(got)
        equal(self.engine.api("DELETE", f"/containers/{identity}?force=1").status, 204, "removal")


def network_holdings(engine):
    """All that containers' networks take, in countable form."""
    maps = {name: len(json.loads(run("bpftool", "-j", "map", "dump", "pinned", str(path))))
            for name in ("endpoint", "port_map", "netns") for path in (engine.run_dir / "bpf").rglob(name)}
    names = links()
    places = [name for name in names if name.startswith("dve")]  # Some sandboxes have one while they wait.
    return {**maps, "links": len(names) - len(places), "veths": max(0, len(places) - len(engine.warm_sandboxes())), "pins": sum(1 for _ in (engine.run_dir / "bpf").rglob("*")),
            "descriptors": collections.Counter(engine.descriptors())}


@case("davit")
def many_clients_with_ports(engine, remote):
    """Each gets the port that it asks for, or one of its own, and nothing stays. (Issue size: 10,000 cycles.)"""
    PortClients(engine, 2 * CLIENTS).run()
    before = network_holdings(engine)
    check(before["port_map"] == 0, f"the maps are looked at: {before}")
    PortClients(engine, max(RUNS, 4 * CLIENTS)).run()

    more = {}

    def same():
        more.clear()
        for name, now in network_holdings(engine).items():
            if now - before[name] if name == "descriptors" else now > before[name]:
                more[name] = now
        return not more

    try:
        eventually(same, "all is given back", 60)
    except AssertionError as problem:
        raise AssertionError(f"{problem}: {more}, before {before}") from None
    for number in range(CLIENTS):
        equal(bind_error("0.0.0.0", 21000 + number), None, "its port is free")


@case()
def a_published_port_elsewhere(engine, remote):
    """Other network namespaces have their own."""
    serve(engine, "web", "-p", "8250:80")
    engine.out("run", "-d", "--name", "other", "bb", "sleep", "1000")
    script = "import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 8250))\nprint('bound')\n"
    for enter, where in ((remote.enter(), "the neighbour's"), (inside(engine, "web"), "its own"),
                         (inside(engine, "other"), "another container's")):
        equal(python(script, enter=enter), "bound", where)
    contains(python(script), "Address already in use", "the host's")


@case()
def names_by_tcp(engine, remote):
    engine.out("network", "create", "front")
    address = serve(engine, "web", "--network", "front")
    engine.out("run", "-d", "--name", "in", "--network", "front", "bb", "sleep", "1000")
    script = ("import socket, struct\nc = socket.create_connection(('127.0.0.11', 53), 3)\n"
              "q = b'\\x00\\x07\\x01\\x00\\x00\\x01' + b'\\0' * 6 + b'\\x03web\\x00\\x00\\x01\\x00\\x01'\n"
              "for _ in range(2):\n c.sendall(struct.pack('>H', len(q)) + q)\n"
              " size = struct.unpack('>H', c.recv(2, socket.MSG_WAITALL))[0]\n"
              " print(socket.inet_ntoa(c.recv(size, socket.MSG_WAITALL)[-4:]), *c.getpeername())\n")
    equal(python(script, enter=inside(engine, "in")).splitlines(), [f"{address} 127.0.0.11 53"] * 2,
          "two questions on a connection")
    engine.remove_all()
    engine.out("network", "rm", "front")


@case("davit")
def answers_of_other_servers_are_kept(engine, remote):
    """As long as they may be told again: without their server, with the time that is left."""
    script = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('0.0.0.0', 53))\n"
              "print('up', flush=True)\nwhile True:\n q, a = s.recvfrom(512)\n end = q.index(0, 12) + 5\n"
              " print(q[13:12 + q[12] + 1].decode(), flush=True)\n"
              " s.sendto(q[:2] + b'\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0' + q[12:end] +"
              " b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\x05\\x06\\x07\\x08', a)\n")
    engine.out("network", "create", "front")
    for name in ("one", "two"):
        engine.out("run", "-d", "--name", name, "--network", "front", "--dns", REMOTE, "bb", "sleep", "1000")
    with subprocess.Popen([*remote.enter(), sys.executable, "-c", script], stdout=subprocess.PIPE,
                          text=True) as server:
        try:
            server.stdout.readline()
            for client in ("one", "two", "one"):
                contains(engine.out("exec", client, "nslookup", "-type=a", "kept.test", "127.0.0.11"), "5.6.7.8",
                         client)
            engine.out("exec", "one", "nslookup", "-type=a", "other.test", "127.0.0.11")
            equal([server.stdout.readline() for _ in range(2)], ["kept\n", "other\n"], "the server was asked")
        finally:
            server.kill()
    contains(engine.out("exec", "two", "nslookup", "-type=a", "kept.test", "127.0.0.11"), "5.6.7.8", "without it")
    unknown = engine.docker("exec", "two", "nslookup", "-type=a", "new.test", "127.0.0.11", status=None)
    check("5.6.7.8" not in unknown.stdout, "what was never asked is not known")
    engine.remove_all()
    engine.out("network", "rm", "front")


@case("davit")
def an_old_connection_ends_with_its_container(engine, remote):
    """The next one at that address never sees its segments."""
    engine.out("network", "create", "--subnet", "10.77.0.0/24", "fixed")
    serve(engine, "web", "-p", "8260:80", "--network", "fixed", "--ip", "10.77.0.7")
    script = ("import socket, sys\nc = socket.create_connection(sys.argv[1:], 5)\nprint('up', flush=True)\n"
              "sys.stdin.readline()\nc.settimeout(1)\ntry:\n c.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
              " print('got', c.recv(100))\nexcept OSError as problem: print('ended', problem)\n")
    clients = []
    for enter, address in ((remote.enter(), HOST), ((), "127.0.0.1")):
        client = subprocess.Popen([*enter, sys.executable, "-c", script, address, "8260"], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        equal(client.stdout.readline(), "up\n", "connected")
        clients.append(client)
    engine.out("restart", "-t", "0", "web")
    for enter in ((), remote.enter()):
        eventually(lambda: http(HOST, 8260, enter=enter, patience=1).startswith("web"), "it answers")
    for client in clients:
        told = client.communicate("go\n", timeout=20)[0]
        check("web" not in told and ("ended" in told or "got b''" in told), f"it has ended: {told!r}")
    engine.remove_all()
    engine.out("network", "rm", "fixed")


@case("davit")
def nobody_takes_anothers_place(engine, remote):
    """A container sends with another's MAC, and tells by ARP that it has another's address."""
    victim = serve(engine, "victim", "-p", "8265:80")
    engine.out("run", "-d", "--name", "thief", "bb", "sleep", "1000")
    mac = place(engine, "victim")["MacAddress"]
    script = ("import socket, sys\nfrom_hex = bytes.fromhex\n"
              "c = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\nc.bind(('eth0', 0))\n"
              "victim, own = from_hex(sys.argv[1].replace(':', '')), c.getsockname()[4]\n"
              "address, all = socket.inet_aton(sys.argv[2]), b'\\xff' * 6\n"
              "c.send(all + victim + from_hex('88b5') + bytes(46))\n"  # For local experiments.
              "for kind in (1, 2):\n"
              " c.send(all + own + from_hex('0806' '0001' '0800' '06' '04') + bytes([0, kind]) + own +"
              " address + (all if kind == 2 else bytes(6)) + address + bytes(18))\n"
              "print('sent')")
    for _ in range(3):
        equal(python(script, mac, victim, enter=inside(engine, "thief")), "sent", "frames")
        equal(http(victim, 80), f"victim {victim}:80", "the host reaches it")
        contains(run("ip", "neigh", "show", victim), mac, "and knows where it is")
    contains(engine.out("exec", "thief", "wget", "-qO-", f"http://{victim}/"), "victim", "so does the thief")


@case("davit")
def links_smaller_than_usual(engine, remote):
    """Containers get the MTU of the way out, or what their network says; streams pass."""
    for enter, link in (((), "up0"), (remote.enter(), "eth0")):
        run(*enter, "ip", "link", "set", link, "mtu", "1300")
    try:
        engine.stop()  # What the way out is like is read anew.
        engine.start()
        engine.out("network", "create", "front")
        engine.out("network", "create", "-o", "com.docker.network.driver.mtu=1200", "narrow")
        for net, mtu in (("front", "1300"), ("narrow", "1200")):
            engine.out("run", "-d", "--name", net, "--network", net, "-p", "8270:80", "bb", "sh", "-c",
                       "mkdir /www; dd if=/dev/zero of=/www/index.html bs=1k count=512; httpd -f -p 80 -h /www")
            equal(engine.out("exec", net, "cat", "/sys/class/net/eth0/mtu"), mtu, net)
            script = ("import socket, sys\nc = socket.create_connection((sys.argv[1], 8270), 5)\n"
                      "c.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\nsize = 0\n"
                      "while piece := c.recv(65536): size += len(piece)\nprint(size > 512 * 1024)\n")
            eventually(lambda: http("127.0.0.1", 8270, patience=1)[:6] != NO_ANSWER[:6], "it answers")
            equal(python(script, HOST, enter=remote.enter()), "True", f"{net}: half a megabyte")
            engine.out("rm", "-f", net)
    finally:
        for enter, link in (((), "up0"), (remote.enter(), "eth0")):
            run(*enter, "ip", "link", "set", link, "mtu", "1500")
        engine.remove_all()
        for net in ("front", "narrow"):
            engine.docker("network", "rm", net, status=None)
        engine.stop()
        engine.start()


@case()
def two_uplinks(engine, remote):
    """Published on both; what goes out has the address of the link it takes."""
    serve(engine, "web", "-p", "8280:80")
    run("ip", "link", "add", "up1", "type", "veth", "peer", "name", "eth1", "netns", remote.enter()[2])
    try:
        run("ip", "addr", "add", "192.0.2.1/24", "dev", "up1")
        run("ip", "link", "set", "up1", "up")
        run(*remote.enter(), "ip", "addr", "add", "192.0.2.2/24", "dev", "eth1")
        run(*remote.enter(), "ip", "link", "set", "eth1", "up")
        enter = inside(engine, "web")
        eventually(lambda: ask("udp", "192.0.2.2", 7000, enter=enter, patience=1) ==
                   "192.0.2.1 1 192.0.2.2:7000", "out by the new one")
        equal(ask("udp", REMOTE, 7000, enter=enter), f"{HOST} 1 {REMOTE}:7000", "out by the old one")
        equal(http("192.0.2.1", 8280, enter=remote.enter()), "web 192.0.2.1:8280", "published there")
        equal(http(HOST, 8280, enter=remote.enter()), f"web {HOST}:8280", "and here")
    finally:
        run("ip", "link", "delete", "up1")
    equal(http(HOST, 8280, enter=remote.enter()), f"web {HOST}:8280", "with one again")


@case("davit")
def ten_thousand_ports(engine, remote):
    """In one container: all are published, and all are free afterwards."""
    first, last = 20000, 20000 + PORTS - 1
    serve(engine, "web")
    engine.out("rm", "-f", "web")
    engine.out("run", "-d", "--name", "web", "-p", f"{first}-{last}:{first}-{last}", "-p", "8290:80", "bb",
               "sh", "-c", f"{SERVE.format('web')} & httpd -p {last} -h /www; wait")
    equal(len(engine.inspect("web")["NetworkSettings"]["Ports"]), PORTS + 1, "Ports")
    eventually(lambda: http(HOST, last, enter=remote.enter(), patience=1) == f"web {HOST}:{last}", "the last")
    taken = engine.docker("run", "--rm", "-p", f"{first + 5000}:80", "bb", "true", status=125)
    contains(taken.stderr, "port is already allocated", "one in the middle")
    engine.out("rm", "-f", "web")
    engine.out("run", "--rm", "-p", f"{last}:80", "bb", "true")
    for port in (first, first + 5000, last):
        equal(bind_error("0.0.0.0", port), None, f"{port} is free")
    engine.out("run", "--rm", "-p", f"{first}-{last}:{first}-{last}", "bb", "true")


@case("davit")
def two_thousand_ports_outlive_the_daemon(engine, remote):
    serve(engine, "web", "-p", "21000-22999:21000-22999", "-p", "8295:80")
    engine.kill()
    equal(http(HOST, 8295, enter=remote.enter()), f"web {HOST}:8295", "without a daemon")
    engine.start()
    if engine.inspect("web")["State"]["Status"] == "running":
        equal(http(HOST, 8295, enter=remote.enter()), f"web {HOST}:8295", "with the next one")
        engine.out("rm", "-f", "web")
    engine.out("run", "--rm", "-p", "22999:80", "bb", "true")
    equal(bind_error("0.0.0.0", 21500), None, "all are free")


if __name__ == "__main__":
    main(prepare)
