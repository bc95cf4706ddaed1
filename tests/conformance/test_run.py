"""docker run: exit codes, streams, environment, user, mounts, limits, networks, isolation.

Goal: the stock CLI cannot tell davit from Docker for the options listed in README.md.
"""

import os
import pathlib
import re
import socket
import socketserver
import subprocess
import tempfile
import threading

from harness import CLI, DAVIT, Skip, case, check, contains, equal, main, matches


def sh(engine, script, *options, status=0, **more):
    return engine.docker("run", "--rm", "--network", "none", *options, "bb", "sh", "-c", script,
                         status=status, **more)


def cgroup_value(pid, controller, name_v1, name_v2):
    """A limit of the cgroup that a process is in, whichever hierarchy carries the controller."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return pathlib.Path(f"/sys/fs/cgroup/{controller}{path}/{name_v1}").read_text().strip()
        if controllers == "" and pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return pathlib.Path(f"/sys/fs/cgroup{path}/{name_v2}").read_text().strip()
    raise AssertionError(f"no {controller} cgroup for {pid}")


@case()
def exit_code_is_the_commands(engine):
    for code in (0, 1, 7, 255):
        sh(engine, f"exit {code}", status=code)


@case()
def exit_code_125_126_127(engine):
    missing = engine.docker("run", "--rm", "--network", "none", "bb", "no-such-program", status=127)
    contains(missing.stderr, "executable file not found in $PATH", "missing in PATH")
    absolute = engine.docker("run", "--rm", "--network", "none", "bb", "/no/such", status=127)
    contains(absolute.stderr, "no such file or directory", "missing path")
    denied = engine.docker("run", "--rm", "--network", "none", "bb", "/etc/noexec", status=126)
    contains(denied.stderr, "permission denied", "not executable")
    engine.docker("run", "--rm", "--network", "none", "bb", "/etc", status=126)
    engine.docker("run", "--rm", "--network", "no-such-network", "bb", "true", status=125)
    equal(engine.out("ps", "-aq"), "", "nothing is left of them")


@case()
def exit_code_of_a_signal(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "sleep", "1000")
    engine.docker("kill", name)
    equal(engine.out("wait", name), "137", "killed")
    engine.docker("rm", name)


class OlderDaemon(socketserver.ThreadingUnixStreamServer):
    """Passes requests on to a daemon, but for the one to davit's own run."""

    daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            refused = b"HTTP/1.1 404 Not Found\r\nContent-Length: 29\r\n\r\n" + b'{"message":"page not found"}\n'
            with socket.socket(socket.AF_UNIX) as daemon:
                daemon.connect(self.server.target)
                back = threading.Thread(target=self.copy, args=(daemon, self.request))
                back.start()
                while got := self.request.recv(65536):
                    if b"/davit/run" in got.split(b"\r\n", 1)[0]:
                        self.server.refused += 1
                        self.request.sendall(refused)
                        continue
                    daemon.sendall(got)
                daemon.shutdown(socket.SHUT_WR)
                back.join()

        @staticmethod
        def copy(source, target):
            try:
                while got := source.recv(65536):
                    target.sendall(got)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def __init__(self, path, target):
        super().__init__(path, self.Handler)
        self.target, self.refused = target, 0


@case("davit")
def by_a_client_newer_than_the_daemon(engine):
    """davit's CLI runs a container in one request, and in several where the daemon does not know it."""
    if CLI != "davit":
        raise Skip("of davit's own CLI")
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/socket"
        with OlderDaemon(path, engine.socket) as older:
            threading.Thread(target=older.serve_forever, daemon=True).start()
            for host in (path, engine.socket):
                done = subprocess.run(
                    [DAVIT, "run", "--rm", "-i", "--network", "none", "bb", "sh", "-c",
                     "cat; echo err >&2; exit 3"],
                    env={**engine.environment(), "DOCKER_HOST": f"unix://{host}"}, input="in\n",
                    capture_output=True, text=True, check=False, timeout=60)
                equal((done.returncode, done.stdout, done.stderr), (3, "in\n", "err\n"), "its end")
                equal(older.refused, 1, "asked once, and only there")
            older.shutdown()
    equal(engine.out("ps", "-aq"), "", "nothing is left")


@case()
def streams_are_separate(engine):
    done = sh(engine, "echo out; echo err >&2")
    equal((done.stdout, done.stderr), ("out\n", "err\n"), "stdout and stderr")


@case()
def stdin_reaches_the_command(engine):
    data = os.urandom(1 << 20)
    done = engine.docker("run", "--rm", "-i", "--network", "none", "bb", "cat", stdin=data, text=False)
    check(done.stdout == data, f"1 MiB through cat: {len(done.stdout)} bytes came back")
    done = engine.docker("run", "--rm", "-i", "--network", "none", "bb", "cat", stdin=b"")
    equal(done.stdout, "", "end of stdin at once")
    done = engine.docker("run", "--rm", "--network", "none", "bb", "cat", stdin=b"unseen")
    equal(done.stdout, "", "without -i there is no stdin")


@case()
def large_output_is_complete(engine):
    done = sh(engine, "head -c 8000000 /dev/zero | tr '\\0' x", text=False)
    check(done.stdout == b"x" * 8_000_000, f"8 MB: {len(done.stdout)} bytes came")


@case()
def environment(engine):
    done = sh(engine, "env", "-e", "A=1", "-e", "EMPTY=", "-e", "SPACE=a b=c")
    values = dict(line.split("=", 1) for line in done.stdout.splitlines())
    equal(values.get("A"), "1", "-e")
    equal(values.get("EMPTY"), "", "-e with no value")
    equal(values.get("SPACE"), "a b=c", "-e with blanks")
    equal(values.get("PATH"), "/bin:/usr/bin", "PATH of the image")
    equal(values.get("HOME"), "/root", "HOME from passwd")
    matches(values.get("HOSTNAME", ""), "^[0-9a-f]{12}$", "HOSTNAME")
    contains(sh(engine, "env", "-e", "PATH=/bin:/x").stdout, "PATH=/bin:/x\n", "PATH overridden")


@case()
def working_directory(engine):
    equal(sh(engine, "pwd").stdout, "/\n", "default")
    equal(sh(engine, "pwd", "-w", "/made/for/this").stdout, "/made/for/this\n", "made on demand")
    engine.docker("run", "--rm", "--network", "none", "-w", "relative", "bb", "true", status=125)


@case()
def user(engine):
    equal(sh(engine, "id -u; id -g; echo $HOME").stdout, "0\n0\n/root\n", "default")
    equal(sh(engine, "id -u; id -g; echo $HOME", "-u", "guest").stdout, "1000\n1000\n/home\n", "name")
    equal(sh(engine, "id -u; id -g", "-u", "1234:4321").stdout, "1234\n4321\n", "numbers")
    equal(sh(engine, "id -u; id -g", "-u", "1234").stdout, "1234\n0\n", "unknown number: group 0")
    unknown = sh(engine, "true", "-u", "nobody-here", status=125)
    contains(unknown.stderr, "nobody-here", "unknown name")
    equal(sh(engine, "grep CapEff /proc/self/status", "-u", "guest").stdout.split()[1], "0" * 16,
          "capabilities of a plain user")


@case()
def bind_mounts(engine):
    host = engine.directory / "bind"
    host.mkdir()
    (host / "in").write_text("from the host\n")
    done = sh(engine, "cat /mnt/in; echo from inside > /mnt/out", "-v", f"{host}:/mnt")
    equal(done.stdout, "from the host\n", "read")
    equal((host / "out").read_text(), "from inside\n", "written")
    done = sh(engine, "touch /mnt/x", "-v", f"{host}:/mnt:ro", status=1)
    contains(done.stderr, "Read-only", "ro")
    sh(engine, "ls /deep/er/mnt", "-v", f"{host}:/deep/er/mnt")
    sh(engine, "true", "-v", f"{host}/created:/mnt")
    check((host / "created").is_dir(), "a missing source is made")
    done = sh(engine, "cat /file", "-v", f"{host}/in:/file:ro")
    equal(done.stdout, "from the host\n", "a single file")
    done = sh(engine, "true", "-v", f"{host}:/mnt", "-v", f"{host}/created:/mnt", status=125)
    contains(done.stderr, "Duplicate mount point: /mnt", "twice the same target")


@case()
def names(engine):
    engine.docker("run", "-d", "--name", "web", "--network", "none", "bb", "sleep", "1000")
    equal(engine.inspect("web")["Name"], "/web", "name")
    taken = engine.docker("run", "-d", "--name", "web", "bb", "true", status=125)
    matches(taken.stderr, r'Conflict\. The container name "/web" is already in use by container '
            r'"[0-9a-f]{64}"\. You have to remove \(or rename\) that container', "name taken")
    engine.docker("run", "-d", "--name", "not/valid", "bb", "true", status=125)
    engine.docker("rm", "-f", "web")
    sh(engine, "true", "--name", "web")
    generated = engine.out("create", "bb", "true")
    matches(engine.inspect(generated)["Name"], "^/[a-z0-9]+_[a-z0-9]+$", "generated name")


@case()
def hostname(engine):
    equal(sh(engine, "hostname; cat /etc/hostname", "--hostname", "box").stdout, "box\nbox\n", "set")
    default = sh(engine, "hostname").stdout
    matches(default, "^[0-9a-f]{12}\n$", "default is the short id")
    contains(sh(engine, "cat /etc/hosts").stdout, "localhost", "hosts")
    sh(engine, "test -r /etc/resolv.conf")


@case()
def memory_limit(engine):
    name = engine.out("run", "-d", "--network", "none", "--memory", "64m", "bb", "sleep", "1000")
    pid = engine.inspect(name)["State"]["Pid"]
    equal(cgroup_value(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20), "limit")
    equal(engine.inspect(name)["HostConfig"]["Memory"], 64 << 20, "inspect")
    engine.docker("rm", "-f", name)
    # 512 MiB held by one process against 16.
    name = engine.out("run", "-d", "--network", "none", "--memory", "16m", "bb", "dd",
                      "if=/dev/zero", "of=/dev/null", "bs=512M", "count=1")
    equal(engine.out("wait", name), "137", "killed by the kernel")
    equal(engine.inspect(name)["State"]["OOMKilled"], True, "and known as such")
    engine.docker("run", "--rm", "--memory", "1k", "bb", "true", status=125)


@case()
def cpu_and_pids_limit(engine):
    name = engine.out("run", "-d", "--network", "none", "--cpus", "0.5", "--pids-limit", "32",
                      "bb", "sleep", "1000")
    pid = engine.inspect(name)["State"]["Pid"]
    quota = cgroup_value(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
    equal(quota, "50000", "half a processor")
    equal(cgroup_value(pid, "pids", "pids.max", "pids.max"), "32", "pids")
    equal(engine.inspect(name)["HostConfig"]["NanoCpus"], 500_000_000, "inspect")
    engine.docker("run", "--rm", "--cpus", "100000", "bb", "true", status=125)


@case()
def network_none(engine):
    done = sh(engine, "ls /sys/class/net; cat /sys/class/net/lo/operstate /sys/class/net/lo/flags")
    # Flags: up, loopback.
    equal(done.stdout.split()[0], "lo", "only loopback")
    equal(done.stdout.split()[-1], "0x9", "which is up")
    equal(len(done.stdout.split()), 3, "and nothing else")


@case()
def network_host(engine):
    done = engine.docker("run", "--rm", "--network", "host", "bb", "readlink", "/proc/self/ns/net")
    equal(done.stdout.strip(), os.readlink("/proc/self/ns/net"), "network namespace")


@case()
def network_default_has_its_own_namespace(engine):
    done = engine.docker("run", "--rm", "bb", "readlink", "/proc/self/ns/net")
    check(done.stdout.strip() != os.readlink("/proc/self/ns/net"), "not the host's")


@case()
def namespaces_are_new(engine):
    done = sh(engine, "for n in mnt pid uts ipc net; do readlink /proc/self/ns/$n; done")
    ours = [os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "uts", "ipc", "net")]
    equal(len(set(done.stdout.split()) - set(ours)), 5, "five namespaces of its own")
    equal(sh(engine, "echo $$").stdout, "1\n", "pid 1")


@case()
def confinement_is_dockers(engine):
    status = dict(re.findall(r"^(\w+):\s+(\w+)", sh(engine, "cat /proc/self/status").stdout, re.M))
    for key in ("CapEff", "CapPrm", "CapBnd"):
        equal(status[key], "00000000a80425fb", key)
    equal(status["CapAmb"], "0" * 16, "CapAmb")
    equal(status["Seccomp"], "2", "a filter")
    equal(status["NoNewPrivs"], "0", "default")
    done = sh(engine, "grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges")
    equal(done.stdout.split()[1], "1", "no-new-privileges")
    contains(sh(engine, "unshare -m true", status=1).stderr, "ermitted", "unshare is filtered")
    contains(sh(engine, "mount -t tmpfs x /mnt", status=1).stderr, "ermi", "mount is denied")


@case()
def system_directories(engine):
    sh(engine, "echo x > /proc/sys/kernel/hostname", status=1)
    sh(engine, "test ! -s /proc/kcore && test ! -s /proc/keys && test ! -s /proc/timer_list")
    sh(engine, "touch /sys/x", status=1)
    sh(engine, "for n in null zero full random urandom tty; do test -c /dev/$n || exit 1; done")
    sh(engine, "test -L /dev/fd -a -L /dev/stdin -a -L /dev/ptmx && echo x > /dev/shm/x")
    sh(engine, "test -d /dev/pts -a -d /dev/mqueue && echo ok > /tmp/x && echo ok > /dev/null")
    sh(engine, "mknod /dev/sda b 8 0 && cat /dev/sda", status=1)


@case()
def writes_do_not_reach_the_image(engine):
    sh(engine, "echo changed > /etc/passwd; rm /bin/ls; mkdir /new")
    sh(engine, "test -x /bin/ls -a ! -e /new && grep -q root /etc/passwd")


@case()
def run_detached(engine):
    identity = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c", "exit 3")
    matches(identity, "^[0-9a-f]{64}$", "prints the id")
    equal(engine.out("wait", identity), "3", "wait")
    engine.docker("rm", identity)


@case()
def default_command_and_none(engine):
    done = engine.docker("run", "--rm", "-i", "--network", "none", "bb", stdin="echo from sh\n")
    equal(done.stdout, "from sh\n", "the image's Cmd")
    engine.docker("import", "-", "empty:latest", stdin=b"\0" * 1024)
    done = engine.docker("run", "--rm", "empty", status=125)
    contains(done.stderr, "o command specified", "no command")
    done = engine.docker("run", "--rm", "empty", "/bin/true", status=127)
    engine.docker("rmi", "empty")


@case()
def entrypoint(engine):
    done = engine.docker("run", "--rm", "--network", "none", "--entrypoint", "echo", "bb", "a", "b")
    equal(done.stdout, "a b\n", "entrypoint with arguments")


@case()
def unknown_image(engine):
    done = engine.docker("run", "--rm", "--pull", "never", "no/such-image", "true", status=125)
    contains(done.stderr, "No such image: no/such-image:latest", "unknown image")


if __name__ == "__main__":
    main()
