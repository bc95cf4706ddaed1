"""Volumes: made, listed, inspected, filled from images, used by containers, removed, pruned.

Goal: what clients see of volumes is what Docker shows, data stay where they are put for as long as
anybody may want them and no longer, and a daemon that dies leaves neither half a volume nor a lost
one. Method: the command line, the API where the command line hides a field, and the directories below
the data root.
"""

import functools
import io
import json
import os
import pathlib
import re
import signal
import tarfile

from harness import (ENGINE, case, check, contains, equal, eventually, main, matches, query)

ANONYMOUS = "com.docker.volume.anonymous"


def volumes(engine, **filters):
    answer = engine.api("GET", "/volumes?" + query(filters=filters))
    equal(answer.status, 200, answer.body)
    return [volume["Name"] for volume in answer.json["Volumes"] or []]


def volume(engine, name):
    answer = engine.api("GET", f"/volumes/{name}")
    equal(answer.status, 200, answer.body)
    return answer.json


def data_of(engine, name):
    return pathlib.Path(volume(engine, name)["Mountpoint"])


def prune_all(engine):
    engine.api("POST", "/volumes/prune?" + query(filters={"all": ["true"]}))


def clean_case(*engines):
    """A case that begins without volumes, whatever an earlier one that failed has left."""

    def mark(function):
        @functools.wraps(function)
        def begin(engine):
            prune_all(engine)
            function(engine)

        return case(*engines)(begin)

    return mark


def image_with_volume(engine, name, *, path="/data", files=True):
    """An image with a directory of an unusual owner and mode, declared a volume."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        with tarfile.open(engine.directory / "busybox.tar") as base:
            for member in base:
                tar.addfile(member, base.extractfile(member) if member.isreg() else None)
        for entry, kind, mode, text in (
                (path.strip("/"), tarfile.DIRTYPE, 0o2750, b""),
                *(((path.strip("/") + "/file", tarfile.REGTYPE, 0o4711, b"of the image\n"),
                   (path.strip("/") + "/sub", tarfile.DIRTYPE, 0o700, b""),
                   (path.strip("/") + "/sub/deep", tarfile.REGTYPE, 0o600, b"deep\n")) if files else ())):
            info = tarfile.TarInfo(entry)
            info.type, info.mode, info.uid, info.gid, info.size = kind, mode, 1234, 2345, len(text)
            info.mtime = 1000000000
            tar.addfile(info, io.BytesIO(text))
        link = tarfile.TarInfo(path.strip("/") + "/link")
        link.type, link.linkname, link.uid, link.gid = tarfile.SYMTYPE, "/etc/passwd", 1, 2
        if files:
            tar.addfile(link)
    engine.docker("import", "-c", "ENV PATH=/bin:/usr/bin", "-c", 'CMD ["sh"]', "-c",
                  f"VOLUME {path}", "-", name, stdin=archive.getvalue())
    return name


@clean_case()
def made_listed_and_removed(engine):
    equal(engine.out("volume", "create", "first"), "first")
    equal(engine.out("volume", "create", "--label", "a=1", "--label", "b", "second"), "second")
    generated = engine.out("volume", "create")
    matches(generated, "^[0-9a-f]{64}$")
    equal(set(volumes(engine)), {"first", "second", generated})
    equal(engine.out("volume", "ls", "-q").split(), sorted(["first", "second", generated]))
    contains(engine.out("volume", "ls"), "DRIVER    VOLUME NAME")
    facts = volume(engine, "second")
    equal({key: facts[key] for key in ("Name", "Driver", "Labels", "Options", "Scope")},
          {"Name": "second", "Driver": "local", "Labels": {"a": "1", "b": ""}, "Options": None,
           "Scope": "local"})
    equal(facts["Mountpoint"], str(engine.state_root / "volumes/second/_data"))
    matches(facts["CreatedAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$")
    equal(volume(engine, "first")["Labels"], None)
    equal(volume(engine, generated)["Labels"], {ANONYMOUS: ""})
    check(os.path.isdir(facts["Mountpoint"]), "its directory")
    equal(json.loads(engine.out("volume", "inspect", "first"))[0]["Name"], "first")
    equal(engine.out("volume", "inspect", "-f", "{{.Name}} {{.Driver}}", "first"), "first local")
    equal(engine.out("inspect", "-f", "{{.Mountpoint}}", "second"), facts["Mountpoint"])
    equal(engine.out("volume", "rm", "first", generated), f"first\n{generated}")
    equal(volumes(engine), ["second"])
    engine.docker("volume", "rm", "second")
    check(not os.path.exists(os.path.dirname(facts["Mountpoint"])), "its directory is gone")


@clean_case()
def mistakes(engine):
    for name in ("-x", "a b", "x/y", "x:y", ".x"):
        answer = engine.api("POST", "/volumes/create", {"Name": name})
        equal(answer.status, 400, answer.body)
        equal(answer.message, f'create {name}: "{name}" includes invalid characters for a local '
              'volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a '
              'host directory, use absolute path')
    answer = engine.api("POST", "/volumes/create", {"Name": "x"})
    equal((answer.status, answer.message), (
        400, "create x: volume name is too short, names should be at least two alphanumeric "
        "characters"))
    answer = engine.api("POST", "/volumes/create", {"Name": "xx", "Driver": "odd"})
    equal((answer.status, answer.message),
          (404, 'create xx: error looking up volume plugin odd: plugin "odd" not found'))
    for options, text in (({"odd": "1"}, 'invalid option: "odd"'),
                          ({"device": "/x"}, 'missing required option: "type"'),
                          ({"type": "tmpfs"}, 'missing required option: "device"'),
                          ({"size": "many"}, "invalid size: 'many'"),
                          ({"size": "1m"}, "quota size requested but no quota support"),
                          ({"type": "tmpfs", "device": "x", "size": "1m"},
                           "quota size requested but no quota support")):
        answer = engine.api("POST", "/volumes/create", {"Name": "xx", "DriverOpts": options})
        equal((answer.status, answer.message), (400, f"create xx: {text}"))
    for path in ("/volumes/nosuch", "/volumes/%2e%2e"):
        equal(engine.api("GET", path).status, 404)
    answer = engine.api("DELETE", "/volumes/nosuch")
    equal((answer.status, answer.message), (404, "get nosuch: no such volume"))
    equal(engine.api("DELETE", "/volumes/nosuch?force=1").status, 204)
    contains(engine.docker("volume", "rm", "nosuch", status=1).stderr, "no such volume")
    contains(engine.docker("volume", "inspect", "nosuch", status=1).stderr, "no such volume")
    equal(engine.api("GET", "/volumes?" + query(filters={"odd": ["x"]})).status, 400)
    equal(engine.api("POST", "/volumes/prune?" + query(filters={"all": ["x"]})).status, 400)
    equal(engine.api("PUT", "/volumes/nosuch", {}).status, 503)
    equal(volumes(engine), [], "none of them was made")


@clean_case()
def made_twice(engine):
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "twice")
    equal(engine.out("volume", "create", "twice"), "twice")
    equal(engine.out("volume", "create", "-o", "device=tmpfs", "-o", "type=tmpfs", "twice"), "twice")
    equal(volume(engine, "twice")["Options"], {"type": "tmpfs", "device": "tmpfs"})
    if ENGINE == "davit":
        answer = engine.api("POST", "/volumes/create", {
            "Name": "twice", "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}})
        equal(answer.status, 409, answer.body)
        contains(answer.message, "create twice: ")
    engine.docker("volume", "rm", "twice")


@clean_case()
def filters(engine):
    for name, label in (("alpha", "k=1"), ("beta", "k=2"), ("alphabet", "other")):
        engine.docker("volume", "create", "--label", label, name)
    engine.docker("create", "-v", "beta:/x", "bb")
    equal(volumes(engine, name=["alpha"]), ["alpha", "alphabet"])
    equal(volumes(engine, name=["^alpha$"]), ["alpha"])
    equal(volumes(engine, label=["k"]), ["alpha", "beta"])
    equal(volumes(engine, label=["k=2"]), ["beta"])
    equal(volumes(engine, driver=["local"]), ["alpha", "alphabet", "beta"])
    equal(volumes(engine, driver=["odd"]), [])
    equal(volumes(engine, dangling=["true"]), ["alpha", "alphabet"])
    equal(volumes(engine, dangling=["false"]), ["beta"])
    equal(engine.out("volume", "ls", "-f", "label=other", "--format", "{{.Name}}/{{.Labels}}"),
          "alphabet/other=")
    engine.remove_all()
    engine.docker("volume", "rm", "alpha", "beta", "alphabet")


@clean_case()
def data_stay(engine):
    engine.docker("run", "--rm", "-v", "kept:/data", "bb", "sh", "-c", "echo one > /data/file")
    equal(engine.out("run", "--rm", "-v", "kept:/other:ro", "bb", "cat", "/other/file"), "one")
    contains(engine.docker("run", "--rm", "-v", "kept:/data:ro", "bb", "touch", "/data/x",
                           status=1).stderr, "Read-only file system")
    equal((data_of(engine, "kept") / "file").read_text(), "one\n")
    engine.docker("volume", "rm", "kept")


@clean_case()
def in_use(engine):
    first = engine.out("create", "-v", "busy:/data", "bb")
    second = engine.out("create", "-v", "busy:/data", "bb")
    answer = engine.api("DELETE", "/volumes/busy?force=1")
    equal(answer.status, 409, answer.body)
    ids = re.fullmatch(r"remove busy: volume is in use - \[(.*)\]", answer.message).group(1)
    equal(set(ids.split(", ")), {first, second})
    engine.docker("rm", first)
    contains(engine.docker("volume", "rm", "busy", status=1).stderr, second)
    engine.docker("rm", "-v", second)
    equal(volumes(engine), ["busy"], "a named volume stays")
    engine.docker("volume", "rm", "busy")


@clean_case()
def inspected(engine):
    identity = engine.out("create", "-v", "named:/named", "-v", "named:/ro:ro", "-v", "/anonymous",
                          "--mount", "type=volume,src=other,dst=/other,volume-nocopy,volume-label=l=1",
                          "bb")
    mounts = {mount["Destination"]: mount for mount in engine.inspect(identity)["Mounts"]}
    root = str(engine.state_root / "volumes")
    equal(mounts["/named"], {
        "Type": "volume", "Name": "named", "Source": f"{root}/named/_data", "Destination": "/named",
        "Driver": "local", "Mode": "z", "RW": True, "Propagation": ""})
    equal(mounts["/ro"], {**mounts["/named"], "Destination": "/ro", "Mode": "ro", "RW": False})
    anonymous = mounts["/anonymous"]
    matches(anonymous["Name"], "^[0-9a-f]{64}$")
    equal(anonymous, {**mounts["/named"], "Name": anonymous["Name"], "Mode": "",
                      "Source": f"{root}/{anonymous['Name']}/_data", "Destination": "/anonymous"})
    equal(volume(engine, anonymous["Name"])["Labels"], {ANONYMOUS: ""})
    equal(volume(engine, "other")["Labels"], {"l": "1"})
    request = engine.inspect(identity)["HostConfig"]["Mounts"][0]
    equal(request["VolumeOptions"]["NoCopy"], True)
    summary, = engine.api("GET", "/containers/json?" + query(
        all=1, filters={"volume": ["named"]})).json
    equal(summary["Id"], identity)
    equal(engine.out("ps", "-aq", "--no-trunc", "--filter", "volume=/anonymous"), identity)
    equal(engine.out("ps", "-aq", "--filter", "volume=nosuch"), "")
    engine.docker("rm", "-v", identity)
    equal(volumes(engine), ["named", "other"])
    engine.docker("volume", "rm", "named", "other")


@clean_case()
def filled_from_the_image(engine):
    image = image_with_volume(engine, "withvolume")
    show = ("stat -c '%u:%g %a %F %n' /data /data/* /data/sub/*; cat /data/file /data/sub/deep; "
            "readlink /data/link; stat -c %Y /data/file")
    plain = engine.out("run", "--rm", "--entrypoint", "sh", "-v", "nocopy:/elsewhere", image, "-c", show)
    contains(plain, "1234:2345 2750 directory /data")
    contains(plain, "1234:2345 4711 regular file /data/file")
    contains(plain, "1000000000")
    for volume_name in ("filled:/data", "/data"):
        equal(engine.out("run", "--rm", "-v", volume_name, image, "sh", "-c", show), plain)
    data = data_of(engine, "filled")
    equal((data.stat().st_uid, data.stat().st_mode & 0o7777), (1234, 0o2750))
    # What is there is not filled again, nor is what nocopy was said of.
    engine.docker("run", "--rm", "-v", "filled:/data", image, "rm", "/data/file")
    equal(engine.out("run", "--rm", "-v", "filled:/data", image, "ls", "/data"), "link\nsub")
    equal(engine.out("run", "--rm", "-v", "empty:/data:nocopy", image, "ls", "/data"), "")
    equal(engine.out("run", "--rm", "--mount", "src=empty,dst=/data,volume-nocopy", image, "ls",
                     "/data"), "")
    equal(engine.out("run", "--rm", "-v", "empty:/data", image, "ls", "/data"), "file\nlink\nsub")
    # It is done when the container is made.
    identity = engine.out("create", "-v", "early:/data", image)
    equal(sorted(os.listdir(data_of(engine, "early"))), ["file", "link", "sub"])
    engine.docker("rm", identity)
    # Owner and mode are taken from an empty directory, too.
    hollow = image_with_volume(engine, "hollow", files=False)
    equal(engine.out("run", "--rm", hollow, "stat", "-c", "%u:%g %a", "/data"), "1234:2345 2750")
    # A file cannot be a volume.
    done = engine.docker("create", "-v", "/bin/busybox", "bb", status=None)
    check(done.returncode != 0, "refused")
    contains(done.stderr, "cannot mount volume over existing file, file exists")
    equal(sorted(volumes(engine)), ["early", "empty", "filled", "nocopy"], "and nothing is left of it")
    prune_all(engine)
    engine.docker("rmi", "withvolume", "hollow")


@clean_case()
def a_volume_in_use_is_filled(engine):
    image = image_with_volume(engine, "withvolume")
    engine.docker("run", "-d", "--name", "holder", "-v", "shared:/data", "bb", "sleep", "100")
    engine.docker("create", "-v", "shared:/data", image)
    equal(engine.out("exec", "holder", "ls", "/data"), "file\nlink\nsub")
    equal(engine.out("exec", "holder", "stat", "-c", "%u:%g %a", "/data"), "1234:2345 2750")
    engine.remove_all()
    prune_all(engine)
    engine.docker("rmi", "withvolume")


@clean_case()
def anonymous_volumes_go_with_their_container(engine):
    image = image_with_volume(engine, "withvolume")
    engine.docker("run", "--rm", "-v", "/more", image, "true")
    equal(volumes(engine), [], "--rm")
    identity = engine.out("run", "-d", image, "true")
    engine.docker("wait", identity)
    equal(len(volumes(engine)), 1)
    engine.docker("rm", identity)
    equal(len(volumes(engine)), 1, "without -v it stays")
    other = engine.out("create", image)
    engine.docker("rm", "-v", other)
    equal(len(volumes(engine)), 1, "with -v it goes")
    failing = engine.docker("run", "--rm", image, "/nosuch", status=127)
    contains(failing.stderr, "/nosuch")
    equal(len(volumes(engine)), 1, "a failed start leaves none")
    prune_all(engine)
    engine.docker("rmi", "withvolume")


@clean_case()
def volumes_from(engine):
    bind = engine.directory / "bound"
    bind.mkdir(exist_ok=True)
    (bind / "file").write_text("bound\n")
    engine.docker("create", "--name", "source", "-v", "named:/named", "-v", "/anonymous", "-v",
                  f"{bind}:/bound:ro", "bb")
    engine.docker("run", "--rm", "--volumes-from", "source", "bb", "sh", "-c",
                  "echo 1 > /named/x; echo 2 > /anonymous/x; cat /bound/file")
    equal(engine.out("run", "--rm", "--volumes-from", "source:ro", "bb", "sh", "-c",
                     "cat /named/x /anonymous/x; touch /named/y 2>/dev/null || echo refused"),
          "1\n2\nrefused")
    contains(engine.docker("run", "--rm", "--volumes-from", "source", "bb", "touch", "/bound/x",
                           status=1).stderr, "Read-only")
    # What is asked for directly counts more; the later of two containers more than the earlier.
    engine.docker("create", "--name", "second", "-v", "second:/named", "bb")
    equal(engine.out("run", "--rm", "-v", "own:/named", "--volumes-from", "source", "bb", "ls",
                     "/named"), "")
    equal(engine.out("run", "--rm", "--volumes-from", "source", "--volumes-from", "second", "bb", "ls",
                     "/named"), "")
    equal(engine.out("run", "--rm", "--volumes-from", "second", "--volumes-from", "source", "bb", "ls",
                     "/named"), "x")
    for spec, status, text in (("nosuch", 404, "No such container: nosuch"),
                               ("source:x", 400, "invalid mode: x"),
                               ("source:nocopy", 400, "invalid mode: nocopy"),
                               ("source:shared", 400, "invalid mode: shared")):
        answer = engine.api("POST", "/containers/create",
                            {"Image": "bb", "HostConfig": {"VolumesFrom": [spec]}})
        equal((answer.status, answer.message), (status, text))
    # An anonymous volume stays as long as one of its users does.
    engine.docker("create", "--name", "third", "--volumes-from", "source", "bb")
    anonymous = volumes(engine, label=[ANONYMOUS])
    engine.docker("rm", "-v", "source")
    equal(volumes(engine, label=[ANONYMOUS]), anonymous)
    engine.docker("rm", "-v", "third", "second")
    equal(volumes(engine, label=[ANONYMOUS]), [])
    prune_all(engine)


@clean_case()
def pruned(engine):
    engine.docker("volume", "create", "named")
    engine.docker("volume", "create", "--label", "keep", "labelled")
    anonymous = engine.out("volume", "create")
    engine.docker("create", "-v", "used:/x", "bb")
    (data_of(engine, anonymous) / "file").write_bytes(b"x" * 5000)
    (data_of(engine, "named") / "file").write_bytes(b"x" * 3000)
    declined = engine.docker("volume", "prune", stdin="n\n", status=None)
    contains(declined.stdout, "WARNING! This will remove anonymous local volumes not used by at least "
             "one container.")
    answer = engine.api("POST", "/volumes/prune").json
    equal((answer["VolumesDeleted"], answer["SpaceReclaimed"]), ([anonymous], 5000))
    equal(engine.api("POST", "/volumes/prune").json["VolumesDeleted"], None)
    out = engine.out("volume", "prune", "-f", "-a", "--filter", "label!=keep")
    equal(out, "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 3kB")
    # Older clients did not tell the two apart.
    answer = engine.api("POST", "/v1.41/volumes/prune").json
    equal(answer["VolumesDeleted"], ["labelled"])
    equal(volumes(engine), ["used"])
    engine.remove_all()
    prune_all(engine)


@clean_case()
def disk_use(engine):
    engine.docker("create", "-v", "used:/x", "bb")
    (data_of(engine, "used") / "file").write_bytes(b"x" * 4321)
    use, = engine.api("GET", "/system/df").json["Volumes"]
    equal((use["Name"], use["UsageData"]), ("used", {"RefCount": 1, "Size": 4321}))
    equal(engine.api("GET", "/system/df?type=image").json["Volumes"], None)
    contains(engine.out("system", "df"), "Local Volumes   1         1         4.321kB   0B (0%)")
    contains(engine.out("system", "df", "--format", "{{.Type}}={{.Active}}"), "Local Volumes=1")
    matches(engine.out("system", "df", "-v"), r"(?m)^used +1 +4.321kB$")
    engine.remove_all()
    prune_all(engine)


@clean_case()
def events(engine):
    begun = engine.out("run", "--rm", "bb", "date", "+%s")
    identity = engine.out("create", "-v", "seen:/data:ro", "-v", "/anonymous", "bb", "true")
    engine.docker("start", "-a", identity)
    engine.docker("rm", "-v", identity)
    engine.docker("volume", "rm", "seen")
    prune_all(engine)
    until = engine.out("run", "--rm", "bb", "date", "+%s")
    lines = engine.out("events", "--since", begun, "--until", str(int(until) + 1), "--filter",
                       "type=volume", "--format", "{{json .}}").splitlines()
    found = [json.loads(line) for line in lines]
    while found[0]["Actor"]["ID"] != "seen":  # Of another case, in the same second.
        del found[0]
    of_seen = [(event["Action"], event["Actor"]["Attributes"]) for event in found
               if event["Actor"]["ID"] == "seen"]
    equal(of_seen, [
        ("create", {"driver": "local"}),
        ("mount", {"driver": "local", "container": identity, "destination": "/data",
                   "read/write": "false", "propagation": ""}),
        ("unmount", {"driver": "local", "container": identity}),
        ("destroy", {"driver": "local"})])
    others = {event["Actor"]["ID"] for event in found} - {"seen", ""}
    equal(len(others), 1)
    actions = [event["Action"] for event in found if event["Actor"]["ID"] in others]
    equal(actions, ["create", "mount", "unmount", "destroy"])
    equal(found[-1]["Action"], "prune")
    equal(found[-1]["Actor"]["Attributes"], {"reclaimed": "0"})


@clean_case()
def subpaths(engine):
    engine.docker("run", "--rm", "-v", "parts:/p", "bb", "sh", "-c",
                  "mkdir -p /p/a/b; echo deep > /p/a/b/file; echo top > /p/file; ln -s /etc /p/out; "
                  "ln -s a/b /p/in; ln -s ../.. /p/a/up")

    def run(subpath, *command, status=0, more=""):
        return engine.docker("run", "--rm", "--mount",
                             f"type=volume,src=parts,dst=/x{more},volume-subpath={subpath}", "bb",
                             *command, status=status)

    equal(run("a/b", "ls", "/x").stdout, "file\n")
    equal(run("in", "cat", "/x/file").stdout, "deep\n")
    equal(run("file", "cat", "/x").stdout, "top\n")
    contains(run("a", "touch", "/x/y", status=1, more=",ro").stderr, "Read-only")
    for subpath, text in (("../parts", "subpath must be a relative path within the volume"),
                          ("/a", "subpath must be a relative path within the volume"),
                          ("nosuch", "no such file or directory"),
                          ("out", "path concatenation escapes the base directory"),
                          ("a/up", "path concatenation escapes the base directory")):
        contains(run(subpath, "true", status=None).stderr, text)
    answer = engine.api("POST", "/v1.44/containers/create", {
        "Image": "bb", "HostConfig": {"Mounts": [
            {"Type": "volume", "Source": "parts", "Target": "/x", "VolumeOptions": {"Subpath": "a"}}]}})
    equal((answer.status, answer.message), (400, "VolumeOptions.Subpath needs API v1.45 or newer"))
    engine.docker("volume", "rm", "parts")


@clean_case()
def driver_options(engine):
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o",
                  "o=size=1m,uid=77,nosuid", "memory")
    path = str(data_of(engine, "memory"))
    check(not os.path.ismount(path), "nobody uses it")
    for name in ("one", "two"):
        engine.docker("run", "-d", "--name", name, "-v", "memory:/m", "bb", "sleep", "100")
    check(os.path.ismount(path), "mounted for its users")
    engine.docker("exec", "one", "sh", "-c", "echo hello > /m/file")
    equal(engine.out("exec", "two", "cat", "/m/file"), "hello")
    equal(engine.out("exec", "two", "stat", "-c", "%u", "/m"), "77")
    engine.docker("exec", "two", "sh", "-c", "! head -c 3000000 /dev/zero > /m/big 2>/dev/null")
    engine.docker("rm", "-f", "one")
    check(os.path.ismount(path), "one user is left")
    engine.docker("rm", "-f", "two")
    check(not os.path.ismount(path), "unmounted with the last")
    source = engine.directory / "bindsource"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("bound\n")
    equal(engine.out("run", "--rm", "--mount", "type=volume,src=bound,dst=/b,volume-opt=type=none,"
                     f"volume-opt=device={source},volume-opt=o=bind", "bb", "cat", "/b/file"), "bound")
    broken = engine.docker("run", "--rm", "--mount", "type=volume,src=broken,dst=/b,volume-opt=type="
                           "none,volume-opt=device=/nosuch,volume-opt=o=bind", "bb", "true",
                           status=None)
    check(broken.returncode in (125, 127), "refused")
    contains(broken.stderr, "failed to mount local volume: mount /nosuch:"
             f"{engine.state_root}/volumes/broken/_data, flags: 0x1000: no such file or directory")
    prune_all(engine)
    equal((source / "file").read_text(), "bound\n", "what was bound is nobody's to remove")
    equal(volumes(engine), [])


@clean_case("davit")
def the_daemon_is_killed(engine):
    """What is committed is there afterwards, what was not is gone, what was mounted is not."""
    image = image_with_volume(engine, "withvolume")
    engine.docker("volume", "create", "--label", "l=1", "kept")
    (data_of(engine, "kept") / "file").write_text("kept\n")
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    holder = engine.out("run", "-d", "-v", "memory:/m", "-v", "kept:/k", image, "sleep", "1000")
    fleeting = engine.out("run", "-d", "--rm", image, "sleep", "1000")
    pids = [engine.inspect(name)["State"]["Pid"] for name in (holder, fleeting)]
    anonymous = [mount["Name"] for mount in engine.inspect(holder)["Mounts"]
                 if mount["Destination"] == "/data"]
    path = data_of(engine, "memory")
    check(os.path.ismount(path), "mounted")
    before = volume(engine, "kept")
    engine.kill()
    engine.start()
    check(os.path.ismount(path), "its container goes on")
    equal(engine.out("exec", holder, "cat", "/k/file"), "kept")
    engine.docker("run", "--rm", "-v", "memory:/m", "bb", "true")
    check(os.path.ismount(path), "its user is known, too")
    engine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "they have ended")
    root = engine.state_root / "volumes"
    (root / ".staged/half/_data").mkdir(parents=True)
    (root / ".removed/going").mkdir()
    (root / "kept/_filling").mkdir()
    (root / "found/_data").mkdir(parents=True)
    (root / "found/_data/file").write_text("somebody's\n")
    engine.start()
    equal(volume(engine, "kept"), before)
    equal((data_of(engine, "kept") / "file").read_text(), "kept\n")
    equal(os.listdir(root / "kept"), ["_data"])
    equal(sorted(volumes(engine)), sorted(["found", "kept", "memory", *anonymous]))
    equal((data_of(engine, "found") / "file").read_text(), "somebody's\n")
    check(not os.path.ismount(path), "not mounted any more")
    equal(engine.api("DELETE", "/volumes/kept").status, 409, "its user is known")
    equal(os.listdir(root / ".staged") + os.listdir(root / ".removed"), [])
    engine.docker("rm", "-v", holder)
    equal(sorted(volumes(engine)), ["found", "kept", "memory"])
    prune_all(engine)
    equal(volumes(engine), [])
    engine.docker("rmi", "withvolume")


@clean_case("davit")
def a_volume_that_was_borrowed_stays(engine):
    """An anonymous volume of a container with --rm is in the run database, which a boot clears; once
    another container has it, it must not be."""
    image = image_with_volume(engine, "withvolume")
    lender = engine.out("run", "-d", "--rm", image, "sleep", "1000")
    name = engine.inspect(lender)["Mounts"][0]["Name"]
    directory = engine.state_root / "volumes" / name
    check((directory / "ephemeral").exists(), "it goes with the boot")
    engine.docker("create", "--name", "borrower", "--volumes-from", lender, "bb")
    check(not (directory / "ephemeral").exists(), "it stays")
    engine.docker("rm", "-f", lender)
    equal(volumes(engine), [name])
    engine.stop()
    for path in (engine.run_dir / "db").iterdir():
        path.unlink()
    engine.start()
    equal(volumes(engine), [name])
    engine.docker("rm", "-v", "borrower")
    equal(volumes(engine), [])
    engine.docker("rmi", "withvolume")




if __name__ == "__main__":
    main()
