"""Images as archives: save and load, between davit, dockerd and podman.

Goal: what one engine saves the other loads as the same image, whose layers are the same to the byte;
what is no archive leaves nothing; a daemon that dies while it loads leaves nothing.
Method: images of awkward layers go around through files; identities and contents are compared.
"""

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import subprocess
import tarfile

import harness
from harness import (ENGINE, Engine, Registry, Skip, case, check, contains, equal,
                     eventually, main, matches, start_engine)


def prepare(engine, stack):
    registry = stack.enter_context(Registry(engine.directory / "registry"))
    start_engine(engine, stack)
    engine.docker("pull", "-q", registry.name("layers"))
    return {"layers": registry.name("layers")}


@contextlib.contextmanager
def dockerd(directory):
    """Debian's dockerd beside the engine, spoken to by the same command line."""
    if not shutil.which("dockerd"):
        raise Skip("dockerd is not installed")

    class Dockerd(Engine):
        def command(self):
            empty = self.directory / "daemon.json"
            empty.write_text("{}")
            return ["dockerd", "--config-file", str(empty), "--data-root", str(self.data_root),
                    "--exec-root", str(self.run_dir), "--pidfile", str(self.directory / "pid"),
                    "--host", "unix://" + self.socket, "--bridge=none", "--iptables=false",
                    "--storage-driver=overlay2"]

        def docker(self, *arguments, **options):  # Always the stock client.
            cli, harness.CLI = harness.CLI, "docker"
            try:
                return super().docker(*arguments, **options)
            finally:
                harness.CLI = cli

    other = Dockerd(directory / "dockerd")
    try:
        yield other.start()
    finally:
        other.stop()
        for path in harness.mounts_below(other.directory):
            subprocess.run(["umount", path], check=False)
        shutil.rmtree(other.directory, ignore_errors=True)


def podman(directory, *arguments, status=0):
    if not shutil.which("podman"):
        raise Skip("podman is not installed")
    done = subprocess.run(
        ["podman", "--root", str(directory / "podman"), "--runroot", str(directory / "podman-run"),
         "--storage-driver", "vfs", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=harness.COMMAND_SECONDS)
    if status is not None:
        equal(done.returncode, status, f"podman {arguments}: {done.stderr}")
    return done.stdout.strip()


def save(engine, path, *names):
    engine.docker("save", "-o", path, *names)
    return path


def documents(path):
    """The archive's small files, and the digests of all."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                data = archive.extractfile(member).read()
                found[member.name] = data
    return found


@case("davit")
def the_archive_is_both_forms_and_always_the_same(engine, layers):
    path = save(engine, engine.directory / "one.tar", layers, "bb")
    again = save(engine, engine.directory / "two.tar", layers, "bb")
    equal(path.read_bytes(), again.read_bytes(), "the same bytes")
    files = documents(path)
    for name, data in files.items():
        if name.startswith("blobs/sha256/"):
            equal(hashlib.sha256(data).hexdigest(), name.split("/")[-1], "blobs are named by digest")
    manifest = json.loads(files["manifest.json"])
    equal([entry["RepoTags"] for entry in manifest], [[f"{layers}:latest"], ["bb:latest"]], "names")
    inspected = engine.inspect(layers)
    equal(manifest[0]["Config"], "blobs/sha256/" + inspected["Id"].split(":")[1], "config")
    equal(["sha256:" + layer.split("/")[-1] for layer in manifest[0]["Layers"]],
          inspected["RootFS"]["Layers"], "layers are named by diff id")
    if shutil.which("skopeo"):
        for transport in ("docker-archive", "oci-archive"):
            name = f"{transport}:{path}:{layers}:latest" if transport == "docker-archive" else None
            one = save(engine, engine.directory / "single.tar", layers)
            done = subprocess.run(["skopeo", "inspect", name or f"{transport}:{one}"],
                                  capture_output=True, text=True, check=False)
            equal(done.returncode, 0, f"skopeo reads it as {transport}: {done.stderr}")
            equal(json.loads(done.stdout)["Layers"], inspected["RootFS"]["Layers"], transport)
    piped = engine.docker("save", "bb", text=False).stdout
    equal(piped, save(engine, engine.directory / "three.tar", "bb").read_bytes(), "to a pipe")
    answer = engine.api("GET", "/images/bb/get")
    equal((answer.status, answer.body), (200, piped), "by the path of one image")
    equal(answer.headers["Content-Type"], "application/x-tar", "type")


@case()
def what_is_missing_is_said_before_any_byte(engine, layers):
    del layers
    refused = engine.docker("save", "bb", "no-such-image", status=1)
    contains(refused.stderr, "no-such-image", "which")
    equal(refused.stdout, "", "no byte")
    equal(engine.api("GET", "/images/get?names=no-such").status, 404, "status")


@case()
def loads_what_it_saved(engine, layers):
    before = engine.inspect(layers)
    path = save(engine, engine.directory / "self.tar", layers)
    container = ("run", "--rm", "--network", "none", layers, "sh", "-c", "cd /data; ls -lAR; cat kept")
    seen = engine.out(*container)
    engine.docker("rmi", "-f", layers)
    loaded = engine.docker("load", "-q", "-i", path)
    equal(loaded.stdout, f"Loaded image: {layers}:latest\n", "text")
    after = engine.inspect(layers)
    for key in ("Id", "RootFS", "Config"):
        equal(after[key], before[key], key)
    equal(engine.out(*container), seen, "the same files")
    gzipped = gzip.compress(path.read_bytes(), 1)
    equal(engine.out("load", stdin=gzipped), f"Loaded image: {layers}:latest", "gzip, from a pipe")
    engine.docker("rmi", layers)
    untagged = save(engine, engine.directory / "id.tar", engine.inspect("bb:latest")["Id"])
    equal(engine.out("load", "-i", untagged), f"Loaded image ID: {engine.inspect('bb:latest')['Id']}", "no name")
    engine.docker("load", "-q", "-i", path)


@case("davit")
def progress_is_a_stream_of_json(engine, layers):
    path = save(engine, engine.directory / "progress.tar", layers)
    for quiet in (0, 1):
        answer = engine.api("POST", f"/images/load?quiet={quiet}", path.read_bytes(),
                            {"Content-Type": "application/x-tar"})
        equal(answer.status, 200, "status")
        messages = [json.loads(line) for line in answer.body.splitlines() if line.strip()]
        equal(messages[-1], {"stream": f"Loaded image: {layers}:latest\n"}, "last")
        told = {message["id"] for message in messages[:-1] if message["status"] == "Loading layer"}
        equal(len(told), 0 if quiet else len(engine.inspect(layers)["RootFS"]["Layers"]), "layers")


@case("davit")
def dockerd_and_back(engine, layers):
    path = save(engine, engine.directory / "davit.tar", layers, "bb")
    with dockerd(engine.directory) as other:
        other.docker("load", "-q", "-i", path)
        for name in (layers, "bb"):
            mine, theirs = engine.inspect(name), other.inspect(name)
            equal(theirs["Id"], mine["Id"], "image id in dockerd")
            equal(theirs["RootFS"], mine["RootFS"], "layers in dockerd")
        back = engine.directory / "dockerd.tar"
        other.docker("save", "-o", back, layers, "bb")
    before = engine.inspect(layers)
    engine.docker("rmi", "-f", layers, "bb")
    lines = engine.out("load", "-q", "-i", back).splitlines()
    equal(sorted(lines), sorted([f"Loaded image: {layers}:latest", "Loaded image: bb:latest"]), "text")
    after = engine.inspect(layers)
    for key in ("Id", "RootFS"):
        equal(after[key], before[key], key)
    equal(engine.out("run", "--rm", "--network", "none", layers, "cat", "/data/kept"), "kept", "it runs")
    equal(save(engine, engine.directory / "again.tar", layers, "bb").read_bytes(), path.read_bytes(),
          "and is saved as at first")


@case("davit")
def podman_and_back(engine, layers):
    path = save(engine, engine.directory / "davit.tar", layers)
    before = engine.inspect(layers)
    podman(engine.directory, "load", "-q", "-i", path)
    theirs = json.loads(podman(engine.directory, "image", "inspect", f"{layers}:latest"))[0]
    equal("sha256:" + theirs["Id"], before["Id"], "image id in podman")
    equal(theirs["RootFS"]["Layers"], before["RootFS"]["Layers"], "layers in podman")
    for form in ("docker-archive", "oci-archive"):
        back = engine.directory / f"{form}.tar"
        podman(engine.directory, "save", "-q", "--format", form, "-o", back, f"{layers}:latest")
        engine.docker("rmi", "-f", layers)
        equal(engine.out("load", "-q", "-i", back), f"Loaded image: {layers}:latest", form)
        after = engine.inspect(layers)
        equal(after["RootFS"], before["RootFS"], f"layers by {form}")
        equal(engine.out("run", "--rm", "--network", "none", layers, "cat", "/data/kept"), "kept", form)
        if form == "docker-archive":
            equal(after["Id"], before["Id"], "image id")
    engine.docker("rmi", "-f", layers)
    engine.docker("load", "-q", "-i", path)
    podman(engine.directory, "rmi", "-f", f"{layers}:latest")
    shutil.rmtree(engine.directory / "podman", ignore_errors=True)


@case()
def every_compression_loads(engine, layers):
    """As people keep archives: whole, in several streams, with padding; and the archive of an import."""
    tar = save(engine, engine.directory / "plain.tar", layers).read_bytes()
    half = len(tar) // 2
    packers = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
    if ENGINE == "davit":  # Docker 20 does not read it.
        packers["zstd"] = lambda data: subprocess.run(["zstd", "-q", "-c"], input=data, check=True,
                                                      capture_output=True).stdout
    for name, pack in packers.items():
        engine.docker("rmi", "-f", layers)
        loaded = engine.out("load", "-q", stdin=pack(tar))
        equal(loaded, f"Loaded image: {layers}:latest", name)
        padding = bytes(8 if name == "xz" else 0)
        engine.docker("rmi", "-f", layers)
        loaded = engine.out("load", "-q", stdin=pack(tar[:half]) + padding + pack(tar[half:]))
        equal(loaded, f"Loaded image: {layers}:latest", f"{name}, two streams")
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            member = tarfile.TarInfo(name)
            archive.addfile(member)
        engine.docker("import", "-", f"{name}:import", stdin=pack(made.getvalue()))
        equal(engine.inspect(f"{name}:import")["RootFS"]["Layers"],
              ["sha256:" + hashlib.sha256(made.getvalue()).hexdigest()], f"import of {name}")
        engine.docker("rmi", f"{name}:import")


@case("davit")
def what_ends_too_early_or_too_late_is_named(engine, layers):
    tar = save(engine, engine.directory / "plain.tar", layers).read_bytes()
    for name, pack in (("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)):
        good = pack(tar)
        cut = engine.docker("load", stdin=good[:len(good) - 30], status=1)
        contains(cut.stderr, f"{name}: unexpected end of the data", "cut short")
        behind = engine.docker("load", stdin=good + b"garbage behind", status=1)
        contains(behind.stderr, f"{name}: garbage after the end of the data", "behind the end")


def broken_archives(good):
    yield "no archive", b"this is no tar" * 1000
    yield "cut short", good[:len(good) // 2]
    yield "nothing in it", bytes(10240)
    damaged = bytearray(good)
    damaged[len(good) // 3] ^= 0x55
    yield "damaged", bytes(damaged)


@case("davit")
def bad_archives_leave_nothing(engine, layers):
    good = save(engine, engine.directory / "good.tar", layers).read_bytes()
    engine.docker("rmi", "-f", layers)
    root = engine.data_root / "overlay"
    before = sorted(os.listdir(root / "layers"))
    for what, data in broken_archives(good):
        refused = engine.docker("load", stdin=data, status=1)
        check(refused.stderr.strip(), f"{what}: a reason")
        eventually(lambda: not os.listdir(root / "staging"), f"{what}: nothing is staged")
        equal(sorted(os.listdir(root / "layers")), before, f"{what}: no layer is left")
        equal(engine.out("images", "-q", layers), "", f"{what}: no image")
    engine.docker("load", "-q", stdin=good)


@case("davit")
def killed_in_the_middle_of_a_load(engine, layers):
    """The half that was read holds whole layers: they must go, too."""
    good = save(engine, engine.directory / "good.tar", layers).read_bytes()
    engine.docker("rmi", "-f", layers)
    root = engine.data_root / "overlay"
    before = sorted(os.listdir(root / "layers"))
    loading = subprocess.Popen([harness.command_line(), "load"], env=engine.environment(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    loading.stdin.write(good[:len(good) - 4096])
    loading.stdin.flush()
    eventually(lambda: os.listdir(root / "staging"), "a layer is staged")
    engine.kill()
    loading.communicate()
    engine.start()
    equal(os.listdir(root / "staging"), [], "nothing is staged")
    equal(sorted(os.listdir(root / "layers")), before, "no layer is left")
    equal(engine.out("images", "-q", layers), "", "no image")
    equal(engine.out("load", "-q", stdin=good), f"Loaded image: {layers}:latest", "and it loads")


def saves_running(engine):
    return [job for job in engine.api("GET", "/davit/jobs").json
            if job["Name"] == "image_save" and job["Status"] == "running"]


@case()
def a_client_that_reads_slowly_or_leaves(engine, layers):
    """save must not gather what nobody takes, nor hold the image once the client is gone."""
    big = io.BytesIO()
    with tarfile.open(fileobj=big, mode="w") as archive:
        member = tarfile.TarInfo("noise")
        member.size = 64 << 20
        archive.addfile(member, io.BytesIO(os.urandom(1 << 20) * 64))
    engine.docker("import", "-", "big:1", stdin=big.getvalue())
    before = engine.resident_kib()
    saving = engine.spawn("save", "big:1")
    saving.stdout.read(1)
    sent = []

    def stands_still():
        sent.append([job["Stdout"] for job in saves_running(engine)])
        return len(sent) > 10 and sent[-1] == sent[-10]

    if ENGINE == "davit":
        eventually(stands_still, "who does not read holds the work")
        check(sent[-1][0] < 32 << 20, f"not all was sent: {sent[-1]}")
        grown = engine.resident_kib() - before
        check(grown < 16 * 1024, f"resident memory grew by {grown} KiB")
    saving.kill()
    saving.communicate()
    engine.docker("rmi", "big:1")
    if ENGINE == "davit":
        eventually(lambda: not saves_running(engine), "the job has ended")
        eventually(lambda: not os.listdir(engine.data_root / "overlay/trash"), "the layer is gone")
    del layers


@case("davit")
def layers_of_awkward_archives(engine, layers):
    """What an archive says and a directory cannot: duplicate names, odd padding, GNU's and PAX's ways."""
    del layers
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for text in (b"first", b"second"):
            member = tarfile.TarInfo("twice")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
        archive.addfile(tarfile.TarInfo("n" * 150))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "twice"
        archive.addfile(link)
    archive = made.getvalue() + bytes(5 * 512)
    engine.docker("import", "-", "awkward:1", stdin=archive)
    digest = "sha256:" + hashlib.sha256(archive).hexdigest()
    equal(engine.inspect("awkward:1")["RootFS"]["Layers"], [digest], "diff id")
    path = save(engine, engine.directory / "awkward.tar", "awkward:1")
    equal(documents(path)["blobs/sha256/" + digest.split(":")[1]], archive, "the same bytes")
    engine.docker("rmi", "awkward:1")
    matches(engine.out("load", "-i", path), "Loaded image: awkward:1", "it loads")
    engine.docker("rmi", "awkward:1")


if __name__ == "__main__":
    main(prepare)
