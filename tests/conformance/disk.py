"""A disk of its own for a data root, which fills before the machine's does."""

import contextlib
import shutil
import subprocess

from harness import Skip


@contextlib.contextmanager
def small_disk(path, mebibytes):
    """ext4 in a file, mounted at the path."""
    path.mkdir(parents=True)
    image = path.with_suffix(".ext4")
    with open(image, "wb") as stream:
        stream.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
        image.unlink()


@contextlib.contextmanager
def btrfs_in(directory):
    """A btrfs of 1 GiB in a file, mounted at directory/btrfs."""
    if not shutil.which("mkfs.btrfs"):
        raise Skip("mkfs.btrfs is missing: scripts/install-deps test")
    image, mounted = directory / "btrfs.img", directory / "btrfs"
    mounted.mkdir(parents=True)
    with open(image, "wb") as stream:
        stream.truncate(1 << 30)
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@contextlib.contextmanager
def ext4_with_quotas_in(directory):
    """An ext4 of 512 MiB in a file, which counts by projects, mounted at directory/ext4."""
    image, mounted = directory / "ext4.img", directory / "ext4"
    mounted.mkdir(parents=True)
    with open(image, "wb") as stream:
        stream.truncate(512 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "quota,project", str(image)], check=True)
    done = subprocess.run(["mount", "-o", "loop,prjquota", str(image), str(mounted)], check=False,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"this kernel's ext4 has no project quotas: {done.stderr.strip()}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
