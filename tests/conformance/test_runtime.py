"""davit as an OCI runtime: bundles, without a daemon, and the engines that call a runtime.

Goal: what conmon, containerd's shim and people do with runc they can do with davit-runc: the life of a
container, its state, hooks, consoles, execs, limits; and after it nothing is left. Method: bundles of
busybox through the command line; then podman and containerd with davit-runc as their runtime.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

import oci
from harness import (DAVIT, RUNS, Skip, case, cgroup_tree_remove, check, contains, equal,
                     eventually, main)

RUNTIME = str(pathlib.Path(DAVIT).parent / "davit-runc")
PARENT = f"/davit-test-runtime-{os.getpid()}"


class Bundle:
    """A root and a config.json, and the runtime with a root of its own."""

    def __init__(self, directory, name, *arguments):
        self.path = directory / name
        self.id = name
        rootfs = self.path / "rootfs"
        rootfs.mkdir(parents=True)
        tar = directory / "busybox.tar"
        if not tar.exists():
            oci.busybox_layer(tar)
        subprocess.run(["tar", "-xf", tar, "-C", rootfs], check=True)
        self.root = directory / "root"
        self.runc("spec", "--bundle", self.path)
        self.config = json.loads((self.path / "config.json").read_text())
        self.config["process"].update(args=list(arguments), terminal=False)
        self.config["process"]["env"] = ["PATH=/bin:/usr/bin"]
        self.config["linux"]["cgroupsPath"] = f"{PARENT}/{name}"

    def save(self):
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self

    def runc(self, *arguments, status=0, stdin=None, **options):
        """Output goes to files: what runs on would keep a pipe open."""
        out, err = self.path.parent / "out", self.path.parent / "err"
        with open(out, "wb") as output, open(err, "wb") as errors:
            done = subprocess.run([RUNTIME, "--root", str(self.root), *map(str, arguments)],
                                  input=stdin, stdout=output, stderr=errors, timeout=60,
                                  check=False, **options)
        done.stdout = out.read_text(errors="replace")
        done.stderr = err.read_text(errors="replace")
        if status is not None:
            equal(done.returncode, status, f"{arguments}: {done.stderr}")
        return done

    def create(self, *options, status=0):
        self.save()
        return self.runc("create", "--bundle", self.path, *options, self.id, status=status)

    def run(self, *options, status=0):
        self.save()
        return self.runc("run", "--bundle", self.path, *options, self.id, status=status)

    def state(self):
        return json.loads(self.runc("state", self.id).stdout)

    def status(self):
        return self.state()["status"]

    def delete(self):
        self.runc("delete", "--force", self.id)

    def cgroups(self):
        found = pathlib.Path("/sys/fs/cgroup").glob(f"*{PARENT}/{self.id}")
        return [str(path) for path in found]


@contextlib.contextmanager
def bundle(directory, name, *arguments):
    made = Bundle(directory, name, *arguments)
    try:
        yield made
        made.delete()
        equal(made.cgroups(), [], "cgroups")
        check(not (made.root / name).exists(), "no directory")
        check(name not in pathlib.Path("/proc/self/mountinfo").read_text(), "no mount")
    finally:
        subprocess.run([RUNTIME, "--root", str(made.root), "delete", "-f", name], check=False)
        cgroup_tree_remove(PARENT)


@case("davit")
def a_program_in_the_foreground(directory):
    with bundle(directory, "front", "sh", "-c", "hostname; id -u; cat; echo gone >&2; exit 7") as box:
        done = box.save().runc("run", "--bundle", box.path, box.id, status=7, stdin=b"typed\n")
        equal(done.stdout, "runc\n0\ntyped\n", "output")
        equal(done.stderr, "gone\n", "error output")
        equal(box.runc("list", "-q").stdout, "", "it is deleted")
        box.config["process"]["args"] = ["sh", "-c", "kill -9 $$"]
        box.config["linux"]["namespaces"] = [
            entry for entry in box.config["linux"]["namespaces"] if entry["type"] != "pid"]
        box.run(status=137)


@case("davit")
def create_start_and_delete(directory):
    with bundle(directory, "life", "sh", "-c", "touch /tmp/ran; sleep 1000") as box:
        box.config["root"]["readonly"] = False
        pid_file = directory / "pid"
        box.config["annotations"] = {"org.example": "a\"b"}
        box.create("--pid-file", pid_file)
        state = box.state()
        pid = int(pid_file.read_text())
        equal({key: state[key] for key in ("id", "status", "pid", "bundle", "annotations")},
              {"id": "life", "status": "created", "pid": pid, "bundle": str(box.path),
               "annotations": {"org.example": "a\"b"}}, "state")
        check(not (box.path / "rootfs/tmp/ran").exists(), "it waits")
        contains(box.create(status=1).stderr, "container with given ID already exists", "again")
        box.runc("start", box.id)
        eventually((box.path / "rootfs/tmp/ran").exists, "it runs")
        equal(box.status(), "running", "state")
        contains(box.runc("start", box.id, status=1).stderr, "already running", "start again")
        contains(box.runc("delete", box.id, status=1).stderr, "is not stopped: running", "delete")
        box.runc("kill", box.id, "KILL")
        eventually(lambda: box.status() == "stopped", "it is stopped")
        equal(box.state()["pid"], 0, "pid")
        contains(box.runc("kill", box.id, "TERM", status=1).stderr, "container not running", "kill")
        contains(box.runc("start", box.id, status=1).stderr, "stopped", "start")
        box.runc("delete", box.id)
        contains(box.runc("state", box.id, status=1).stderr, "does not exist", "state")
        box.runc("delete", box.id, status=1)
        box.runc("delete", "--force", box.id)
        box.create()
        box.runc("delete", box.id)


@case("davit")
def what_cannot_be_executed(directory):
    """Told at create, in the words that callers look for."""
    with bundle(directory, "none", "no-such-program") as box:
        contains(box.create(status=1).stderr, 'exec: \\"no-such-program\\": executable file not found in $PATH',
                 "not found")
        box.config["process"]["args"] = ["/etc"]
        contains(box.create(status=1).stderr, "permission denied", "a directory")
        box.config["process"]["args"] = ["/no/such"]
        contains(box.create(status=1).stderr, "no such file or directory", "a path")
        equal(box.cgroups(), [], "cgroups")
        equal(box.runc("list", "-q").stdout, "", "containers")
        log = directory / "log"
        box.save()
        box.runc("--log", log, "--log-format", "json", "create", "-b", box.path, box.id, status=1)
        line = json.loads(log.read_text().splitlines()[-1])
        equal(line["level"], "error", "the log's last line")
        contains(line["msg"], "no such file or directory", "says why")


@case("davit")
def confinement(directory):
    """What is visible inside is what the bundle asks for."""
    script = ("grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/oom_score_adj;"
              "ulimit -n; umask; id -G; cat /proc/sys/net/ipv4/ip_forward; touch /x 2>/dev/null || echo ro;"
              "mkdir /tmp/m 2>/dev/null || echo denied; cat /proc/interrupts | wc -c; ls /dev/fd/1 /dev/zz; "
              "echo x > /dev/zz; mount | grep -c ' /vol .*ro'")
    with bundle(directory, "tight", "sh", "-c", script) as box:
        (box.path / "source").mkdir()
        config = box.config
        config["process"].update(
            user={"uid": 0, "gid": 0, "additionalGids": [5, 6], "umask": 0o27}, oomScoreAdj=123,
            rlimits=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}])
        for names in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][names] = ["CAP_KILL", "CAP_MKNOD"]
        config["mounts"] += [
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
            {"destination": "/vol", "source": str(box.path / "source"), "options": ["rbind", "ro"]}]
        config["linux"].update(
            sysctl={"net.ipv4.ip_forward": "1"},
            devices=[{"path": "/dev/zz", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}],
            seccomp={"defaultAction": "SCMP_ACT_ALLOW",
                     "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]})
        lines = box.run().stdout.split("\n")
        mask = f"{(1 << 5) | (1 << 27):016x}"
        equal(lines[:4], [f"CapEff:\t{mask}", f"CapBnd:\t{mask}", "NoNewPrivs:\t1", "Seccomp:\t2"], "powers")
        equal(lines[4:13], ["123", "99", "0027", "0 5 6", "1", "ro", "denied", "0", "/dev/fd/1"], "the rest")
        equal(lines[13:15], ["/dev/zz", "1"], "device and bind mount")


@case("davit")
def hooks(directory):
    """Each where and when the specification says, with the state; one that fails ends the creation."""
    with bundle(directory, "hooked", "sh", "-c", "echo ran >> /log; sleep 1000") as box:
        box.config["root"]["readonly"] = False
        log = directory / "hooks.log"
        inside = box.path / "rootfs/log"

        def hook(name, path=log):
            line = f"s=$(cat); echo {name} $WHO $(hostname) $(echo $s | grep -o '\"status\":\"[a-z]*') >> {path}"
            return {"path": "/bin/sh", "args": ["sh", "-c", line], "env": ["WHO=me", "PATH=/bin:/usr/bin"]}

        box.config["hooks"] = {name: [hook(name)] for name in (
            "prestart", "createRuntime", "createContainer", "poststart", "poststop")}
        box.config["hooks"]["startContainer"] = [hook("startContainer", "/log")]
        box.create()
        host = socket.gethostname()
        before = [f'prestart me {host} "status":"creating', f'createRuntime me {host} "status":"creating']
        lines = log.read_text().splitlines()
        equal(lines[:2], before, "before its root is entered")
        matches = lines[2].startswith("createContainer me ") and lines[2].endswith('"creating')
        check(matches and len(lines) == 3, f"inside its namespaces: {lines}")
        box.runc("start", box.id)
        eventually(lambda: inside.exists() and "ran" in inside.read_text(), "it runs")
        contains(inside.read_text().splitlines()[0], "startContainer me runc", "before its program, in its root")
        contains(log.read_text().splitlines()[3], 'poststart me', "after the start")
        box.runc("delete", "-f", box.id)
        contains(log.read_text().splitlines()[4], '"status":"stopped', "after its end")

        box.config["hooks"] = {"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", "echo so it is >&2; exit 3"]}]}
        error = box.create(status=1).stderr
        contains(error, "createRuntime hook /bin/sh: exit status 3: so it is", "why")
        box.config["hooks"]["createRuntime"][0].update(args=["sh", "-c", "sleep 100"], timeout=1)
        contains(box.create(status=1).stderr, "longer than 1 s", "a timeout")
        box.config["hooks"]["createRuntime"][0].update(path="/no/such")
        contains(box.create(status=1).stderr, "no such file", "one that is missing")
        equal(box.runc("list", "-q").stdout, "", "containers")
        equal(box.cgroups(), [], "cgroups")


@case("davit")
def further_processes(directory):
    with bundle(directory, "host", "sh", "-c", "cat /proc/1/cgroup > /dev/null; sleep 1000") as box:
        box.config["process"]["user"] = {"uid": 0, "gid": 0}
        box.create()
        equal(box.runc("exec", box.id, "echo", "early").stdout, "early\n", "in a created container")
        box.runc("start", box.id)
        done = box.runc("exec", "--user", "7:8", "--cwd", "/bin", "-e", "A=b c", box.id, "sh", "-c",
                        "id -u; id -g; pwd; echo $A; hostname; exit 9", status=9)
        equal(done.stdout, "7\n8\n/bin\nb c\nrunc\n", "exec")
        process = directory / "process.json"
        process.write_text(json.dumps({
            "args": ["sh", "-c", "echo $X; sleep 1000"], "cwd": "/", "env": ["X=y", "PATH=/bin"],
            "user": {"uid": 3, "gid": 4}}))
        pid_file = directory / "exec-pid"
        box.runc("exec", "--process", process, "--detach", "--pid-file", pid_file, box.id)
        pid = int(pid_file.read_text())
        contains(pathlib.Path(f"/proc/{pid}/status").read_text(), "Uid:\t3\t3", "whose it is")
        check(pid in json.loads(box.runc("ps", "--format", "json", box.id).stdout), "ps")
        contains(box.runc("ps", box.id).stdout, "sleep 1000", "ps as a table")
        contains(box.runc("exec", box.id, "no-such", status=1).stderr, "executable file not found in $PATH",
                 "what is not there")
        box.runc("kill", "--all", box.id, "KILL")
        eventually(lambda: box.status() == "stopped", "all have ended")
        contains(box.runc("exec", box.id, "true", status=1).stderr, "cannot exec in a stopped container", "exec")


def console_of(path, start):
    """What a runtime sends to a console socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(30)
        start()
        connection, _ = listener.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 100, 1)
    os.unlink(path)
    return fds[0]


def read_until(terminal, text):
    got = b""
    while text not in got:
        piece = os.read(terminal, 1000)
        check(piece, f"{text} within {got}")
        got += piece
    return got


@case("davit")
def terminals(directory):
    with bundle(directory, "tty", "sh", "-c", "tty; stty size; read line; echo got $line; sleep 1000") as box:
        box.config["process"].update(terminal=True, consoleSize={"height": 11, "width": 77})
        contains(box.create(status=1).stderr, "without setting console socket", "no socket")
        terminal = console_of(directory / "sock", lambda: box.create("--console-socket", directory / "sock"))
        box.runc("start", box.id)
        shown = read_until(terminal, b"77")
        contains(shown.decode(), "/dev/", "it is a terminal")
        contains(shown.decode(), "11 77", "of that size")
        os.write(terminal, b"word\n")
        read_until(terminal, b"got word")
        other = console_of(directory / "sock", lambda: box.runc(
            "exec", "-t", "-d", "--console-socket", directory / "sock", box.id, "sh", "-c", "tty; sleep 1"))
        contains(read_until(other, b"\n").decode(), "/dev/pts/", "a second one")
        for fd in (terminal, other):
            os.close(fd)
    with bundle(directory, "tty2", "sh", "-c", "tty && exit 5") as box:
        box.config["process"]["terminal"] = True
        contains(box.run(status=5).stdout, "/dev/", "in the foreground")


@case("davit")
def paused_limited_and_listed(directory):
    with bundle(directory, "limits", "sh", "-c", "while :; do :; done") as box:
        box.config["linux"]["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50})
        box.create()
        box.runc("start", box.id)
        box.runc("pause", box.id)
        equal(box.status(), "paused", "state")
        contains(box.runc("exec", box.id, "true", status=1).stderr, "paused container", "exec")
        contains(box.runc("list").stdout, "paused", "list")
        equal(json.loads(box.runc("list", "--format", "json").stdout)[0]["id"], "limits", "list as JSON")
        box.runc("resume", box.id)
        equal(box.status(), "running", "state")
        contains(box.runc("resume", box.id, status=1).stderr, "not paused", "resume again")
        stats = json.loads(box.runc("events", "--stats", box.id).stdout)
        equal((stats["type"], stats["data"]["memory"]["usage"]["limit"]), ("stats", 64 << 20), "stats")
        equal(stats["data"]["pids"]["limit"], 50, "pids")
        box.runc("update", "--memory", 32 << 20, box.id)
        box.runc("update", "--resources", "-", box.id, stdin=b'{"pids":{"limit":20}}')
        stats = json.loads(box.runc("events", "--stats", box.id).stdout)
        equal((stats["data"]["memory"]["usage"]["limit"], stats["data"]["pids"]["limit"]), (32 << 20, 20), "update")
        box.runc("pause", box.id)
        box.runc("delete", "--force", box.id)


@case("davit")
def events_as_they_happen(directory):
    with bundle(directory, "events", "sh", "-c", "sleep 1; (tail /dev/zero); sleep 1; exit 0") as box:
        box.config["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
        box.create()
        with subprocess.Popen([RUNTIME, "--root", str(box.root), "events", "--interval", "100ms", box.id],
                              stdout=subprocess.PIPE, text=True) as watching:
            box.runc("start", box.id)
            lines = [json.loads(line) for line in watching.stdout]
        equal(watching.returncode, 0, "it ends with the container")
        kinds = [line["type"] for line in lines]
        check(kinds.count("stats") >= 5, f"what it uses: {kinds}")
        check("oom" in kinds, f"memory ran out: {kinds}")
        contains(box.runc("events", "--interval", "0s", box.id, status=1).stderr, "greater than 0", "no pause")


@case("davit")
def namespaces_that_exist(directory):
    """One container in another one's, by path; the process that a network namespace is named by may be gone."""
    with bundle(directory, "first", "sleep", "1000") as first, \
            bundle(directory, "second", "sh", "-c", "hostname; ipcs -m | grep -c 0x; ls /proc/1/ns -l | wc -l") as second:
        first.config["hostname"] = "theirs"
        first.create()
        pid = first.state()["pid"]
        for entry in second.config["linux"]["namespaces"]:
            if entry["type"] in ("network", "ipc", "uts"):
                kind = {"network": "net"}.get(entry["type"], entry["type"])
                entry["path"] = f"/proc/{pid}/ns/{kind}"
        del second.config["hostname"]
        contains(second.run(status=None).stdout, "theirs\n", "its name")
        second.config["linux"]["namespaces"][0] = {"type": "pid", "path": f"/proc/{pid}/ns/pid"}
        second.config["process"]["args"] = ["sh", "-c", "trap 'exit 8' TERM; ps; echo $$; while :; do sleep 0.1; done"]
        out = directory / "shared-out"
        second.save()
        with open(out, "wb") as output:
            subprocess.run([RUNTIME, "--root", str(second.root), "create", "-b", str(second.path), second.id],
                           stdin=subprocess.DEVNULL, stdout=output, timeout=60, check=True)
        equal(second.status(), "created", "state")
        first.runc("start", first.id)
        second.runc("start", second.id)
        eventually(lambda: "sleep 1000" in out.read_text(), "it sees the other's processes")
        equal(second.runc("exec", second.id, "sh", "-c", "kill -0 1 && echo there").stdout, "there\n", "exec")
        second.runc("kill", second.id, "TERM")
        eventually(lambda: second.status() == "stopped", "it ends alone")
        equal(first.status(), "running", "the other goes on")
        second.runc("delete", second.id)
        second.config["linux"]["namespaces"][0]["path"] = "/var/run/pidns"
        contains(second.create(status=1).stderr, "by /proc/PID/ns/pid alone", "a path of another kind")


@case("davit")
def a_user_namespace(directory):
    with bundle(directory, "mapped", "sh", "-c", "id -u; cat /proc/self/uid_map; touch /x; sleep 1000") as box:
        box.config["linux"]["namespaces"].append({"type": "user"})
        for key in ("uidMappings", "gidMappings"):
            box.config["linux"][key] = [{"containerID": 0, "hostID": 70000, "size": 1000}]
        box.config["root"]["readonly"] = False
        for folder, _, files in os.walk(box.path / "rootfs"):
            for name in [".", *files]:
                os.chown(os.path.join(folder, name), 70000, 70000, follow_symlinks=False)
        box.create()
        box.runc("start", box.id)
        created = box.path / "rootfs/x"
        eventually(created.exists, "it runs")
        equal(created.stat().st_uid, 70000, "whose its files are")
        equal(box.runc("exec", box.id, "id", "-u").stdout, "0\n", "root inside")
        contains(pathlib.Path(f"/proc/{box.state()['pid']}/status").read_text(), "Uid:\t70000", "not outside")


@case("davit")
def a_tmpfs_that_begins_with_what_is_there(directory):
    script = ("find /data | sort; cat /data/sub/file; readlink /data/link; stat -c '%a %u %g' /data/sub /data/sub/file;"
              "test /data/sub/file -ef /data/other && echo same; mount | grep -c 'tmpfs on /data .*nosuid';"
              "touch /data/new; ls -d /none; touch /ro/x 2>/dev/null || echo read-only")
    with bundle(directory, "copied", "sh", "-c", script) as box:
        data = box.path / "rootfs/data"
        (data / "sub").mkdir(parents=True)
        (data / "sub/file").write_text("kept")
        os.chmod(data / "sub/file", 0o4750)
        os.chown(data / "sub", 5, 6)
        os.link(data / "sub/file", data / "other")
        (data / "link").symlink_to("/etc/passwd")
        for target, options in (("/data", ["tmpcopyup", "nosuid"]), ("/none", ["tmpcopyup", "mode=700"]),
                                ("/ro", ["tmpcopyup", "ro"])):
            box.config["mounts"].append({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options})
        box.config["root"]["readonly"] = False
        equal(box.run().stdout.splitlines(),
              ["/data", "/data/link", "/data/other", "/data/sub", "/data/sub/file", "kept/etc/passwd", "755 5 6",
               "4750 0 0", "same", "1", "/none", "read-only"], "inside")
        check(not (data / "new").exists(), "a copy")
        box.config["mounts"][-1].update(type="proc")
        contains(box.create(status=1).stderr, "tmpcopyup is an option of a tmpfs", "elsewhere")


@case("davit")
def killed_at_any_moment(directory):
    """A runtime that is killed leaves what `delete --force` removes, or nothing."""
    with bundle(directory, "cut", "sleep", "1000") as box:
        box.save()
        random.seed(7)
        for _ in range(max(RUNS // 5, 20)):
            process = subprocess.Popen([RUNTIME, "--root", str(box.root), "create", "-b", str(box.path), box.id],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.random() / 50)  # To vary the moment.
            process.send_signal(signal.SIGKILL)
            process.wait()
            box.delete()
            equal((box.cgroups(), box.runc("list", "-q").stdout), ([], ""), "left over")
        box.create()


@case("davit")
def what_it_says_of_itself(directory):
    box = Bundle(directory, "self", "true")
    check(box.runc("--version").stdout.startswith("runc version "), "version")
    features = json.loads(box.runc("features").stdout)
    check("createContainer" in features["hooks"] and "rro" in features["mountOptions"], "features")
    contains(box.runc("spec", "-b", box.path, status=1).stderr, "config.json exists", "spec")
    contains(box.runc("checkpoint", "x", status=1).stderr, "no checkpoints", "checkpoint")
    contains(box.runc("frobnicate", status=1).stderr, "no such command", "a typo")
    contains(box.runc("--systemd-cgroup", "list", status=1).stderr, "cgroupfs", "what it does not do")


@contextlib.contextmanager
def podman_in(directory):
    """Podman calls the runtime through conmon, and looks at cgroups itself."""
    if not shutil.which("podman"):
        raise Skip("podman is not installed")
    tar = directory / "busybox.tar"
    if not tar.exists():
        oci.busybox_layer(tar)
    words = ["podman", "--root", str(directory / "podman"), "--runroot", str(directory / "podman-run"),
             "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--events-backend", "none",
             "--runtime", RUNTIME, "--tmpdir", str(directory / "podman-tmp")]

    def podman(*arguments, status=0, stdin=None):
        done = subprocess.run([*words, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                              timeout=120, check=False)
        if status is not None:
            equal(done.returncode, status, f"podman {arguments}: {done.stderr}")
        return done

    podman("import", "-c", "ENV=PATH=/bin", tar, "bb")
    try:
        yield podman
    finally:
        podman("rm", "-fa", status=None)
        subprocess.run(["umount", "-R", str(directory / "podman")], stderr=subprocess.DEVNULL, check=False)


@case("davit")
def podman_with_this_runtime(directory):
    with podman_in(directory) as podman:
        run = ("run", "--network", "none")
        equal(podman(*run, "--rm", "bb", "sh", "-c", "echo hello; exit 4", status=4).stdout, "hello\n", "run")
        equal(podman(*run, "--rm", "-i", "bb", "cat", stdin="typed").stdout, "typed", "input")
        contains(podman(*run, "--rm", "bb", "no-such", status=127).stderr, "executable file", "127")
        equal(podman(*run, "--rm", "--read-only", "--tmpfs", "/bin:exec", "bb", "sh", "-c", "touch /tmp/x && ls /bin/sh; touch /x",
                     status=1).stdout, "/bin/sh\n", "read-only, with file systems in memory")
        podman(*run, "-d", "--name", "box", "--memory", "64m", "--pids-limit", "30", "bb", "sh", "-c",
               "trap 'exit 6' TERM; echo up; while :; do sleep 0.1; done")
        eventually(lambda: "up" in podman("logs", "box").stdout, "logs")
        equal(podman("exec", "-e", "A=b", "-w", "/bin", "box", "sh", "-c", "echo $A; pwd; exit 3", status=3).stdout,
              "b\n/bin\n", "exec")
        contains(podman("top", "box").stdout, "sleep", "top")
        podman("pause", "box")
        equal(podman("inspect", "-f", "{{.State.Status}}", "box").stdout.strip(), "paused", "pause")
        podman("unpause", "box")
        podman("stop", "box")
        equal(podman("inspect", "-f", "{{.State.ExitCode}}", "box").stdout.strip(), "6", "its exit code")
        podman("start", "box")
        contains(podman(*run, "--rm", "--pid", "container:box", "bb", "ps").stdout, "trap 'exit 6' TERM", "its processes")
        podman("rm", "-f", "box")
        equal(podman("ps", "-aq").stdout, "", "nothing is left")


@contextlib.contextmanager
def containerd_in(directory):
    if not shutil.which("containerd") or not shutil.which("ctr"):
        raise Skip("containerd is not installed")
    settings = directory / "containerd.toml"
    settings.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    address = str(directory / "containerd.sock")
    with open(directory / "containerd.log", "wb") as log:
        process = subprocess.Popen(["containerd", "--config", str(settings), "--root", str(directory / "cd"),
                                    "--state", str(directory / "cd-state"), "--address", address],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ctr(*arguments, status=0):
        done = subprocess.run(["ctr", "--address", address, "--namespace", PARENT[1:], *map(str, arguments)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        if status is not None:
            equal(done.returncode, status, f"ctr {arguments}: {done.stderr}")
        return done

    try:
        eventually(lambda: ctr("version", status=None).returncode == 0, "containerd answers")
        yield ctr
    finally:
        process.terminate()
        process.wait(30)
        cgroup_tree_remove(PARENT)


@case("davit")
def containerd_with_this_runtime(directory):
    """Through its shim, io.containerd.runc.v2."""
    with bundle(directory, "unused", "true") as box, containerd_in(directory) as ctr:
        run = ("run", "--rm", "--runc-binary", RUNTIME, "--rootfs")
        rootfs = box.path / "rootfs"
        equal(ctr(*run, rootfs, "one", "/bin/sh", "-c", "echo hello; exit 4", status=4).stdout, "hello\n", "run")
        ctr("run", "-d", "--runc-binary", RUNTIME, "--rootfs", rootfs, "two", "/bin/sleep", "1000")
        contains(ctr("task", "ls").stdout, "RUNNING", "it runs")
        equal(ctr("task", "exec", "--exec-id", "e", "two", "/bin/sh", "-c", "echo inside; exit 3", status=3).stdout,
              "inside\n", "exec")
        ctr("task", "pause", "two")
        contains(ctr("task", "ls").stdout, "PAUSED", "paused")
        ctr("task", "resume", "two")
        ctr("task", "kill", "-s", "SIGKILL", "two")
        eventually(lambda: "STOPPED" in ctr("task", "ls").stdout, "it ends")
        ctr("task", "rm", "two", status=None)
        ctr("container", "rm", "two")


if __name__ == "__main__":
    main(engine_own=True)
