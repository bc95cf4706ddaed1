"""Storage drivers under a daemon: overlay2, vfs and btrfs, and which of them a data root gets.

Goal: containers behave the same with each of them, and a data root keeps what it has whichever is
asked for. Method: engines on a directory, on a loop-mounted btrfs, and on overlayfs.
"""

import contextlib
import json
import pathlib
import subprocess
import tarfile

from disk import btrfs_in, ext4_with_quotas_in

from harness import (STOP_SECONDS, Engine, Skip, case, cgroup_tree_remove, check, contains,
                     equal, eventually, import_busybox, main)


class DriverEngine(Engine):
    """An engine that is told its storage driver ("" for none)."""

    def __init__(self, directory, driver, data_root=None):
        super().__init__(directory, data_root)
        self.driver = driver

    def command(self):
        return super().command() + (["--storage-driver", self.driver] if self.driver else [])


@contextlib.contextmanager
def engine_with(directory, driver, data_root=None):
    engine = DriverEngine(directory, driver, data_root)
    try:
        yield engine.start()
    finally:
        if engine.process is not None:
            engine.stop()
        cgroup_tree_remove(engine.cgroup_parent)


def run(program, *arguments):
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


def info(engine):
    return engine.api("GET", "/info").json


def size_of(engine, name):
    """SizeRw: the bytes that a container changed."""
    return engine.api("GET", f"/containers/{name}/json?size=1").json["SizeRw"]


def trash(engine, folder):
    return list((engine.data_root / folder / "trash").iterdir())


def live(engine, folder):
    """What every driver must do."""
    import_busybox(engine)
    none = ("--network", "none")
    equal(engine.out("run", "--rm", *none, "bb", "sh", "-c", "echo x >/new; cat /new"), "x", "run")
    engine.docker("create", "--name", "kept", *none, "bb", "sh", "-c",
                  "cat /own 2>/dev/null; head -c 100000 /dev/zero >/own; rm -f /bin/ls; mkdir -p /d")
    equal(size_of(engine, "kept"), 0, "nothing is written before the start")
    engine.docker("start", "-a", "kept")
    equal(size_of(engine, "kept"), 100000, "what was written")
    equal(len(engine.docker("start", "-a", "kept").stdout), 100000, "it is there at the next start")
    equal(engine.out("run", "--rm", *none, "bb", "sh", "-c", "ls -d /own /d 2>/dev/null; echo y"),
          "y", "and nobody else has it")
    refused = engine.docker("run", "--rm", "--read-only", *none, "bb", "touch", "/x", status=1)
    contains(refused.stderr, "Read-only file system", "a read-only root")
    engine.stop()
    engine.start()
    equal(size_of(engine, "kept"), 100000, "after a restart")
    equal(engine.inspect("kept")["Driver"], info(engine)["Driver"], "the container's driver")
    engine.docker("commit", "kept", "committed")
    equal(engine.out("run", "--rm", *none, "committed", "sh", "-c",
                     "ls -d /d /bin/ls 2>/dev/null; wc -c </own"), "/d\n100000", "its commit")
    archive = engine.directory / "kept.tar"
    engine.docker("export", "-o", archive, "kept")
    with tarfile.open(archive) as exported:
        equal(exported.getmember("own").size, 100000, "its export")
        check("bin/ls" not in exported.getnames(), "what was removed is in no export")
    engine.docker("rmi", "committed")
    engine.docker("rm", "kept")
    engine.docker("rmi", "bb")
    eventually(lambda: not trash(engine, folder), "the trash is emptied")
    for name in ("layers", "rw", "staging", "chains"):
        path = engine.data_root / folder / name
        equal(list(path.iterdir()) if path.exists() else [], [], f"{name} are gone")
    engine.check_clean()


@case("davit")
def containers_with_overlay2(directory):
    with engine_with(directory / "overlay2", "overlay2") as engine:
        found = info(engine)
        equal(found["Driver"], "overlay2", "driver")
        keys = [key for key, _ in found["DriverStatus"]]
        equal(keys, ["Backing Filesystem", "Supports d_type", "Using metacopy",
                     "Native Overlay Diff", "userxattr"], "status")
        live(engine, "overlay")


@case("davit")
def containers_with_vfs(directory):
    with engine_with(directory / "vfs", "vfs") as engine:
        equal(info(engine)["Driver"], "vfs", "driver")
        contains(engine.out("info"), "Storage Driver: vfs", "docker info")
        live(engine, "vfs")


@case("davit")
def the_size_of_a_container_on_btrfs(directory):
    """A quota group bounds what the container's subvolume refers to."""
    with btrfs_in(directory / "bounded") as mounted, \
            engine_with(directory / "bounded" / "engine", "btrfs", mounted / "data") as engine:
        import_busybox(engine)
        fill = "head -c 60000000 /dev/zero > /big; sync; stat -c %s /big"
        engine.docker("run", "--name", "bounded", "--storage-opt", "size=20m", "bb", "sh", "-c", fill,
                      status=None)
        answer = engine.docker("start", "-a", "bounded", status=None)
        check(int(answer.stdout.split()[-1]) < 20 << 20, f"bounded: {answer.stdout}")
        contains(answer.stderr, "Disk quota exceeded")
        equal(engine.out("run", "--rm", "bb", "sh", "-c", fill), "60000000", "others are not bounded")
        engine.docker("rm", "bounded")


@case("davit")
def sizes_on_ext4(directory):
    """Project quotas bound a container's files, and a volume's, those it is filled with included."""
    with contextlib.ExitStack() as stack:
        try:
            mounted = stack.enter_context(ext4_with_quotas_in(directory / "quotas"))
        except Skip as reason:
            print(f"  not here: {reason}")
            return
        engine = stack.enter_context(engine_with(directory / "quotas" / "engine", "overlay", mounted / "data"))
        import_busybox(engine)
        fill = "head -c 60000000 /dev/zero > /{0}big; sync; stat -c %s /{0}big"

        def written(where, *options):
            answer = engine.docker("run", "--rm", *options, "bb", "sh", "-c", fill.format(where), status=None)
            return int(answer.stdout.split()[-1])

        check(written("", "--storage-opt", "size=20m") <= 20 << 20, "the container is bounded")
        engine.docker("volume", "create", "--opt", "size=20m", "bounded")
        check(written("bin/", "-v", "bounded:/bin") < 20 << 20, "the volume is, with what it was filled with")
        check(written("bin/", "-v", "bounded:/bin") < 20 << 20, "also later")
        engine.docker("volume", "create", "open")
        equal(written("vol/", "-v", "open:/vol"), 60000000, "others are not bounded")
        engine.docker("volume", "rm", "bounded", "open")


@case("davit")
def the_size_of_a_container_elsewhere(directory):
    """Where the file system has no quotas for it, that is said; nothing is left."""
    for driver, text in (("overlay", "--storage-opt is supported only for overlay over xfs with 'pquota' "
                          "mount option"), ("vfs", "--storage-opt is not supported for vfs")):
        with engine_with(directory / driver, driver) as engine:
            import_busybox(engine)
            for option, wanted in (("size=1G", text), ("size=x", "invalid size: 'x'"),
                                   ("odd=1", "Unknown option odd")):
                contains(engine.docker("create", "-v", "/data", "--storage-opt", option, "bb",
                                       status=1).stderr, wanted)
            equal(engine.out("ps", "-aq") + engine.out("volume", "ls", "-q"), "")


@case("davit")
def containers_with_btrfs(directory):
    with btrfs_in(directory / "one") as mounted, \
            engine_with(directory / "one" / "engine", "btrfs", mounted / "data") as engine:
        equal(info(engine)["Driver"], "btrfs", "driver")
        contains(engine.out("info"), "Backing Filesystem: btrfs", "docker info")
        live(engine, "btrfs")
        # What a container may make inside its root, and a removal must take with it.
        import_busybox(engine)
        engine.docker("create", "--name", "nested", "--network", "none", "bb", "true")
        engine.docker("start", "-a", "nested")
        rw = next((engine.data_root / "btrfs" / "rw").iterdir())
        run("btrfs", "subvolume", "create", rw / "tree" / "inner")
        run("btrfs", "subvolume", "snapshot", "-r", rw / "tree" / "inner", rw / "tree" / "inner2")
        engine.docker("rm", "nested")
        eventually(lambda: not trash(engine, "btrfs"), "nested subvolumes are deleted")


@case("davit")
def data_root_of_another_driver(directory):
    with btrfs_in(directory / "two") as mounted:
        root = mounted / "data"
        with engine_with(directory / "two" / "engine", "btrfs", root) as engine:
            import_busybox(engine)
            engine.docker("create", "--name", "kept", "--network", "none", "bb", "echo", "still")
            engine.stop()
            for driver, seen in (("overlay2", []), ("", ["bb"]), ("btrfs", ["bb"])):
                engine.driver = driver
                engine.start()
                equal(engine.out("images", "--format", "{{.Repository}}").split(), seen,
                      f"images with driver {driver!r}")
                warned = any("images and containers of btrfs" in text
                             for text in info(engine)["Warnings"])
                equal(warned, driver == "overlay2", f"told of the other driver with {driver!r}")
                engine.stop()
            engine.start()
            equal(engine.out("start", "-a", "kept"), "still", "the container is as it was")
            engine.remove_all()


@case("davit")
def drivers_that_there_are_not(directory):
    for name, piece in (("aufs", "use overlay2"), ("devicemapper", "use overlay2"),
                        ("zfs", "use overlay2, or vfs"), ("fuse-overlayfs", "use overlay2"),
                        ("stone", "use overlay2, btrfs or vfs")):
        done = subprocess.run(DriverEngine(directory / "none", name).command(), text=True,
                              capture_output=True, timeout=STOP_SECONDS, check=False)
        equal(done.returncode, 2, f"exit status with {name}")
        contains(done.stderr, f"storage driver {name} is ", "says which")
        contains(done.stderr, piece, "and which to use")
    done = subprocess.run(DriverEngine(directory / "none", "btrfs").command(), text=True,
                          capture_output=True, timeout=STOP_SECONDS, check=False)
    equal(done.returncode, 1, "btrfs on another file system")
    contains(done.stderr, "needs a data root on btrfs", "says why")


@case("davit")
def vfs_where_overlay_cannot_be(directory):
    for name in ("lower", "upper", "work", "merged"):
        (directory / "over" / name).mkdir(parents=True)
    over = directory / "over"
    run("mount", "-t", "overlay", "overlay", "-o",
        f"lowerdir={over}/lower,upperdir={over}/upper,workdir={over}/work", over / "merged")
    try:
        with engine_with(directory / "over" / "engine", "", over / "merged" / "data") as engine:
            found = info(engine)
            equal(found["Driver"], "vfs", "driver")
            check(any("overlayfs does not work on" in text for text in found["Warnings"]),
                  f"a warning: {found['Warnings']}")
            contains(engine.log.read_text(), "storage driver vfs is used", "in the log, too")
            import_busybox(engine)
            equal(engine.out("run", "--rm", "--network", "none", "bb", "echo", "x"), "x", "run")
            contains(json.dumps(found["DriverStatus"]), "overlay", "what it lies on")
    finally:
        run("umount", over / "merged")


if __name__ == "__main__":
    main(engine_own=True)
