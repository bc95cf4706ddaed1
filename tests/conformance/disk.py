"""A disk of its own for a data root, which fills before the machine's does."""

import contextlib
import subprocess


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
