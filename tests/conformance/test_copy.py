"""docker cp, both ways, on running, stopped and created containers.

Goal: what arrives is what docker's table of SRC_PATH and DEST_PATH says, with contents, owners, modes
and times; a container's own links lead nowhere but inside it, also while it changes them; the API
answers with Docker's statuses and words.
"""

import base64
import collections
import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import threading
import time

from harness import (CLI, ENGINE, case, check, command_line, contains, equal, eventually, main,
                     mounts_below, query)

TREE = """set -e
mkdir -p /t/dir/deep /t/empty && echo one > /t/file && echo two > /t/dir/two && echo three > /t/dir/deep/three
chown 12:34 /t/file && chmod 4751 /t/file && chmod 700 /t/dir && chown 5:6 /t/dir
ln -s file /t/link && ln -s /t/dir /t/dirlink && ln -s nowhere /t/broken && ln /t/dir/two /t/dir/hard
ln -s ../../../../../../etc/passwd /t/climb && mkfifo /t/dir/fifo
touch -d '2001-02-03 04:05:06' /t/file /t/dir/two && touch -d '2002-02-03 04:05:06' /t/dir"""
STATES = ("created", "running", "exited")


def container(engine, state, *options, name="box", script=TREE):
    """A container with the tree in it, in that state."""
    engine.docker("rm", "-f", name, status=None)
    command = script if state != "running" else script + "; touch /dev/shm/made; exec sleep 1000"
    engine.docker("create", "--name", name, "--network", "none", *options, "bb", "sh", "-c", command)
    if state == "created":
        return name
    engine.docker("start", name)
    if state == "exited":
        equal(engine.out("wait", name), "0", "it made its tree")
    else:
        eventually(lambda: engine.docker("exec", name, "test", "-e", "/dev/shm/made", status=None).returncode == 0,
                   "the tree is made")
    return name


@contextlib.contextmanager
def workspace(engine):
    path = pathlib.Path(engine.directory) / "copy"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def archive(engine, name, path):
    return engine.api("GET", f"/containers/{name}/archive?" + query(path=path))


def stat(engine, name, path, method="HEAD"):
    answer = engine.api(method, f"/containers/{name}/archive?" + query(path=path))
    equal(answer.status, 200, f"status of {path}")
    return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


def put(engine, name, path, data, **options):
    return engine.api("PUT", f"/containers/{name}/archive?" + query(path=path, **options), data,
                      {"Content-Type": "application/x-tar"})


def packed(**files):
    """An archive of files by name; a value of None is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def inside(engine, name, *command):
    """What a command sees in the container, whatever its state is."""
    if engine.inspect(name)["State"]["Running"]:
        return engine.out("exec", name, *command)
    engine.docker("commit", name, "look:1")
    try:
        return engine.out("run", "--rm", "--network", "none", "look:1", *command)
    finally:
        engine.docker("rmi", "look:1")


def opened_since(engine, before):
    """Descriptors that were not there; one of an earlier client may still have been open then."""
    return collections.Counter(engine.descriptors()) - collections.Counter(before)


@case()
def what_a_path_is(engine):
    for state in ("running", "exited"):
        container(engine, state)
        found = stat(engine, "box", "/t/file")
        equal((found["name"], found["size"], found["linkTarget"]), ("file", 4, ""), "file")
        equal(found["mode"], 0o751 | 1 << 23, "Go's mode: setuid")
        equal(found["mtime"][:19], "2001-02-03T04:05:06", "mtime")
        equal(stat(engine, "box", "/t/dir")["mode"], 0o700 | 1 << 31, "directory")
        equal(stat(engine, "box", "t/dir/")["name"], "dir", "a relative path, with a slash")
        equal(stat(engine, "box", "/")["name"], "/", "the root")
        link = stat(engine, "box", "/t/link")
        equal((link["mode"] >> 27 & 1, link["linkTarget"]), (1, "/t/file"), "link")
        equal(stat(engine, "box", "/t/dirlink/")["mode"] >> 31, 1, "followed with a slash behind it")
        equal(stat(engine, "box", "/t/climb")["linkTarget"], "/etc/passwd", "inside the root")
        equal(stat(engine, "box", "/t/broken")["linkTarget"], "/t/nowhere", "as far as it is there")
        equal(stat(engine, "box", "/t/dir/fifo")["mode"] >> 25 & 1, 1, "fifo")
        equal(stat(engine, "box", "/t/../t/./file")["name"], "file", "made clean")
        equal(stat(engine, "box", "/t/dir/two", "GET"), stat(engine, "box", "/t/dir/two"), "GET has it, too")
    engine.docker("rm", "-f", "box")


@case()
def what_an_archive_holds(engine):
    for state in ("running", "exited"):
        container(engine, state)
        answer = archive(engine, "box", "/t/dir")
        equal((answer.status, answer.headers["Content-Type"]), (200, "application/x-tar"), "GET")
        found = members(answer.body)
        equal(set(found), {"dir", "dir/deep", "dir/deep/three", "dir/fifo", "dir/hard", "dir/two"}, "names")
        equal((found["dir"].uid, found["dir"].gid, found["dir"].mode & 0o7777), (5, 6, 0o700), "directory")
        equal(int(found["dir/two"].mtime), 981173106, "mtime")
        equal({found["dir/two"].linkname, found["dir/hard"].linkname}, {"", "dir/hard"}, "hard link")
        equal(set(members(archive(engine, "box", "/t/dir/.").body)),
              {".", "./deep", "./deep/three", "./fifo", "./hard", "./two"}, "its contents")
        alone = members(archive(engine, "box", "/t/file").body)
        equal([(m.name, m.uid, m.gid, m.mode & 0o7777) for m in alone.values()], [("file", 12, 34, 0o4751)], "a file")
        equal(members(archive(engine, "box", "/t/link").body)["link"].linkname, "file", "a link stays one")
        contains(members(archive(engine, "box", "/t/dirlink/").body), "dirlink/two", "by another name")
        packed_up = engine.api("GET", "/containers/box/archive?path=/t/dir", headers={"Accept-Encoding": "br, gzip;q=0.5"})
        equal(packed_up.headers["Content-Encoding"], "gzip", "compressed for who takes that")
        equal(set(members(gzip.decompress(packed_up.body))), set(found), "the same")
        contains({name.strip("/") for name in members(archive(engine, "box", "/").body)}, "t/file", "all of it")
    engine.docker("rm", "-f", "box")


@case()
def errors_of_the_api(engine):
    container(engine, "exited")
    for method in ("HEAD", "GET", "PUT"):
        equal(engine.api(method, "/containers/no-such/archive?path=/").status, 404, "no such container")
        equal(engine.api(method, "/containers/box/archive").status, 400, "no path")
        equal(engine.api(method, "/containers/box/archive?path=/no/such").status, 404, "no such path")
    contains(archive(engine, "box", "/no/such").message, "Could not find the file /no/such in container box", "message")
    refused = put(engine, "box", "/t/file", packed(x=b""))
    equal(refused.message, "extraction point is not a directory", "no directory")
    equal(refused.status, 400 if ENGINE == "davit" else 500, "status")
    check(put(engine, "box", "/t", b"no archive" * 200).status >= 400, "garbage is refused")
    kept = put(engine, "box", "/t", packed(dir=b"file"), noOverwriteDirNonDir="true")
    equal(kept.status, 500 if ENGINE == "davit" else kept.status, "a directory stays")
    contains(kept.message, 'cannot overwrite directory "', "and says so")
    contains(put(engine, "box", "/t", packed(file=None), noOverwriteDirNonDir="1").message,
             'cannot overwrite non-directory "', "a file stays")
    equal(inside(engine, "box", "cat", "/t/file"), "one", "as it was")
    equal(put(engine, "box", "/t", packed(dir=b"file")).status, 200, "without the flag it goes")
    equal(inside(engine, "box", "cat", "/t/dir"), "file", "replaced")
    engine.docker("rm", "box")


@case()
def archives_into_containers(engine):
    for state in STATES:
        container(engine, state, script="true")
        equal(put(engine, "box", "/", packed(new=None, new__file=b"content")).status, 200, "PUT")
        equal(inside(engine, "box", "cat", "/new/file"), "content", state)
        # Parents that no entry speaks of, and a link of the container's on the way.
        engine.docker("cp", "-", "box:/new", stdin=packed(a__b__c=b"deep"))
        equal(inside(engine, "box", "cat", "/new/a/b/c"), "deep", state)
        for program in ("gzip", "bzip2", "xz", *(("zstd",) if ENGINE == "davit" else ())):
            if shutil.which(program):
                data = subprocess.run([program, "-c"], input=packed(**{program: b"z"}), check=True,
                                      capture_output=True).stdout
                equal(put(engine, "box", "/new", data).status, 200, program)
                equal(inside(engine, "box", "cat", "/new/" + program), "z", program)
    # What a stopped container was given is there when it starts.
    container(engine, "created", script="cat /etc/given")
    engine.docker("cp", "-", "box:/etc", stdin=packed(given=b"before it starts"))
    equal(engine.docker("start", "-a", "box").stdout, "before it starts", "copied before start")
    engine.docker("rm", "-f", "box")


@case()
def links_of_the_container_stay_inside(engine):
    """Names are taken from the container's root, however its links are spelled."""
    script = """mkdir -p /real /x && ln -s /real /abs && ln -s ../../../../real /x/up && ln -s /etc /x/etc
        ln -s /proc/1/root /magic; ln -s / /x/root"""
    secret = pathlib.Path("/etc/davit-copy-secret")
    for state in ("running", "exited"):
        container(engine, state, script=script + "")
        for target in ("/abs", "/x/up", "/x/../abs", "/x/root/real"):
            equal(put(engine, "box", target, packed(**{"f" + target.replace("/", "_"): b"1"})).status, 200, target)
        equal(len(inside(engine, "box", "ls", "/real").split()), 4, "all of them arrived")
        equal(put(engine, "box", "/x", packed(etc__made=b"in", up__made=b"in")).status, 200, "links as parents")
        equal(inside(engine, "box", "cat", "/etc/made", "/real/made"), "inin", "in the container")
        try:
            secret.write_text("host")
            for path in ("/x/etc/davit-copy-secret", "/x/root/etc/davit-copy-secret",
                         "/../../../../etc/davit-copy-secret", "/magic/etc/davit-copy-secret"):
                check(archive(engine, "box", path).status in (404, 500), f"the host's is not seen: {path}")
        finally:
            secret.unlink()
        check(not pathlib.Path("/etc/made").exists() and not pathlib.Path("/real").exists(), "nor written")
        climbing = put(engine, "box", "/x", packed(**{"..__..__climb": b"no"}))
        check(climbing.status >= 400, "an archive does not climb out")
    engine.docker("rm", "-f", "box")


def race(engine, name, rounds, action):
    """Run action over and over while the container swaps names."""
    deadline = time.monotonic() + 60
    done = 0
    while done < rounds and time.monotonic() < deadline:
        action(done)
        done += 1
    equal(engine.inspect(name)["State"]["Running"], True, "the attacker worked to the end")


@case()
def a_container_that_swaps_names(engine):
    """CVE-2018-15664: a directory becomes a link to the root between look and use."""
    script = """mkdir -p /a /b && ln -s / /l && echo own > /a/davit-copy-secret
        while :; do mv /a /c; mv /l /a; mv /a /l; mv /c /a; done"""
    container(engine, "running", script="(" + script + ") & mkdir /t")
    secret = pathlib.Path("/davit-copy-secret")
    try:
        secret.write_text("host")

        def attack(turn):
            out = archive(engine, "box", "/a/davit-copy-secret")
            check(out.status in (200, 404, 500), "an answer")
            if out.status == 200:
                check(b"host" not in out.body, "the host's file was not read")
            put(engine, "box", "/a", packed(**{f"davit-written-{turn}": b"x", f"d__davit-written-{turn}": b"x"}))

        race(engine, "box", 150, attack)
    finally:
        secret.unlink()
    left = [str(path) for path in pathlib.Path("/").glob("davit-written-*")]
    equal(left, [], "nothing was written to the host's root")
    engine.docker("rm", "-f", "box")


@case()
def the_table_of_docker_cp(engine):
    with workspace(engine) as work:
        container(engine, "running")
        # Out of the container.
        engine.docker("cp", "box:/t/file", work / "new")
        equal((work / "new").read_text(), "one\n", "a file under a new name")
        engine.docker("cp", "box:/t/file", work)
        equal((work / "file").read_text(), "one\n", "a file into a directory")
        equal(int((work / "file").stat().st_mtime), 981173106, "mtime")
        equal((work / "file").stat().st_mode & 0o777, 0o751, "mode")
        equal((work / "file").stat().st_uid, os.getuid(), "the user's own")
        (work / "over").write_text("old")
        engine.docker("cp", "box:/t/file", work / "over")
        equal((work / "over").read_text(), "one\n", "over a file")
        check(engine.docker("cp", "box:/t/file", f"{work}/missing/", status=1).stderr, "no such directory")
        check(engine.docker("cp", "box:/t/dir", work / "over", status=1).stderr, "a directory over a file")
        engine.docker("cp", "box:/t/dir", work / "made")
        equal((work / "made/deep/three").read_text(), "three\n", "a directory under a new name")
        engine.docker("cp", "box:/t/dir", work)
        equal((work / "dir/two").read_text(), "two\n", "into a directory, with its name")
        (work / "flat").mkdir()
        engine.docker("cp", "box:/t/dir/.", work / "flat")
        equal((work / "flat/two").read_text(), "two\n", "its contents")
        check(not (work / "flat/dir").exists(), "without its name")
        engine.docker("cp", "box:/t/link", work)
        equal(os.readlink(work / "link"), "file", "a link stays a link")
        engine.docker("cp", "-L", "box:/t/link", work / "followed")
        equal((work / "followed").read_text(), "one\n", "-L follows it")
        engine.docker("cp", "-L", "box:/t/dirlink", work)
        equal((work / "dirlink/two").read_text(), "two\n", "-L keeps the link's name")
        piped = engine.docker("cp", "box:/t/file", "-", text=False).stdout
        equal(list(members(piped)), ["file"], "an archive to stdout")
        engine.docker("rm", "-f", "box")


@case()
def the_table_of_docker_cp_into_containers(engine):
    with workspace(engine) as work:
        (work / "dir/deep").mkdir(parents=True)
        (work / "dir/two").write_text("2")
        (work / "dir/deep/three").write_text("3")
        (work / "file").write_text("f")
        os.utime(work / "file", (981173106, 981173106))
        os.chmod(work / "file", 0o640)
        os.chown(work / "file", 77, 88)
        os.symlink("file", work / "link")
        os.symlink("dir", work / "dirlink")
        for state in STATES:
            container(engine, state, script="mkdir /into; echo old > /over; ln -s /into /intolink")
            if state == "created":
                engine.docker("cp", "-", "box:/", stdin=packed(into=None, over=b"old"))
            engine.docker("cp", work / "file", "box:/new")
            engine.docker("cp", work / "file", "box:/into")
            engine.docker("cp", work / "file", "box:/over")
            equal(inside(engine, "box", "cat", "/new", "/into/file", "/over"), "fff", state)
            equal(inside(engine, "box", "stat", "-c", "%u:%g %a %Y", "/into/file"), "77:88 640 981173106", state)
            contains(engine.docker("cp", work / "file", "box:/missing/", status=1).stderr, "no such directory", state)
            contains(engine.docker("cp", work / "dir", "box:/over", status=1).stderr, "cannot copy directory", state)
            engine.docker("cp", work / "dir", "box:/made")
            engine.docker("cp", work / "dir", "box:/into")
            engine.docker("cp", f"{work}/dir/.", "box:/into")
            equal(inside(engine, "box", "cat", "/made/two", "/into/dir/deep/three", "/into/deep/three"), "233", state)
            engine.docker("cp", work / "link", "box:/into/link")
            equal(inside(engine, "box", "readlink", "/into/link"), "file", "a link stays a link")
            engine.docker("cp", "-L", work / "link", "box:/into/followed")
            engine.docker("cp", "-L", work / "dirlink", "box:/into")
            equal(inside(engine, "box", "cat", "/into/followed", "/into/dirlink/two"), "f2", "-L follows it")
            if state != "created":
                engine.docker("cp", work / "dir/two", "box:/intolink")
                equal(inside(engine, "box", "cat", "/into/two"), "2", "a link as the destination")
            contains(engine.docker("cp", "-", "box:/over", stdin=packed(x=b""), status=1).stderr,
                     "must be a directory", state)
        contains(engine.docker("cp", work / "file", work / "x", status=1).stderr, "at least one container", "no container")
        contains(engine.docker("cp", "box:/a", "box:/b", status=1).stderr, "between containers is not supported", "two")
        check(engine.docker("cp", work / "none", "box:/", status=1).stderr, "a source that is not there")
        engine.docker("rm", "-f", "box")


@case()
def whose_it_becomes(engine):
    with workspace(engine) as work:
        (work / "file").write_text("f")
        os.chown(work / "file", 77, 88)
        container(engine, "running", "--user", "1000:2000", script="true")
        engine.docker("cp", work / "file", "box:/tmp/plain")
        equal(engine.out("exec", "box", "stat", "-c", "%u:%g", "/tmp/plain"), "77:88", "as it was")
        if ENGINE != "davit":
            return  # Docker 20 takes no numbers here.
        engine.docker("cp", "-a", work / "file", "box:/tmp/archive")
        equal(engine.out("exec", "box", "stat", "-c", "%u:%g", "/tmp/archive"), "1000:2000", "-a: the container's user's")
        engine.docker("rm", "-f", "box")


@case()
def what_is_mounted_is_seen(engine):
    with workspace(engine) as work:
        for state in STATES:
            host = work / state
            (host / "rw").mkdir(parents=True)
            (host / "ro").mkdir()
            (host / "rw/file").write_text("host's")
            (host / "single").write_text("single")
            container(engine, state, "-v", f"{host}/rw:/rw", "-v", f"{host}/ro:/ro:ro",
                      "-v", f"{host}/single:/single", "--tmpfs", "/scratch",
                      script="echo x > /scratch/file")
            equal(list(members(archive(engine, "box", "/rw").body)), ["rw", "rw/file"], "a bind is entered")
            equal(put(engine, "box", "/rw", packed(new=b"n")).status, 200, "and written")
            equal((host / "rw/new").read_text(), "n", "on the host")
            refused = put(engine, "box", "/ro", packed(new=b"n"))
            equal(refused.message, "mounted volume is marked read-only", state)
            equal(refused.status, 403 if ENGINE == "davit" else refused.status, "status")
            equal(list((host / "ro").iterdir()), [], "nothing was written")
            equal(members(archive(engine, "box", "/single").body)["single"].size, 6, "a bound file")
            over = put(engine, "box", "/", packed(single=b"replaced"))
            equal(over.status, 500, "a mount is not replaced")
            equal((host / "single").read_text(), "single", "and stays what it was")
            if state == "running" and ENGINE == "davit":
                contains(members(archive(engine, "box", "/scratch").body), "scratch/file", "a tmpfs")
                equal(engine.out("exec", "box", "cat", "/single"), "single", "still mounted")
        engine.docker("rm", "-f", "box")


@case()
def volumes_are_seen(engine):
    for state in STATES:
        container(engine, state, "-v", "copied:/vol", "-v", "/anonymous", script="echo own > /vol/own")
        engine.docker("cp", "-", "box:/vol", stdin=packed(given=state.encode()))
        engine.docker("cp", "-", "box:/anonymous", stdin=packed(there=b"a"))
        equal(engine.out(*"run --rm --network none -v copied:/v bb cat /v/given".split()), state, "in the volume")
        equal(members(archive(engine, "box", "/vol").body)["vol/given"].size, len(state), "read back")
        engine.docker("rm", "-f", "-v", "box")
    engine.docker("volume", "rm", "copied")


@case()
def a_read_only_root(engine):
    with workspace(engine) as work:
        (work / "file").write_text("f")
        for state in ("created", "running"):
            container(engine, state, "--read-only", "-v", f"{work}:/rw", script="true")
            refused = put(engine, "box", "/", packed(new=b"n"))
            equal(refused.message, "container rootfs is marked read-only", state)
            equal(refused.status, 403 if ENGINE == "davit" else refused.status, "status")
            contains(engine.docker("cp", work / "file", "box:/etc/", status=1).stderr, "marked read-only", state)
            engine.docker("cp", work / "file", f"box:/rw/{state}")
            equal((work / state).read_text(), "f", "a volume can be written")
            equal(archive(engine, "box", "/etc").status, 200, "and everything read")
        engine.docker("rm", "-f", "box")


@case()
def large_and_sparse_files(engine):
    with workspace(engine) as work:
        container(engine, "running", script="mkdir /t")
        block = os.urandom(1 << 20)
        digest = hashlib.sha256()
        with open(work / "big", "wb") as big:
            for turn in range(300):
                piece = block[turn:] + block[:turn]
                big.write(piece)
                digest.update(piece)
        before = engine.resident_kib()
        engine.docker("cp", work / "big", "box:/big")
        equal(engine.out("exec", "box", "sha256sum", "/big").split()[0], digest.hexdigest(), "300 MB in")
        engine.docker("cp", "box:/big", work / "back")
        with open(work / "back", "rb") as back:
            equal(hashlib.file_digest(back, "sha256").hexdigest(), digest.hexdigest(), "and out")
        if ENGINE == "davit":
            grown = engine.resident_kib() - before
            check(grown < 32 * 1024, f"the daemon's memory is bounded: grew by {grown} KiB")
        (work / "back").unlink()
        with open(work / "sparse", "wb") as sparse:
            sparse.truncate(64 << 20)
            sparse.seek(32 << 20)
            sparse.write(b"middle")
        if ENGINE != "davit":
            return  # Docker 20 does not unpack it.
        tar = subprocess.run(["tar", "-C", str(work), "-cS", "sparse"], check=True, capture_output=True).stdout
        equal(put(engine, "box", "/", tar).status, 200, "a sparse archive")
        equal(engine.out("exec", "box", "stat", "-c", "%s", "/sparse"), str(64 << 20), "its size")
        check(int(engine.out("exec", "box", "stat", "-c", "%b", "/sparse")) < 1000, "its holes stay holes")
        engine.docker("rm", "-f", "box")


@case()
def it_is_told_as_events(engine):
    container(engine, "running", script="mkdir /t")
    since = str(time.time())
    archive(engine, "box", "/t")
    put(engine, "box", "/t", packed(x=b""))
    lines = engine.api("GET", "/events?" + query(since=since, until=str(time.time() + 0.1),
                                                 filters={"container": ["box"]})).body.split(b"\n")
    actions = [json.loads(line)["Action"] for line in lines if line]
    equal([action for action in actions if not action.startswith(("exec", "start", "create"))],
          ["archive-path", "extract-to-dir"], "events")
    engine.docker("rm", "-f", "box")


@case("davit")
def a_client_that_leaves(engine):
    """Half an archive, then nothing: no descriptor and no process stays, the container can start."""
    container(engine, "created", script="true")
    before = engine.descriptors()
    for length in (100, 5000):
        data = packed(x=b"y" * 100000)[:length]
        engine.raw(b"PUT /containers/box/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + data,
                   half_close=True)
    answer = threading.Thread(target=lambda: engine.raw(
        b"GET /containers/box/archive?path=/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    answer.start()
    answer.join()
    eventually(lambda: not opened_since(engine, before), "all descriptors are closed again")
    equal(engine.docker("start", "-a", "box").returncode, 0, "it starts")
    engine.docker("rm", "-f", "box")


@case("davit")
def docker_cp_of_many_states_leaves_nothing(engine):
    container(engine, "exited")
    before = engine.descriptors()
    mounts = mounts_below(engine.directory)
    for _ in range(20):
        archive(engine, "box", "/t")
        put(engine, "box", "/t", packed(x=b""))
        stat(engine, "box", "/t")
    eventually(lambda: not opened_since(engine, before), "descriptors")
    equal(mounts_below(engine.directory), mounts, "mounts")
    engine.docker("rm", "box")


@case("davit")
def out_and_in_at_once(engine):
    """Of one container, one through the other: what comes out has to go in for more to come out."""
    for state in STATES:
        name = container(engine, state, "-v", "/vol",
                         script="mkdir -p /t && head -c 9000000 /dev/urandom > /t/big && cp /t/big /vol/big")
        if state == "created":
            with workspace(engine) as path:
                (path / "big").write_bytes(os.urandom(9_000_000))
                engine.docker("cp", path / "big", f"{name}:/vol/big")
        out = subprocess.Popen([command_line(), "cp", f"{name}:/vol", "-"], env=engine.environment(),
                               stdout=subprocess.PIPE)
        done = subprocess.run([command_line(), "cp", "-", f"{name}:/home"], env=engine.environment(), stdin=out.stdout,
                              capture_output=True, timeout=60, check=False)
        out.stdout.close()
        equal((out.wait(60), done.returncode, done.stderr), (0, 0, b""), f"{state}: both end")
        first, second = (archive(engine, name, at).body for at in ("/vol/big", "/home/vol/big"))
        check(first == second and len(first) > 9_000_000, f"{state}: what arrived")
        if state == "exited":
            engine.docker("start", name)
        engine.docker("rm", "-f", "-v", name)


if __name__ == "__main__":
    check(CLI in ("docker", "davit"), "a command line")
    main()
