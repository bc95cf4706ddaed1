#!/usr/bin/env python3
"""Image jobs against a real registry, in processes of their own.

Goal: a pull that is killed at any moment leaves only what the next start deletes, and a layer of any
size is pulled in bounded memory. Method: Debian's docker-registry on loopback, images made here and
put there by skopeo, davit_image_tool killing itself with a given line of its progress.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "conformance"))
sys.dont_write_bytecode = True
import oci  # noqa: E402

TOOL = os.environ["DAVIT_IMAGE_TOOL"]
MEMORY_KIB_MAX = int(os.environ["DAVIT_IMAGE_MEMORY_KIB"])
BIG_BYTES = 1 << 30
MANY_LAYERS = 200


def tool(root, *arguments):
    command = [TOOL, str(root), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}\n{done.stdout}")
    return done.stdout


def make_images(directory):
    """layers: three layers of small files. big: one of 1 GiB, mostly zeros, so that it is quick.
    many: 200 layers of 2 MiB."""
    chance = random.Random(7)
    tars = []
    for number in range(3):
        path = directory / f"{number}.tar"
        with oci.Layer(str(path)) as layer:
            for name in range(2000):
                layer.file(f"{number}-{name}", chance.randbytes(500))
        tars.append(str(path))
    layout = oci.Layout(str(directory / "layout"))
    layout.add("layers", tars)
    big = directory / "big.tar"
    content = directory / "content"
    with open(content, "wb") as stream:
        for _ in range(64):
            stream.write(chance.randbytes(1 << 20))
        stream.truncate(BIG_BYTES)
    subprocess.run(["tar", "-cf", str(big), "-C", str(directory), "content"], check=True)
    layout.add("big", [str(big)], "zstd")
    layout.add("big-gzip", [str(big)], "gzip")
    big.unlink()
    # Slower to unpack than to download.
    many = []
    for number in range(MANY_LAYERS):
        path = directory / f"many-{number}.tar"
        with oci.Layer(str(path)) as layer:
            layer.file(f"{number}-random", chance.randbytes(300_000))
            for name in range(100):
                layer.file(f"{number}-{name}", b"x" * 20_000)
        many.append(str(path))
    layout.add("many", many)
    return directory / "layout"


def left_over(root):
    overlay = root / "overlay"
    return sorted(
        str(path.relative_to(overlay))
        for part in ("staging", "trash", "layers")
        for path in (overlay / part).iterdir()
    )


def kill_after(root, name, line_count):
    """Pull, until a SIGKILL with this line of progress."""
    environment = dict(os.environ, DAVIT_IMAGE_KILL_AFTER=str(line_count))
    done = subprocess.run([TOOL, str(root), "pull", name], stdout=subprocess.DEVNULL,
                          env=environment)
    assert done.returncode == -signal.SIGKILL, (line_count, done.returncode)


def test_kill(directory, registry):
    name = f"{registry}/images:layers"
    reference = directory / "reference"
    total = len(tool(reference, "pull", name).splitlines()) - 1  # The last line is the result.
    assert left_over(reference) == ["layers/1", "layers/2", "layers/3"], left_over(reference)
    # The number of progress lines depends a little on timing; the last ones may not come again.
    moments = range(1, total - 3, 2)
    for line_count in moments:
        root = directory / f"killed-{line_count}"
        root.mkdir()
        kill_after(root, name, line_count)
        recovered = tool(root, "recover")
        layers = [path for path in left_over(root)]
        # Whole layers wait for the next pull; of the others nothing is left.
        assert all(path.startswith("layers/") for path in layers), (line_count, layers)
        assert f"{len(layers)} layers" in recovered, recovered
        tool(root, "pull", name)
        assert len(left_over(root)) == 3, left_over(root)
        tool(root, "remove", name)
        assert left_over(root) == [], left_over(root)
        shutil.rmtree(root)
    print(f"killed {len(moments)} pulls of {total} lines each")


def test_memory(directory, registry):
    for tag in ("big", "big-gzip"):
        root = directory / tag
        out = tool(root, "pull", f"{registry}/images:{tag}").splitlines()[-1]
        peak = int(out.split("peak_kib ")[1])
        print(f"{tag}: {out}")
        assert peak < MEMORY_KIB_MAX, f"{peak} KiB for a layer of {BIG_BYTES} bytes"
        (content,) = root.glob("overlay/layers/*/diff/content")
        assert content.stat().st_size == BIG_BYTES
        subprocess.run(["cmp", str(content), str(directory / "content")], check=True)
        shutil.rmtree(root)


def test_memory_of_many(directory, registry):
    root = directory / "many"
    out = tool(root, "pull", f"{registry}/images:many").splitlines()[-1]
    peak = int(out.split("peak_kib ")[1])
    print(f"many: {out}")
    assert peak < MEMORY_KIB_MAX, f"{peak} KiB for {MANY_LAYERS} layers"
    assert len(left_over(root)) == MANY_LAYERS, left_over(root)
    shutil.rmtree(root)


def main():
    if os.geteuid() != 0:
        print("skipped: overlay mounts need root")
        sys.exit(77)
    for program in ("docker-registry", "skopeo", "zstd"):
        if not shutil.which(program):
            print(f"skipped: {program} is missing: scripts/install-deps test")
            sys.exit(77)
    script = str(ROOT / "scripts" / "registry")
    with tempfile.TemporaryDirectory(prefix="davit-images-") as name:
        directory = pathlib.Path(name)
        layout = make_images(directory)
        start = [script, "start", str(directory / "registry")]
        registry = subprocess.run(start, check=True, capture_output=True, text=True).stdout.strip()
        try:
            for tag in ("layers", "big", "big-gzip", "many"):
                subprocess.run(
                    ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
                     f"oci:{layout}:{tag}", f"docker://{registry}/images:{tag}"], check=True)
            test_kill(directory, registry)
            test_memory(directory, registry)
            test_memory_of_many(directory, registry)
        finally:
            subprocess.run([script, "stop", str(directory / "registry")], check=True)


if __name__ == "__main__":
    main()
