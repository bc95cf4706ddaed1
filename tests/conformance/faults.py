"""A daemon that meets faults at chosen system calls (fault_points.c), and what must hold afterwards."""

import contextlib
import ctypes
import errno
import http.client
import json
import mmap
import os
import signal
import subprocess

from disk import btrfs_in
from kept import KeptEngine

from harness import DAVIT, ROOT, Answer, Engine, Failure, Skip, UnixHttp, check, equal, eventually

ANSWER_SECONDS = 30
DRIVER = os.environ.get("DAVIT_FAULT_DRIVER", "overlay")
LIBRARY = os.environ.get("DAVIT_FAULTS_LIBRARY",
                         str(ROOT / "build/release/tests/conformance/libdavit_faults.so"))


class Control(ctypes.Structure):
    """As in fault_points.c."""

    _fields_ = [("count", ctypes.c_uint64), ("at", ctypes.c_uint64), ("kind", ctypes.c_uint32),
                ("error", ctypes.c_int32), ("call", ctypes.c_char * 32),
                ("processes", ctypes.c_uint32)]


# name: (kind of fault_points.c, error)
KINDS = {
    "killed": (1, 0),                   # At the point.
    "failed once": (2, errno.EIO),      # That call alone.
    "disk full": (3, errno.ENOSPC),     # From the point until the operation is over.
    "disk broken": (3, errno.EIO),
    "failed once, works on": (2, errno.EIO),  # The same daemon must do for what comes next.
    "full once, works on": (2, errno.ENOSPC),
    "disk full, works on": (3, errno.ENOSPC),
}


class FaultyEngine(Engine):
    """An engine whose points are counted, and which meets a fault where it is told to."""

    PROCESSES = False  # Whether what is done to processes is a point, too, where it is to be killed.

    def __init__(self, directory, data_root=None):
        super().__init__(directory, data_root)
        if DRIVER != "overlay":
            self.state_root = self.data_root / DRIVER
        if not os.access(LIBRARY, os.R_OK):
            raise Skip("no fault library: build davit_faults and set DAVIT_FAULTS_LIBRARY")
        path = self.directory / "control"
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        self._file = open(path, "r+b")
        self._map = mmap.mmap(self._file.fileno(), ctypes.sizeof(Control))
        self.control = Control.from_buffer(self._map)
        self.control_path = path

    def command(self):
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return ["env", f"LD_PRELOAD={LIBRARY}", f"DAVIT_FAULT_CONTROL={self.control_path}",
                f"ASAN_OPTIONS={sanitizer}", *super().command(), "--storage-driver", DRIVER]

    def arm(self, kind, at, faulty=True):
        """Not faulty: only count."""
        self.disarm()
        self.control.count, self.control.at, self.control.call = 0, at, b""
        self.control.processes = self.PROCESSES and kind == "killed"
        self.control.kind, self.control.error = KINDS[kind] if faulty else (0, 0)

    def disarm(self):
        self.control.kind = 0

    def has_died(self):
        return self.process.poll() is not None

    def wait_died(self):
        self.process.wait(30)

    def next_daemon(self):
        """Whatever state this one is in."""
        self.end()
        self.start()

    def trash(self):
        return (os.listdir(self.data_root / DRIVER / "trash") +
                os.listdir(self.state_root / "volumes/.trash"))

    def end(self):
        """Whatever state it is in, it runs no more."""
        self.disarm()
        if self.has_died():
            self.process.wait()
            self.process = None
        else:
            self.stop()

    def kill_if_alive(self):
        if self.process is not None:
            self.kill()

    def names(self):
        """Every name below the data root and the run directory but LMDB's own, and those of sandboxes that
        wait for containers (they bear no trace of one that was there), and events that were moved aside."""
        found = set()
        for top in (self.data_root, self.run_dir):
            for folder, names, files in os.walk(top):
                found.update(os.path.relpath(os.path.join(folder, name), self.directory)
                             for name in names + files)
        return {name for name in found
                if not name.endswith((".mdb", "/events.1")) and "/sandboxes/" not in name}

    def api(self, method, path, body=None, headers=None):
        """As Engine.api, but soon at its end: nothing here takes long, and some of it may hang."""
        connection = UnixHttp(self.socket, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            if isinstance(body, dict):
                body, headers = json.dumps(body), {"Content-Type": "application/json"}
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def request(self, method, path, body=None, headers=None):
        """Gives the status, 0 for a connection that ended without an answer, and the body."""
        try:
            answer = self.api(method, path, body, headers)
        except TimeoutError as problem:
            raise Failure(f"{method} {path.partition('?')[0]} is not answered") from problem
        except (OSError, http.client.HTTPException):
            return 0, b""
        return answer.status, answer.body

    def agrees(self):
        report = self.api("GET", "/davit/graph/check").json
        equal(report["Findings"], [], "davit graph check")


def settled(engine):
    """The operation's work in the background is done too, or there is nobody to do it."""
    try:
        return engine.has_died() or not (engine.trash() or unsynced(engine))
    except (OSError, http.client.HTTPException):
        return False  # It is being killed.


def unsynced(engine):
    return engine.records().get("graph/layers_unsynced", 0)


class KeptFaultyEngine(FaultyEngine, KeptEngine):
    """One with a keeper: what runs outlives the daemon, and the keeper starts the next one."""

    PROCESSES = True

    def start(self):
        super().start()
        self.armed = self.daemon()
        return self

    def arm(self, kind, at, faulty=True):
        self.armed = self.daemon()
        super().arm(kind, at, faulty)

    def has_died(self):
        return self.daemon() != self.armed

    def wait_died(self):
        eventually(self.has_died, "it is killed", 30)

    def next_daemon(self):
        self.disarm()
        before = self.armed
        if not self.has_died():
            os.kill(before, signal.SIGKILL)
        self.another_daemon(before)
        # One that makes room in good order: the keeper pauses longer with each crash in a row.
        before = self.daemon()
        done = subprocess.run([DAVIT, "daemon", "--upgrade", "--run-dir", str(self.run_dir)],
                              capture_output=True, text=True, check=False)
        equal((done.returncode, done.stderr), (0, ""), "davit daemon --upgrade")
        self.another_daemon(before)
        self.armed = self.daemon()

    def end(self):
        self.disarm()
        self.stop()

    def kill_if_alive(self):
        if self.process is not None:
            self.end()

    def descriptors_held(self):
        """By the keeper."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Empty:
    """What an installation without images and containers has."""

    def __init__(self, engine):
        self.names, self.records = engine.names(), engine.records()
        self.left = self.others(engine)
        # The next directory's number, from the first layer on.
        self.records["graph/meta"] = 2

    @staticmethod
    def others(engine):
        """Besides files and records."""
        if isinstance(engine, KeptFaultyEngine):
            return [f"the keeper's descriptors: {engine.descriptors_held()}", *engine.traces()]
        return engine.traces()

    def differences(self, engine):
        names, records = engine.names(), engine.records()
        found = [f"file more: {name}" for name in sorted(names - self.names)]
        found += [f"file less: {name}" for name in sorted(self.names - names)]
        for table in sorted(set(records) | set(self.records)):
            if (now := records.get(table, 0)) != (then := self.records.get(table, 0)):
                found.append(f"{table}: {now} records, not {then}")
        if (left := self.others(engine)) != self.left:
            found.append(f"left: {left}, not {self.left}")
        return found[:8]


def clear(engine):
    """Remove all, as a user would."""
    for container in engine.api("GET", "/containers/json?all=1").json:
        answer = engine.api("DELETE", f"/containers/{container['Id']}?force=1")
        equal(answer.status, 204, f"remove a container: {answer.body}")
    answer = engine.api("POST", "/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D")
    equal(answer.status, 200, f"prune volumes: {answer.body}")
    answer = engine.api("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D")
    equal(answer.status, 200, f"prune: {answer.body}")
    equal(engine.api("GET", "/images/json?all=1").json, [], "images after prune")


class Trial:
    """One operation and one fault at one point, from an empty installation to an empty one."""

    def __init__(self, engine, operation, empty):
        self.engine, self.operation, self.empty = engine, operation, empty

    def count(self, kind):
        """Run it without a fault. Gives the points that it passes."""
        self.operation.kind = kind
        self.operation.prepare(self.engine)
        self.engine.arm(kind, 0, faulty=False)
        check(self.operation.act(self.engine), "it succeeds without a fault")
        eventually(lambda: settled(self.engine), "its work in the background ends")
        points = self.engine.control.count
        self.operation.verify(self.engine, True)
        self._back_to_empty()
        return points

    def run(self, kind, at):
        """Gives whether the fault was met: another order of the threads may have fewer points."""
        engine, operation = self.engine, self.operation
        operation.kind = kind
        operation.prepare(engine)
        engine.arm(kind, at)
        try:
            succeeded = operation.act(engine)
            # After the answer comes what is done in the background; it may be what meets the fault.
            eventually(lambda: engine.control.count >= at or settled(engine), "an end")
            if kind == "killed" and engine.control.count >= at:
                engine.wait_died()
            engine.disarm()
            met = engine.control.count >= at
            if "once" in kind and not engine.has_died():
                engine.agrees()  # What the others leave may have to wait for the next start.
            if "works on" not in kind or engine.has_died():
                self._restart()
            operation.verify(engine, succeeded)
            check(operation.again(engine), "the same operation succeeds now")
            operation.verify(engine, True)
            if "works on" in kind:
                clear(engine)
                self._restart()
            engine.agrees()
            self._back_to_empty()
            return met
        except (Failure, OSError, ValueError, KeyError, http.client.HTTPException,
                subprocess.TimeoutExpired) as problem:
            call = engine.control.call.decode()
            raise Failure(f"{operation.name}, {kind} at {at} ({call}): {problem}") from problem
        finally:
            engine.disarm()

    def _restart(self):
        self.engine.next_daemon()
        self.engine.agrees()

    def _back_to_empty(self):
        clear(self.engine)
        with contextlib.suppress(Failure):
            eventually(lambda: not self.empty.differences(self.engine), "the trash is emptied")
        equal(self.empty.differences(self.engine), [], "beside an empty installation")


def points_of(total, chosen):
    """Of 1..total as many as chosen, evenly spaced, the first and the last among them."""
    if chosen is None or total <= chosen:
        return list(range(1, total + 1))
    return sorted({1 + round(index * (total - 1) / (chosen - 1)) for index in range(chosen)})


@contextlib.contextmanager
def faulty_engine(directory, kind_of_engine=FaultyEngine):
    with contextlib.ExitStack() as stack:
        data_root = stack.enter_context(btrfs_in(directory)) if DRIVER == "btrfs" else None
        engine = kind_of_engine(directory, data_root)
        try:
            yield engine.start()
        finally:
            engine.disarm()
            if engine.process is not None:
                engine.end()
