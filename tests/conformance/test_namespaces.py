"""Namespaces of another container: --pid, --ipc container:NAME.

Goal: what is joined is the other container's, and nothing else; the one that joins still begins and
ends as a container of its own, with all of its processes and with nobody else's. Method: two or
three containers, looked at from inside, and their processes from the host's /proc.
"""

import contextlib
import os
import pathlib
import re
import time

from harness import (CLI, ENGINE, case, check, contains, equal, eventually, main, matches)

RUN = ("run", "--network", "none")
SLEEP = ("sleep", "1000")


def donor(engine, name="donor", *options, command=SLEEP):
    engine.docker(*RUN, "-d", "--name", name, *options, "bb", *command)
    return engine.inspect(name)["Id"]


def joined(engine, name, *options, command=SLEEP):
    return donor(engine, name, "--pid", "container:donor", *options, command=command)


def init_of(engine, name):
    return engine.inspect(name)["State"]["Pid"]


def namespace(engine, name, kind):
    return os.readlink(f"/proc/{init_of(engine, name)}/ns/{kind}")


def processes_of(identity):
    """Those in a container's cgroup, wherever the engine puts it. What has ended and is not waited for
    by the first process of its namespace, the donor's, is left out."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                folder = pathlib.Path("/proc", entry)
                lives = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
                if lives and identity in folder.joinpath("cgroup").read_text():
                    found.append(int(entry))
    return found


def state(engine, name):
    found = engine.inspect(name)["State"]
    return found["Status"], found["ExitCode"]


@case()
def processes_of_both_see_each_other(engine):
    donor(engine)
    joined(engine, "side")
    equal(namespace(engine, "side", "pid"), namespace(engine, "donor", "pid"), "one pid namespace")
    for kind in ("ipc", "uts", "mnt", "net"):
        check(namespace(engine, "side", kind) != namespace(engine, "donor", kind), f"own {kind}")
    check(engine.out("exec", "side", "hostname") != engine.out("exec", "donor", "hostname"),
          "hostnames of their own")
    for name in ("side", "donor"):
        seen = engine.out("exec", name, "ps", "-o", "pid,args")
        equal(len(re.findall(r"^\s*\d+ sleep 1000$", seen, re.M)), 2, f"ps in {name}")
        matches(seen, r"(?m)^\s*1 sleep 1000$", "the donor's is the first")
    equal(engine.inspect("side")["HostConfig"]["PidMode"], "container:" + engine.inspect("donor")["Id"])
    equal(engine.out(*RUN, "--rm", "--pid", "container:donor", "bb", "sh", "-c",
                     "readlink /proc/self; kill -0 1 && echo $PPID | head -c 1").split()[-1:], ["0"])


@case()
def procfs_is_as_closed_as_ever(engine):
    donor(engine)
    script = ("wc -c < /proc/keys; (echo 1 > /proc/sys/kernel/panic) 2>&1 | grep -c -i read-only; "
              "grep ' /proc ' /proc/self/mounts; cat /proc/self/status")
    output = engine.out(*RUN, "--rm", "--pid", "container:donor", "bb", "sh", "-c", script)
    equal(output.split("\n")[:2], ["0", "1"], "masked, read-only")
    contains(output, "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0")
    own = engine.out(*RUN, "--rm", "bb", "sh", "-c", script)
    for word in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp", "SigIgn",
                 "SigBlk"):
        line = re.search(rf"^{word}:.*$", own, re.M).group(0)
        contains(output, line, "as a container of its own has it")


@case()
def options_of_a_start_count(engine):
    donor(engine)
    base = (*RUN, "--rm", "--pid", "container:donor")
    equal(engine.out(*base, "-u", "1000:50", "-w", "/new/place", "-e", "A=b", "bb", "sh", "-c",
                     "id -u; id -g; pwd; echo $A"), "1000\n50\n/new/place\nb")
    equal(engine.docker(*base, "bb", "sh", "-c", "echo out; echo err >&2; exit 7", status=7).stderr, "err\n")
    equal(engine.docker(*base, "bb", "nothing-of-that-name", status=127).stdout, "")
    equal(engine.out(*base, "-i", "bb", "cat", stdin="through"), "through")
    contains(engine.docker(*base, "--read-only", "bb", "touch", "/x", status=1).stderr, "Read-only")
    limits = engine.out(*base, "--ulimit", "nofile=77:77", "--security-opt", "no-new-privileges",
                        "--cap-drop", "ALL", "bb", "sh", "-c",
                        "ulimit -n; grep -E 'NoNewPrivs|CapEff' /proc/self/status")
    equal(limits.split(), ["77", "CapEff:", "0" * 16, "NoNewPrivs:", "1"])


@case()
def a_terminal_is_its_own(engine):
    donor(engine)
    script = "tty; stat -c %F /dev/console; exec 3<>/dev/tty && echo controls >&3; sleep 0.3; echo end"
    output = engine.out(*RUN, "--rm", "-t", "--pid", "container:donor", "bb", "sh", "-c", script)
    lines = output.replace("\r", "").split("\n")
    matches(lines[0], r"^/dev/(pts/\d+|console)$")
    equal(lines[1:], ["character special file", "controls", "end"])


@case()
def top_and_exec_and_stats(engine):
    donor(engine)
    joined(engine, "side", command=("sleep", "2000"))
    shown = engine.out("top", "side", "-eo", "pid,args")
    contains(shown, "sleep 2000")
    check("sleep 1000" not in shown, "the donor's processes are not its own")
    check("sleep 2000" not in engine.out("top", "donor", "-eo", "pid,args"), "nor the other way")
    contains(engine.out("exec", "side", "ps"), "sleep 1000")
    equal(engine.docker("exec", "side", "sh", "-c", "exit 5", status=5).stdout, "")
    contains(engine.out("exec", "-u", "1000", "side", "id"), "uid=1000")
    equal(engine.out("stats", "--no-stream", "--format", "{{.PIDs}}", "side"), "1")


BACKGROUND = ("sh", "-c", "trap 'exit 3' TERM; setsid sleep 3000 & (setsid sleep 3001 &); "
              "while :; do sleep 0.05; done")


@case()
def its_end_ends_all_of_it_and_nothing_else(engine):
    donor(engine)
    for mode in ("container:donor", "host"):
        for how, code in ((("stop",), 3), (("kill",), 137), (("rm", "-f"), None)):
            engine.docker(*RUN, "-d", "--name", "side", "--pid", mode, "bb", *BACKGROUND)
            identity = engine.inspect("side")["Id"]
            eventually(lambda i=identity: len(processes_of(i)) >= 3, "its processes")
            engine.docker(*how, "side")
            eventually(lambda i=identity: not processes_of(i), f"{mode} {how}: nothing of it is left", 5)
            if code is not None:
                equal(state(engine, "side"), ("exited", code), f"{mode} {how}")
                engine.docker("rm", "side")
            equal(state(engine, "donor"), ("running", 0), f"{mode} {how}")
    engine.docker(*RUN, "--rm", "--pid", "container:donor", "bb", "sh", "-c", "setsid sleep 3002 & exit 4",
                  status=4)
    check("3002" not in engine.out("exec", "donor", "ps"), "what it left running")


@case()
def the_donors_end_ends_it(engine):
    for how in (("stop", "-t", "0"), ("kill",), ("rm", "-f")):
        donor(engine)
        joined(engine, "side", command=BACKGROUND)
        identity = engine.inspect("side")["Id"]
        engine.docker(*how, "donor")
        equal(engine.out("wait", "side"), "137", f"{how}")
        check(not processes_of(identity), "nothing of it is left")
        engine.docker("rm", "-f", "side", "donor", status=None)


@case()
def both_start_again(engine):
    donor(engine)
    joined(engine, "side")
    before = init_of(engine, "donor")
    engine.docker("restart", "-t", "0", "side")
    equal((init_of(engine, "donor"), state(engine, "donor")[0]), (before, "running"), "untouched")
    equal(namespace(engine, "side", "pid"), namespace(engine, "donor", "pid"))
    engine.docker("restart", "-t", "0", "donor")
    eventually(lambda: state(engine, "side")[0] == "exited", "it ended with the first run")
    engine.docker("start", "side")
    equal(namespace(engine, "side", "pid"), namespace(engine, "donor", "pid"), "of the new run")
    engine.docker("pause", "side")
    equal(state(engine, "donor")[0], "running", "not paused with it")
    engine.docker("unpause", "side")
    joined(engine, "keen", "--restart", "on-failure:3", command=("sh", "-c", "exit 1"))
    eventually(lambda: state(engine, "keen") == ("exited", 1), "its policy is over", 30)
    equal(engine.inspect("keen")["RestartCount"], 3)


@case()
def a_chain_and_a_side_car(engine):
    donor(engine, "donor", "--ipc", "shareable")
    joined(engine, "second", "--ipc", "container:donor")
    donor(engine, "third", "--pid", "container:second", "--ipc", "container:second")
    for kind in ("pid", "ipc"):
        equal(namespace(engine, "third", kind), namespace(engine, "donor", kind), kind)
    engine.docker("run", "-d", "--name", "car", "--pid", "container:donor", "--ipc", "container:donor",
                  "--network", "container:donor", "bb", *SLEEP)
    for kind in ("pid", "ipc", "net"):
        equal(namespace(engine, "car", kind), namespace(engine, "donor", kind), kind)
    donor(engine, "hostly", "--pid", "host")
    donor(engine, "guest", "--pid", "container:hostly")
    equal(namespace(engine, "guest", "pid"), os.readlink("/proc/self/ns/pid"), "the host's by another")
    contains(engine.out("exec", "guest", "ps"), "sleep 1000")


@case()
def health_is_checked_inside(engine):
    donor(engine)
    joined(engine, "side", "--health-cmd", "grep -q sleep /proc/1/comm",
           "--health-interval", "100ms", "--health-retries", "1")
    eventually(lambda: engine.inspect("side")["State"]["Health"]["Status"] == "healthy", "healthy")


@case()
def memory_is_shared_where_it_may_be(engine):
    donor(engine, "donor", "--ipc", "shareable", "--shm-size", "3m")
    donor(engine, "side", "--ipc", "container:donor")
    equal(namespace(engine, "side", "ipc"), namespace(engine, "donor", "ipc"), "one ipc namespace")
    check(namespace(engine, "side", "pid") != namespace(engine, "donor", "pid"), "own pid namespace")
    engine.docker("exec", "donor", "sh", "-c", "echo one > /dev/shm/file; touch /dev/mqueue/queue")
    equal(engine.out("exec", "side", "sh", "-c", "cat /dev/shm/file; ls /dev/mqueue; echo two >> /dev/shm/file"),
          "one\nqueue")
    equal(engine.out("exec", "donor", "cat", "/dev/shm/file"), "one\ntwo")
    mounts = engine.out("exec", "side", "cat", "/proc/self/mounts")
    contains(mounts, "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=3072k")
    contains(mounts, "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime")
    engine.docker("rm", "-f", "donor")
    equal(engine.out("exec", "side", "cat", "/dev/shm/file"), "one\ntwo", "it outlives the donor")


@case()
def memory_of_the_host_by_another(engine):
    donor(engine, "donor", "--ipc", "host")
    donor(engine, "side", "--ipc", "container:donor")
    equal(namespace(engine, "side", "ipc"), os.readlink("/proc/self/ns/ipc"))
    path = pathlib.Path(f"/dev/shm/davit-{os.getpid()}-{time.monotonic_ns()}")
    engine.docker("exec", "side", "touch", path)
    check(path.exists(), "the host's /dev/shm")
    path.unlink()


@case()
def memory_that_is_private(engine):
    for options in (("--ipc", "private"), ("--ipc", "none"), ("--ipc", "shareable", "--tmpfs", "/dev/shm")):
        donor(engine, "donor", *options)
        refused = engine.docker(*RUN, "--name", "side", "--ipc", "container:donor", "bb", "true", status=125)
        contains(refused.stderr, "non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
        engine.docker("rm", "-f", "side", "donor")
    equal(engine.docker(*RUN, "--rm", "--ipc", "none", "bb", "ls", "/dev/shm", status=1).stdout, "")
    donor(engine, "donor", "--ipc", "shareable")
    own = engine.out(*RUN, "--rm", "--ipc", "container:donor", "--tmpfs", "/dev/shm:size=5m", "bb",
                     "grep", " /dev/shm ", "/proc/self/mounts")
    contains(own, "size=5120k", "a mount of its own is kept")


@case()
def donors_that_cannot_be(engine):
    for option in ("--pid", "--ipc"):
        missing = engine.docker("create", option, "container:nobody", "bb", status=None)
        check(missing.returncode != 0, f"{option} of nobody")
        contains(missing.stderr, "No such container: nobody")
        answer = engine.api("POST", "/containers/create",
                            {"Image": "bb", "HostConfig": {"PidMode" if option == "--pid" else "IpcMode":
                                                           "container:nobody"}})
        if ENGINE == "davit":  # Docker 20 says 404, and clients would pull the image then.
            equal(answer.status, 400, option)
        engine.docker("create", "--name", "donor", "--network", "none", "--ipc", "shareable", "bb", *SLEEP)
        engine.docker("create", "--name", "side", "--network", "none", option, "container:donor", "bb", *SLEEP)
        refused = engine.api("POST", "/containers/side/start")
        check(refused.status in (409, 500), f"{option}: {refused.status}")
        matches(refused.message, "is not running|non running")
        if ENGINE == "davit":
            identity = engine.inspect("donor")["Id"]
            equal((refused.status, refused.message),
                  (409, f"failed to join {option[2:].upper()} namespace: container {identity} is not running"))
        equal(state(engine, "side"), ("created", 128))
        engine.docker("rm", "donor")
        contains(engine.docker("start", "side", status=1).stderr, "No such container")
        engine.docker("rm", "side")
    donor(engine, "donor", "--restart", "always", command=("false",))
    eventually(lambda: engine.inspect("donor")["RestartCount"] >= 4, "long pauses")
    eventually(lambda: state(engine, "donor")[0] == "restarting", "it is between two runs")
    refused = engine.docker(*RUN, "--pid", "container:donor", "bb", "true", status=125)
    contains(refused.stderr, "is restarting, wait until the container is running")


@case("davit")
def modes_that_are_none(engine):
    for key, name, values in (("PidMode", "PID", ("container:", "private", "shareable")),
                              ("IpcMode", "IPC", ("container:", "container")),
                              ("UTSMode", "UTS", ("container:donor", "private"))):
        for value in values:
            answer = engine.api("POST", "/containers/create", {"Image": "bb", "HostConfig": {key: value}})
            equal((answer.status, answer.message), (400, f"invalid {name} mode: {value}"))
    if CLI == "docker":
        check(engine.docker("run", "--uts", "container:donor", "bb", status=None).returncode == 125, "uts")


@case("davit")
def the_daemon_is_replaced_under_both(engine):
    """Without a keeper: what ends meanwhile is found by its cgroup."""
    donor(engine, "donor", "--ipc", "shareable")
    joined(engine, "side", "--ipc", "container:donor", command=BACKGROUND)
    identity = engine.inspect("side")["Id"]
    pid = init_of(engine, "side")
    engine.kill()
    engine.start()
    equal((init_of(engine, "side"), state(engine, "side")[0]), (pid, "running"))
    contains(engine.out("exec", "side", "ps"), "sleep 1000")
    joined(engine, "late")
    engine.docker("rm", "-f", "side")
    check(not processes_of(identity), "nothing of it is left")
    engine.docker("stop", "-t", "0", "donor")
    eventually(lambda: state(engine, "late") == ("exited", 137), "it ends with the donor")


@case("davit")
def a_daemon_starts_the_donor_first(engine):
    donor(engine, "donor", "--restart", "always", "--stop-timeout", "0", "--ipc", "shareable")
    joined(engine, "side", "--restart", "always", "--stop-timeout", "0")
    donor(engine, "third", "--restart", "always", "--stop-timeout", "0", "--ipc", "container:donor", "--pid", "container:side")
    engine.stop()
    engine.start()
    for name in ("donor", "side", "third"):
        eventually(lambda n=name: state(engine, n)[0] == "running", f"{name} runs again")
    equal(namespace(engine, "third", "pid"), namespace(engine, "donor", "pid"))


if __name__ == "__main__":
    main()
