"""The published ways out of a container, one case each: they fail here.

Goal: what let containers of other engines out in the last ten years (README.md has the table) does
not work with davit. Method: a hostile image, volume, or process does what the attack does, with the
docker CLI as the victim's hand; then the host is looked at, and the container's own report.
"""

import contextlib
import io
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))

import harness  # pylint: disable=wrong-import-position
from harness import DAVIT, Skip, case, check, contains, equal, eventually, main, query  # pylint: disable=wrong-import-position

ATTACKS = os.environ.get("DAVIT_ATTACKS", str(harness.ROOT / "build/release/tests/security/davit_attacks"))
RUN = ("run", "--rm", "--network", "none")


def prepare(engine, stack):
    if not os.access(ATTACKS, os.X_OK):
        raise Skip(f"no attacks at {ATTACKS}: scripts/build davit_attacks")
    harness.start_engine(engine, stack)
    engine.docker("create", "--name", "maker", "--network", "none", "bb", "true")
    engine.docker("cp", ATTACKS, "maker:/bin/davit_attacks")
    engine.docker("commit", "maker", "hostile:latest")
    engine.docker("rm", "maker")
    return {}


def layer(engine, name, *entries, changes=()):
    """An image out of members made by hand, on top of nothing but busybox."""
    out = io.BytesIO()
    busybox = harness.busybox_tar(engine.directory).read_bytes()
    hidden = {entry.name for entry in entries}
    with tarfile.open(fileobj=out, mode="w") as tar, tarfile.open(fileobj=io.BytesIO(busybox)) as base:
        for member in base:
            if member.name.strip("./") not in hidden:
                tar.addfile(member, base.extractfile(member) if member.isfile() else None)
        for entry in entries:
            tar.addfile(entry)
    options = [word for change in ("ENV PATH=/bin:/usr/bin", *changes) for word in ("-c", change)]
    return engine.out("import", *options, "-", name, stdin=out.getvalue())


def link(name, target):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def node(name, major, minor):
    entry = tarfile.TarInfo(name)
    entry.type, entry.devmajor, entry.devminor, entry.mode = tarfile.BLKTYPE, major, minor, 0o666
    return entry


@contextlib.contextmanager
def host_directory(engine, name="shared"):
    path = pathlib.Path(engine.directory) / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def attack(engine, *arguments, options=()):
    """What an attack says in a container of its own."""
    return engine.docker(*RUN, *options, "hostile", "davit_attacks", *arguments, status=None).stdout


def refused(engine, *arguments):
    """A container that must not start."""
    done = engine.docker(*RUN, *arguments, status=None)
    check(done.returncode in (125, 126, 127), f"it must not start: {done.returncode} {done.stdout!r}")
    return done.stderr


def cpu_seconds(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def host_state():
    """What the attacks of this file would change on the host."""
    names = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug")
    contents = {name: pathlib.Path(name).read_bytes() for name in names if os.path.exists(name)}
    contents["root"] = sorted(name for name in os.listdir("/") if "davit" in name)
    return contents


# --- The program that comes in from outside ----------------------------------------------------


@case()
def cve_2019_5736_the_runtime_is_overwritten(engine):
    """/proc/self/exe of what enters a container is a sealed copy: it cannot be written."""
    before = pathlib.Path(DAVIT).stat()
    engine.docker("run", "-d", "--name", "pid1", "--network", "none", "hostile", "davit_attacks", "overwrite-exe")
    for _ in range(30):
        engine.docker("exec", "pid1", "true")
    engine.docker("exec", "pid1", "sh", "-c", "printf '#!/proc/self/exe\\n' > /bin/trap; chmod 755 /bin/trap")
    for _ in range(5):
        engine.docker("exec", "pid1", "/bin/trap", status=None)
    report = engine.out("logs", "pid1")
    check("done:" not in report, f"nothing was opened for writing: {report!r}")
    after = pathlib.Path(DAVIT).stat()
    equal((after.st_mtime_ns, after.st_size, after.st_ino), (before.st_mtime_ns, before.st_size, before.st_ino),
          "the program on disk")
    engine.docker("rm", "-f", "pid1")
    # And the entry point itself as the trap.
    engine.docker(*RUN, "hostile", "sh", "-c",
                  "printf '#!/proc/self/exe\\n' > /trap; chmod 755 /trap; exec /trap", status=None)
    equal(engine.out(*RUN, "bb", "echo", "still works"), "still works", "the next container")


@case()
def cve_2024_21626_descriptors_and_cwd_of_the_host(engine):
    """No descriptor but 0, 1 and 2, and no working directory that is one."""
    listed = "for fd in /proc/self/fd/*; do echo $fd $(readlink $fd); done"
    for words in ((*RUN, "bb", "sh", "-c", listed), ("exec", "victim", "sh", "-c", listed)):
        if words[0] == "exec":
            engine.docker("run", "-d", "--name", "victim", "--network", "none", "bb", "sleep", "1000")
        lines = engine.out(*words).splitlines()
        for line in lines:
            number, _, target = line.removeprefix("/proc/self/fd/").partition(" ")
            check(int(number) <= 2 or "/proc/" in target or target in ("", "/"), f"a descriptor of the host: {line}")
            check(str(engine.directory) not in target and "/sys/fs/cgroup" not in target, f"leads out: {line}")
    for number in range(3, 24):
        path = f"/proc/self/fd/{number}"
        for words in ((*RUN, "-w", path, "bb"), (*RUN, "-w", path + "/../../..", "bb"), ("exec", "-w", path, "victim")):
            done = engine.docker(*words, "sh", "-c", "ls -d ../../../../../davit-host-marker ; pwd -P", status=None)
            check("davit-host-marker" not in done.stdout, f"{path} leads to the host")
    engine.docker("rm", "-f", "victim")


@case()
def cve_2016_9962_a_hostile_pid_1_and_exec(engine):
    """What is started by exec shows no descriptor and no root of the host."""
    marker = pathlib.Path("/davit-host-marker")
    marker.touch()
    try:
        for options in ((), ("--cap-add", "SYS_PTRACE")):
            engine.docker("run", "-d", "--name", "pid1", "--network", "none", *options, "hostile", "davit_attacks",
                          "trace-newcomers")
            for _ in range(40):
                engine.docker("exec", "pid1", "true")
            seen = set(engine.out("logs", "pid1").splitlines())
            # Who may trace may look: at the channel, which says nothing, and at its own root.
            harmless = {line for line in seen if re.fullmatch(r"done: saw descriptor \d+: (/|socket:\[\d+\]|pipe:\[\d+\])",
                                                              line)}
            equal(seen - harmless if options else seen, set(), f"what it saw with {options}")
            engine.docker("rm", "-f", "pid1")
    finally:
        marker.unlink()


@case()
def an_exec_is_taken_over_by_a_tracer(engine):
    """With CAP_SYS_PTRACE a container may speak on the channel of what it seizes; nobody believes it,
    and neither the daemon nor other containers notice."""
    engine.docker("run", "-d", "--name", "pid1", "--network", "none", "--cap-add", "SYS_PTRACE",
                  "--security-opt", "seccomp=unconfined", "hostile", "davit_attacks", "seize-newcomers")
    eventually(lambda: "ready" in engine.out("logs", "pid1"), "it began")
    stuck = []
    for _ in range(12):
        stuck.append(subprocess.Popen(["docker", "exec", "pid1", "true"], env=engine.environment(),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    busy = cpu_seconds(engine.process.pid)
    time.sleep(2)
    check(cpu_seconds(engine.process.pid) - busy < 1, "the daemon does not spin on what it cannot reap")
    equal(engine.out(*RUN, "bb", "echo", "works"), "works", "others go on")
    engine.docker("rm", "-f", "pid1")
    for process in stuck:
        process.wait(timeout=30)
    eventually(lambda: not engine.children(), "no child is left")


# --- docker cp -----------------------------------------------------------------------------------


@case()
def cve_2018_15664_links_swapped_under_cp(engine):
    """A directory that becomes a link to / between look and use."""
    engine.docker("run", "-d", "--name", "swapper", "--network", "none", "bb", "sh", "-c",
                  "mkdir /a; ln -s / /l; while :; do mv /a /c; mv /l /a; mv /a /l; mv /c /a; done")
    secret = pathlib.Path("/davit-cp-secret")
    secret.write_text("host")
    try:
        for turn in range(100):
            out = engine.api("GET", "/containers/swapper/archive?" + query(path="/a/davit-cp-secret"))
            check(b"host" not in out.body, "read the host's")
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w") as tar:
                tar.addfile(tarfile.TarInfo(f"davit-cp-written-{turn}"))
            engine.api("PUT", "/containers/swapper/archive?" + query(path="/a"), made.getvalue())
    finally:
        secret.unlink()
    equal([name for name in os.listdir("/") if name.startswith("davit-cp-written")], [], "written to the host")
    engine.docker("rm", "-f", "swapper")


@case()
def cve_2019_14271_libraries_of_the_container_in_cp(engine):
    """No process loads anything out of a container in order to copy: there is none."""
    engine.docker("create", "--name", "libs", "--network", "none", "bb", "true")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for folder in ("lib", "lib64", "lib/x86_64-linux-gnu", "usr/lib"):
            for name in ("libnss_files.so.2", "libnss_dns.so.2", "libc.so.6"):
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mode = 4, 0o755
                tar.addfile(entry, io.BytesIO(b"evil"))
    equal(engine.api("PUT", "/containers/libs/archive?path=/", made.getvalue()).status, 200, "planted")
    for state in ("created", "running"):
        if state == "running":
            engine.docker("rm", "libs")
            engine.docker("run", "-d", "--name", "libs", "--network", "none", "bb", "sleep", "1000")
            engine.api("PUT", "/containers/libs/archive?path=/", made.getvalue())
        for _ in range(3):
            equal(engine.api("GET", "/containers/libs/archive?path=/etc").status, 200, "copied")
            equal(engine.api("PUT", "/containers/libs/archive?path=/etc&copyUIDGID=1", made.getvalue()).status, 200,
                  "copied")
        maps = pathlib.Path(f"/proc/{engine.process.pid}/maps").read_text()
        check("libnss" not in maps and str(engine.data_root / "overlay") not in maps, "nothing of it is mapped")
    engine.docker("rm", "-f", "libs")


# --- Mounts --------------------------------------------------------------------------------------


@case()
def cve_2019_19921_a_volume_over_proc(engine):
    """With another's files as /proc nothing would be masked."""
    with host_directory(engine) as shared:
        (shared / "self/attr").mkdir(parents=True)
        (shared / "self/attr/exec").touch()
        (shared / "kcore").touch()
        for target in ("/proc", "/proc/", "/proc/self", "/proc/sys", "/proc/sys/kernel", "/proc/1/attr",
                       "/x/../proc"):
            contains(refused(engine, "-v", f"{shared}:{target}", "bb", "true"), "inside /proc", target)
        contains(refused(engine, "--tmpfs", "/proc/sys", "bb", "true"), "inside /proc", "tmpfs")
        # One that procfs may show.
        (shared / "uptime").write_text("1.00 1.00\n")
        equal(engine.out(*RUN, "-v", f"{shared}/uptime:/proc/uptime:ro", "bb", "cat", "/proc/uptime"), "1.00 1.00",
              "lxcfs still can")


@case()
def cve_2023_27561_proc_is_a_link_in_the_image(engine):
    """CVE-2023-27561, CVE-2023-28642, CVE-2019-19921 again: /proc or /sys of the image leads elsewhere."""
    for name in ("proc", "sys"):
        layer(engine, "linked:1", link(name, "/tmp/elsewhere"))
        check(refused(engine, "linked:1", "true"), "not with a link as /" + name)
        engine.docker("rmi", "linked:1")
    # A link that leads a mount into /proc.
    with host_directory(engine) as shared:
        layer(engine, "linked:2", link("door", "/proc/sys"), link("door2", "proc"))
        for target in ("/door", "/door2/sys", "/door2"):
            contains(refused(engine, "-v", f"{shared}:{target}", "linked:2", "true"), "inside /proc", target)
        engine.docker("rmi", "linked:2")


@case()
def cve_2021_30465_a_mount_target_swapped_in_a_shared_volume(engine):
    """One container swaps a directory with a link while another one is mounted there."""
    with host_directory(engine) as shared, host_directory(engine, "payload") as payload:
        (payload / "planted").touch()
        (shared / "dir").mkdir()
        engine.docker("run", "-d", "--name", "swapper", "--network", "none", "-v", f"{shared}:/v", "bb", "sh", "-c",
                      "ln -s / /v/l; cd /v; while :; do mv dir d2; mv l dir; mv dir l; mv d2 dir; done")
        for _ in range(40):
            seen = engine.docker(*RUN, "-v", f"{shared}:/v", "-v", f"{payload}:/v/dir/deep", "bb", "ls", "/",
                                 status=None)
            check("davit" not in seen.stdout, "the host's root was seen")
        engine.docker("rm", "-f", "swapper")
        for name in ("/deep", "/planted", "/d2"):
            check(not os.path.exists(name), f"made on the host: {name}")
    equal(harness.mounts_below(engine.directory), [], "mounts of the host")


@case()
def cve_2025_31133_dev_null_is_not_dev_null(engine):
    """What masks are bound from is the null device, or the container does not start."""
    state = host_state()
    with host_directory(engine) as dev:
        os.symlink("/proc/sys/kernel/core_pattern", dev / "null")
        done = engine.docker(*RUN, "-v", f"{dev}:/dev", "bb", "sh", "-c",
                             "echo davit > /proc/kcore; echo davit > /proc/timer_list; true", status=None)
        check(done.returncode != 0, "it does not start with such a /dev")
        (dev / "null").unlink()
        (dev / "null").write_text("a file")
        done = engine.docker(*RUN, "-v", f"{dev}:/dev", "bb", "true", status=None)
        check(done.returncode != 0, "nor with a file")
    equal(host_state(), state, "the host")


@case()
def cve_2025_52565_dev_console_is_a_link(engine):
    """A terminal's console is mounted from the terminal itself; where a link leads nothing is gained."""
    state = host_state()
    with host_directory(engine) as dev:
        for target in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/kcore"):
            with contextlib.suppress(FileNotFoundError):
                (dev / "console").unlink()
            os.symlink(target, dev / "console")
            engine.docker("run", "--name", "tty", "-t", "--network", "none", "-v", f"{dev}/console:/x", "bb", "sh",
                          "-c", f"echo davit > {target}", status=None)
            engine.docker("rm", "-f", "tty", status=None)
            made = "rm -f /dev/console 2>/dev/null; ln -s %s /dev/console; echo davit > %s" % (target, target)
            engine.docker(*RUN, "-t", "bb", "sh", "-c", made, status=None)
    layer(engine, "console:1", link("dev/console", "/proc/sys/kernel/core_pattern"))
    engine.docker(*RUN, "-t", "console:1", "sh", "-c", "echo davit > /proc/sys/kernel/core_pattern", status=None)
    engine.docker("rmi", "console:1")
    equal(host_state(), state, "the host")


@case()
def cve_2025_52881_writes_to_procfs_go_astray(engine):
    """What is written for a container (sysctls, oom score, labels) goes to its own procfs or nowhere."""
    state = host_state()
    with host_directory(engine) as shared:
        (shared / "net/ipv4").mkdir(parents=True)
        os.symlink("/proc/sysrq-trigger", shared / "net/ipv4/ip_forward")
        for target in ("/proc/sys", "/proc/sys/net", "/proc/sys/net/ipv4"):
            contains(refused(engine, "-v", f"{shared}:{target}", "--sysctl", "net.ipv4.ip_forward=1", "bb", "true"),
                     "inside /proc", target)
        contains(refused(engine, "-v", "/proc/version:/proc/sys/net/ipv4/ip_forward", "--sysctl",
                         "net.ipv4.ip_forward=1", "bb", "true"), "inside /proc", "a file")
    equal(engine.out(*RUN, "--sysctl", "net.ipv4.ip_forward=1", "bb", "cat", "/proc/sys/net/ipv4/ip_forward"), "1",
          "and where it belongs")
    equal(host_state(), state, "the host")


@case()
def masked_and_read_only_paths_hold(engine):
    """CVE-2018-10892 (/proc/acpi), CVE-2020-8694 (powercap), CVE-2021-20199 (keys), sysctl and sysrq."""
    script = """for p in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats; do
            [ -e $p ] && head -c 1 $p | grep -q . && echo readable: $p; done
        for p in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
            [ -d $p ] && ls -A $p | grep -q . && echo entries: $p; done
        for p in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/overcommit_memory /proc/irq/default_smp_affinity \
            /sys/kernel/uevent_helper /sys/power/state /proc/sys/kernel/modprobe; do
            [ -e $p ] && (echo 0 > $p) 2>/dev/null && echo writable: $p; done
        mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; umount /proc/kcore 2>/dev/null && echo unmounted
        mount -t proc proc /mnt 2>/dev/null && echo mounted; true"""
    engine.docker("run", "-d", "--name", "inside", "--network", "none", "bb", "sleep", "1000")
    equal(engine.out(*RUN, "bb", "sh", "-c", script), "", "in a container")
    equal(engine.out("exec", "inside", "sh", "-c", script), "", "by exec")
    engine.docker("rm", "-f", "inside")


# --- Privileges ----------------------------------------------------------------------------------


@case()
def cve_2022_24769_capabilities_that_are_inherited(engine):
    """CVE-2022-24769, CVE-2022-29162: no inheritable or ambient capability, in run and in exec."""
    engine.docker("run", "-d", "--name", "inside", "--network", "none", "--cap-add", "NET_ADMIN", "bb", "sleep", "1000")
    for words in ((*RUN, "bb"), (*RUN, "--user", "1000", "--cap-add", "SYS_ADMIN", "bb"), (*RUN, "--privileged", "bb"),
                  ("exec", "inside"), ("exec", "--user", "1000:1000", "inside"), ("exec", "--privileged", "inside")):
        status = engine.out(*words, "cat", "/proc/self/status")
        for key in ("CapInh", "CapAmb"):
            equal(re.search(key + r":\s+(\w+)", status).group(1), "0" * 16, f"{key} of {words}")
        if "1000" in words or "1000:1000" in words:
            for key in ("CapPrm", "CapEff"):
                equal(re.search(key + r":\s+(\w+)", status).group(1), "0" * 16, f"{key} of {words}")
    engine.docker("rm", "-f", "inside")


@case()
def cve_2022_36109_the_group_is_among_the_groups(engine):
    """Who has a group must not get rid of it by a setgid program's way round: it is listed, too."""
    engine.docker("run", "-d", "--name", "inside", "--network", "none", "--user", "1000:2000", "bb", "sleep", "1000")
    for words in ((*RUN, "--user", "1000:2000", "bb"), ("exec", "inside"), ("exec", "--user", "1001:2000", "inside")):
        status = engine.out(*words, "cat", "/proc/self/status")
        contains(re.search(r"Groups:[ \t]*(.*)", status).group(1).split(), "2000", f"groups of {words}")
    engine.docker("rm", "-f", "inside")


@case()
def cve_2022_0492_release_agent(engine):
    """No cgroup hierarchy can be written or mounted, so nobody names a program for the host to run."""
    found = engine.out(*RUN, "bb", "sh", "-c",
                       "for f in $(find /sys/fs/cgroup -name release_agent -o -name notify_on_release -o -name cgroup.procs); "
                       "do (echo /x > $f) 2>/dev/null && echo wrote $f; done; mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; "
                       "mount -t cgroup -o rdma c /mnt 2>/dev/null && echo mounted; true")
    equal(found, "", "what worked")
    contains(attack(engine, "release-agent"), "failed: ", "with a user namespace")
    # Even as root of everything but SYS_ADMIN's caps the host's agent stays what it is.
    for agent in pathlib.Path("/sys/fs/cgroup").glob("*/release_agent"):
        check("davit" not in agent.read_text(), f"{agent} is as it was")


@case()
def cve_2022_0185_new_namespaces_and_mounts(engine):
    """The kernel's larger attack surfaces are closed by the default profile."""
    contains(attack(engine, "mount"), "failed: mount: Operation not permitted", "mount(2)")
    contains(attack(engine, "mount", options=("--user", "1000")), "failed", "as a user")
    done = engine.docker(*RUN, "bb", "unshare", "-U", "true", status=None)
    check(done.returncode != 0, "unshare")


@case()
def cve_2016_3697_a_user_called_by_a_number(engine):
    """An image whose user "1000" is root: who asks for 1000 gets 1000, in a run and in an exec."""
    entries = []
    for name, text in (("etc/passwd", "1000:x:0:0::/:/bin/sh\n"), ("etc/group", "1000:x:0:\n")):
        member = tarfile.TarInfo(name)
        member.size = len(text)
        entries.append((member, text.encode()))
    out = io.BytesIO()
    busybox = harness.busybox_tar(engine.directory).read_bytes()
    with tarfile.open(fileobj=out, mode="w") as tar, tarfile.open(fileobj=io.BytesIO(busybox)) as base:
        for member in base:
            if member.name.strip("./") not in ("etc/passwd", "etc/group"):
                tar.addfile(member, base.extractfile(member) if member.isfile() else None)
        for member, text in entries:
            tar.addfile(member, io.BytesIO(text))
    engine.out("import", "-c", "ENV PATH=/bin", "-", "numbers:1", stdin=out.getvalue())
    equal(engine.docker(*RUN, "-u", "1000:1000", "numbers:1", "id", "-u").stdout, "1000\n", "run")
    engine.docker("run", "-d", "--name", "inside", "--network", "none", "numbers:1", "sleep", "1000")
    equal(engine.docker("exec", "-u", "1000:1000", "inside", "sh", "-c", "id -u; id -g").stdout, "1000\n1000\n", "exec")
    engine.docker("rm", "-f", "inside")
    engine.docker("rmi", "numbers:1")


@case()
def device_nodes_in_images(engine):
    """A node that is the host's disk, brought along or made: it cannot be opened."""
    disks = [line.split() for line in pathlib.Path("/proc/partitions").read_text().splitlines()[2:]]
    if not disks:
        raise Skip("this host has no disk")
    major, minor = int(disks[0][0]), int(disks[0][1])
    contains(attack(engine, "device", "/tmp/disk", str(major), str(minor)), "failed: open the host's disk", "made")
    layer(engine, "nodes:1", node("disk", major, minor))
    done = engine.docker(*RUN, "nodes:1", "head", "-c", "1", "/disk", status=None)
    check(done.returncode != 0 and "not permitted" in done.stderr, f"brought along: {done.stderr}")
    engine.docker("rmi", "nodes:1")


@case()
def the_keyring_of_the_host(engine):
    """Keys are not per namespace: the calls are not there, and the session's keyring is new."""
    contains(attack(engine, "keyring"), "failed: keyctl", "with the default profile")
    said = attack(engine, "keyring", options=("--security-opt", "seccomp=unconfined"))
    check(said, "without it the session keyring is the container's own")
    engine.docker("run", "-d", "--name", "inside", "--network", "none", "bb", "sleep", "1000")
    equal(engine.docker("exec", "inside", "cat", "/proc/keys").stdout, "", "none is listed")
    engine.docker("rm", "-f", "inside")


@case()
def a_terminal_is_taken_over_by_tiocsti(engine):
    """CVE-2017-5226 and its kin: characters pushed back stay in the container's own terminal."""
    control, terminal = pty.openpty()
    done = subprocess.Popen(["docker", "run", "--rm", "-it", "--network", "none", "hostile", "davit_attacks", "tiocsti"],
                            env=engine.environment(), stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(control, 4096):
            said += piece
    done.wait()
    os.close(control)
    check(not os.path.exists("/davit-hijacked"), "the host's shell took no command")
    engine.docker("run", "-d", "--name", "inside", "--network", "none", "hostile", "sleep", "1000")
    number = engine.out("exec", "-t", "inside", "sh", "-c", "stat -c %t:%T /dev/pts/0; ls /dev/pts").split()
    contains(number, "ptmx", "a devpts of its own")
    engine.docker("rm", "-f", "inside")


# --- The host around it --------------------------------------------------------------------------


@case()
def cve_2020_15257_abstract_sockets_of_the_engine(engine):
    """Containers in the host's network see its abstract sockets: the engine has none."""
    before = engine.out(*RUN[:2], "--network", "host", "bb", "cat", "/proc/net/unix")
    check("@davit" not in before and "@/containerd" not in before.replace("@/containerd-shim", ""), "none of ours")
    inodes = set()
    for fd in pathlib.Path(f"/proc/{engine.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # Sandboxes are made meanwhile.
            inodes.add(os.readlink(fd))
    numbers = {inode[8:-1] for inode in inodes if inode.startswith("socket:[")}
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if words[6] in numbers and len(words) > 7:
            check(not words[7].startswith("@"), f"an abstract socket: {line}")


@case()
def cve_2021_41091_the_data_root_is_private(engine):
    """Setuid programs of images are not reachable for the host's users."""
    for path in (engine.data_root / "overlay", engine.data_root / "graph", engine.run_dir / "db"):
        equal(path.stat().st_mode & 0o077, 0, f"nobody else passes through {path}")


@case()
def names_of_containers_and_archives_do_not_climb(engine):
    """CVE-2014-9357; names in archives are tests/unit/graph/tar/layer_hostile_test.cc's."""
    for name in ("../../etc", "a/b", "..", "/x/../y"):
        answer = engine.api("POST", "/containers/create?" + query(name=name), {"Image": "bb", "Cmd": ["true"]})
        equal(answer.status, 400, name)


if __name__ == "__main__":
    time.tzset()
    main(prepare)
