"""SIGKILL of the daemon in the middle of work, a data root that is taken, a disk that is full.

Goal: whatever the moment, the next daemon finds a consistent state, and what was half done is gone.
Method: each case starts its own engines below one directory.
"""

import contextlib
import gzip
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
import time

from disk import small_disk
from lying_registry import Blob, LyingRegistry, tar_of

from harness import (ENGINE, STOP_SECONDS, Engine, Skip, case, cgroup_tree_remove, check,
                     contains, equal, eventually, import_busybox, main)


@contextlib.contextmanager
def engine_in(directory, name, **options):
    engine = Engine(directory / name, **options)
    try:
        engine.start()
        import_busybox(engine)
        yield engine
        engine.remove_all()
        engine.check_clean()
    finally:
        if engine.process is not None:
            engine.stop()
        cgroup_tree_remove(engine.cgroup_parent)


def images(engine):
    return engine.out("images", "--format", "{{.Repository}}").split()


@case("davit")
def data_root_of_another_daemon(directory):
    with engine_in(directory, "owner") as owner:
        second = Engine(directory / "second", data_root=owner.data_root)
        done = subprocess.run(second.command(), capture_output=True, text=True, timeout=STOP_SECONDS,
                              check=False)
        check(done.returncode != 0, "the second daemon refuses")
        contains(done.stderr, str(owner.data_root), "and says which directory")
        equal(owner.out("run", "--rm", "--network", "none", "bb", "echo", "x"), "x", "the first works on")


@case()
def stop_and_start_again(directory):
    with engine_in(directory, "again") as engine:
        kept = engine.out("create", "--name", "kept", "--label", "a=b", "--network", "none", "bb",
                          "sh", "-c", "echo kept; exit 4")
        engine.docker("start", "-a", "kept", status=4)
        before = engine.inspect("kept")
        engine.stop()
        engine.start()
        after = engine.inspect("kept")
        for key in ("Id", "Name", "Created", "Config", "HostConfig", "Image", "State"):
            equal(after[key], before[key], f"{key} of a stopped container")
        equal(engine.out("logs", kept), "kept", "its log")
        contains(images(engine), "bb", "images")
        engine.docker("start", "-a", "kept", status=4)


@case()
def killed_in_the_middle_of_a_pull(directory):
    noise = random.Random(2).randbytes(200_000)
    layers = [tar_of((f"file{number}", tarfile.REGTYPE, noise[number:])) for number in range(3)]
    with LyingRegistry() as registry, engine_in(directory, "pull") as engine:
        name = registry.image("slow", [Blob(layer) for layer in layers])
        last = registry.blobs[Blob(layers[-1]).digest]
        last.stall = 100_000
        pulling = engine.spawn("pull", name)
        check(registry.stalled.wait(60), "the last layer is on its way")
        whole = 0
        while whole < 2:
            whole += b"Pull complete" in pulling.stdout.readline()
        engine.kill()
        pulling.communicate()
        registry.release.set()
        last.stall = None
        engine.start()
        equal(engine.out("images", "-q", name), "", "half an image is none")
        registry.requests.clear()
        engine.docker("pull", name)
        if ENGINE == "davit":
            blobs = [path.rsplit("/", 1)[1] for path in registry.requests if "/blobs/" in path]
            fetched = [Blob(layer).digest in blobs for layer in layers]
            equal(fetched, [False, False, True], "layers fetched again")
        engine.docker("rmi", name)


@case("davit")
def pruned_after_half_a_pull(directory):
    """Layers that wait for the rest of their image can be had back."""
    layers = [tar_of((f"file{number}", tarfile.REGTYPE, b"x" * 5000)) for number in range(3)]
    with LyingRegistry() as registry, engine_in(directory, "half") as engine:
        folder = engine.data_root / "overlay" / "layers"
        before = len(list(folder.iterdir()))
        records = engine.records()
        name = registry.image("broken", [Blob(layer) for layer in layers])
        registry.blobs[Blob(layers[-1]).digest].stall = 100
        pulling = engine.spawn("pull", name)
        whole = 0
        while whole < 2:
            whole += b"Pull complete" in pulling.stdout.readline()
        pulling.kill()
        pulling.communicate()
        eventually(lambda: b"image_pull" not in engine.api("GET", "/davit/jobs").body,
                   "the pull is cancelled")
        equal(len(list(folder.iterdir())) - before, 2, "layers that wait")
        pruned = engine.api("POST", "/images/prune").json
        equal(pruned["SpaceReclaimed"], 2 * 5000, "bytes that they held")
        equal(len(list(folder.iterdir())), before, "layers after it")
        eventually(lambda: engine.records() == records, "no record is left")


def killed_while_running(engine):
    """Whatever became of the container, the record and the process agree."""
    state = engine.inspect("victim")["State"]
    if state["Running"]:
        check(pathlib.Path(f"/proc/{state['Pid']}").exists(), f"it runs: {state}")
    else:
        equal(state["Pid"], 0, "a stopped container has no pid")
        check(state["Status"] in ("exited", "dead"), f"its status: {state}")


@case()
def killed_with_a_running_container(directory):
    with engine_in(directory, "running") as engine:
        engine.docker("run", "-d", "--name", "victim", "--network", "none", "bb", "sleep", "1000")
        engine.kill()
        engine.start()
        killed_while_running(engine)
        engine.docker("rm", "-f", "victim")
        equal(engine.out("run", "--rm", "--name", "victim", "--network", "none", "bb", "echo", "x"), "x",
              "the name is free, containers start")


@case("davit")
def killed_at_any_moment(directory):
    """A stream of runs, killed at moments spread over it; what --rm promised holds afterwards."""
    with engine_in(directory, "moments") as engine:
        for moment in range(12):
            runs = [engine.spawn("run", "--rm", "--network", "none", "bb", "true") for _ in range(4)]
            time.sleep(0.02 + moment * 0.01)  # Not to wait for anything: to vary the moment.
            engine.kill()
            for process in runs:
                process.communicate()
            engine.start()
            eventually(lambda: not engine.out("ps", "-q"), "nothing runs on")
            for item in engine.api("GET", "/containers/json?all=1").json:
                engine.docker("rm", "-f", item["Id"])
            engine.check_clean()
            equal(engine.out("run", "--rm", "--network", "none", "bb", "echo", "x"), "x", "it works")


@case("davit")
def directories_without_a_record(directory):
    """A boot takes the records of --rm containers; what else is left of them goes at the start."""
    with engine_in(directory, "unknown") as engine:
        kept = engine.out("run", "-d", "--network", "none", "bb", "echo", "kept")
        engine.docker("wait", kept)
        engine.kill()
        unknown = "ab" * 32
        others = []
        for root in (engine.data_root, engine.run_dir):
            for name in (unknown, "not-an-id"):
                (root / "containers" / name).mkdir()
                (root / "containers" / name / "file").write_text("x")
            others.append(root / "containers" / "not-an-id" / "file")
        engine.start()
        for root in (engine.data_root, engine.run_dir):
            check(not (root / "containers" / unknown).exists(), f"left below {root}")
        check(all(path.exists() for path in others), "what is no id is left alone")
        equal(engine.out("logs", kept), "kept", "what has a record stays")


@case("davit")
def cgroups_without_a_record(directory):
    """The record of a container with --rm may be gone before its cgroups: a note tells of them."""
    with engine_in(directory, "noted") as engine:
        notes = engine.run_dir / "ended"
        equal(list(notes.iterdir()), [], "none in the beginning")
        engine.out("run", "--rm", "--network", "none", "bb", "true")
        eventually(lambda: not list(notes.iterdir()), "none of one that has gone")
        engine.kill()
        path = f"{engine.cgroup_parent}/{'d' * 64}"
        (notes / ("d" * 64)).write_text(path, encoding="ascii")
        root = pathlib.Path("/sys/fs/cgroup")
        tops = [root] if (root / "cgroup.procs").exists() else [root / "memory", root / "pids", root / "unified"]
        left = [pathlib.Path(f"{top}{path}") for top in tops if top.exists()]
        for folder in left:
            folder.mkdir(parents=True, exist_ok=True)
        engine.start()
        equal([folder for folder in left if folder.exists()], [], "they are gone")
        equal(list(notes.iterdir()), [], "and the note, too")


@case("davit")
def a_record_that_cannot_be_read(directory):
    """Its container is not shown, but nothing of it is thrown away."""
    if not shutil.which("mdb_dump"):
        raise Skip("mdb_dump is missing: scripts/install-deps test")
    with engine_in(directory, "unreadable") as engine:
        name = engine.out("create", "--network", "none", "bb", "sh", "-c", "cat /f; echo mine >/f")
        engine.docker("start", "-a", name, status=None)
        engine.stop()
        graph = str(engine.data_root / "graph")
        whole = subprocess.run(["mdb_dump", "-s", "containers", graph], capture_output=True, text=True,
                               check=True).stdout
        broken = whole.replace(b'"HostConfig"'.hex(), b"xHostConfigx".hex())
        check(broken != whole, "the record is found")
        subprocess.run(["mdb_load", "-s", "containers", graph], input=broken, text=True, check=True)
        engine.start()
        equal(engine.out("ps", "-aq"), "", "it cannot be shown")
        engine.stop()
        subprocess.run(["mdb_load", "-s", "containers", graph], input=whole, text=True, check=True)
        engine.start()
        equal(engine.out("start", "-a", name), "mine", "its files are there")


def used_bytes(path):
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@case()
def a_full_disk(directory):
    noise = random.Random(3).randbytes(1 << 20) * 40
    large = tar_of(("large", tarfile.REGTYPE, noise))
    small = tar_of(("small", tarfile.REGTYPE, b"x"))
    with small_disk(directory / "disk", 48) as disk, LyingRegistry() as registry:
        with engine_in(directory, "full", data_root=disk / "data") as engine:
            before = used_bytes(disk)
            name = registry.image("large", [Blob(small), Blob(large)])
            done = engine.docker("pull", name, status=None)
            check(done.returncode != 0, "it does not fit")
            contains(done.stderr, "no space left on device", "and that is said")
            equal(images(engine), ["bb"], "no image")
            eventually(lambda: used_bytes(disk) < before + (1 << 20),
                       f"the space is given back: {before} -> {used_bytes(disk)}")
            bomb = tar_of(("bomb", tarfile.REGTYPE, bytes(200 << 20)))
            packed = Blob(gzip.compress(bomb))
            check(len(packed.data) < 1 << 20, "it comes as next to nothing")
            name = registry.image("bomb", [packed], "+gzip", [bomb])
            done = engine.docker("pull", name, status=None)
            contains(done.stderr, "no space left on device", "a bomb ends with the disk")
            eventually(lambda: used_bytes(disk) < before + (1 << 20), "and gives it back")
            fits = registry.image("small", [Blob(small)])
            engine.docker("pull", fits)
            engine.docker("rmi", fits)
            done = engine.docker("run", "--rm", "--network", "none", "bb", "dd", "if=/dev/zero",
                                 "of=/fill", "bs=1M", "count=200", status=1)
            contains(done.stderr, "No space left on device", "a container meets the same end")
            eventually(lambda: used_bytes(disk) < before + (1 << 20), "and gives it back")
            engine.docker("run", "-d", "--name", "filler", "--network", "none", "bb", "sh", "-c",
                          "cat /dev/zero > /fill; trap '' TERM; while :; do echo full; sleep 1; done")
            eventually(lambda: "No space left" in engine.docker("logs", "filler").stderr, "its root is full")
            engine.docker("stop", "-t", "1", "filler")
            engine.docker("rm", "-f", "filler")
            eventually(lambda: used_bytes(disk) < before + (1 << 20), "and gives it back")
            equal(engine.out("run", "--rm", "--network", "none", "bb", "echo", "x"), "x", "it works on")


def fill(path):
    """Take what is free on a file system."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while filler.write(bytes(size)) == size:
                    pass


def create(engine, name):
    return engine.api("POST", "/containers/create?name=" + name,
                      {"Image": "bb", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}})


def database_survives(engine, filler):
    """The daemon refuses while its database has no room, and works on when there is some."""
    equal(create(engine, "before").status, 201, "room")
    fill(filler)
    refused = 0
    for index in range(200):  # What the database has free, first.
        refused += create(engine, f"c{index}").status >= 500
        if refused > 20:
            break
    check(refused > 20, "refused without room")
    filler.unlink()
    eventually(lambda: create(engine, "after").status in (201, 409), "it works on")
    names = engine.out("ps", "-a", "--format", "{{.Names}}").split()
    check("before" in names and "after" in names, f"nothing is lost: {names}")
    engine.stop()
    engine.start()
    equal(sorted(engine.out("ps", "-a", "--format", "{{.Names}}").split()), sorted(names),
          "the next daemon sees the same")


@case("davit")
def a_full_disk_below_the_database(directory):
    data = directory / "full-database-data"
    with small_disk(data / "graph", 2) as disk:
        with engine_in(directory, "full-database", data_root=data) as engine:
            database_survives(engine, disk / "filler")


@case("davit")
def a_thin_disk_below_the_database(directory):
    """It promises more than there is: writes succeed and syncs fail, and LMDB says MDB_PANIC."""
    data = directory / "thin-database-data"
    (data / "graph").mkdir(parents=True)
    with small_disk(directory / "thin", 16) as backing:
        image = backing / "image"
        with open(image, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(image)],
                       check=True)
        mounted = subprocess.run(["mount", "-o", "loop", str(image), str(data / "graph")],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            raise Skip(f"no loop devices: {mounted.stderr}")
        try:
            with engine_in(directory, "thin-database", data_root=data) as engine:
                database_survives(engine, backing / "filler")
        finally:
            subprocess.run(["umount", str(data / "graph")], check=True)


@case()
def a_socket_that_lies_around(directory):
    """A killed daemon leaves its socket; the next one takes it over."""
    with engine_in(directory, "stale") as engine:
        engine.kill()
        check(os.path.exists(engine.socket), "the stale socket")
        engine.start()
        equal(engine.api("GET", "/_ping").status, 200, "served again")


if __name__ == "__main__":
    main(engine_own=True)
