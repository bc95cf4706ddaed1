"""What the conformance suites share: an engine in private directories, the docker CLI, a registry,
and the proof that nothing is left behind.

A suite is a file of functions marked @case; main() starts one engine for all of them, runs each,
removes what it left, and at the end looks for any trace of any container that ever existed. Exit
status: 0 all passed, 1 something failed, 77 the suite cannot run here (the reason is printed).

Environment:
  DAVIT_CONFORMANCE_ENGINE  davit (default) or dockerd: running the suites against dockerd tests the
                            tests.
  DAVIT_CONFORMANCE_CLI     docker (default) or davit: the command line that the suites drive
  DAVIT_BINARY              path of davit
  DAVIT_CONFORMANCE_ONLY    run only cases whose name contains this
  DAVIT_CONFORMANCE_RUNS    length of the long loops (default 200)
"""

import calendar
import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENGINE = os.environ.get("DAVIT_CONFORMANCE_ENGINE", "davit")
CLI = os.environ.get("DAVIT_CONFORMANCE_CLI", "docker")
DAVIT = os.environ.get("DAVIT_BINARY", str(ROOT / "build/release/cli/davit"))
RUNS = int(os.environ.get("DAVIT_CONFORMANCE_RUNS", "200"))
COMMAND_SECONDS = 120
START_SECONDS = 30
STOP_SECONDS = 30

CASES = []


class Skip(Exception):
    """This cannot run here, and why."""


class Failure(AssertionError):
    """What was expected did not happen."""


def case(*engines):
    """Mark a test; with engine names, it runs against those only."""

    def mark(function):
        CASES.append((function.__name__, function, engines))
        return function

    return mark


def equal(actual, expected, what=""):
    if actual != expected:
        raise Failure(f"{what}: got {actual!r}, expected {expected!r}")


def contains(text, piece, what=""):
    if piece not in text:
        raise Failure(f"{what}: {piece!r} is not in {text!r}")


def matches(text, pattern, what=""):
    if not re.search(pattern, text):
        raise Failure(f"{what}: {text!r} does not match {pattern!r}")


def check(condition, what):
    if not condition:
        raise Failure(what)


def command_line():
    return DAVIT if CLI == "davit" else "docker"


def bad_request(answer, what):
    """400 with a reason. Docker 20, against which these tests are tested, says 500 to some."""
    statuses = (400,) if ENGINE == "davit" else (400, 500)
    check(answer.status in statuses, f"{what}: status {answer.status}, expected 400")
    check(answer.message, f"{what}: no message")


def nanoseconds(stamp):
    """An RFC 3339 time in UTC, to be compared: its fraction may have any number of digits."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(
        (fraction + "0" * 9)[:9])


def eventually(condition, what, seconds=20.0):
    """Wait for something that the engine is allowed to do a moment later."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return result


class UnixHttp(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path, timeout=COMMAND_SECONDS):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json["message"]


class Engine:
    """A daemon with private data root, run directory and socket. It runs without a keeper, so that
    self.process is the daemon itself, to be killed and measured."""

    KEEPER_OPTIONS = ("--no-keeper",)

    def __init__(self, directory, data_root=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_root = pathlib.Path(data_root or self.directory / "data")
        self.state_root = self.data_root  # Drivers other than overlay have one of their own.
        self.run_dir = self.directory / "run"
        self.socket = str(self.directory / "sock")
        self.log = self.directory / "log"
        self.process = None
        self.ids = set()
        self.options = []
        self.cgroup_parent = f"/davit-test-{os.getpid()}"
        self._events = None

    def command(self):
        if ENGINE == "davit":
            return [DAVIT, "daemon", *self.KEEPER_OPTIONS, "--data-root", str(self.data_root),
                    "--run-dir", str(self.run_dir), "--host", "unix://" + self.socket,
                    *self.options]
        if not shutil.which("dockerd"):
            raise Skip("dockerd is not installed")
        empty = self.directory / "daemon.json"
        empty.write_text("{}")
        return ["dockerd", "--config-file", str(empty), "--data-root", str(self.data_root),
                "--exec-root", str(self.run_dir), "--pidfile", str(self.directory / "pid"),
                "--host", "unix://" + self.socket, "--bridge=none", "--iptables=false",
                "--storage-driver=overlay2", "--cgroup-parent", self.cgroup_parent]

    def start(self):
        command = self.command()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None:
                raise Failure(f"the daemon ended with {self.process.returncode}: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise Failure(f"the daemon does not answer: {self.log_tail()}")
            time.sleep(0.02)
        self._watch()
        return self

    def answers(self):
        try:
            return self.api("GET", "/_ping").status == 200
        except OSError:
            return False

    def log_tail(self):
        return self.log.read_text(errors="replace")[-1500:]

    def _watch(self):
        """Learn every container id from the event stream, to look for traces of them later."""
        connection = UnixHttp(self.socket, timeout=None)
        connection.request("GET", "/events?" + query(filters={"type": ["container"]}))
        answer = connection.getresponse()

        def read():
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                for line in answer:
                    self.ids.add(json.loads(line)["Actor"]["ID"])
                    self.ids.discard("")  # A prune's.

        self._events = threading.Thread(target=read, daemon=True)
        self._events.start()

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the daemon does not stop on SIGTERM: {self.log_tail()}") from None
        self.process = None
        self._events.join(STOP_SECONDS)
        equal(status, 0, f"exit status of the daemon; log: {self.log_tail()}")

    def kill(self):
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.process = None
        if ENGINE == "dockerd":  # Its containerd dies with it, but later; the next must not meet it.
            pid_file = self.run_dir / "containerd" / "containerd.pid"
            process = pathlib.Path("/proc", pid_file.read_text().strip())
            eventually(lambda: not process.exists(), "containerd ends")
            pid_file.unlink()

    # --- talking to it ----------------------------------------------------------------------

    def environment(self):
        return {**os.environ, "DOCKER_HOST": "unix://" + self.socket,
                "DOCKER_CONFIG": str(self.directory / "docker-config")}

    def docker(self, *arguments, status=0, stdin=None, text=True):
        """Run the command line under test; status None accepts any exit status."""
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run([command_line(), *map(str, arguments)], env=self.environment(),
                              input=stdin if stdin is not None else b"", capture_output=True,
                              timeout=COMMAND_SECONDS)
        if text:
            done.stdout = done.stdout.decode(errors="replace")
            done.stderr = done.stderr.decode(errors="replace")
        if status is not None:
            equal(done.returncode, status,
                  f"exit status of {CLI} {' '.join(map(str, arguments))}: {done.stderr!r}")
        return done

    def out(self, *arguments, **options):
        return self.docker(*arguments, **options).stdout.strip()

    def spawn(self, *arguments, **options):
        return subprocess.Popen([command_line(), *map(str, arguments)], env=self.environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def inspect(self, name):
        return json.loads(self.out("inspect", name))[0]

    def api(self, method, path, body=None, headers=None):
        connection = UnixHttp(self.socket)
        with contextlib.closing(connection):
            headers = dict(headers or {})
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def raw(self, data, half_close=False):
        """Send bytes on a fresh connection; gives all that comes back."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(COMMAND_SECONDS)
            stream.connect(self.socket)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stream.sendall(data)
            if half_close:
                stream.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := stream.recv(65536):
                    received += piece
            return received

    # --- what it leaves ---------------------------------------------------------------------

    def remove_all(self):
        listed = self.api("GET", "/containers/json?all=1").json
        for container in listed:
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")

    def descriptors(self):
        """What the daemon's file descriptors point to, without numbers that differ anyway, and without
        those of sandboxes that wait for containers."""
        waiting, found = self._descriptors_now()
        for _ in range(50):  # One that is being made has some of its own, and which cannot be told.
            time.sleep(0.2)
            before = (waiting, found)
            waiting, found = self._descriptors_now()
            if (waiting, found) == before:
                break
        found = [name for name in found if not any(id in name for id in waiting)]  # Cgroups.
        for _ in waiting:
            for name in ("anon_inode:[pidfd]", "net:[]", "socket:[]"):
                with contextlib.suppress(ValueError):
                    found.remove(name)
        return sorted(found)

    def _descriptors_now(self):
        found = []
        waiting = sorted(self.warm_sandboxes())
        folder = f"/proc/{self.process.pid}/fd"
        for entry in os.listdir(folder):
            with contextlib.suppress(OSError):
                found.append(re.sub(r"\[\d+\]", "[]", os.readlink(f"{folder}/{entry}")))
        return waiting, sorted(found)

    def warm_sandboxes(self):
        """The ids of sandboxes that wait for containers."""
        folder = self.run_dir / "sandboxes"
        return [file.name for file in folder.iterdir()] if folder.exists() else []

    def children(self):
        """The pids of the daemon's children, without the inits of sandboxes that wait."""
        waiting = self.warm_sandboxes()
        found = []
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in task.read_text(encoding="ascii").split():
                with contextlib.suppress(OSError):
                    cgroups = pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
                    if not any(id in cgroups for id in waiting):
                        found.append(pid)
        return found

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def records(self):
        """Entries per LMDB database below the data root and run directory, but for events."""
        counts = {}
        if not shutil.which("mdb_stat"):
            return counts
        for folder in (self.state_root / "graph", self.run_dir / "db"):
            if not (folder / "data.mdb").exists():
                continue
            text = subprocess.run(["mdb_stat", "-a", str(folder)], capture_output=True,
                                  text=True, check=True).stdout
            for name, count in re.findall(r"Status of (.+?)\n(?:.*\n)*?\s+Entries: (\d+)", text):
                if "event" not in name:
                    counts[f"{folder.name}/{name}"] = int(count)
        return counts

    def traces(self):
        """Everything on this machine that still bears the id of a container of this engine."""
        return sorted(set(self._traces_of_processes()) | set(self._traces_of_cgroups()) |
                      set(self._traces_of_mounts()) | set(self._traces_of_files()))

    def _names_one(self, text):
        return any(id in text for id in self.ids)

    def _traces_of_processes(self):
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                cgroups = pathlib.Path(f"/proc/{entry}/cgroup").read_text()
                command = pathlib.Path(f"/proc/{entry}/cmdline").read_text(errors="replace")
                if self._names_one(cgroups) or self._names_one(command):
                    yield f"process {entry}: {command!r}"

    def _traces_of_cgroups(self):
        for folder, names, _ in os.walk("/sys/fs/cgroup"):
            for name in names:
                if self._names_one(name):
                    yield f"cgroup {folder}/{name}"

    def _traces_of_mounts(self):
        seen = ["/proc/self/mountinfo"]
        if self.process is not None:
            seen.append(f"/proc/{self.process.pid}/mountinfo")
        for path in seen:
            for line in pathlib.Path(path).read_text().splitlines():
                if self._names_one(line):
                    yield f"mount {line}"

    def _traces_of_files(self):
        shorts = {id[:12] for id in self.ids}
        for top in (self.data_root, self.run_dir):
            for folder, names, files in os.walk(top):
                if folder.endswith(("/diff", "/merged", "/upper", "/rootfs")):
                    names.clear()
                    continue
                for name in names + files:
                    if any(short in name for short in shorts):
                        yield f"file {folder}/{name}"

    def check_clean(self):
        """No container, and no trace of one that was. Some engines take a moment for the last."""
        equal(self.api("GET", "/containers/json?all=1").json, [], "containers left")
        eventually(lambda: not self.traces(), f"no trace of containers: {self.traces()[:5]}")


def query(**parameters):
    """A query string; dictionaries and lists become JSON (filters)."""
    encoded = {
        key: json.dumps(value) if isinstance(value, (dict, list)) else value
        for key, value in parameters.items()
    }
    return urllib.parse.urlencode(encoded)


def cgroup_tree_remove(parent):
    """dockerd leaves its cgroup parent behind; it is ours."""
    for hierarchy in pathlib.Path("/sys/fs/cgroup").glob("*" + parent):
        for folder, _, _ in os.walk(hierarchy, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


class Registry:
    """Debian's docker-registry on loopback, with the images of scripts/make-images."""

    def __init__(self, directory, images=("busybox", "layers")):
        self.directory = str(directory)
        self.images = images

    def __enter__(self):
        for program in ("docker-registry", "skopeo"):
            if not shutil.which(program):
                raise Skip(f"{program} is missing: scripts/install-deps test")
        self.address = run_script("registry", "start", self.directory).split()[-1]
        run_script("make-images", "--push", self.address, *self.images)
        return self

    def __exit__(self, *_):
        run_script("registry", "stop", self.directory)

    def name(self, image):
        return f"{self.address}/{image}"


def run_script(name, *arguments):
    done = subprocess.run([str(ROOT / "scripts" / name), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"scripts/{name}: {done.stderr.strip()}")
    return done.stdout.strip()


def busybox_tar(directory):
    """The busybox root file system as a tar, for docker import."""
    import oci  # pylint: disable=import-outside-toplevel

    path = pathlib.Path(directory) / "busybox.tar"
    if not path.exists():
        oci.busybox_layer(path)
    return path


def import_busybox(engine, name="bb:latest"):
    tar = busybox_tar(engine.directory)
    return engine.out("import", "-c", "ENV PATH=/bin:/usr/bin", "-c", 'CMD ["sh"]', "-", name,
                      stdin=tar.read_bytes())


def run_case(name, function, engine, context):
    begun = time.monotonic()
    try:
        function(engine, **context)
        outcome = "ok"
    except Skip as reason:
        outcome = f"skipped: {reason}"
    except Exception as problem:  # Anything at all fails the case, not the suite.
        outcome = f"FAILED: {problem}"
        if not isinstance(problem, Failure):
            traceback.print_exc()
    with contextlib.suppress(Exception):
        engine.remove_all()
    print(f"{name}: {outcome} ({time.monotonic() - begun:.1f} s)", flush=True)
    return not outcome.startswith("FAILED")


def selected_cases():
    only = os.environ.get("DAVIT_CONFORMANCE_ONLY", "")
    for name, function, engines in CASES:
        if only in name:
            if engines and ENGINE not in engines:
                print(f"{name}: skipped: not for {ENGINE}")
            else:
                yield name, function


def preconditions():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if "davit" in (ENGINE, CLI) and not os.access(DAVIT, os.X_OK):
        raise Skip(f"no davit at {DAVIT}: scripts/build, or set DAVIT_BINARY")
    if CLI == "docker" and not shutil.which("docker"):
        raise Skip("the docker CLI is missing: scripts/install-deps test")


def run_suite(directory, prepare, engine_own):
    """Gives the number of failed cases."""
    failed = 0
    with contextlib.ExitStack() as stack:
        if engine_own:
            engine, context = pathlib.Path(directory), {}
        else:
            engine = Engine(directory)
            stack.callback(cgroup_tree_remove, engine.cgroup_parent)
            context = (prepare(engine, stack) if prepare else None) or {}
        for name, function in selected_cases():
            failed += not run_case(name, function, engine, context)
        if not engine_own:
            try:
                engine.check_clean()
            except Exception as problem:
                print(f"at the end: FAILED: {problem}")
                failed += 1
    return failed


def start_engine(engine, stack):
    """The usual preparation: a started daemon with busybox as bb:latest."""
    stack.callback(engine.stop)
    engine.start()
    import_busybox(engine)


def attach(engine, identity, streams="stdin=1&stdout=1&stderr=1"):
    """A connection that is attached: its answer's head has been read."""
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(COMMAND_SECONDS)
    stream.connect(engine.socket)
    stream.sendall(f"POST /containers/{identity}/attach?stream=1&{streams} HTTP/1.1\r\nHost: d\r\n"
                   "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += stream.recv(1)
    equal(head.split()[1], b"101", "attached")
    return stream


def private_network():
    """A network namespace for this process and all that it starts: what an engine does to the
    host's network it does to this one, and it is gone with the suite."""
    clone_newnet, set_flags, if_up = 0x40000000, 0x8914, 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newnet) != 0:
        raise Skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", if_up))


def mounts_below(directory):
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(str(directory))]


def main(prepare=start_engine, engine_own=False):
    """Run this file's cases. With engine_own the cases get a directory and start engines there."""
    directory = tempfile.mkdtemp(prefix="davit-conf-", dir="/var/tmp")
    failed = 0
    try:
        preconditions()
        private_network()
        failed = run_suite(directory, prepare, engine_own)
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    except Failure as problem:
        print(f"FAILED: {problem}")
        failed += 1
    finally:
        left = mounts_below(directory)
        if ENGINE == "dockerd":  # It leaves a namespace mounted in its exec root.
            for path in left:
                subprocess.run(["umount", path], check=False)
            left = mounts_below(directory)
        if left:
            print(f"mounts left: FAILED: {left}")
            failed += 1
        else:
            shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if failed else 0)
