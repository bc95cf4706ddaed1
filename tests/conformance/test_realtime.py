"""--cpu-rt-period and --cpu-rt-runtime.

Goal: where the kernel has real-time groups (cgroup v1), a container gets its share of what the daemon has
been given, and a real-time thread runs in it; where it has not, or where there is not so much, it is said.
"""

import contextlib
import pathlib
import subprocess

from harness import Engine, case, cgroup_tree_remove, contains, equal, import_busybox, main

ROOT = pathlib.Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")
ASKED = ("--cpu-rt-period", "1000000", "--cpu-rt-runtime", "60000")


@contextlib.contextmanager
def engine_in(directory, *options):
    engine = Engine(directory)
    engine.options = ["--cgroup-parent", engine.cgroup_parent + "/below", *options]
    try:
        engine.start()
        import_busybox(engine)
        yield engine
    finally:
        if engine.process is not None:
            engine.stop()
        cgroup_tree_remove(engine.cgroup_parent)


def realtime(engine, name):
    """Make its first process one of a real-time class. Gives what was said against it."""
    pid = engine.inspect(name)["State"]["Pid"]
    return subprocess.run(["chrt", "-f", "-p", "10", str(pid)], capture_output=True, text=True, check=False).stderr


def value(engine, name, file):
    cgroup = pathlib.Path("/sys/fs/cgroup/cpu" + engine.cgroup_parent, "below", engine.inspect(name)["Id"])
    return int((cgroup / file).read_text())


@case("davit")
def a_share_of_it(directory):
    if not ROOT.exists():
        print("  not here: no real-time groups")
        return
    with engine_in(directory / "some", "--cpu-rt-period", "1000000", "--cpu-rt-runtime", "100000") as engine:
        run = ("run", "-d", "--network", "none")
        engine.docker(*run, "--name", "box", *ASKED, "bb", "sleep", "1000")
        equal((value(engine, "box", "cpu.rt_runtime_us"), value(engine, "box", "cpu.rt_period_us")),
              (60000, 1000000), "what the kernel has")
        equal(realtime(engine, "box"), "", "a thread of it is")
        engine.docker(*run, "--name", "none", "bb", "sleep", "1000")
        contains(realtime(engine, "none"), "Operation not permitted", "without a share there is none")
        done = engine.docker("run", "--network", "none", *ASKED, "bb", "true", status=125)
        contains(done.stderr, "more real-time than the parent cgroup has", "more than is there")
        engine.docker("update", "--cpu-rt-runtime", "30000", "box")
        equal(value(engine, "box", "cpu.rt_runtime_us"), 30000, "updated")
        engine.docker("update", "--cpu-rt-period", "20000", "--cpu-rt-runtime", "1000", "box")
        equal((value(engine, "box", "cpu.rt_runtime_us"), value(engine, "box", "cpu.rt_period_us")),
              (1000, 20000), "in the order that the kernel takes")
        equal(engine.inspect("box")["HostConfig"]["CpuRealtimeRuntime"], 1000, "inspect")
        engine.remove_all()


@case("davit")
def none_of_it(directory):
    with engine_in(directory / "none") as engine:
        done = engine.docker("run", "--network", "none", *ASKED, "bb", "true", status=125)
        wanted = ("more real-time than the parent cgroup has" if ROOT.exists() else
                  "kernel does not support CPU real-time scheduler")
        contains(done.stderr, wanted, "what is not there")
        done = engine.docker("run", "--cpu-rt-period", "1000", "--cpu-rt-runtime", "2000", "bb", "true", status=125)
        contains(done.stderr, "cpu real-time runtime cannot be higher than cpu real-time period", "Docker's words")
        engine.remove_all()
        engine.check_clean()


if __name__ == "__main__":
    main(engine_own=True)
