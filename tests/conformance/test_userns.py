"""User namespaces: davit daemon --userns-remap, and --userns=host.

Goal: a container's root is nobody outside, and all that users do with containers works as without:
what is on disk belongs to the ids inside, so that images, volumes and copies are the same for
containers of both kinds. Method: a daemon with --userns-remap=default, in an /etc of this suite's own;
the kernel's view from outside is held against what the container sees.
"""

import contextlib
import ctypes
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from harness import (ENGINE, Engine, Failure, Skip, case, check, contains, equal, eventually,
                     import_busybox, main)

FIRST = 100000  # As the suite's /etc/subuid is empty.
RUN = ("run", "--rm", "--network", "none")


def private_etc():
    """An /etc of this process and its children, to make users in."""
    clone_newns, ms_private, ms_rec = 0x20000, 1 << 18, 1 << 14
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newns) != 0 or libc.mount(b"none", b"/", None, ms_private | ms_rec, None) != 0:
        raise Skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as copy:
        shutil.copytree("/etc", f"{copy}/etc", symlinks=True)
        if libc.mount(b"tmpfs", b"/etc", b"tmpfs", 0, b"mode=755") != 0:
            raise Skip("no tmpfs")
        shutil.copytree(f"{copy}/etc", "/etc", symlinks=True, dirs_exist_ok=True)
    for name in ("subuid", "subgid"):
        pathlib.Path("/etc", name).write_text("")
    for name in ("passwd", "group", "shadow", "gshadow"):
        path = pathlib.Path("/etc", name)
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(line for line in lines if not line.startswith("dockremap:")))


def prepare(engine, stack):
    if not shutil.which("useradd") or not shutil.which("usermod"):
        raise Skip("useradd and usermod are missing: package passwd")
    private_etc()
    engine.options = ["--userns-remap=default"]
    stack.callback(engine.stop)
    engine.start()
    import_busybox(engine)
    return {}


def inside(engine, script, *options, status=0):
    """What a container says that has no network."""
    return engine.docker(*RUN, *options, "bb", "sh", "-c", script, status=status).stdout.strip()


@contextlib.contextmanager
def background(engine, *options, script="exec sleep 1000", network="none"):
    name = engine.out("run", "-d", "--network", network, *options, "bb", "sh", "-c", script)
    try:
        yield name
    finally:
        engine.docker("rm", "-f", "-v", name)


def outside(engine, name):
    """The fields of the first process' status, as the host sees it."""
    text = pathlib.Path(f"/proc/{engine.inspect(name)['State']['Pid']}/status").read_text()
    return {key: value.split() for key, _, value in (line.partition(":") for line in text.splitlines())}


def made_by(engine, name):
    return pathlib.Path(engine.data_root) / "overlay" / "rw" / engine.inspect(name)["Id"][:12] / "diff"


@contextlib.contextmanager
def host_directory(engine, name="bound"):
    path = pathlib.Path(engine.directory) / name
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


@case("davit")
def the_user_is_made(engine):
    contains(pathlib.Path("/etc/passwd").read_text(), "\ndockremap:x:", "the user")
    for name in ("subuid", "subgid"):
        equal(pathlib.Path("/etc", name).read_text(), f"dockremap:{FIRST}:65536\n", name)
    contains(engine.api("GET", "/info").json["SecurityOptions"], "name=userns", "info")


@case("davit")
def root_is_nobody_outside(engine):
    with background(engine) as name:
        seen = outside(engine, name)
        equal(seen["Uid"], [str(FIRST)] * 4, "its uid")
        equal(seen["Gid"], [str(FIRST)] * 4, "its gid")
        equal(seen["Groups"], [str(FIRST)], "its groups")
        equal(engine.out("exec", name, "cat", "/proc/self/uid_map").split(), ["0", str(FIRST), "65536"], "map")
        equal(engine.out("exec", name, "id", "-u"), "0", "inside it is root")
        contains(engine.out("top", name, "-o", "pid,uid,args"), str(FIRST), "top")
    equal(inside(engine, "echo $$; id -u; id -G; cat /proc/self/setgroups"), "1\n0\n0\nallow", "inside")
    with background(engine, "--user", "1000:50") as name:
        equal(outside(engine, name)["Uid"][0], str(FIRST + 1000), "another user's uid")
        equal(outside(engine, name)["Gid"][0], str(FIRST + 50), "its gid")


@case("davit")
def a_container_is_whole(engine):
    """Devices, terminals, kernel file systems, and what belongs to its namespaces."""
    report = inside(engine, """
        stat -c %u:%g:%A / /etc/passwd /dev/null /dev/shm /etc/hosts /proc/1/status
        echo x > /dev/null && echo to stdout > /dev/stdout && head -c 4 /dev/urandom | wc -c
        hostname; touch /dev/shm/x /tmp/y && echo >> /etc/hosts && ls -d /sys/class/net/lo /dev/mqueue
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range
        grep -c . /proc/self/cgroup > /dev/null; ls /sys/fs/cgroup > /dev/null && echo cgroups
        ls /proc/kcore 2>&1; cat /proc/kcore | wc -c""", "--hostname", "box")
    contains(report, "0:0:crw-rw-rw-", "/dev/null")
    check("65534" not in report, f"nobody owns nothing: {report}")
    for line in ("to stdout", "4", "box", "/dev/mqueue", "0\t65535", "cgroups"):
        contains(report.splitlines(), line, "inside")
    equal(inside(engine, "mknod /dev/mine c 1 3 || mknod /mine b 8 0 || echo no"), "no", "no device can be made")
    equal(inside(engine, "mkdir -p /mnt && mount -t tmpfs x /mnt && echo mounted", "--cap-add", "SYS_ADMIN", "--security-opt",
                 "seccomp=unconfined"), "mounted", "its mount namespace is its own")
    equal(inside(engine, "cat /proc/sys/net/ipv4/ip_forward", "--sysctl", "net.ipv4.ip_forward=1"), "1", "sysctl")
    equal(inside(engine, "ulimit -Hn; ulimit -Sn", "--ulimit", "nofile=20:3000"), "3000\n20", "limits")
    equal(inside(engine, "cat /proc/self/oom_score_adj", "--oom-score-adj", "300"), "300", "oom_score_adj")
    equal(inside(engine, "touch /x; touch /t/y && echo tmpfs", "--read-only", "--tmpfs", "/t"), "tmpfs", "read-only")
    equal(inside(engine, "readlink /proc/1/exe", "--init"), "/sbin/docker-init", "an init")
    equal(inside(engine, "head -c 1 /dev/mine | wc -c; stat -c %u /dev/mine", "--device", "/dev/zero:/dev/mine"),
          "1\n0", "a device of the host")
    with background(engine, "-t") as name:
        equal(engine.out("exec", name, "stat", "-c", "%u:%g", "/dev/console"), "0:5", "the terminal's owner")
    contains(engine.docker(*RUN, "-t", "bb", "tty").stdout, "/dev/", "a terminal")


@case("davit")
def on_disk_it_is_as_inside(engine):
    with background(engine, script="echo mine > /file && chown 12:34 /file && rm /etc/passwd && mkdir /dir "
                    "&& chmod 4755 /file && touch /ready && exec sleep 1000") as name:
        eventually(lambda: (made_by(engine, name) / "ready").exists(), "it is ready")
        on_disk = made_by(engine, name)
        equal(((on_disk / "file").stat().st_uid, (on_disk / "file").stat().st_gid), (12, 34), "file")
        equal((on_disk / "dir").stat().st_uid, 0, "directory")
        changes = engine.out("diff", name).splitlines()
        for change in ("A /file", "A /dir", "D /etc/passwd"):
            contains(changes, change, "diff")
        engine.docker("commit", name, "changed:latest")
        exported = engine.docker("export", name, text=False).stdout
        with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
            equal((tar.getmember("file").uid, tar.getmember("dir").uid), (12, 0), "export")
    for options in ((), ("--userns=host",)):
        equal(engine.out(*RUN, *options, "changed", "stat", "-c", "%u:%g %a", "/file"), "12:34 4755", "commit")
    engine.docker("rmi", "changed")


@case("davit")
def execs(engine):
    with background(engine, "--cap-drop", "NET_RAW") as name:
        shown = engine.out("exec", name, "sh", "-c", "id -u; echo out > /dev/stdout; readlink /proc/self/ns/user; readlink /proc/1/ns/user;"
                           "grep -E 'CapEff|Seccomp:' /proc/self/status").splitlines()
        equal(shown[:2], ["0", "out"], "root, and its streams")
        equal(shown[2], shown[3], "one user namespace")
        equal(shown[4:], ["CapEff:\t00000000a80405fb", "Seccomp:\t2"], "no more than the container has")
        equal(engine.out("exec", "-u", "7:8", name, "sh", "-c", "id -u; id -g; echo err > /dev/stderr; echo o > /dev/stdout"),
              "7\n8\no", "another user")
        equal(engine.out("exec", "-t", name, "sh", "-c", "tty && echo x > /dev/tty"), "/dev/pts/0\r\nx", "a terminal")
        equal(engine.docker("exec", "--privileged", name, "sh", "-c", "echo x > /proc/sys/kernel/core_pattern",
                            status=None).returncode != 0, True, "privileged is so only inside")
    with background(engine, "--health-cmd", "test $(id -u) = 0", "--health-interval", "100ms") as name:
        eventually(lambda: engine.inspect(name)["State"]["Health"]["Status"] == "healthy", "a health check")


@case("davit")
def copies(engine):
    with host_directory(engine) as directory:
        (directory / "in").mkdir()
        (directory / "in" / "file").write_text("copied")
        os.chown(directory / "in" / "file", 7, 8)
        for options in ((), ("stopped",)):
            name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c", "touch /made; exec sleep 1000")
            eventually(lambda n=name: engine.docker("exec", n, "test", "-e", "/made", status=None).returncode == 0, "made")
            if options:
                engine.docker("kill", name)
                engine.docker("wait", name)
            engine.docker("cp", directory / "in", f"{name}:/new")
            engine.docker("cp", "-a", directory / "in", f"{name}:/kept")
            engine.docker("cp", f"{name}:/kept/file", directory / "out")
            equal((directory / "out").read_text(), "copied", f"{options}: out")
            packed = engine.api("GET", f"/containers/{name}/archive?path=/kept/file").body
            with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
                equal((tar.getmember("file").uid, tar.getmember("file").gid), (7, 8), f"{options}: in the archive")
            if options:
                engine.docker("start", name)
            equal(engine.out("exec", name, "stat", "-c", "%u:%g", "/new", "/new/file", "/kept/file"),
                  "0:0\n7:8\n7:8", f"{options}: inside")
            engine.docker("rm", "-f", name)
        with background(engine) as name:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                member = tarfile.TarInfo("nobody")
                member.uid = 65536
                tar.addfile(member)
            answer = engine.api("PUT", f"/containers/{name}/archive?path=/", out.getvalue(),
                                {"Content-Type": "application/x-tar"})
            equal(answer.status, 400, "an id that is not there")
            contains(answer.message, "cannot be mapped to a host ID", "its words")


@case("davit")
def volumes_belong_to_the_container(engine):
    engine.docker("volume", "create", "data")
    inside(engine, "echo root > /data/a; touch /data/b; chown 5:6 /data/b", "-v", "data:/data")
    on_disk = pathlib.Path(engine.data_root) / "volumes" / "data" / "_data"
    equal([(on_disk / name).stat().st_uid for name in "ab"], [0, 5], "on disk")
    check((on_disk.parent.parent.stat().st_mode & 0o077) == 0, "nobody else of the host gets there")
    for options in ((), ("--userns=host",)):
        equal(inside(engine, "stat -c %u:%g /data /data/a /data/b; echo more >> /data/a", "-v", "data:/data", *options),
              "0:0\n0:0\n5:6", f"{options}: inside")
    inside(engine, "mkdir /data/part; chown 9 /data/part", "-v", "data:/data")
    equal(inside(engine, "stat -c %u /part; touch /part/x && echo ok", "--mount",
                 "type=volume,src=data,dst=/part,volume-subpath=part"), "9\nok", "a part")
    engine.docker("volume", "rm", "data")
    # What the image has there comes along, with its owners.
    name = engine.out("create", "bb", "true")
    engine.docker("rm", name)
    equal(inside(engine, "stat -c %u:%g /etc/passwd; touch /etc/x && echo ok", "-v", "/etc"), "0:0\nok", "filled")
    equal(engine.out(*RUN, "--mount", "type=image,src=bb,dst=/image", "bb", "stat", "-c", "%u", "/image/bin/busybox"),
          "0", "an image")
    with host_directory(engine) as directory:
        engine.docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={directory}", "bound")
        equal(inside(engine, "stat -c %u /data; touch /data/x || echo no", "-v", "bound:/data"), "65534\nno",
              "a volume of the host's files keeps their owner")
        engine.docker("volume", "rm", "bound")


@case("davit")
def binds_keep_their_owner(engine):
    with host_directory(engine) as directory:
        (directory / "secret").write_text("secret")
        (directory / "secret").chmod(0o600)
        (directory / "shown").write_text("shown")
        bind = ("-v", f"{directory}:/host")
        equal(inside(engine, "stat -c %u:%g /host; cat /host/shown; cat /host/secret || echo no; "
                     "echo x > /host/shown || chown 0 /host/shown || chmod 777 /host/shown || "
                     "rm /host/shown || touch /host/new || echo neither", *bind), "65534:65534\nshownno\nneither", "bind")
        equal((directory / "shown").read_text(), "shown", "it is as it was")
        os.chown(directory, FIRST, FIRST)
        equal(inside(engine, "touch /host/new && stat -c %u /host /host/new", *bind), "0\n0", "one that is given")
        equal((directory / "new").stat().st_uid, FIRST, "on the host")
        inside(engine, "touch /host/as-host", *bind, "--userns=host")
        equal((directory / "as-host").stat().st_uid, 0, "--userns=host")


@case("davit")
def root_with_all_capabilities_stays_inside(engine):
    """What a container's root could do to the host that it sees, with every capability and no filter: nothing. Were
    one of these to succeed it would change nothing either."""
    attempts = {
        "a file of the host": "echo x > /host/var/tmp/davit-escaped/file",
        "an owner": "chown 0:0 /host/etc",
        "a secret": "cat /host/etc/shadow",
        "a shell there": "chroot /host /bin/cat /etc/shadow",
        "a setuid program": "cp /bin/busybox /host/usr/bin/davit-escaped",
        "a device": "mknod /mine b 8 0",
        "a device there": "mknod /host/dev/davit-escaped b 8 0",
        "a kernel setting": "cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern",
        "the clock": "date -s @$(date +%s) 2>&1 | grep -q permitted && exit 1; true",
        "the cgroups": "mount -o remount,rw /sys/fs/cgroup; for d in /sys/fs/cgroup/*; do mount -o remount,rw $d; done;"
                       "mkdir /sys/fs/cgroup/davit-escaped /sys/fs/cgroup/memory/davit-escaped && echo",
        "a hierarchy": "mkdir -p /mnt && mount -t cgroup -o memory x /mnt && mkdir /mnt/davit-escaped",
        "a disk": "mkdir -p /mnt && mount -t ext4 /host/dev/vda /mnt",
        "a name space": "nsenter -t 1 -m -- cat /host/etc/shadow",
    }
    guard = pathlib.Path("/var/tmp/davit-escaped")
    guard.mkdir(exist_ok=True)
    try:
        script = "".join(f"({attempt}) > /dev/null 2>&1 && echo 'escaped: {what}'\n" for what, attempt in attempts.items())
        equal(inside(engine, script + "hostname escaped && echo whole", "--cap-add", "ALL", "--security-opt",
                     "seccomp=unconfined", "--security-opt", "systempaths=unconfined", "-v", "/:/host"), "whole",
              "all attempts fail, but for the one at its own namespace")
        equal(os.listdir(guard), [], "nothing is there")
        check(os.uname().nodename != "escaped", "the host's name")
    finally:
        shutil.rmtree(guard)


@case("davit")
def the_hosts_user_namespace(engine):
    own = os.readlink("/proc/self/ns/user")
    equal(inside(engine, "readlink /proc/self/ns/user; cat /proc/self/uid_map", "--userns=host").split(),
          [own, "0", "0", "4294967295"], "--userns=host")
    contains(inside(engine, "grep CapEff /proc/self/status", "--userns=host", "--privileged"), "ff", "privileged")
    with background(engine, "--userns=host") as name:
        equal(outside(engine, name)["Uid"][0], "0", "its uid")
        equal(engine.out("exec", name, "readlink", "/proc/self/ns/user"), own, "an exec")
        engine.docker("cp", "/etc/hostname", f"{name}:/x")
        equal(engine.out("exec", name, "stat", "-c", "%u", "/x"), "0", "a copy")
    equal(engine.docker("create", "--userns=private", "bb", status=None).returncode != 0, True, "any other")


@case("davit")
def what_does_not_go_together(engine):
    privileged = ("privileged mode is incompatible with user namespaces.  You must run the container in the host "
                  "namespace when running privileged mode")
    for options, words in ((["--privileged"], privileged),
                           (["--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
                           (["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"),
                           (["--ipc", "host"], "cannot share the host IPC namespace when user namespaces are enabled")):
        contains(engine.docker("create", *options, "bb", status=None).stderr, words, f"{options}")
        engine.docker("run", "--rm", "--userns=host", *options, "bb", "true")
    equal(inside(engine, "hostname", "--uts", "host"), os.uname().nodename, "--uts=host")
    contains(engine.docker(*RUN, "--user", "70000", "bb", "true", status=None).stderr, "set user", "an id that is not there")


@case("davit")
def shared_namespaces(engine):
    with background(engine, "--ipc", "shareable", script="echo x > /dev/shm/x; exec sleep 1000") as name:
        eventually(lambda: engine.docker("exec", name, "test", "-e", "/dev/shm/x", status=None).returncode == 0, "ready")
        own = engine.out("exec", name, "readlink", "/proc/self/ns/user")
        for option in ("--network", "--ipc", "--pid"):
            network = () if option == "--network" else ("--network", "none")
            shown = engine.out("run", "--rm", *network, option, f"container:{name}", "bb", "sh", "-c",
                               "readlink /proc/self/ns/user; id -u; touch /made && stat -c %u /made; cat /dev/shm/x; ls /sys/class/net")
            equal(shown.splitlines()[:3], [own, "0", "0"], f"{option}: the other's user namespace")
        contains(engine.out("run", "--rm", "--network", "none", "--pid", f"container:{name}", "bb", "ps"), "sleep 1000", "pid")
    with background(engine, "--userns=host") as name:
        done = engine.docker("run", "--rm", "--network", f"container:{name}", "bb", "true", status=None)
        contains(done.stderr, "is in the host's user namespace", "a container of the other kind")
        engine.docker("run", "--rm", "--userns=host", "--network", f"container:{name}", "bb", "true")


@case("davit")
def networks(engine):
    done = engine.docker("run", "--rm", "bb", "sh", "-c", "ip -o addr show eth0 | wc -l", status=None)
    if "network" in done.stderr and done.returncode == 125:
        raise Skip(f"no bridge network here: {done.stderr.strip()}")
    with background(engine, script="echo hello > /index.html; exec httpd -f -p 80 -h /", network="bridge") as name:
        address = engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        script = f"ip link set eth0 mtu 1400 && for i in 1 2 3 4 5 6 7 8; do wget -qO- {address} && break; sleep 0.2; done"
        equal(engine.out("run", "--rm", "--cap-add", "NET_ADMIN", "bb", "sh", "-c", script), "hello",
              "its network is its own, and leads somewhere")
        equal(engine.out("exec", name, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"), "0", "its settings")


@case("davit")
def another_daemon_takes_over(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c", "touch /made; exec sleep 1000")
    engine.kill()
    engine.start()
    equal(engine.inspect(name)["State"]["Running"], True, "it goes on")
    equal(engine.out("exec", name, "sh", "-c", "id -u; cat /proc/self/uid_map").split(), ["0", "0", str(FIRST), "65536"], "exec")
    engine.docker("cp", "/etc/hostname", f"{name}:/copied")
    equal(engine.out("exec", name, "stat", "-c", "%u", "/copied"), "0", "copy")
    # A daemon without the option has the same images and containers.
    engine.kill()
    options, engine.options = engine.options, []
    engine.start()
    try:
        equal(engine.out("exec", name, "id", "-u"), "0", "exec by a daemon without the option")
        check("name=userns" not in engine.api("GET", "/info").json["SecurityOptions"], "info")
        equal(inside(engine, "cat /proc/self/uid_map").split(), ["0", "0", "4294967295"], "a new container")
        engine.docker("restart", "-t", "0", name)
        equal(engine.out("exec", name, "stat", "-c", "%u", "/made", "/copied"), "0\n0", "its files")
    finally:
        engine.stop()
        engine.options = options
        engine.start()
    engine.docker("start", name)
    equal(engine.out("exec", name, "stat", "-c", "%u", "/made", "/copied"), "0\n0", "its files once more")
    engine.docker("rm", "-f", name)


@case("davit")
def other_storage_drivers(engine):
    other = Engine(pathlib.Path(engine.directory) / "vfs")
    other.options = [*engine.options, "--storage-driver", "vfs"]
    other.start()
    try:
        import_busybox(other)
        name = other.out("create", "--network", "none", "bb", "sh", "-c", "touch /new; stat -c %u / /new /bin/busybox")
        equal(other.out("start", "-a", name).split(), ["0", "0", "0"], "inside")
        other.docker("rm", name)
    finally:
        other.stop()


@case("davit")
def whom_the_option_may_name(engine):
    subprocess.run(["useradd", "-r", "-U", "lonely"], check=True)
    subprocess.run(["usermod", "--add-subuids", "300000-365535", "--add-subgids", "400000-465535", "games"], check=True)
    other = Engine(pathlib.Path(engine.directory) / "other")
    for value, words in (("a:b:c", 'Invalid user/group specification in --userns-remap: "a:b:c"'),
                         ("nosuch", 'Error during uid lookup for "nosuch"'),
                         ("lonely", 'no /etc/subuid ranges found for user "lonely"')):
        other.options = [f"--userns-remap={value}"]
        try:
            other.start()
        except Failure as problem:
            contains(str(problem), words, value)
            other.process = None
        else:
            other.stop()
            raise Failure(f"the daemon starts with {value}")
    other.options = ["--userns-remap=games:games"]
    other.start()
    try:
        import_busybox(other)
        equal(inside(other, "cat /proc/self/uid_map /proc/self/gid_map").split(),
              ["0", "300000", "65536", "0", "400000", "65536"], "another user's ids")
    finally:
        other.stop()


if __name__ == "__main__":
    main(prepare)
