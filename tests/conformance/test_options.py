"""Options of create and run that change one thing of the container, each looked at from inside.

Goal: what is asked for on the command line is what the process has, and what is not asked for stays the
default.
"""

import os

from harness import case, check, contains, equal, main


def inside(engine, script, *options):
    network = () if "--network" in options else ("--network", "none")
    return engine.docker("run", "--rm", *network, *options, "bb", "sh", "-c", script).stdout.strip()


def namespace(name, pid="self"):
    return os.readlink(f"/proc/{pid}/ns/{name}")


@case()
def namespaces_of_the_host(engine):
    for option, name in (("--ipc", "ipc"), ("--uts", "uts"), ("--pid", "pid"), ("--cgroupns", "cgroup"),
                         ("--network", "net")):
        read = f"readlink /proc/self/ns/{name}"
        equal(inside(engine, read, option, "host"), namespace(name), f"{option} host")
        check(inside(engine, read) != namespace(name), f"without {option}")
    equal(inside(engine, "hostname", "--uts", "host"), os.uname().nodename, "the host's name")


@case()
def shared_memory(engine):
    size = "df -k /dev/shm | tail -1 | awk '{print $2}'"
    equal(inside(engine, size), "65536", "Docker's default")
    equal(inside(engine, size, "--shm-size", "2m"), "2048", "--shm-size")
    equal(inside(engine, "grep -c ' /dev/shm ' /proc/mounts || true", "--ipc", "none"), "0", "--ipc none has none")
    here = inside(engine, "stat -c %d /dev/shm; grep -c ' /dev/mqueue mqueue ' /proc/mounts", "--ipc", "host")
    equal(here.splitlines(), [str(os.stat("/dev/shm").st_dev), "1"], "the host's own")


@case()
def groups(engine):
    equal(set(inside(engine, "id -G", "-u", "1000:1000", "--group-add", "7", "--group-add", "8").split()),
          {"1000", "7", "8"}, "--group-add")
    equal(inside(engine, "id -G", "-u", "1000:1000"), "1000", "without")


@case()
def out_of_memory_score(engine):
    equal(inside(engine, "cat /proc/self/oom_score_adj", "--oom-score-adj", "321"), "321")
    equal(inside(engine, "cat /proc/self/oom_score_adj", "--oom-score-adj", "-0"), "0")


@case()
def names(engine):
    equal(inside(engine, "hostname; cat /proc/sys/kernel/domainname", "--hostname", "web", "--domainname", "corp.example"),
          "web\ncorp.example")
    identity = engine.out("create", "--network", "none", "bb", "true")
    equal(engine.inspect(identity)["Config"]["Hostname"], identity[:12], "the default")
    engine.docker("rm", identity)


@case()
def capabilities(engine):
    bounding = "awk '/CapBnd/ {print $2}' /proc/self/status"
    all_of_them = next(line.split()[1] for line in open("/proc/self/status", encoding="ascii")
                       if line.startswith("CapBnd"))
    equal(inside(engine, bounding, "--cap-add", "ALL"), all_of_them, "--cap-add ALL")
    equal(inside(engine, bounding, "--cap-drop", "ALL"), "0" * 16, "--cap-drop ALL")
    equal(inside(engine, bounding, "--cap-drop", "ALL", "--cap-add", "CHOWN"), "0" * 15 + "1", "but one")
    with_one = int(inside(engine, bounding, "--cap-add", "NET_ADMIN"), 16)
    equal(with_one ^ int(inside(engine, bounding), 16), 1 << 12, "one more")


@case()
def what_runs_it(engine):
    """A container's processes have the usual priority and policy, whatever the daemon's threads have."""
    fields = "cut -d' ' -f19,41 /proc/self/stat"  # nice, policy: proc(5)
    equal(inside(engine, fields), "0 0", "run")
    identity = engine.out("run", "-d", "--network", "none", "bb", "sleep", "1000")
    equal(engine.out("exec", identity, "sh", "-c", fields), "0 0", "exec")
    engine.docker("rm", "-f", identity)


@case()
def limits_of_memory(engine):
    name = engine.out("create", "--memory", "64m", "--memory-reservation", "32m", "--network", "none", "bb",
                      "sh", "-c", "cat /sys/fs/cgroup/memory/memory.soft_limit_in_bytes /sys/fs/cgroup/memory.low 2>/dev/null")
    equal(engine.docker("start", "-a", name, status=None).stdout.strip(), str(32 * 1024 * 1024), "the kernel's")
    equal(engine.inspect(name)["HostConfig"]["MemoryReservation"], 32 * 1024 * 1024, "inspect")
    engine.docker("rm", name)


@case()
def what_makes_no_sense(engine):
    for options, text in ((("--shm-size", "-1"), "shm"), (("--oom-score-adj", "1001"), "oom"),
                          (("--uts", "nobody"), "UTS"), (("--ipc", "nobody"), "IPC"),
                          (("--cap-add", "FLY"), "FLY"), (("--group-add", "nobodies"), "nobodies")):
        done = engine.docker("run", "--rm", "--network", "none", *options, "bb", "true", status=None)
        check(done.returncode != 0, f"{options} is refused")
        contains(done.stderr.lower(), text.lower(), f"{options}: why")


if __name__ == "__main__":
    main()
