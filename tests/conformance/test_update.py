"""update: limits of containers, running and not, and their restart policy.

Goal: what is answered is what the kernel enforces and what inspect shows, also after the daemon's
death; what is refused changes nothing.
"""

import pathlib

from exec_support import Events, container
from harness import ENGINE, case, check, contains, equal, main

MIB = 1024 * 1024
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def limit(identity, v1, v2):
    """The text of a limit's file, in whatever hierarchy it is."""
    for pattern in (f"*/davit*/{identity}/{v1}", f"davit*/{identity}/{v2}"):
        for path in CGROUPS.glob(pattern):
            return path.read_text().strip()
    return None


def update(engine, identity, **body):
    return engine.api("POST", f"/containers/{identity}/update", body)


def refused(answer, status, text):
    if ENGINE == "davit":
        equal(answer.status, status, answer.body)
    else:
        check(answer.status >= 400, f"{answer.status}")
    contains(answer.message, text)


@case()
def of_a_running_one(engine):
    with container(engine, "--memory", "64m", "--memory-swap", "128m") as identity:
        happened = Events(engine, identity)
        equal(engine.out("update", "--memory", "48m", "--cpu-shares", "256", "--cpu-quota", "20000",
                         "--cpu-period", "50000", "--pids-limit", "30", identity), identity)
        host = engine.inspect(identity)["HostConfig"]
        equal((host["Memory"], host["MemorySwap"], host["CpuShares"], host["CpuQuota"],
               host["CpuPeriod"], host["PidsLimit"]),
              (48 * MIB, 128 * MIB, 256, 20000, 50000, 30))
        if ENGINE == "davit":
            equal(limit(identity, "memory.limit_in_bytes", "memory.max"), str(48 * MIB))
            equal(limit(identity, "pids.max", "pids.max"), "30")
            check(limit(identity, "cpu.cfs_quota_us", "cpu.max") in ("20000", "20000 50000"), "cpu")
        equal([event["Action"] for event in happened.seen()], ["update"])
        answer = update(engine, identity, CpuShares=512)
        equal((answer.status, answer.json), (200, {"Warnings": None}))
        equal(engine.inspect(identity)["HostConfig"]["Memory"], 48 * MIB, "the others stay")
        engine.docker("update", "--memory", "256m", "--memory-swap", "512m", identity)
        engine.docker("update", "--pids-limit", "-1", identity)
        if ENGINE == "davit":
            equal(limit(identity, "memory.limit_in_bytes", "memory.max"), str(256 * MIB))
            equal(limit(identity, "pids.max", "pids.max"), "max")
        engine.docker("restart", "-t", "0", identity)
        if ENGINE == "davit":
            equal(limit(identity, "memory.limit_in_bytes", "memory.max"), str(256 * MIB))


@case()
def the_kernel_follows(engine):
    with container(engine, "--pids-limit", "100") as identity:
        script = "for i in 1 2 3 4 5 6; do sleep 10 & done; echo all"
        engine.docker("exec", identity, "sh", "-c", script)
        engine.docker("update", "--pids-limit", "5", identity)
        done = engine.docker("exec", identity, "sh", "-c", script, status=None)
        check("all" not in done.stdout or "fork" in done.stderr.lower(), f"{done.stderr}")
    with container(engine) as identity:
        engine.docker("update", "--cpuset-cpus", "0", identity)
        show = ["grep", "Cpus_allowed_list", "/proc/1/status"]
        equal(engine.out("exec", identity, *show).split()[-1], "0")
        equal(engine.out("exec", identity, "grep", "Cpus_allowed_list",
                         "/proc/self/status").split()[-1], "0", "what comes later, too")


@case()
def of_one_that_does_not_run(engine):
    identity = engine.out("create", "--network", "none", "--memory", "64m", "bb", "sleep", "1000")
    engine.docker("update", "--memory", "32m", identity)
    equal(engine.inspect(identity)["HostConfig"]["Memory"], 32 * MIB)
    engine.docker("start", identity)
    if ENGINE == "davit":
        equal(limit(identity, "memory.limit_in_bytes", "memory.max"), str(32 * MIB))
    engine.docker("pause", identity)
    engine.docker("update", "--cpu-shares", "100", identity)
    engine.docker("unpause", identity)
    equal(engine.inspect(identity)["HostConfig"]["CpuShares"], 100)


@case()
def what_is_refused(engine):
    with container(engine, "--cpus", "0.5", "--memory", "64m") as identity:
        before = engine.inspect(identity)["HostConfig"]
        for body, status, text in (
                ({"CpuQuota": 50000}, 409, "CPU Quota cannot be updated as NanoCPUs has already"),
                ({"CpuPeriod": 50000}, 409, "CPU Period cannot be updated as NanoCPUs has already"),
                ({"Memory": 1}, 400, "Minimum memory limit allowed is 6MB"),
                ({"Memory": 512 * MIB}, 400,
                 "Memory limit should be smaller than already set memoryswap limit"),
                ({"CpusetCpus": "999"}, 400, "Requested CPUs are not available"),
                ({"RestartPolicy": {"Name": "sometimes"}}, 400, "restart policy")):
            refused(update(engine, identity, **body), status, text)
        if ENGINE == "davit":  # Docker says that it is done.
            refused(update(engine, identity, Ulimits=[{"Name": "nofile", "Soft": 9, "Hard": 9}], Memory=32 * MIB), 400,
                    "Ulimits cannot be updated")
        equal(engine.inspect(identity)["HostConfig"], before, "nothing was changed")
        equal(update(engine, "nosuch", Memory=0).status, 404)
        done = engine.docker("update", identity, status=1)
        contains(done.stderr, "you must provide one or more flags when using this command")
        answer = engine.api("POST", f"/containers/{identity}/update", "{")
        check(answer.status in ((400,) if ENGINE == "davit" else (400, 500)), f"{answer.status}")


@case("davit")
def a_limit_that_the_kernel_refuses(engine):
    """Two are asked for and the second cannot be: neither is changed, in the kernel or in records."""
    with container(engine, "--memory", "64m", "--memory-swap", "128m", "--pids-limit",
                   "100") as identity:
        answer = update(engine, identity, Memory=32 * MIB, PidsLimit=1 << 40)
        equal(answer.status, 500)
        contains(answer.message, f"Cannot update container {identity}: ")
        equal(limit(identity, "memory.limit_in_bytes", "memory.max"), str(64 * MIB))
        equal(limit(identity, "pids.max", "pids.max"), "100")
        host = engine.inspect(identity)["HostConfig"]
        equal((host["Memory"], host["PidsLimit"]), (64 * MIB, 100))


@case("davit")
def outlives_the_daemon(engine):
    identity = engine.out("create", "--network", "none", "--memory", "64m", "bb", "sleep", "1000")
    engine.docker("update", "--memory", "32m", "--cpu-shares", "77", identity)
    engine.kill()
    engine.start()
    host = engine.inspect(identity)["HostConfig"]
    equal((host["Memory"], host["CpuShares"]), (32 * MIB, 77))


if __name__ == "__main__":
    main()
