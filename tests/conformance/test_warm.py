"""Warm sandboxes: containers that start in namespaces and cgroups that were made ahead.

Goal: nobody sees a difference but the clock, no state passes from one container to the next, and what
waits never outlives the daemon nor keeps a container from starting. Method: what is visible inside is
held against a container that starts cold; inits that wait are killed, and so is the daemon.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess

from harness import Skip, case, cgroup_tree_remove, check, contains, equal, eventually, import_busybox, main

# All that a process can learn of itself without asking anybody.
LOOK = """
cat /proc/self/mountinfo; echo ==; cat /proc/self/cgroup; echo ==; cat /proc/1/status; echo ==
cat /proc/1/limits; echo ==; tr '\\0' '\\n' </proc/1/environ; echo ==; ls -l /proc/1/fd; echo ==
ls -lR /dev; echo ==; ls /proc; echo ==; id; hostname; umask; pwd; echo ==; ls -ln /; echo ==
cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range; echo ==
cat /proc/net/dev; cat /proc/net/route; echo ==; cat /proc/1/oom_score_adj; read -r a b c d e f g rest </proc/1/stat; echo $a $b $d $e $f $g; echo ==
ls /sys /sys/fs/cgroup; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; echo ==
cat /etc/hosts /etc/hostname /etc/resolv.conf; echo ==; while read -r key; do echo ${key##*keyring}; done </proc/keys; touch /proc/sysrq-trigger; echo x >/proc/sys/kernel/hostname
"""


POWERFUL = ("--cap-add", "ALL", "--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined")
PARENTS = []
OWNER = []


def prepare(engine, stack):
    engine.options = ["--warm-sandboxes=3"]
    stack.callback(lambda: [cgroup_tree_remove(parent) for parent in PARENTS])
    stack.callback(engine.stop)
    engine.start()
    import_busybox(engine)
    OWNER.append(engine.out("info", "--format", "{{.ID}}"))
    return {}


def parked(engine):
    """The pids of inits that wait."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                folder = pathlib.Path("/proc", entry)
                status = folder.joinpath("status").read_text()
                if folder.joinpath("cmdline").read_bytes() == b"davit-init\0" \
                        and f"\nPPid:\t{engine.process.pid}\n" in status:
                    found.append(int(entry))
    return found


def cgroups_of(pids):
    paths = set()
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            match = re.search(r":(/.*/[0-9a-f]{64})$", line)
            if match:
                paths.update(str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"*{match[1]}"))
    return paths


def files(engine):
    return sorted(path.name for path in (engine.run_dir / "sandboxes").iterdir())


def is_warm(engine, name):
    return "sandbox" in [phase["Name"] for phase in engine.inspect(name)["Davit"]["StartPhases"]]


def fill(engine, *options):
    """Have a sandbox wait for a container with such options."""
    before = set(parked(engine))
    for _ in range(3):
        engine.docker("run", "--rm", "--network", "none", *options, "bb", "true")
    eventually(lambda: len(set(parked(engine)) - before) == len(parked(engine)) == 3, "sandboxes wait")


@contextlib.contextmanager
def created(engine, *options, command=("true",)):
    name = engine.out("create", *options, "bb", *command)
    try:
        yield name
    finally:
        engine.docker("rm", "-f", "-v", name)


def cold():
    """Options that nobody had before, and that are not to be seen inside."""
    PARENTS.append(f"/davit-cold-{os.getpid()}-{len(PARENTS)}")
    return ("--cgroup-parent", PARENTS[-1])


def look(engine, warm, *options):
    if warm:
        fill(engine, *options)
    else:
        options = (*options, *cold())
    with created(engine, "--network", "none", *options, command=("sh", "-c", LOOK)) as name:
        text = engine.docker("start", "-a", name, status=None).stdout
        equal(is_warm(engine, name), warm, "the container starts warm")
        identity = engine.inspect(name)["Id"]
    text = text.replace(identity, "ID").replace(identity[:12], "SHORT")
    text = re.sub(r"(pipe|socket):\[\d+\]", r"\1", text)
    text = re.sub(r"\w{3}\s+\d+ \d\d:\d\d", "DATE", text)
    text = re.sub(r"(?m)^([-a-z]{10}) +\d+", r"\1", text)  # /proc has a link for each process of the host.
    sections = text.split("==\n")
    sections[0] = mounts(sections[0])
    others = re.compile(r"_ses\.[0-9a-f]{64}")  # Of containers that have just gone.
    sections[-1] = sorted(line for line in sections[-1].splitlines() if not others.search(line))
    sections[2] = re.sub(r"(?m)^(State|Vm|Rss|.*ctxt_switches|Threads|Mems_allowed|Cpus_allowed|Sig|FDSize).*\n", "",
                         sections[2])
    return sections


def mounts(text):
    """Without the numbers of mounts and devices; a mount's parent by its path."""
    lines = [line.split() for line in text.splitlines()]
    paths = {line[0]: line[4] for line in lines}
    found = []
    for line in lines:
        shown = [paths.get(line[1], "outside"), *line[3:]]
        found.append(re.sub(r"(overlay/(layers|rw)/)\w+|lowerdir\+?=\S+", r"\1", " ".join(shown)))
    return sorted(found)


@case("davit")
def same_inside(engine):
    """Mounts, namespaces, cgroup, status, limits, environment, descriptors, devices, what is read-only."""
    for options in ((), POWERFUL, ("--memory", "64m", "--pids-limit", "77", "--shm-size", "1m"),
                    ("--read-only", "--tmpfs", "/tmp", "--hostname", "other", "--user", "1:2"),
                    ("--init",), ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined"),
                    ("--ulimit", "nofile=99:99", "--oom-score-adj", "500", "--workdir", "/some/where")):
        warm = look(engine, True, *options)
        cold = look(engine, False, *options)
        equal(len(warm), len(cold), f"sections with {options}")
        for one, other in zip(warm, cold):
            equal(one, other, f"inside, with {options}")


@case("davit")
def same_terminal(engine):
    fill(engine)
    script = "tty; ls -l /dev/console /dev/pts; stty size; ls -l /proc/self/fd"
    seen = []
    for warm in (True, False):
        options = () if warm else cold()
        with created(engine, "-t", "--network", "none", *options, command=("sh", "-c", script)) as name:
            text = engine.docker("start", "-a", name, status=None).stdout
            equal(is_warm(engine, name), warm, "the container starts warm")
        seen.append(re.sub(r"\w{3}\s+\d+ \d\d:\d\d|/proc/\d+", "", text))
    equal(seen[0], seen[1], "what a terminal shows")
    contains(seen[0], "/dev/pts/0")


@case("davit")
def networks(engine):
    """Networks' links in a network namespace that was there before."""
    engine.docker("network", "create", "warm")
    engine.docker("network", "create", "-d", "macvlan", "--subnet", "10.199.0.0/24", "hangs")
    try:
        for network in ("bridge", "warm", "hangs"):
            fill(engine)
            with created(engine, "--network", network, command=("sh", "-c", "ip addr show eth0; ip route; exec sleep 1000")) as name:
                engine.docker("start", name)
                check(is_warm(engine, name), f"it starts warm on {network}")
                address = engine.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]
                eventually(lambda: address in engine.docker("logs", name).stdout, "its address is inside")
                if network != "hangs":
                    contains(engine.docker("logs", name).stdout, "default via")
                with created(engine, "--network", network, command=("ping", "-c", "1", "-W", "5", address)) as other:
                    contains(engine.docker("start", "-a", other).stdout, "1 packets received")
    finally:
        engine.docker("network", "rm", "warm", "hangs")


def links():
    """The host's ends of the daemon's veth pairs."""
    told = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return re.findall(rf"(?m)^\d+: (dve\w+).*alias davit:{OWNER[0]}:", told)


def fill_network(engine, network):
    """Have sandboxes wait that have a place in the network."""
    for _ in range(4):
        engine.docker("run", "--rm", "--network", network, "bb", "true")
    eventually(lambda: len(links()) == len(parked(engine)) == 3, "sandboxes wait with their links")


@contextlib.contextmanager
def network_of(engine, name, *options):
    engine.docker("network", "create", *options, name)
    yield  # What fails is told of, and not that the network is still in use.
    engine.docker("network", "rm", name)


@case("davit")
def places_in_networks(engine):
    """A container whose links were made ahead has the same network inside, ports and names too."""
    script = ("cat /proc/net/dev | cut -d: -f1; ip addr show eth0; ip -6 addr show eth0; ip route; ip -6 route; cat /etc/hosts /etc/resolv.conf; "
              "cat /proc/sys/net/ipv6/conf/*/disable_ipv6 /proc/sys/net/ipv4/conf/eth0/*; exec sleep 1000")
    with network_of(engine, "both", "--ipv6", "--subnet", "10.123.0.0/24"), network_of(engine, "inner", "--internal"):
        for network in ("bridge", "both", "inner"):
            seen = []
            for warm in (True, False):
                options = () if warm else cold()
                if warm:
                    fill_network(engine, network)
                with created(engine, "--network", network, "-p", "8123:80", *options, command=("sh", "-c", script)) as name:
                    before = links()
                    engine.docker("start", name)
                    equal(is_warm(engine, name), warm, "it starts warm")
                    told = engine.inspect(name)
                    own = told["NetworkSettings"]["Networks"][network]
                    if warm:
                        check(f"dve{own['EndpointID'][:12]}" in before, "its links are those that waited")
                    eventually(lambda: "resolv" in engine.docker("logs", name).stdout or
                               "nameserver" in engine.docker("logs", name).stdout, "it has looked")
                    equal(own["MacAddress"], f"02:42:{bytes(int(part) for part in own['IPAddress'].split('.')).hex(':')}")
                    text = engine.docker("logs", name).stdout
                    for mine, sign in ((told["Id"][:12], "ID"), (own["IPAddress"], "ADDRESS"), (own["MacAddress"], "MAC"),
                                       (own["GlobalIPv6Address"] or "none", "ADDRESS6")):
                        text = text.replace(mine, sign)
                    # Numbers of links of the host, link-local addresses from the MAC, and their states.
                    text = re.sub(r"@if\d+|fe80::\S+|link-netnsid \d+| tentative|expires \S+", "", text)
                    seen.append(text)
                    equal(engine.out("port", name), "80/tcp -> 0.0.0.0:8123" if network == "bridge" else
                          "80/tcp -> 0.0.0.0:8123\n80/tcp -> [::]:8123" if network == "both" else "", "its port")
                    if network != "bridge":
                        asked = engine.docker("run", "--rm", "--network", network, "bb", "ping", "-c", "1", name[:12])
                        contains(asked.stdout, "1 packets received", "it is found by its name")
            equal(seen[0], seen[1], f"inside, on {network}")


@case("davit")
def addresses_that_wait(engine):
    """Who asks for an address gets it, whether or not it waits for somebody."""
    with network_of(engine, "asked", "--subnet", "10.124.0.0/24"):
        fill_network(engine, "asked")
        for number in range(2, 9):
            options = ("--network", "asked", "--ip", f"10.124.0.{number}")
            contains(engine.docker("run", "--rm", *options, "bb", "ip", "addr").stdout, f"10.124.0.{number}/24")
    # All of a small network's are there for those who run.
    with network_of(engine, "small", "--subnet", "10.125.0.0/29"):
        names = []
        for _ in range(5):
            names.append(engine.out("run", "-d", "--network", "small", "bb", "sleep", "1000"))
        full = engine.docker("run", "--rm", "--network", "small", "bb", "true", status=125)
        contains(full.stderr, "no available IPv4 addresses")
        engine.docker("rm", "-f", *names)


@case("davit")
def the_last_addresses(engine):
    """Of 64 addresses 61 are for containers, though some wait for those to come."""
    if "DAVIT_CONFORMANCE_KNOWN" not in os.environ:
        raise Skip("known: one run in ten finds the last address taken by a place that is just being made")
    with network_of(engine, "crowded", "--subnet", "10.126.0.0/26"):
        names = [engine.out("run", "-d", "--network", "crowded", "bb", "sleep", "1000") for _ in range(61)]
        addresses = {engine.inspect(name)["NetworkSettings"]["Networks"]["crowded"]["IPAddress"] for name in names}
        equal(len(addresses), 61, "each has its own")
        engine.docker("rm", "-f", *names)


@case("davit")
def networks_that_change(engine):
    """A network is removed though places wait in it; a container that changes its network starts cold."""
    with network_of(engine, "one"), network_of(engine, "two"):
        fill_network(engine, "one")
        with created(engine, "--network", "one", command=("ip", "addr")) as name:
            engine.docker("network", "disconnect", "one", name)
            engine.docker("network", "connect", "two", name)
            text = engine.docker("start", "-a", name).stdout
            check(not is_warm(engine, name), "it starts cold")
            equal(text.count("inet 172"), 1, f"it has one address: {text}")
        with created(engine, "--network", "one", command=("ip", "addr")) as name:
            engine.docker("network", "connect", "two", name)
            contains(engine.docker("start", "-a", name).stdout, "eth1")
        fill_network(engine, "one")
        with created(engine, "--network", "one") as name:
            waiting = parked(engine)
            for pid in waiting:
                os.kill(pid, signal.SIGKILL)
            engine.docker("start", "-a", name)
    eventually(lambda: len(links()) == 0, "the links of networks that are gone go")
    with network_of(engine, "gone"):
        fill_network(engine, "gone")
        name = engine.out("create", "--network", "gone", "bb", "true")
    try:
        contains(engine.docker("start", name, status=1).stderr, "network gone not found")
        # Networks come and go: what waits serves the next one.
        for _ in range(4):
            engine.docker("run", "--rm", "--network", "none", "bb", "true")
        eventually(lambda: len(parked(engine)) == 4, "three wait, and the one of a container that was made")
        with network_of(engine, "next"), created(engine, "--network", "next") as other:
            engine.docker("start", "-a", other)
            check(is_warm(engine, other), "the first on a new network starts warm")
    finally:
        engine.docker("rm", name)
    fill_network(engine, "bridge")
    engine.kill()
    eventually(lambda: len(links()) == 0, "links go with the inits that waited")
    engine.start()


@case("davit")
def mounts_of_users(engine):
    """What is bound into it comes from the host; what lies over the sandbox's own starts cold."""
    fill(engine)
    (engine.directory / "shared").mkdir()
    (engine.directory / "shared" / "file").write_text("of the host\n")
    with created(engine, "--network", "none", "-v", f"{engine.directory}/shared:/a/b:ro", "-v", "named:/v",
                 command=("sh", "-c", "cat /a/b/file; touch /a/b/x; echo kept >/v/f; cat /v/f")) as name:
        text = engine.docker("start", "-a", name, status=None)
        check(is_warm(engine, name), "it starts warm")
        equal(text.stdout, "of the host\nkept\n")
        contains(text.stderr, "Read-only file system")
    engine.docker("volume", "rm", "named")
    fill(engine)
    with created(engine, "--network", "none", "-v", "/dev/null:/dev/mine", command=("ls", "/dev/mine")) as name:
        equal(engine.docker("start", "-a", name).stdout, "/dev/mine\n")
        check(not is_warm(engine, name), "a mount below /dev starts cold")
    check(not (set(files(engine)) & {name}), "nothing is left of its sandbox")


@case("davit")
def nothing_passes(engine):
    """What one container does to its sandbox is gone with it."""
    fill(engine, *POWERFUL)
    for turn in range(6):
        script = ("cat /proc/sys/kernel/shmmax /dev/shm/left /sys/fs/cgroup/memory/left 2>/dev/null; hostname; "
                  f"echo {turn + 7777} >/proc/sys/kernel/shmmax; echo x >/dev/shm/left; hostname changed; "
                  "mknod /dev/left c 1 3; mkdir /sys/fs/cgroup/pids/left 2>/dev/null; ip link set lo down; "
                  "mount -t tmpfs none /proc/sys; ls /dev/left2; touch /dev/left2")
        with created(engine, *POWERFUL, "--network", "none", "--hostname", "mine",
                     command=("sh", "-c", script)) as name:
            done = engine.docker("start", "-a", name, status=None)
            lines = done.stdout.split()
            check(int(lines[0]) > 10**6, f"shmmax is the kernel's own: {lines}")
            equal(lines[1:], ["mine"], "what is left of others")
            contains(done.stderr, "/dev/left2: No such file")


@case("davit")
def killed_inits(engine):
    """A container whose sandbox has died starts all the same."""
    fill(engine)
    names = [engine.out("create", "--network", "none", "bb", "echo", "hello") for _ in range(3)]
    waiting = parked(engine)
    held = cgroups_of(waiting)
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)
    for name in names:
        equal(engine.docker("start", "-a", name).stdout, "hello\n")
        check(not is_warm(engine, name), "it starts cold")
        engine.docker("rm", name)
    eventually(lambda: not any(os.path.exists(path) for path in held), "the cgroups of dead sandboxes go")


@case("davit")
def created_and_removed(engine):
    """The sandbox of a container that never starts goes with it; others are not kept from theirs."""
    fill(engine)
    names = [engine.out("create", "--network", "none", "bb", "true") for _ in range(5)]
    eventually(lambda: all((engine.run_dir / "sandboxes" / name).exists() for name in names[:3]), "three have one")
    equal(engine.docker("run", "--rm", "--network", "none", "bb", "echo", "on").stdout, "on\n")
    engine.docker("rm", *names)
    eventually(lambda: not set(files(engine)) & set(names), "their sandboxes go")
    # A create that fails gives its sandbox back.
    fill(engine)
    before = set(parked(engine))
    engine.docker("create", "--network", "none", "--name", "twice", "bb", "true")
    for _ in range(4):
        engine.docker("create", "--network", "none", "--name", "twice", "bb", "true", status=None)
    equal(set(parked(engine)), before, "the same inits wait")
    engine.docker("rm", "twice")


@case("davit")
def daemon_killed(engine):
    """kill -9 with a full pool: inits, cgroups and files are gone when the next daemon answers."""
    fill(engine)
    reserved = engine.out("create", "--network", "none", "bb", "echo", "later")
    waiting = parked(engine)
    held = cgroups_of(waiting)
    check(len(waiting) >= 3 and held, "there is something to lose")
    engine.kill()
    engine.start()
    equal(parked(engine), [], "nothing waits yet")
    equal(files(engine), [], "no file of a sandbox")
    for pid in waiting:
        command = pathlib.Path(f"/proc/{pid}/cmdline")
        check(not command.exists() or command.read_bytes() == b"", f"init {pid} has ended")
    for path in held:
        check(not os.path.exists(path), f"{path} is gone")
    equal(engine.docker("start", "-a", reserved).stdout, "later\n")
    engine.docker("rm", reserved)


@case("davit")
def stopped(engine):
    """A daemon that stops leaves none; with --warm-sandboxes=0 there are none ever."""
    fill(engine)
    held = cgroups_of(parked(engine))
    engine.stop()
    for path in held:
        check(not os.path.exists(path), f"{path} is gone")
    engine.options = ["--warm-sandboxes=0"]
    engine.start()
    try:
        for _ in range(3):
            engine.docker("run", "--rm", "--network", "none", "bb", "true")
        with created(engine, "--network", "none") as name:
            engine.docker("start", "-a", name)
            check(not is_warm(engine, name), "it starts cold")
        equal(parked(engine), [], "none waits")
        equal(files(engine), [], "no file tells of one")
    finally:
        engine.stop()
        engine.options = ["--warm-sandboxes=3"]
        engine.start()


@case("davit")
def bad_option(engine):
    for value in ("-1", "many", "1025", ""):
        done = subprocess.run([*engine.command(), "--warm-sandboxes", value], capture_output=True, text=True,
                              timeout=60)
        check(done.returncode != 0, f"--warm-sandboxes {value!r} is refused")
        contains(done.stderr, "--warm-sandboxes takes a number from 0 to 1024")


if __name__ == "__main__":
    main(prepare)
