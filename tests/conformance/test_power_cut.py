"""A power cut after a pull has answered.

Goal: what the next boot finds is whole, or it is not there; what was on disk stays.
Method: the data root is an ext4 of its own, which is shut down without its dirty pages and its
journal (EXT4_IOC_SHUTDOWN); the next daemon sees another boot id.
"""

import contextlib
import fcntl
import io
import os
import random
import struct
import subprocess
import tarfile

from lying_registry import Blob, LyingRegistry, tar_of

from harness import Engine, Skip, case, check, contains, equal, main

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/ext4.h
NO_LOG_FLUSH = 2
BOOT_ID = "/proc/sys/kernel/random/boot_id"
NOISE = random.Random(3).randbytes(3_000_000)
LAYERS = [[(f"layer{layer}/file{number}", tarfile.REGTYPE, NOISE[number * 1000 + layer:][:6000])
           for number in range(150)] for layer in range(3)]


class Disk:
    """An ext4 in a file, mounted."""

    def __init__(self, directory):
        self.image = directory / "disk"
        self.path = directory / "data"
        self.path.mkdir(parents=True)
        with open(self.image, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", str(self.image)], check=True)

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", str(self.image), str(self.path)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skip(f"no loop devices: {done.stderr}")

    def umount(self):
        subprocess.run(["umount", str(self.path)], check=True)

    def power_cut(self):
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            raise Skip(f"this ext4 cannot be shut down: {error}") from None
        finally:
            os.close(descriptor)


class Boot(Engine):
    """A daemon in a boot of its own name."""

    def __init__(self, directory, data_root, boot):
        super().__init__(directory, data_root=data_root)
        self.boot = self.directory / "boot_id"
        self.boot.write_text(boot + "\n")

    def command(self):
        script = f'mount --bind "{self.boot}" {BOOT_ID} && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", *super().command()]


@contextlib.contextmanager
def booted(directory, disk, boot):
    """Its end is what the case makes it; an engine that still runs is stopped."""
    disk.mount()
    try:
        engine = Boot(directory / boot, disk.path, boot).start()
        try:
            yield engine
        finally:
            if engine.process is not None:
                engine.stop()
    finally:
        disk.umount()


def whole(engine, name):
    """Every file of the image, byte for byte."""
    container = engine.out("create", "--network", "none", name, "true")
    exported = engine.docker("export", container, text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        for layer in LAYERS:
            for path, _, content in layer:
                check(tar.extractfile(path).read() == content, f"{path} is whole")
    engine.docker("rm", container)


@case()
def after_the_answer_of_a_pull(directory):
    directory = directory / "answer"
    disk = Disk(directory)
    with LyingRegistry() as registry:
        name = registry.image("app", [Blob(tar_of(*layer)) for layer in LAYERS])
        with booted(directory, disk, "first") as engine:
            engine.docker("pull", "-q", name)
            disk.power_cut()
            engine.kill()
        with booted(directory, disk, "second") as engine:
            if engine.out("images", "-q", name):
                whole(engine, name)
            engine.docker("pull", "-q", name)
            whole(engine, name)
            engine.stop()  # Which waits for the disk.
            disk.power_cut()
        with booted(directory, disk, "third") as engine:
            whole(engine, name)
            contains(engine.docker("rmi", name).stdout, "Deleted:", "it can be removed")
            equal(list((disk.path / "overlay" / "layers").iterdir()), [], "layers left")


@case()
def a_restart_of_the_daemon_alone(directory):
    """The same boot: the page cache has it all, so nothing is forgotten."""
    directory = directory / "restart"
    disk = Disk(directory)
    with LyingRegistry() as registry:
        name = registry.image("app", [Blob(tar_of(*layer)) for layer in LAYERS])
        with booted(directory, disk, "first") as engine:
            engine.docker("pull", "-q", name)
            engine.kill()
            engine.start()
            whole(engine, name)


if __name__ == "__main__":
    main(engine_own=True)
