"""--device, --device-cgroup-rule and what of a privileged container is the host's; limits of block devices.

Goal: a container can make and open the devices that it was given, as it was given them, and no other.
"""

import os
import pathlib
import stat

from harness import ENGINE, Skip, case, check, contains, equal, main

PURE_V2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
FUSE = "/dev/fuse"  # Nodes of which a host without hardware has some, and a container none.
LOOP = "/dev/loop0"


def sh(engine, script, *options, status=0):
    return engine.docker("run", "--rm", "--network", "none", *options, "bb", "sh", "-c", script, status=status)


def numbers(path):
    found = os.stat(path)
    return os.major(found.st_rdev), os.minor(found.st_rdev)


def needs(*paths):
    for path in paths:
        if not os.path.exists(path):
            raise Skip(f"this host has no {path}")


@case()
def given_and_not_given(engine):
    needs(FUSE)
    major, minor = numbers(FUSE)
    done = sh(engine, f"mknod /fuse c {major} {minor} && : < /fuse", status=None)
    check(done.returncode != 0, "made, but not to be opened")
    contains(done.stderr, "Operation not permitted", "opened without being given")
    shown = sh(engine, f": < {FUSE} && : > {FUSE} && stat -c '%F %t %T %a' {FUSE}", "--device", FUSE).stdout
    mode = stat.S_IMODE(os.stat(FUSE).st_mode)
    equal(shown, f"character special file {major:x} {minor:x} {mode:o}\n")


@case()
def under_another_name_and_read_only(engine):
    needs(LOOP)
    given = ("--device", f"{LOOP}:/dev/disk/one:r")
    equal(sh(engine, ": < /dev/disk/one; stat -c %F /dev/disk/one", *given).stdout, "block special file\n")
    contains(sh(engine, "true >> /dev/disk/one", *given, status=None).stderr, "Operation not permitted", "written")
    sh(engine, f"test ! -e {LOOP}", *given)
    name = engine.out("create", *given, "bb", "true")
    equal(engine.inspect(name)["HostConfig"]["Devices"],
          [{"PathOnHost": LOOP, "PathInContainer": "/dev/disk/one", "CgroupPermissions": "r"}], "inspect")
    engine.docker("rm", name)


@case()
def a_directory_of_devices(engine):
    needs("/dev/net/tun")
    equal(sh(engine, "ls /dev/wire", "--device", "/dev/net:/dev/wire").stdout.split(),
          sorted(os.listdir("/dev/net")))


@case()
def a_rule_of_the_devices_cgroup(engine):
    needs(FUSE)
    major, minor = numbers(FUSE)
    make = f"mknod /fuse c {major} {minor}; "
    rule = ("--device-cgroup-rule", f"c {major}:* r")
    sh(engine, make + ": < /fuse", *rule)
    contains(sh(engine, make + "true >> /fuse", *rule, status=None).stderr, "Operation not permitted", "written")
    name = engine.out("create", *rule, "bb", "true")
    equal(engine.inspect(name)["HostConfig"]["DeviceCgroupRules"], [rule[1]], "inspect")
    engine.docker("rm", name)


@case()
def an_exec_is_filtered_too(engine):
    needs(FUSE)
    name = engine.out("run", "-d", "--network", "none", "--device", f"{FUSE}:{FUSE}:r", "bb", "sleep", "1000")
    for when in ("at first", "after a restart"):
        engine.docker("exec", name, "sh", "-c", f": < {FUSE}")
        done = engine.docker("exec", name, "sh", "-c", f"true >> {FUSE}", status=None)
        contains(done.stderr, "Operation not permitted", when)
        engine.docker("restart", "-t", "0", name)
    engine.docker("rm", "-f", name)


@case()
def what_is_no_device(engine):
    for path, why in (("/dev/none-such", "no such file or directory"), ("/proc/version", "not a device node")):
        done = sh(engine, "true", "--device", f"{path}:/dev/x", status=None)
        check(done.returncode != 0, path)
        contains(done.stderr, f'error gathering device information while adding custom device "{path}": ', path)
        contains(done.stderr, why, path)
    done = engine.docker("create", "--device-cgroup-rule", "c 1:3", "bb", "true", status=None)
    check(done.returncode != 0 and "invalid device cgroup" in done.stderr, done.stderr)


@case()
def privileged_has_the_hosts(engine):
    needs(FUSE, LOOP)
    shown = set(sh(engine, "ls /dev", "--privileged").stdout.split())
    for name in ("fuse", "loop0", "null", "ptmx", "pts"):
        check(name in shown, f"{name}: {sorted(shown)}")
    sh(engine, f": < {FUSE}; : < {LOOP}", "--privileged")
    mode = os.stat(LOOP)
    equal(sh(engine, f"stat -c '%a %u %g' {LOOP}", "--privileged").stdout,
          f"{stat.S_IMODE(mode.st_mode):o} {mode.st_uid} {mode.st_gid}\n")
    contains(sh(engine, "ls -l /dev/ptmx", "--privileged").stdout, "pts/ptmx", "a multiplexer of its own")


@case()
def rates_of_block_devices(engine):
    needs(LOOP)
    major, minor = numbers(LOOP)
    options = ("--device-read-bps", f"{LOOP}:1mb", "--device-write-iops", f"{LOOP}:20")
    if PURE_V2:
        shown = sh(engine, "cat /sys/fs/cgroup/io.max", *options).stdout
        equal(shown, f"{major}:{minor} rbps=1048576 wbps=max riops=max wiops=20\n")
    elif pathlib.Path("/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device").exists():
        where = "/sys/fs/cgroup/blkio/blkio.throttle"
        shown = sh(engine, f"cat {where}.read_bps_device {where}.write_iops_device", *options).stdout
        equal(shown, f"{major}:{minor} 1048576\n{major}:{minor} 20\n")
    else:
        raise Skip("this host has no block I/O cgroup")
    done = sh(engine, "true", "--device-read-bps", "/dev/null:1mb", status=None)
    contains(done.stderr, "not a block device", "not a disk")


@case()
def memory_of_v1_alone(engine):
    options = ("--memory", "64m", "--memory-swappiness", "7", "--oom-kill-disable")
    done = sh(engine, "cat /sys/fs/cgroup/memory/memory.swappiness /sys/fs/cgroup/memory/memory.oom_control",
              *options, status=None)
    if PURE_V2:
        contains(done.stderr, "does not support memory swappiness", "warning")
        contains(done.stderr, "does not support OomKillDisable", "warning")
    else:
        contains(done.stdout, "7\noom_kill_disable 1\n")
    if ENGINE == "davit":
        equal(engine.api("GET", "/info").json["OomKillDisable"], not PURE_V2, "info")


if __name__ == "__main__":
    main()
