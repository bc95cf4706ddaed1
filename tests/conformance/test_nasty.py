"""Nasty archives through docker load: each gives exactly its tree, or its refusal, and nothing else.

Goal: what nasty*.py expect of each archive is what becomes of it; nothing lands outside the image's
root; what is refused leaves nothing; what is loaded is saved again to the byte.
Method: archives that load go many to an image, each in a layer and a directory of its own; a
container of the image is looked into through /proc/PID/root and compared name by name. Against
dockerd (DAVIT_CONFORMANCE_ENGINE) the same expectations hold but for the differences that the
cases give a reason for; a reason without a difference is an error, too.
"""

import collections
import hashlib
import io
import json
import os
import re
import resource
import stat
import tarfile

import nasty_format
import nasty_paths
import nasty_records
import oci
from harness import ENGINE, Skip, case, check, equal, eventually, main, start_engine
from nasty import Cases

LAYERS_PER_IMAGE = 100  # Docker takes 127.
SAME_REASON_MAX = 4  # dockerd takes its time; the next archive would show the same again.
DOCKER_VERSION = "20."  # The reasons are those of this one.
OWN = {b"proc", b"sys", b"dev", b".dockerenv", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf",
       b"etc/mtab", b"run"}
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo"}


def all_cases():
    cases = Cases()
    for module in (nasty_paths, nasty_format, nasty_records):
        module.add_all(cases)
    return cases


def base_layer(directory, cases):
    """busybox, and what the cases want to find in a layer below theirs."""
    path = directory / "base.tar"
    with oci.Layer(path) as layer:
        for name in ("bin", "etc", "proc", "sys", "dev", "n"):
            layer.directory(name)
        with open(oci.busybox_program(), "rb") as program:
            layer.file("bin/busybox", program.read(), 0o755)
        made = set()
        for one in cases:
            for name, data in one.below.items():
                parts = f"n/{one.name}/{name}".split("/")
                for depth in range(2, len(parts)):
                    parent = "/".join(parts[:depth])
                    if parent not in made:
                        made.add(parent)
                        layer.directory(parent)
                layer.file("/".join(parts), data, mtime=1_600_000_000)
    return path.read_bytes()


def times_as_stored(directory, cases):
    """File systems keep times with their own range and fineness: expect what this one makes of them."""
    probe = directory / "probe"
    probe.touch()
    for one in cases:
        for node in (one.tree or {}).values():
            if node.mtime is not None:
                os.utime(probe, ns=(node.mtime, node.mtime))
                node.mtime = probe.stat().st_mtime_ns


def docker_archive(tag, layers):
    """What docker save would write. layers: pairs of plain and stored bytes."""
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/busybox", "sleep", "1000"]},
        "rootfs": {"type": "layers", "diff_ids": [
            "sha256:" + hashlib.sha256(plain).hexdigest() for plain, _ in layers]}}).encode()
    names = ["%03d.tar" % index for index in range(len(layers))]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [tag], "Layers": names}]).encode()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        contents = zip(names, (stored for _, stored in layers))
        for name, data in [*contents, ("config.json", config), ("manifest.json", manifest)]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def layer_of(one):
    plain = one.layer()
    return plain, one.wrap(plain) if one.wrap else plain


def load_alone(engine, tag, one, base):
    """On top of the base only where the case has something there: it takes longer than the rest."""
    return load(engine, tag, [*([(base, base)] if one.below else []), layer_of(one)])


def load(engine, tag, layers):
    """Status and message of the refusal; None if it loads."""
    answer = engine.api("POST", "/images/load?quiet=1", docker_archive(tag, layers),
                        {"Content-Type": "application/x-tar"})
    if answer.status != 200:
        return answer.status, answer.message
    for line in answer.body.splitlines():
        if line.strip() and "error" in (message := json.loads(line)):
            return answer.status, message["error"]
    return None


# --- looking -------------------------------------------------------------------------------------

def node_of(folder, name):
    """What there is, in the terms of nasty.Node; a large file's content is left out.

    None: overlay lists a whiteout, though nothing can be done with it, where no layer below has the
    directory. For dockerd that is the same.
    """
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "other")
    seen = {"kind": kind, "mode": stat.S_IMODE(info.st_mode), "uid": info.st_uid, "gid": info.st_gid,
            "mtime": info.st_mtime_ns, "size": info.st_size, "links": info.st_nlink,
            "inode": info.st_ino, "device": (os.major(info.st_rdev), os.minor(info.st_rdev))}
    if kind == "symlink":
        seen["target"] = os.fsdecode(os.readlink(name, dir_fd=folder))
    if kind in ("file", "dir"):
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            seen["xattrs"] = {key: os.getxattr(opened, key) for key in os.listxattr(opened)
                              if key not in ("security.selinux", "security.ima")}
            if kind == "file" and info.st_size <= 16 << 20:
                with open(opened, "rb", closefd=False) as stream:
                    seen["data"] = stream.read()
        finally:
            os.close(opened)
    return seen


def walk(root):
    """Path to node of all below root; every directory is opened from its parent: paths may be long."""
    tree = {}
    waiting = [(os.open(root, os.O_RDONLY | os.O_DIRECTORY), b"")]
    while waiting:
        folder, path = waiting.pop()
        try:
            for name in os.listdir(folder):
                name = os.fsencode(name)
                full = path + b"/" + name if path else name
                if full in OWN:
                    continue
                node = node_of(folder, name)
                if node is None:
                    continue
                tree[full] = node
                if node["kind"] == "dir":
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                    waiting.append((os.open(name, flags, dir_fd=folder), full))
        finally:
            os.close(folder)
    return tree


def tree_of(engine, image):
    """The image's root as a container of it sees it."""
    container = engine.out("run", "-d", "--network", "none", image)
    pid = engine.inspect(container)["State"]["Pid"]
    try:
        return walk(f"/proc/{pid}/root")
    finally:
        engine.docker("rm", "-f", container)


def differences(one, tree):
    """What the case expects below its directory (and outside, by name) against what is there."""
    below = one.at("")
    for path in sorted(path for path in tree if path == below or path.startswith(below + b"/")):
        if path not in one.tree:
            yield f"{os.fsdecode(path)!r} should not be there"
    for path, node in one.tree.items():
        if path not in tree:
            yield f"{os.fsdecode(path)!r} is missing"
        else:
            for text in node.differences(tree[path], tree):
                yield f"{os.fsdecode(path)!r} {text}"


# --- the cases -----------------------------------------------------------------------------------

class Image:
    """A batch of archives that should load, one layer each."""

    def __init__(self, engine, tag, batch, base):
        self.tag, self.batch = tag, batch
        self.refusal = load(engine, tag, [(base, base), *map(layer_of, batch)])
        self.tree = None if self.refusal else tree_of(engine, tag)


def prepare(engine, stack):
    start_engine(engine, stack)
    if ENGINE == "dockerd":
        version = engine.api("GET", "/version").json["Version"]
        if not version.startswith(DOCKER_VERSION):
            raise Skip(f"this is Docker {version}; the reasons for differences are those of "
                       f"{DOCKER_VERSION}x")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cases = all_cases()
    times_as_stored(engine.directory, cases)
    base = base_layer(engine.directory, cases)
    load(engine, "nasty:base", [(base, base)])
    loading = list(for_this_engine(cases, True))
    images = [Image(engine, f"nasty:{start}", loading[start:start + LAYERS_PER_IMAGE], base)
              for start in range(0, len(loading), LAYERS_PER_IMAGE)]
    return {"cases": cases, "base": base, "images": images}


def for_this_engine(cases, loading):
    """Those that load in davit, or are refused; for dockerd without what it does otherwise."""
    for one in cases:
        if (one.tree is not None) == loading and (
                ENGINE == "davit" or one.peer is None or one.peer[0] == "differs"):
            yield one


def report(problems):
    for text in problems:
        print("  " + text, flush=True)
    equal(len(problems), 0, "archives with another outcome than expected (listed above)")


def image_problems(engine, image, base):
    if image.refusal:  # Which of them was it?
        yield f"{image.tag}: {image.refusal}"
        for one in image.batch:
            if refusal := load_alone(engine, "nasty:single", one, base):
                yield f"{one.name}: {refusal}"
        return
    for one in image.batch:
        found = list(differences(one, image.tree))
        if ENGINE == "davit" or one.peer is None:
            if found:
                yield f"{one.name}: {'; '.join(found[:5])}"
        elif not found:
            yield f"{one.name}: no difference, but a reason for one: {one.peer[1]}"


@case()
def what_loads_gives_exactly_its_tree(engine, cases, base, images):
    del cases
    report([text for image in images for text in image_problems(engine, image, base)])


@case("davit")
def what_loads_is_saved_to_the_byte(engine, cases, base, images):
    del cases, base
    for image in images:
        saved = engine.api("GET", f"/images/{image.tag}/get")
        equal(saved.status, 200, "status of save")
        with tarfile.open(fileobj=io.BytesIO(saved.body)) as archive:
            found = {hashlib.sha256(archive.extractfile(member).read()).hexdigest()
                     for member in archive if member.isfile()}
        for one in image.batch:
            digest = hashlib.sha256(one.layer()).hexdigest()
            check(digest in found, f"{one.name}: its layer comes back as it was")


def few_of_each(cases, reason):
    seen = collections.Counter()
    for one in cases:
        seen[reason(one)] += 1
        if ENGINE == "davit" or seen[reason(one)] <= SAME_REASON_MAX:
            yield one


def refusals(engine, cases, base):
    for one in few_of_each(cases, lambda one: one.reason):
        refusal = load_alone(engine, "nasty:refused", one, base)
        pattern, status = one.reason
        if refusal is None:
            yield f"{one.name}: it loads, expected {pattern!r}"
        elif ENGINE == "davit" and (refusal[0] != status or not re.search(pattern, refusal[1])):
            yield f"{one.name}: {refusal}, expected {status}, {pattern!r}"


@case()
def what_is_refused_leaves_nothing(engine, cases, base, images):
    del images
    layers = engine.data_root / ("overlay/layers" if ENGINE == "davit" else "overlay2")
    before = len(os.listdir(layers))
    report(list(refusals(engine, for_this_engine(cases, False), base)))
    equal(engine.out("images", "-q", "nasty:refused"), "", "no image")
    if ENGINE == "davit":
        eventually(lambda: not os.listdir(engine.data_root / "overlay/staging"), "nothing is staged")
        eventually(lambda: len(os.listdir(layers)) == before, "no layer is left")


@case("dockerd")
def differences_are_still_ones(engine, cases, base, images):
    """Where the outcome itself is another: what davit refuses loads, and the other way round."""
    del images
    problems = []
    other = [one for one in cases if one.peer and one.peer[0] in ("loads", "refuses")]
    for one in few_of_each(other, lambda one: one.peer):
        refusal = load_alone(engine, "nasty:other", one, base)
        if (refusal is None) != (one.peer[0] == "loads"):
            problems.append(f"{one.name}: {refusal or 'it loads'}, but: {one.peer}")
    report(problems)


@case()
def nothing_is_outside_the_images(engine, cases, base, images):
    """Beside the archives' own directories there is what was there before, also on this machine."""
    del cases, base
    known = set(tree_of(engine, "nasty:base"))
    for image in images:
        own = {one.at("") for one in image.batch}
        strangers = [path for path in image.tree or {}
                     if path not in known and b"/".join(path.split(b"/")[:2]) not in own]
        equal(sorted(strangers), [], f"{image.tag}: names that no archive speaks of")
    places = ["/", "/tmp", "/var/tmp", "/etc", "/n", *map(str, engine.directory.parents),
              str(engine.directory), str(engine.data_root), str(engine.data_root / "overlay")]
    for place in places:
        for name in ("davit-nasty-escaped", "davit-nasty"):
            check(not os.path.lexists(os.path.join(place, name)), f"{place}/{name}: outside")


@case()
def there_are_enough_of_them(engine, cases, base, images):
    del engine, base, images
    check(len(cases) >= 200, f"{len(cases)} archives")
    for one in cases:
        expected = ("refuses", "differs", "unsafe") if one.tree is not None else ("loads", "unsafe")
        check(one.peer is None or one.peer[0] in expected, f"{one.name}: {one.peer} is no difference")
    equal(len({hashlib.sha256(one.layer()).digest() for one in cases}), len(cases), "all differ")


if __name__ == "__main__":
    main(prepare)
