"""Faults at every step of what is done to a container that runs: exec, stop, kill, pause, unpause,
rename, update, restart, rm -f, and a run with --rm.

Goal: after kill -9 of the daemon at any point the next one has the container, as the operation found it
or as it was to leave it, and never something in between; what was answered with success holds; no exit
code and no line of output is lost; the operation succeeds when it is repeated; and once all is removed,
no process, cgroup, mount, file, record or descriptor is left.
Method: as test_faults.py, of which the environment is, too; but with a keeper, and where the daemon is
killed a signal, a reaped child and a message to the keeper or to davit-init are points as well. The
container writes numbers as it runs. With the other kinds of fault, where the disk is full or broken,
lines and exit codes may have no place to be: then only what is shown must agree with what is.
"""

import json
import os
import pathlib
import re
import struct

from fault_operations import Loaded, try_all
from faults import KeptFaultyEngine

from harness import case, check, equal, eventually, main

COUNTING = ("trap 'echo end; exit 7' TERM; echo ready; i=0; "
            "while :; do echo $i; i=$((i+1)); /bin/busybox usleep 2000; done")
UP = ("running", "paused")


def frames(body):
    """What a multiplexed stream carries."""
    text = b""
    while len(body) >= 8:
        size = struct.unpack(">I", body[4:8])[0]
        text += body[8:8 + size]
        body = body[8 + size:]
    return text


def runs_of(lines):
    """The lines of each run of the container."""
    runs = []
    for line in lines:
        if line == "ready":
            runs.append([])
        runs[-1].append(line)
    return runs


class Cgroup:
    """What the kernel says of the cgroups of a process."""

    def __init__(self, pid):
        self.paths = {}
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                self.paths[name] = path

    def value(self, controller, file, file_v1=None):
        """Of whichever version has the controller."""
        if controller in self.paths:
            return pathlib.Path("/sys/fs/cgroup", controller + self.paths[controller],
                                file_v1 or file).read_text()
        return self.unified(file).read_text()

    def unified(self, file):
        below = [top for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
                 if os.path.exists(top + "/cgroup.procs")]
        return pathlib.Path(below[0] + self.paths[""], file)

    def is_frozen(self):
        if (file := self.unified("cgroup.events")).exists():
            return "frozen 1" in file.read_text()
        return "FROZEN" in self.value("freezer", "freezer.state")


class Living(Loaded):
    """With a container that runs and counts. `statuses` and `codes`: what it may be afterwards."""

    engine = KeptFaultyEngine
    statuses, codes = ("running",), ()
    host_config = {}

    def prepare(self, engine):
        super().prepare(engine)
        host = {"NetworkMode": "none", **self.host_config}
        answer = engine.api("POST", "/containers/create?name=one", {
            "Image": self.reference, "Cmd": ["/bin/busybox", "sh", "-c", COUNTING], "HostConfig": host,
            "StopTimeout": 20})
        equal(answer.status, 201, f"create: {answer.body}")
        self.id = answer.json["Id"]
        engine.ids.add(self.id)
        equal(engine.api("POST", "/containers/one/start").status, 204, "start")
        eventually(lambda: "ready" in self.lines(engine), "it runs")

    def state(self, engine):
        """None: it is gone."""
        answer = engine.api("GET", f"/containers/{self.id}/json")
        return None if answer.status == 404 else answer.json["State"]

    def lines(self, engine):
        answer = engine.api("GET", f"/containers/{self.id}/logs?stdout=1&stderr=1")
        return frames(answer.body).decode().splitlines() if answer.status == 200 else []

    def post(self, engine, verb, body=None):
        return engine.request("POST", f"/containers/{self.id}/{verb}", body)

    def strict(self):
        return self.kind == "killed"

    def outlives(self, succeeded):
        """Whether what was answered must hold: an end, or a start, that could not be recorded is known to
        the daemon that saw it, not to the next one."""
        return succeeded and (self.strict() or "works on" in self.kind)

    def verify(self, engine, succeeded):
        state = self.state(engine)
        if state is None:
            check(not self.statuses or "gone" in self.statuses, "it is there")
            return
        status = state["Status"]
        if self.strict():
            check(status in self.statuses, f"{status} is not one of {self.statuses}: {state}")
        if status in UP:
            check(os.path.exists(f"/proc/{state['Pid']}"), f"it really runs: {state}")
            equal(Cgroup(state["Pid"]).is_frozen(), status == "paused", f"frozen, while it is {status}")
        elif status == "exited" and self.strict():
            check(state["ExitCode"] in self.codes and not state["Error"], f"exit code: {state}")
        if status == "running":
            seen = len(self.lines(engine))
            ends = "exited" in self.statuses  # It may have got its signal already.
            eventually(lambda: len(self.lines(engine)) > seen or
                       ends and self.state(engine)["Status"] == "exited", "it writes on, or ends")
            state = self.state(engine)
        if self.strict():
            self.log_is_whole(engine, state)

    def log_is_whole(self, engine, state):
        runs = runs_of(self.lines(engine))
        for number, run in enumerate(runs):
            ended = run[-1] == "end"
            count = len(run) - 1 - ended
            equal(run[1:1 + count], [str(i) for i in range(count)], "every line, once")
            is_last = number + 1 == len(runs)
            if state["Status"] == "exited" and is_last:
                equal(ended, state["ExitCode"] == 7, "its last line")


class Exec(Living):
    def act(self, engine):
        status, body = self.post(engine, "exec", {
            "Cmd": ["/bin/busybox", "sh", "-c", "echo out; exit 3"], "AttachStdout": True})
        if status != 201:
            return False
        name = json.loads(body)["Id"]
        status, body = engine.request("POST", f"/exec/{name}/start", {"Detach": False})
        if status != 200 or frames(body) != b"out\n":
            return False
        status, body = engine.request("GET", f"/exec/{name}/json")
        return status == 200 and json.loads(body)["ExitCode"] == 3

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        eventually(lambda: self.processes(engine) <= {"sh", "usleep"}, "what was executed has ended")

    def processes(self, engine):
        titles = engine.api("GET", f"/containers/{self.id}/top?ps_args=-o%20pid,comm,args").json
        return {re.sub(r"^.*/busybox ", "", row[2]).split()[0] for row in titles["Processes"]}


class Stop(Living):
    statuses, codes = ("running", "exited"), (7,)

    def act(self, engine):
        return self.post(engine, "stop?t=20")[0] == 204

    def again(self, engine):
        return self.post(engine, "stop?t=20")[0] in (204, 304)

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        if self.outlives(succeeded):
            equal(self.state(engine)["Status"], "exited", "what was stopped")


class StopAlways(Stop):
    """Whoever stops it does not want it to be started again."""

    host_config = {"RestartPolicy": {"Name": "unless-stopped"}}


class Kill(Stop):
    codes = (137,)

    def act(self, engine):
        return self.post(engine, "kill")[0] == 204

    def again(self, engine):
        return self.post(engine, "kill")[0] in (204, 409)


class KillTerm(Kill):
    """It is answered before the container has ended, and holds all the same."""

    codes = (7,)
    host_config = {"RestartPolicy": {"Name": "unless-stopped"}}

    def act(self, engine):
        return self.post(engine, "kill?signal=TERM")[0] == 204

    def again(self, engine):
        return self.post(engine, "kill?signal=TERM")[0] in (204, 409)

    def verify(self, engine, succeeded):
        if self.outlives(succeeded):
            eventually(lambda: self.state(engine)["Status"] == "exited", "it ends, and stays so")
        super().verify(engine, succeeded)


class Pause(Living):
    statuses = ("running", "paused")

    def act(self, engine):
        return self.post(engine, "pause")[0] == 204

    def again(self, engine):
        return self.state(engine)["Paused"] or self.act(engine)

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        if succeeded:
            equal(self.state(engine)["Status"], "paused", "what was paused")


class Unpause(Living):
    statuses = ("running", "paused")

    def prepare(self, engine):
        super().prepare(engine)
        equal(self.post(engine, "pause")[0], 204, "pause")

    def act(self, engine):
        return self.post(engine, "unpause")[0] == 204

    def again(self, engine):
        return not self.state(engine)["Paused"] or self.act(engine)

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        if succeeded:
            equal(self.state(engine)["Status"], "running", "what was let go on")


class Rename(Living):
    def act(self, engine):
        return self.post(engine, "rename?name=two")[0] == 204

    def again(self, engine):
        return self.name_now(engine) == "/two" or self.act(engine)

    def name_now(self, engine):
        return engine.api("GET", f"/containers/{self.id}/json").json["Name"]

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        name = self.name_now(engine)
        check(name == "/two" or (name == "/one" and not succeeded), f"its name: {name}")
        for other in ("/one", "/two"):
            status = engine.api("GET", f"/containers{other}/json").status
            equal(status, 200 if other == name else 404, f"{other}, while it is {name}")


class Update(Living):
    """Limits in several cgroups; what is shown is what the kernel has."""

    MEMORY, PIDS, SHARES = 64 << 20, 77, 512
    host_config = {"Memory": 128 << 20, "MemorySwap": 128 << 20, "PidsLimit": 99}

    def act(self, engine):
        return self.post(engine, "update", {"Memory": self.MEMORY, "MemorySwap": self.MEMORY,
                                            "PidsLimit": self.PIDS, "CpuShares": self.SHARES})[0] == 200

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        if (state := self.state(engine))["Status"] not in UP:
            return
        shown = engine.api("GET", f"/containers/{self.id}/json").json["HostConfig"]
        cgroup = Cgroup(state["Pid"])
        equal(int(cgroup.value("pids", "pids.max")), shown["PidsLimit"], "limit of processes")
        equal(int(cgroup.value("memory", "memory.max", "memory.limit_in_bytes")), shown["Memory"], "of memory")
        check(shown["PidsLimit"] in (99, self.PIDS) and shown["Memory"] in (128 << 20, self.MEMORY), shown)
        equal(shown["PidsLimit"] == 99, shown["Memory"] == 128 << 20, "all of it or nothing")
        if succeeded:
            equal(shown["PidsLimit"], self.PIDS, "what was answered")


class RestartVerb(Living):
    statuses, codes = ("running", "exited"), (7,)

    def act(self, engine):
        return self.post(engine, "restart?t=20")[0] == 204

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        if self.outlives(succeeded):
            equal(self.state(engine)["Status"], "running", "what was started again")


class RmForce(Living):
    """With its anonymous volume."""

    statuses, codes = ("running", "exited", "gone"), (137,)
    host_config = {"Mounts": [{"Type": "volume", "Target": "/vol"}]}

    def act(self, engine):
        return engine.request("DELETE", f"/containers/{self.id}?force=1&v=1")[0] == 204

    def again(self, engine):
        return engine.request("DELETE", f"/containers/{self.id}?force=1&v=1")[0] in (204, 404)

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        there = self.state(engine) is not None
        check(not (there and succeeded), "what was removed is gone")
        if self.strict():
            volumes = len(engine.api("GET", "/volumes").json["Volumes"])
            equal(volumes, int(there), "its volume goes with it")


class RunRm(Living):
    """Of a container with --rm, from create to removed, without what Living prepares."""

    statuses, codes = ("created", "running", "exited", "gone"), (3,)

    def prepare(self, engine):
        Loaded.prepare(self, engine)
        self.id = "once"

    def act(self, engine):
        status, body = engine.request("POST", "/containers/create?name=once", {
            "Image": self.reference, "HostConfig": {"NetworkMode": "none", "AutoRemove": True},
            "Cmd": ["/bin/busybox", "sh", "-c", "echo ready; exit 3"], "Volumes": {"/vol": {}}})
        if status != 201:
            return False
        engine.ids.add(json.loads(body)["Id"])
        if engine.request("POST", "/containers/once/start")[0] != 204:
            return False
        return engine.request("POST", "/containers/once/wait?condition=removed")[0] in (200, 404)

    def verify(self, engine, succeeded):
        if succeeded:
            eventually(lambda: self.state(engine) is None, "it is removed")
        state = self.state(engine)
        if state is not None and self.strict():
            check(state["Status"] in ("created", "running", "exited", "removing"), f"{state}")

    def again(self, engine):
        if (state := self.state(engine)) is not None:
            if state["Status"] == "created":
                equal(engine.api("DELETE", "/containers/once?v=1").status, 204, "rm")
            eventually(lambda: self.state(engine) is None, "it is removed by and by")
        if self.strict():
            equal(engine.api("GET", "/volumes").json["Volumes"] or [], [], "with its volume")
        return self.act(engine)


def cases():
    for kind in (Exec, Stop, StopAlways, Kill, KillTerm, Pause, Unpause, Rename, Update, RestartVerb,
                 RmForce, RunRm):
        def one(directory, kind=kind):
            try_all(directory, kind)
        one.__name__ = kind.__name__.lower()
        case("davit")(one)


if __name__ == "__main__":
    cases()
    main(engine_own=True)
