"""Mounts: binds with every option, tmpfs, images, and what must not come of them.

Goal: each option of -v, --mount and --tmpfs does what it says, mistakes are told in Docker's words, and
no mount leaves the container's root, whatever the image has put in its way. Method: a look from inside
the container, and from the host where the two can see one another.
"""

import contextlib
import io
import os
import pathlib
import subprocess
import tarfile

from harness import ENGINE, case, check, contains, equal, main


def mounts_inside(engine, *arguments):
    """mountinfo by mount point, as a container with these arguments sees it."""
    text = engine.out("run", "--rm", *arguments, "bb", "cat", "/proc/self/mountinfo")
    return {line.split()[4]: line for line in text.splitlines()}


def options_of(line):
    return line.split()[5].split(",")


def super_options_of(line):
    return line.split(" - ")[1].split()[2].split(",")


@contextlib.contextmanager
def source_tree(engine, name, shared=False):
    """A directory with a tmpfs below it; a mount of its own, to have a propagation of its own."""
    path = engine.directory / name
    (path / "below").mkdir(parents=True)
    (path / "file").write_text("of the host\n")
    subprocess.run(["mount", "--bind", path, path], check=True)
    subprocess.run(["mount", "--make-shared" if shared else "--make-private", path], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path / "below"], check=True)
    try:
        yield path
    finally:
        for mounted in ("later", "below", ""):
            subprocess.run(["umount", "-l", path / mounted], check=False, capture_output=True)


def image_with(engine, name, *entries):
    """busybox with more in it: (path, kind, target or text)."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        with tarfile.open(engine.directory / "busybox.tar") as base:
            for member in base:
                tar.addfile(member, base.extractfile(member) if member.isreg() else None)
        for path, kind, text in entries:
            info = tarfile.TarInfo(path)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.SYMTYPE:
                info.linkname = text
                tar.addfile(info)
            else:
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
    engine.docker("import", "-c", "ENV PATH=/bin:/usr/bin", "-c", 'CMD ["sh"]', "-", name,
                  stdin=archive.getvalue())


@case()
def binds_of_directories_and_files(engine):
    source = engine.directory / "source"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("of the host\n")
    equal(engine.out("run", "--rm", "-v", f"{source}:/a/b/c", "-v", f"{source}/file:/etc/one", "bb", "sh",
                     "-c", "cat /a/b/c/file /etc/one; echo inside > /a/b/c/new"),
          "of the host\nof the host")
    equal((source / "new").read_text(), "inside\n")
    contains(engine.docker("run", "--rm", "-v", f"{source}:/x:ro", "bb", "touch", "/x/y",
                           status=1).stderr, "Read-only file system")
    missing = engine.directory / "made/by/v"
    engine.docker("run", "--rm", "-v", f"{missing}:/x", "bb", "touch", "/x/y")
    check((missing / "y").exists(), "-v makes what is missing")
    absent = engine.directory / "absent"
    text = f'invalid mount config for type "bind": bind source path does not exist: {absent}'
    contains(engine.docker("run", "--rm", "--mount", f"type=bind,src={absent},dst=/x", "bb", "true",
                           status=125).stderr, text)
    answer = engine.api("POST", "/containers/create", {"Image": "bb", "HostConfig": {"Mounts": [
        {"Type": "bind", "Source": str(absent), "Target": "/x"}]}})
    equal((answer.status, answer.message), (400, text))
    check(not absent.exists(), "--mount makes nothing")
    if ENGINE == "davit":
        identity = engine.api("POST", "/containers/create", {
            "Image": "bb", "Cmd": ["true"], "HostConfig": {"Mounts": [
                {"Type": "bind", "Source": str(absent), "Target": "/x",
                 "BindOptions": {"CreateMountpoint": True}}]}}).json["Id"]
        engine.docker("start", "-a", identity)
        check(absent.is_dir(), "unless it is told to")


@case()
def what_inspect_shows(engine):
    source = engine.directory / "shown"
    source.mkdir(exist_ok=True)
    identity = engine.out("create", "-v", f"{source}:/v:ro,Z", "--mount",
                          f"type=bind,src={source},dst=/m,bind-propagation=rslave", "--mount",
                          "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700", "--tmpfs", "/hidden", "bb")
    mounts = {mount["Destination"]: mount for mount in engine.inspect(identity)["Mounts"]}
    equal(mounts, {
        "/v": {"Type": "bind", "Source": str(source), "Destination": "/v", "Mode": "ro,Z", "RW": False,
               "Propagation": "rprivate"},
        "/m": {"Type": "bind", "Source": str(source), "Destination": "/m", "Mode": "", "RW": True,
               "Propagation": "rslave"},
        "/t": {"Type": "tmpfs", "Source": "", "Destination": "/t", "Mode": "", "RW": True,
               "Propagation": ""}})
    equal(engine.inspect(identity)["HostConfig"]["Tmpfs"], {"/hidden": ""})


@case()
def read_only_below(engine):
    with source_tree(engine, "deep") as path:
        for spec, top, below in (
                (["-v", f"{path}:/x:ro"], "ro", "ro"),
                (["--mount", f"type=bind,src={path},dst=/x,ro"], "ro", "ro"),
                (["--mount", f"type=bind,src={path},dst=/x,ro,bind-recursive=writable"], "ro", "rw"),
                (["--mount", f"type=bind,src={path},dst=/x,ro,bind-recursive=readonly,"
                  "bind-propagation=rprivate"], "ro", "ro"),
                (["-v", f"{path}:/x"], "rw", "rw")):
            seen = mounts_inside(engine, *spec)
            check(top in options_of(seen["/x"]), f"{spec}: {seen['/x']}")
            check(below in options_of(seen["/x/below"]), f"{spec}: {seen['/x/below']}")
        seen = mounts_inside(engine, "--mount",
                             f"type=bind,src={path},dst=/x,bind-recursive=disabled")
        check("/x" in seen and "/x/below" not in seen, "nothing below comes along")


@case()
def propagation(engine):
    """What is mounted on the host afterwards appears inside with slave and shared, what is mounted
    inside appears on the host with shared alone."""
    with source_tree(engine, "lively", shared=True) as path:
        (path / "later").mkdir()
        for mode, comes_in, goes_out in (("rprivate", False, False), ("rslave", True, False),
                                         ("slave", True, False), ("rshared", True, True)):
            name = engine.out("run", "-d", "--cap-add", "SYS_ADMIN", "--security-opt",
                              "apparmor=unconfined", "-v", f"{path}:/x:{mode}", "bb", "sleep", "100")
            subprocess.run(["mount", "-t", "tmpfs", "outside", path / "later"], check=True)
            inside = engine.out("exec", name, "cat", "/proc/self/mountinfo")
            equal(" /x/later " in inside, comes_in, f"{mode}: from the host")
            subprocess.run(["umount", path / "later"], check=True)
            engine.docker("exec", name, "mkdir", "-p", "/x/below/in")
            engine.docker("exec", name, "mount", "-t", "tmpfs", "inside", "/x/below/in")
            outside = pathlib.Path("/proc/self/mountinfo").read_text()
            equal(f" {path}/below/in " in outside, goes_out, f"{mode}: to the host")
            engine.docker("rm", "-f", name)
            subprocess.run(["umount", path / "below/in"], check=False, capture_output=True)


@case()
def propagation_of_what_is_not_shared(engine):
    with source_tree(engine, "lonely") as path:
        for mode, text in (("rshared", "but it is not a shared mount"),
                           ("rslave", "but it is not a shared or slave mount")):
            done = engine.docker("run", "--rm", "-v", f"{path}:/x:{mode}", "bb", "true", status=125)
            contains(done.stderr, f"path {path} is mounted on {path} {text}")


@case()
def tmpfs(engine):
    seen = mounts_inside(engine, "--tmpfs", "/plain", "--tmpfs", "/opts:size=64k,mode=0700,uid=5,exec",
                         "--mount", "type=tmpfs,dst=/m,tmpfs-size=1m,tmpfs-mode=1770", "--mount",
                         "type=tmpfs,dst=/ro,ro")
    for path in ("/plain", "/m"):
        check({"rw", "nosuid", "nodev", "noexec"} <= set(options_of(seen[path])), seen[path])
    check("noexec" not in options_of(seen["/opts"]), seen["/opts"])
    for option in ("size=64k", "mode=700", "uid=5"):
        check(option in super_options_of(seen["/opts"]), seen["/opts"])
    check("ro" in options_of(seen["/ro"]), seen["/ro"])
    contains(seen["/m"], "size=1024k")
    for argument, text in (("/x:odd", "invalid tmpfs option"),
                           ("x", "invalid mount path: 'x' mount path must be absolute")):
        contains(engine.docker("run", "--rm", "--tmpfs", argument, "bb", "true", status=125).stderr, text)


@case()
def order_and_duplicates(engine):
    source = engine.directory / "outer"
    (source / "inner").mkdir(parents=True, exist_ok=True)
    text = engine.out("run", "--rm", "--tmpfs", "/a/inner/most", "-v", "mid:/a/inner", "-v",
                      f"{source}:/a", "bb", "cat", "/proc/self/mountinfo")
    order = [line.split()[4] for line in text.splitlines() if line.split()[4].startswith("/a")]
    equal(order, ["/a", "/a/inner", "/a/inner/most"])
    for arguments in (["-v", "/x:/t", "-v", "/y:/t/"], ["-v", "/x:/t", "--tmpfs", "/t"],
                      ["-v", "/x:/t", "--mount", "type=tmpfs,dst=/t"]):
        contains(engine.docker("create", *arguments, "bb", status=1).stderr, "Duplicate mount point: /t")
    engine.docker("volume", "rm", "mid")


@case()
def masks_and_devices(engine):
    """A mount below /dev or /proc is where it was asked for, and what is hidden stays so."""
    source = engine.directory / "devices"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("here\n")
    equal(engine.out("run", "--rm", "-v", f"{source}:/dev/own", "--tmpfs", "/dev/shm:size=32k", "bb", "sh",
                     "-c", "cat /dev/own/file; df -k /dev/shm | tail -n 1 | awk '{print $2}'; "
                     "echo x > /dev/null; test ! -s /proc/kcore && echo hidden"),
          "here\n32\nhidden")
    equal(engine.out("run", "--rm", "-v", f"{source}/file:/dev/null2", "bb", "cat", "/dev/null2"), "here")
    equal(engine.out("run", "--rm", "-v", f"{source}/file:/etc/hosts", "bb", "cat", "/etc/hosts"), "here")


@case()
def links_of_the_image_stay_inside(engine):
    """A destination through a symbolic link is followed within the root, wherever the link points."""
    outside = engine.directory / "outside"
    outside.mkdir(exist_ok=True)
    up = "../" * 20
    image_with(engine, "linked", ("abs", tarfile.SYMTYPE, str(outside)),
               ("up", tarfile.SYMTYPE, up + str(outside).lstrip("/")),
               ("toproc", tarfile.SYMTYPE, "/proc/1/root"), ("loop", tarfile.SYMTYPE, "loop"))
    for path in ("/abs/new", "/up/new"):
        engine.docker("run", "--rm", "-v", f"links:{path}", "linked", "touch", f"{path}/file")
        equal(os.listdir(outside), [], f"{path} on the host")
        seen = engine.out("run", "--rm", "-v", f"links:{path}", "linked", "cat", "/proc/self/mountinfo")
        contains(seen, f" {outside}/new ", "in the container's own root")
    for path in ("/toproc/x", "/loop/x"):
        done = engine.docker("run", "--rm", "-v", f"links:{path}", "linked", "true", status=None)
        check(done.returncode != 0, f"{path} is refused")
    # A volume is filled from within the root, too.
    (outside / "secret").write_text("of the host\n")
    equal(engine.out("run", "--rm", "-v", "stolen:/abs", "linked", "ls", "/abs"), "")
    for name in ("links", "stolen"):
        engine.docker("volume", "rm", name)
    engine.docker("rmi", "linked")


@case("davit")
def images_as_mounts(engine):
    image_with(engine, "tool", ("opt", tarfile.DIRTYPE, ""), ("opt/tool", tarfile.REGTYPE, "a tool\n"),
               ("opt/out", tarfile.SYMTYPE, "/etc"))
    tool = engine.inspect("tool")["Id"]
    identity = engine.out("create", "--mount", "type=image,src=tool,dst=/image", "bb", "sh", "-c",
                          "cat /image/opt/tool; touch /image/x 2>/dev/null || echo read-only")
    equal(engine.out("start", "-a", identity), "a tool\nread-only")
    mount, = engine.inspect(identity)["Mounts"]
    equal({key: mount[key] for key in ("Type", "Name", "Destination", "RW", "Mode")},
          {"Type": "image", "Name": "tool", "Destination": "/image", "RW": False, "Mode": ""})
    equal(mount["Source"], tool)
    for subpath, path in (("opt", "/image/tool"), ("opt/tool", "/image")):
        equal(engine.out("run", "--rm", "--mount", f"type=image,src=tool,dst=/image,image-subpath={subpath}",
                         "bb", "cat", path), "a tool")
    for subpath, text in (("nosuch", "no such file or directory"), ("opt/out", "escapes"),
                          ("../x", "subpath must be a relative path within the volume")):
        contains(engine.docker("run", "--rm", "--mount",
                               f"type=image,src=tool,dst=/image,image-subpath={subpath}", "bb", "true",
                               status=None).stderr, text)
    # Its layers stay as long as the container does.
    engine.docker("rmi", "tool")
    equal(engine.out("start", "-a", identity), "a tool\nread-only")
    engine.kill()
    engine.start()
    equal(engine.out("start", "-a", identity), "a tool\nread-only")
    equal(engine.api("GET", "/davit/graph/check").json["Findings"], [])
    engine.docker("rm", identity)
    equal(engine.api("GET", "/davit/graph/check").json["Findings"], [])
    answer = engine.api("POST", "/containers/create", {"Image": "bb", "HostConfig": {"Mounts": [
        {"Type": "image", "Source": "tool", "Target": "/x"}]}})
    equal((answer.status, answer.message), (404, "No such image: tool:latest"))
    answer = engine.api("POST", "/v1.47/containers/create", {"Image": "bb", "HostConfig": {"Mounts": [
        {"Type": "image", "Source": "bb", "Target": "/x"}]}})
    equal((answer.status, answer.message), (400, 'Mount type "Image" needs API v1.48 or newer'))


@case()
def mistakes(engine):
    def refusal(mount):
        answer = engine.api("POST", "/containers/create", {"Image": "bb", "HostConfig": {"Mounts": [mount]}})
        check(answer.status in ((400,) if ENGINE == "davit" else (400, 500)), answer.body)
        return answer.message

    prefix = 'invalid mount config for type "{}": '
    for mount, text in (
            ({"Type": "bind", "Source": "/etc"}, "field Target must not be empty"),
            ({"Type": "bind", "Target": "/x"}, "field Source must not be empty"),
            ({"Type": "bind", "Source": "/etc", "Target": "/"},
             "invalid specification: destination can't be '/'"),
            ({"Type": "bind", "Source": "/etc", "Target": "/x", "VolumeOptions": {}},
             "field VolumeOptions must not be specified"),
            ({"Type": "volume", "Source": "v1", "Target": "/x", "BindOptions": {}},
             "field BindOptions must not be specified"),
            ({"Type": "tmpfs", "Source": "v1", "Target": "/x"}, "field Source must not be specified"),
            ({"Type": "odd", "Target": "/x"}, "mount type unknown")):
        equal(refusal(mount), prefix.format(mount["Type"]) + text)
    for spec, text in (("/a:b", "invalid volume specification: '/a:b': " + prefix.format("bind") +
                        "invalid mount path: 'b' mount path must be absolute"),
                       ("/a:/b:odd", "invalid mode: odd"), ("/a:/b:ro:x", "invalid volume specification"),
                       ("a b:/x", 'create a b: "a b" includes invalid characters for a local volume name')):
        answer = engine.api("POST", "/containers/create", {"Image": "bb", "HostConfig": {"Binds": [spec]}})
        equal(answer.status, 400, answer.body)
        contains(answer.message, text)


if __name__ == "__main__":
    main()
