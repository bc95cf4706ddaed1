"""What keeps the graph honest: davit graph check and show, docker system df, davit gc.

Goal: what is recorded and what is on disk agree, a disagreement is found and mended, the sizes that
are told are those on disk, and the images that go when it fills are those nobody uses. Method: the
data root is damaged behind the daemon's back, and measured file by file.
"""

import contextlib
import io
import os
import shutil
import subprocess
import tarfile

from disk import small_disk
from harness import (COMMAND_SECONDS, DAVIT, Engine, case, cgroup_tree_remove, check, contains, equal,
                     eventually, import_busybox, main, matches)


@contextlib.contextmanager
def engine_in(directory, name):
    engine = Engine(directory / name)
    try:
        yield engine.start()
    finally:
        if engine.process is not None:
            engine.stop()
        cgroup_tree_remove(engine.cgroup_parent)


def davit(engine, *arguments, status=0):
    environment = {**engine.environment(), "DAVIT_HOST": "unix://" + engine.socket}
    done = subprocess.run([DAVIT, *map(str, arguments)], env=environment, capture_output=True,
                          text=True, timeout=COMMAND_SECONDS, check=False)
    equal(done.returncode, status,
          f"exit status of davit {' '.join(map(str, arguments))}: {done.stdout!r} {done.stderr!r}")
    return done.stdout + done.stderr


def import_files(engine, name, files):
    """An image whose layer has files of these sizes."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, size in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = size
            tar.addfile(entry, io.BytesIO(os.urandom(size)))
    engine.out("import", "-c", 'CMD ["x"]', "-", name, stdin=archive.getvalue())


def layers_of(engine):
    return sorted((engine.data_root / "overlay" / "layers").iterdir())


@case("davit")
def check_finds_and_mends(directory):
    with engine_in(directory, "check") as engine:
        contains(davit(engine, "graph", "check"), "everything agrees", "an empty data root")
        import_busybox(engine)
        import_files(engine, "lost", {"a": 1000})
        engine.docker("create", "--name", "web", "--network", "none", "bb", "true")
        agreed = davit(engine, "graph", "check")
        contains(agreed, "2 images", "counts")
        contains(agreed, "everything agrees", "after work")

        overlay = engine.data_root / "overlay"
        (overlay / "layers" / "stranger" / "diff").mkdir(parents=True)
        (overlay / "rw" / "stranger").mkdir()
        lost = layers_of(engine)[1]
        shutil.move(lost, directory / "moved")
        found = davit(engine, "graph", "check", status=1)
        contains(found, "layer directory stranger has no record", "a directory without a record")
        contains(found, "container directory stranger has no container", "and of a container")
        contains(found, f"has no directory {lost.name}", "a record without a directory")
        contains(found, "3 wrong", "all of it")
        check((overlay / "layers" / "stranger").exists(), "looking changes nothing")

        mended = davit(engine, "graph", "check", "--repair")
        contains(mended, "repaired: removed layer directory stranger", "says what it does")
        contains(mended, "lacks a layer and is removed: pull it again", "the image is gone")
        contains(mended, "everything agrees", "afterwards")
        contains(davit(engine, "graph", "check"), "everything agrees", "and still")
        equal(engine.out("images", "--format", "{{.Repository}}"), "bb", "the other image is there")
        engine.docker("start", "-a", "web")
        eventually(lambda: not list((overlay / "trash").iterdir()), "the trash is emptied")

        rw = next((overlay / "rw").iterdir())
        shutil.move(rw, directory / "rw")
        contains(davit(engine, "graph", "check", "--repair", status=1),
                 f"has no directory {rw.name}", "what cannot be mended is still told")
        shutil.move(directory / "rw", rw)
        engine.remove_all()


@case("davit")
def check_without_a_daemon(directory):
    with engine_in(directory, "offline") as engine:
        import_busybox(engine)
        where = ("--data-root", engine.data_root, "--run-dir", engine.run_dir)
        refused = davit(engine, "graph", "check", *where, status=1)
        contains(refused, "is in use by another davit daemon", "while a daemon runs")
        engine.docker("create", "--name", "web", "--network", "none", "bb", "echo", "fine")
        engine.stop()
        contains(davit(engine, "graph", "check", *where), "everything agrees", "afterwards")
        (engine.data_root / "overlay" / "layers" / "stranger").mkdir()
        (engine.data_root / "overlay" / "rw" / "stranger").mkdir()
        found = davit(engine, "graph", "check", *where, status=1)
        contains(found, "2 wrong", "what is found")
        contains(davit(engine, "graph", "check", "--repair", *where), "everything agrees", "mended")
        equal(list((engine.data_root / "overlay" / "trash").iterdir()), [], "and deleted")
        unused = davit(engine, "graph", "check", "--data-root", directory, status=1)
        contains(unused, "no davit daemon has ever used", "a directory that is no data root")
        contains(davit(engine, "graph", "check", status=1), "--data-root", "how without a daemon")
        engine.start()
        equal(engine.out("start", "-a", "web"), "fine", "the container is as it was")
        engine.remove_all()


@case("davit")
def layers_of_a_forced_removal_go_with_the_container(directory):
    with engine_in(directory, "forced") as engine:
        import_busybox(engine)
        for options in ((), ("--rm",)):
            engine.docker("create", "--name", "web", *options, "--network", "none", "bb", "true")
            engine.docker("rmi", "-f", "bb")
            equal(len(layers_of(engine)), 1, "the container needs its layer")
            contains(davit(engine, "graph", "check"), "everything agrees", "a pinned chain")
            engine.docker("rm", "web")
            equal(layers_of(engine), [], "nobody needs it any more")
            contains(davit(engine, "graph", "check"), "everything agrees", "nothing is left")
            import_busybox(engine)


@case("davit")
def show_tells_who_shares(directory):
    with engine_in(directory, "show") as engine:
        import_busybox(engine)
        alone = davit(engine, "graph", "show", "bb")
        contains(alone, "unique", "one image")
        contains(alone, "0B shared", "nothing is shared")
        import_busybox(engine, "other:latest")
        same = engine.out("images", "-q", "--no-trunc").split()
        contains(davit(engine, "graph", "show", "other"), "0B shared" if len(set(same)) == 1 else
                 "shared with bb:latest", "the layer")
        archive = (engine.directory / "busybox.tar").read_bytes()
        engine.out("import", "-c", "ENV a=b", "-", "third:latest", stdin=archive)
        third = davit(engine, "graph", "show", "third")
        contains(third, "shared with", "the same layer under another config")
        contains(third, "0B unique", "and nothing else")
        contains(davit(engine, "graph", "show", "none", status=1), "No such image", "unknown")


def disk_use(path):
    """(bytes of files, of their blocks, number of files and directories), each inode once, as du
    counts."""
    seen, size, blocks, count = set(), 0, 0, 0
    for folder, names, files in os.walk(path):
        for name in [".", *files, *names]:
            status = os.lstat(os.path.join(folder, name))
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            count += 1
            blocks += status.st_blocks * 512
            if not os.path.isdir(os.path.join(folder, name)) or os.path.islink(
                    os.path.join(folder, name)):
                size += status.st_size if not os.path.islink(os.path.join(folder, name)) else 0
    return size, blocks, count


@case("davit")
def df_agrees_with_du(directory):
    """Exactly so in bytes of files; of du's blocks the rest is what rounding up each file and the
    directories take, at most one block of 4 KiB for each."""
    with engine_in(directory, "df") as engine:
        import_busybox(engine)
        archive = (engine.directory / "busybox.tar").read_bytes()
        engine.out("import", "-c", "ENV a=b", "-", "shares:latest", stdin=archive)
        import_files(engine, "own", {f"d/{i}": 1000 * i for i in range(40)})
        engine.docker("create", "--name", "web", "--network", "none", "bb", "sh", "-c",
                      "head -c 70000 /dev/zero >/file; ln /file /again; mkdir /d; rm /bin/vi")
        engine.docker("start", "-a", "web", status=None)
        os.sync()
        df = engine.api("GET", "/system/df").json
        images = {image["RepoTags"][0]: image for image in df["Images"]}
        equal(set(images), {"bb:latest", "shares:latest", "own:latest"}, "images")
        equal(images["bb:latest"]["SharedSize"], images["bb:latest"]["Size"], "all is shared")
        equal(images["bb:latest"]["Containers"], 1, "its containers")
        equal(images["own:latest"]["SharedSize"], 0, "nothing is shared")
        equal(df["LayersSize"], images["bb:latest"]["Size"] + images["own:latest"]["Size"],
              "each layer once")
        equal(df["Containers"][0]["SizeRw"], 70000, "a file of two names counts once")

        overlay = engine.data_root / "overlay"
        # Besides its files a layer has a recipe: some hundred bytes a file, which du alone counts.
        size, blocks, count = disk_use(overlay / "layers")
        recipes = sum(path.stat().st_size for path in (overlay / "layers").glob("*/recipe"))
        equal(size - recipes, df["LayersSize"], "bytes of all files of all layers")
        check(size <= blocks + 4096 * count and blocks <= size + 4096 * count,
              f"blocks: {blocks} for {size} bytes in {count} files and directories")
        size, _, _ = disk_use(next((overlay / "rw").iterdir()) / "diff")
        equal(size, df["Containers"][0]["SizeRw"], "bytes of the container's files")
        du = int(subprocess.run(["du", "-s", "-B1", overlay], capture_output=True, text=True,
                                check=True).stdout.split()[0])
        _, _, everything = disk_use(overlay)
        told = recipes + df["LayersSize"] + df["Containers"][0]["SizeRw"]
        check(told <= du + 4096 * everything and du <= told + 4096 * everything,
              f"du says {du}, df {told}, {everything} files")

        text = engine.out("system", "df")
        contains(text, "Images", "docker system df")
        contains(engine.out("system", "df", "-v"), "own", "docker system df -v")
        only = engine.api("GET", "/system/df?type=image").json
        equal((only["Containers"], only["Volumes"]), (None, None), "only images")
        equal(engine.api("GET", "/system/df?type=stone").status, 400, "an unknown type")
        listed = engine.api("GET", "/images/json?shared-size=1").json
        equal({image["RepoTags"][0]: image["SharedSize"] for image in listed},
              {name: image["SharedSize"] for name, image in images.items()}, "images --shared-size")
        equal(engine.api("GET", "/images/json").json[0]["SharedSize"], -1, "not unless asked")
        engine.remove_all()


def gc(engine, **parameters):
    text = "&".join(f"{key.replace('_', '-')}={value}" for key, value in parameters.items())
    answer = engine.api("POST", "/davit/gc?" + text)
    equal(answer.status, 200, f"gc: {answer.body}")
    return answer.json


@case("davit")
def gc_takes_what_was_used_longest_ago(directory):
    with engine_in(directory, "gc") as engine:
        for name in ("one", "two", "three", "four", "five"):
            import_files(engine, name, {"x": 100000})
        nothing = gc(engine, high=100, low=100)
        equal((nothing["Remove"], len(nothing["Keep"])), ([], 5), "below the high mark")
        engine.docker("create", "--name", "web", "--network", "none", "four", "x")
        engine.docker("create", "--name", "gone", "--network", "none", "one", "x")
        engine.docker("rm", "gone")
        equal(davit(engine, "image", "pin", "five").strip(), "five", "pin")

        planned = gc(engine, high=0, low=0, dry_run=1)
        names = [step["Name"] for step in planned["Remove"]]
        equal(names, ["two:latest", "three:latest", "one:latest"], "least recently used first")
        equal({step["Name"]: step["Reason"] for step in planned["Keep"]},
              {"four:latest": "container web uses it", "five:latest": "it is pinned"}, "the others")
        equal(len(engine.out("images", "-q").split()), 5, "a dry run removes nothing")

        # When it was used is known to the next daemon, too.
        engine.stop()
        engine.start()
        again = gc(engine, high=0, low=0, dry_run=1)
        equal([step["Name"] for step in again["Remove"]], names, "after a restart")

        done = davit(engine, "gc", "--high", "0%", "--low", "0", "--explain")
        contains(done, "frees 100kB", "explained")
        contains(done, "it is pinned", "explained")
        equal(sorted(engine.out("images", "--format", "{{.Repository}}").split()), ["five", "four"],
              "what is left")
        eventually(lambda: not list((engine.data_root / "overlay" / "trash").iterdir()),
                   "deleted from disk")
        equal(len(layers_of(engine)), 2, "layers that are left")
        contains(davit(engine, "graph", "check"), "everything agrees", "the graph")

        davit(engine, "image", "unpin", "five")
        engine.docker("rm", "web")
        equal(len(gc(engine, high=0, low=0)["Remove"]), 2, "nothing speaks for them any more")
        equal(layers_of(engine), [], "no layers")
        contains(davit(engine, "image", "pin", "five", status=1), "No such image", "pin of nothing")
        contains(davit(engine, "gc", "--low", "much", status=1), "invalid percentage", "a bad mark")
        equal(engine.api("POST", "/davit/gc?high=10&low=20").status, 400, "low above high")


class CollectingEngine(Engine):
    marks = ()

    def command(self):
        return [*super().command(), *self.marks]


@case("davit")
def gc_by_itself(directory):
    """A layer is a quarter of the disk: the third one goes above the mark."""
    with small_disk(directory / "disk", 240) as disk:
        engine = CollectingEngine(directory / "auto", data_root=disk / "data")
        engine.marks = ("--gc-high", "62%", "--gc-low", "58")
        try:
            engine.start()
            import_files(engine, "used", {"x": 60_000_000})
            engine.docker("create", "--name", "user", "--network", "none", "used", "x")
            import_files(engine, "old", {"x": 60_000_000})
            check("gc: " not in engine.log.read_text(), "below the mark nothing is collected")
            import_files(engine, "new", {"x": 60_000_000})
            eventually(lambda: engine.out("images", "-q", "old") == "", "the least recently used goes")
            eventually(lambda: not list((engine.data_root / "overlay" / "trash").iterdir()),
                       "deleted from disk")
            # By now the disk is below the mark: one more layer makes nothing else go.
            import_files(engine, "tiny", {"x": 1000})
            equal(sorted(engine.out("images", "--format", "{{.Repository}}").split()),
                  ["new", "tiny", "used"], "the others stay")
            matches(engine.log.read_text(), "gc: [0-9]+% .* removed 1 images, 60000000 bytes", "log")
            contains(davit(engine, "graph", "check"), "everything agrees", "the graph")
        finally:
            if engine.process is not None:
                engine.stop()
            cgroup_tree_remove(engine.cgroup_parent)


@case("davit")
def gc_marks_that_cannot_be(directory):
    for arguments, reason in (
            (("--gc-low", "50"), "--gc-low says how far --gc-high goes"),
            (("--gc-high", "50", "--gc-low", "60"), "--gc-low is above --gc-high"),
            (("--gc-high", "much"), '--gc-high takes a percentage from 0% to 100%, not "much"'),
            (("--gc-high", "101%"), "--gc-high takes a percentage")):
        done = subprocess.run([DAVIT, "daemon", "--data-root", str(directory / "none"), *arguments],
                              capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        equal(done.returncode, 2, f"status: {done.stderr}")
        contains(done.stderr, reason, " ".join(arguments))


if __name__ == "__main__":
    main(engine_own=True)
