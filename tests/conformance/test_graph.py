"""What keeps the graph honest: davit graph check and show.

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

from harness import (COMMAND_SECONDS, DAVIT, Engine, case, cgroup_tree_remove, check, contains, equal,
                     eventually, import_busybox, main)


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


if __name__ == "__main__":
    main(engine_own=True)
