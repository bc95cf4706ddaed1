"""Write OCI image layouts: layers from tar files, one manifest per tag.

Follows: OCI image-spec, image-layout.md, manifest.md, config.md. Output is deterministic, so the
same input gives the same digests on every machine.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
COMPRESSIONS = ("gzip", "zstd", "plain")
TIMESTAMP = 1_700_000_000
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def file_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()


class Layer:
    """A layer tar under construction. Names are relative; parents must be added by the caller."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tar.close()

    def _entry(self, name, kind, mode, **fields):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, TIMESTAMP
        for key, value in fields.items():
            setattr(info, key, value)
        return info

    def directory(self, name, mode=0o755, **fields):
        self.tar.addfile(self._entry(name, tarfile.DIRTYPE, mode, **fields))

    def file(self, name, data=b"", mode=0o644, **fields):
        data = data.encode() if isinstance(data, str) else data
        info = self._entry(name, tarfile.REGTYPE, mode, **fields)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def symlink(self, name, target, **fields):
        self.tar.addfile(self._entry(name, tarfile.SYMTYPE, 0o777, linkname=target, **fields))

    def hardlink(self, name, target, **fields):
        self.tar.addfile(self._entry(name, tarfile.LNKTYPE, 0o644, linkname=target, **fields))

    def device(self, name, major, minor, mode=0o666, **fields):
        kind = tarfile.CHRTYPE
        self.tar.addfile(
            self._entry(name, kind, mode, devmajor=major, devminor=minor, **fields)
        )

    def fifo(self, name, mode=0o644, **fields):
        self.tar.addfile(self._entry(name, tarfile.FIFOTYPE, mode, **fields))

    def whiteout(self, name):
        head, tail = os.path.split(name)
        self.file(os.path.join(head, ".wh." + tail))

    def opaque(self, name):
        self.file(os.path.join(name, ".wh..wh..opq"))


def compress(source, target, compression):
    """One tar file, compressed into target."""
    if compression == "plain":
        shutil.copyfile(source, target)
    elif compression == "gzip":
        # The file name and time in gzip's header would change the digest.
        with open(source, "rb") as tar, open(target, "wb") as raw:
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                shutil.copyfileobj(tar, packed, 1 << 20)
    elif compression == "zstd":
        subprocess.run(["zstd", "-q", "-f", "-3", "-o", target, source], check=True)
    else:
        raise ValueError(compression)


class Layout:
    """An OCI layout directory; tags are added one by one and the index is rewritten each time."""

    def __init__(self, directory):
        self.directory = directory
        self.blobs = os.path.join(directory, "blobs", "sha256")
        self.manifests = []
        os.makedirs(self.blobs, exist_ok=True)
        with open(os.path.join(directory, "oci-layout"), "w") as stream:
            json.dump({"imageLayoutVersion": "1.0.0"}, stream)

    def blob_path(self, digest):
        return os.path.join(self.blobs, digest.removeprefix("sha256:"))

    def put(self, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with open(self.blob_path(digest), "wb") as stream:
            stream.write(data)
        return digest, len(data)

    def _put_layer(self, tar_path, compression):
        scratch = os.path.join(self.directory, "layer.partial")
        compress(tar_path, scratch, compression)
        digest, size = file_digest(scratch), os.path.getsize(scratch)
        os.rename(scratch, self.blob_path(digest))
        suffix = "" if compression == "plain" else "+" + compression
        return {"mediaType": LAYER_TYPE + suffix, "digest": digest, "size": size}

    def add(self, tag, layer_tars, compression="gzip", config=None):
        """One image of these layers, lowest first. config is the image's "config" object."""
        layers = [self._put_layer(path, compression) for path in layer_tars]
        document = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "2023-11-14T22:13:20Z",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [file_digest(path) for path in layer_tars]},
            "history": [{"created_by": "layer %d" % n} for n in range(len(layer_tars))],
        }
        config_digest, config_size = self.put(json.dumps(document).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config_size},
            "layers": layers,
        }
        digest, size = self.put(json.dumps(manifest).encode())
        self.manifests.append(
            {
                "mediaType": MANIFEST_TYPE,
                "digest": digest,
                "size": size,
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }
        )
        with open(os.path.join(self.directory, "index.json"), "w") as stream:
            index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.manifests}
            json.dump(index, stream)
        return digest


BUSYBOX_CONFIG = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Cmd": ["sh"],
}


def busybox_program():
    """The static busybox of this machine."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path):
            return path
    raise FileNotFoundError("busybox is missing: scripts/install-deps test")


def busybox_layer(path):
    """A root file system of one static program and its names."""
    program = busybox_program()
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
    with Layer(path) as layer:
        for name in ("bin", "etc", "root", "home", "usr", "usr/bin", "var", "proc", "sys", "dev"):
            layer.directory(name)
        layer.directory("tmp", 0o1777)
        with open(program, "rb") as stream:
            layer.file("bin/busybox", stream.read(), 0o755)
        for applet in sorted(set(applets.stdout.split()) - {"busybox"}):
            layer.symlink("bin/" + applet, "busybox")
        layer.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/home:/bin/sh\n")
        layer.file("etc/group", "root:x:0:\nguest:x:1000:\n")
        layer.file("etc/noexec", "not a program\n", 0o644)


def tar_of(files):
    """A tar of these contents by name; "=>NAME" is a hard link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            if data.startswith(b"=>"):
                entry.type, entry.linkname, data = tarfile.LNKTYPE, data[2:].decode(), b""
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def saved(name, layers, steps=()):
    """What docker save would write for an image of these layers (tars), made in these steps."""
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]}}
    if steps:
        config |= {"created": steps[-1]["created"], "history": list(steps)}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).encode()
    return tar_of({"manifest.json": manifest, "config.json": json.dumps(config).encode(), **dict(zip(names, layers))})
