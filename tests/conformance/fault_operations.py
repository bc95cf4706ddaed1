"""What the suites of faults share: the image they use, an operation, and the loop over all faults."""

import contextlib
import hashlib
import io
import json
import os
import tarfile

from faults import KINDS, Empty, FaultyEngine, Trial, clear, faulty_engine, points_of, settled
from lying_registry import Blob, LyingRegistry, tar_of
from oci import busybox_program
from registry_proxy import LocalRegistry

from harness import Failure, check, equal, eventually, query

POINTS = os.environ.get("DAVIT_FAULT_POINTS", "3")
ONLY_KIND = os.environ.get("DAVIT_FAULT_KIND", "")
FIRST = int(os.environ.get("DAVIT_FAULT_FIRST", "1"))


def noise(seed, size):
    return hashlib.shake_128(seed.encode()).digest(size)


with open(busybox_program(), "rb") as program:
    LAYERS = [
        tar_of(("bin/", tarfile.DIRTYPE, ""), ("bin/busybox", tarfile.REGTYPE, program.read()),
               ("bin/sh", tarfile.SYMTYPE, "busybox"), ("gone", tarfile.REGTYPE, b"x")),
        tar_of(("etc/", tarfile.DIRTYPE, ""), ("etc/one", tarfile.REGTYPE, noise("one", 5000)),
               ("etc/two", tarfile.LNKTYPE, "etc/one"), (".wh.gone", tarfile.REGTYPE, b"")),
        tar_of(("deep/", tarfile.DIRTYPE, ""), ("deep/er/", tarfile.DIRTYPE, ""),
               ("deep/er/file", tarfile.REGTYPE, noise("file", 200_000)),
               ("etc/", tarfile.DIRTYPE, ""), ("etc/three", tarfile.REGTYPE, noise("three", 70))),
    ]


def layers_of(archive):
    """Those of the image in an archive of docker save, the lowest first."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        manifest = json.load(members.extractfile("manifest.json"))
        return [members.extractfile(layer).read() for layer in manifest[0]["Layers"]]


def layers_saved(engine, name):
    answer = engine.api("GET", f"/images/{name}/get")
    equal(answer.status, 200, f"save {name}: {answer.body[:200]}")
    return layers_of(answer.body)


def image_is_whole(engine, name):
    """True: byte for byte. False: there is none."""
    if engine.api("GET", f"/images/{name}/json").status == 404:
        return False
    equal(layers_saved(engine, name) == LAYERS, True, "the image's layers are what they were")
    return True


def load(engine, archive):
    status, body = engine.request("POST", "/images/load?quiet=1", archive)
    return status == 200 and b'"error"' not in body


class Operation:
    """What is tried. act: gives whether it was answered with success; verify: what must hold after
    it, whether it succeeded or not; again: repeat it from wherever the fault has left it."""

    engine = FaultyEngine
    pushes = False  # To a registry that takes it.

    def __init__(self, registry, reference, archive):
        self.registry, self.reference, self.archive = registry, reference, archive
        self.name = type(self).__name__.lower()

    def prepare(self, engine):
        pass

    def again(self, engine):
        return self.act(engine)

    def verify(self, engine, succeeded):
        whole = image_is_whole(engine, self.reference)
        check(whole or not succeeded, "what was answered with success is there")


class Pull(Operation):
    def act(self, engine):
        status, body = engine.request("POST", "/images/create?" + query(fromImage=self.reference))
        return status == 200 and b'"error"' not in body and b"Status: Downloaded" in body

    def again(self, engine):
        status, body = engine.request("POST", "/images/create?" + query(fromImage=self.reference))
        return status == 200 and b'"error"' not in body


class Loaded(Operation):
    """With the image there before."""

    def prepare(self, engine):
        check(load(engine, self.archive), "load")


def archive_of(engine, registry):
    """The image as docker save writes it; it is removed again."""
    reference = registry.image("image", [Blob(layer) for layer in LAYERS])
    pull = Pull(registry, reference, b"")
    check(pull.act(engine), "pull")
    archive = engine.api("GET", f"/images/{reference}/get").body
    clear(engine)
    eventually(lambda: settled(engine), "the trash is emptied")
    return reference, archive


def begin(directory, registry, kind_of_operation, stack):
    """A trial in an engine of its own."""
    engine = stack.enter_context(faulty_engine(directory, kind_of_operation.engine))
    empty = Empty(engine)
    reference, archive = archive_of(engine, registry)
    return Trial(engine, kind_of_operation(registry, reference, archive), empty)


def try_all(directory, kind_of_operation):
    """Every failure is told; what comes after one is tried in another engine."""
    name = kind_of_operation.__name__.lower()
    chosen = None if POINTS == "all" else int(POINTS)
    failures, tried, met = [], 0, 0
    with LyingRegistry() as registry, contextlib.ExitStack() as stack:
        if kind_of_operation.pushes:
            registry.target = stack.enter_context(LocalRegistry(directory / "registry"))
        trial = begin(directory / name, registry, kind_of_operation, stack)
        for kind in (name for name in KINDS if ONLY_KIND in name):
            total = trial.count(kind)
            check(total > 0, "it changes something")
            for at in points_of(total, chosen)[FIRST - 1:]:
                tried += 1
                try:
                    met += trial.run(kind, at)
                except Failure as failure:
                    print(f"  {failure}", flush=True)
                    failures.append(failure)
                    trial.engine.kill_if_alive()
                    trial = begin(directory / f"{name}-{tried}", registry, kind_of_operation, stack)
    print(f"{name}: {total} points, {tried} faults, {met} met, {len(failures)} failures", flush=True)
    equal(len(failures), 0, "failures")
