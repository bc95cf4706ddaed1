"""A host with a neighbour, for the network suites: both are network namespaces of the suite's own.

The suite itself runs in one (harness.private_network), with an uplink to another, in which servers
answer and from which clients come. Nothing of the machine's own network is touched.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys

from harness import Skip, eventually, import_busybox

HOST = "198.51.100.1"
REMOTE = "198.51.100.2"
BEYOND = "203.0.113.9"

SERVER = """
import socket, sys, threading
six = sys.argv[2:] == ["6"]
family, every = (socket.AF_INET6, "::") if six else (socket.AF_INET, "0.0.0.0")
tcp = socket.socket(family)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
udp = socket.socket(family, socket.SOCK_DGRAM)
for one in (tcp, udp):
    if six:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((every, int(sys.argv[1])))
tcp.listen(64)
def streams():
    while True:
        client, address = tcp.accept()
        client.sendall(address[0].encode())
        client.close()
threading.Thread(target=streams, daemon=True).start()
print("up", flush=True)
while True:
    data, address = udp.recvfrom(65536)
    udp.sendto(f"{address[0]} {len(data)}".encode(), address)
"""

CLIENT = """
import socket, sys
kind, address, port, source, size = sys.argv[1:6]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
client = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
client.settimeout(float(sys.argv[6]))
try:
    if source:
        client.bind((source, 0))
    client.connect((address, int(port)))
    if kind == "udp" or size != "0":
        client.sendall(b"x" * int(size))
    answer = client.recv(65536).decode()
    print(answer.split("\\r\\n")[-1].strip(), "%s:%s" % client.getpeername()[:2])
except OSError as problem:
    print("error:", type(problem).__name__, problem)
"""

HTTP_CLIENT = """
import socket, sys
address, port, source = sys.argv[1:4]
client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
client.settimeout(float(sys.argv[4]))
try:
    if source:
        client.bind((source, 0))
    client.connect((address, int(port)))
    client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    print(answer.decode().split("\\r\\n\\r\\n")[-1].strip(), "%s:%s" % client.getpeername()[:2])
except OSError as problem:
    print("error:", type(problem).__name__, problem)
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Remote:
    """The neighbour: a namespace held by a process."""

    def __init__(self):
        for program in ("ip", "nsenter", "unshare"):
            if not shutil.which(program):
                raise Skip(f"{program} is missing: scripts/install-deps test")
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "1000000"])
        mine = os.readlink("/proc/self/ns/net")

        def entered():
            with contextlib.suppress(OSError):
                return os.readlink(f"/proc/{self.holder.pid}/ns/net") != mine
            return False

        eventually(entered, "the remote has a namespace of its own")
        run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns",
            str(self.holder.pid))
        run("ip", "addr", "add", HOST + "/24", "dev", "up0")
        run("ip", "link", "set", "up0", "up")
        run("ip", "route", "add", "default", "via", REMOTE)
        for command in ("ip link set lo up", f"ip addr add {REMOTE}/24 dev eth0",
                        "ip link set eth0 up", f"ip addr add {BEYOND}/32 dev lo",
                        # What the host must not forward to: containers' addresses.
                        f"ip route add 172.16.0.0/12 via {HOST}"):
            run(*self.enter(), *command.split())
        self.server = subprocess.Popen([*self.enter(), sys.executable, "-c", SERVER, "7000"],
                                       stdout=subprocess.PIPE, text=True)
        self.server.stdout.readline()

    def enter(self):
        return ("nsenter", "--target", str(self.holder.pid), "--net")

    def close(self):
        for process in (self.server, self.holder):
            process.kill()
            process.wait()

    def ask(self, kind, address, port, **options):
        return ask(kind, address, port, enter=self.enter(), **options)


# Carries packets between a link of this namespace and one of another's, neither of which has Ethernet headers.
TUNNEL = """
import ctypes, fcntl, os, select, struct, sys
def link(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name, 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
    return fd
one = link(b"tun0")
namespace = os.open(sys.argv[1], os.O_RDONLY)
if ctypes.CDLL(None).setns(namespace, 0x40000000) != 0:
    sys.exit("setns failed")
other = link(b"tun0")
print("up", flush=True)
while True:
    for fd in select.select([one, other], [], [])[0]:
        packet = os.read(fd, 65536)
        try:
            os.write(other if fd == one else one, packet)
        except OSError:
            pass
"""


@contextlib.contextmanager
def tunnel(remote, pairs):
    """A link "tun0" to the neighbour, with these addresses: (here, there, prefix)."""
    if not os.path.exists("/dev/net/tun"):
        raise Skip("/dev/net/tun is missing")
    process = subprocess.Popen([sys.executable, "-c", TUNNEL, f"/proc/{remote.holder.pid}/ns/net"],
                               stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "up\n":
            raise Skip("no tun device can be made")
        for here, there, prefix in pairs:
            extra = ("nodad",) if ":" in here else ()
            run("ip", "addr", "add", f"{here}/{prefix}", "dev", "tun0", *extra)
            run(*remote.enter(), "ip", "addr", "add", f"{there}/{prefix}", "dev", "tun0", *extra)
        run("ip", "link", "set", "tun0", "up")
        run(*remote.enter(), "ip", "link", "set", "tun0", "up")
        yield
    finally:
        process.kill()
        process.wait()


def ask(kind, address, port, enter=(), source="", size=None, patience=5):
    """What a server answers, and who the client believes it is: "ANSWER PEER:PORT"."""
    if size is None:
        size = 1 if kind == "udp" else 0
    done = subprocess.run([*enter, sys.executable, "-c", CLIENT, kind, address, str(port), source,
                           str(size), str(patience)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def http(address, port, enter=(), source="", patience=5):
    """What an HTTP server's first page is, and who the client believes it is: "PAGE PEER:PORT"."""
    done = subprocess.run([*enter, sys.executable, "-c", HTTP_CLIENT, address, str(port), source,
                           str(patience)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


# A shell's: an HTTP server on port 80 whose first page is the name that it is formatted with.
SERVE = "mkdir -p /www; echo {0} > /www/index.html; httpd -f -p 80 -h /www"


def place(engine, name):
    """What a container has in the first of its networks."""
    return next(iter(engine.inspect(name)["NetworkSettings"]["Networks"].values()))


def serve(engine, name, *options):
    """A container whose HTTP server answers with its name. Gives: its address."""
    engine.out("run", "-d", "--name", name, *options, "bb", "sh", "-c", SERVE.format(name))
    address = place(engine, name)["IPAddress"]
    eventually(lambda: http(address, 80, patience=1).startswith(name), f"{name} answers")
    return address


def inside(engine, name):
    """The words that run a command in a container's network namespace."""
    return "nsenter", "--target", str(engine.inspect(name)["State"]["Pid"]), "--net"


def links():
    """The names of this namespace's links."""
    return [line.split(":")[1].strip().split("@")[0] for line in
            run("ip", "-o", "link").splitlines()]


@contextlib.contextmanager
def host_server(port, enter=(), family="4"):
    server = subprocess.Popen([*enter, sys.executable, "-c", SERVER, str(port), family],
                              stdout=subprocess.PIPE, text=True)
    server.stdout.readline()
    try:
        yield
    finally:
        server.kill()
        server.wait()


def bind_error(address, port, kind=socket.SOCK_STREAM):
    """What the kernel says to somebody else who wants the port; None if it is free."""
    six = ":" in address
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind) as wanted:
        try:
            if six:
                wanted.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            wanted.bind((address, port))
        except OSError as problem:
            return problem.errno
    return None


@contextlib.contextmanager
def child_cgroup():
    """A cgroup of the v2 hierarchy that this process, and so its clients, are below: the daemon's
    hooks are attached to it, and not to the root of the machine."""
    for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if pathlib.Path(top, "cgroup.procs").exists() and pathlib.Path(top, "cgroup.controllers").exists():
            break
    else:
        raise Skip("no cgroup2 hierarchy is mounted")
    name = f"/davit-network-test-{os.getpid()}"
    folder = pathlib.Path(top + name)
    clients = folder / "clients"  # A cgroup with processes may have none with controllers below it.
    before = next(line.split(":")[2].strip() for line in open("/proc/self/cgroup")
                  if line.startswith("0::"))
    clients.mkdir(parents=True)
    (clients / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield name
    finally:
        pathlib.Path(top + before, "cgroup.procs").write_text(str(os.getpid()))

        def gone():
            for directory, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
            return not folder.exists()

        eventually(gone, "the cgroup of the test can be removed")


def start_in_child_cgroup(engine, stack):
    """The daemon and what it starts are below it, until the stack ends; the image bb is there."""
    cgroup = stack.enter_context(child_cgroup())
    engine.options = ["--network-cgroup", cgroup, "--cgroup-parent", cgroup + "/davit"]
    stack.callback(engine.stop)
    engine.start()
    import_busybox(engine)
