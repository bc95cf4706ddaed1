"""commit and export: what a container changed becomes a layer, what it sees becomes an archive.

Goal: a container of the committed image sees what the first one saw, removals included; the image's
config is the container's with the changes asked for; an export holds the files and no mounts.
"""

import io
import json
import tarfile

from harness import ENGINE, case, check, contains, equal, eventually, main, matches

CHANGE = """set -e
mkdir -p /made/deep && echo new > /made/deep/file
chown 12:34 /made/deep/file && chmod 4750 /made/deep/file && ln -s file /made/deep/link && ln /made/deep/file /made/hard
mkfifo /made/fifo && mkdir /work/again && rm -r /work/dir && mkdir /work/dir && echo x > /work/dir/only
rm /work/gone && echo changed > /work/kept && rm /work/file && mkdir /work/file"""
LOOK = """cd / && find made work -exec stat -c '%n %F %a %u:%g %Y' {} + | sort
cat made/deep/file work/kept work/dir/only && readlink made/deep/link
test $(stat -c %i made/hard) = $(stat -c %i made/deep/file) && echo one file"""


def base(engine):
    """An image with something to change."""
    engine.docker("rm", "-f", "base", status=None)
    engine.docker("run", "--name", "base", "--network", "none", "bb", "sh", "-c",
                  "mkdir -p /work/dir/below && touch /work/dir/below/x /work/gone /work/kept /work/file")
    identity = engine.out("commit", "base", "base:1")
    engine.docker("rm", "base")
    return identity


@case()
def a_committed_image_is_what_the_container_saw(engine):
    first = base(engine)
    matches(first, "^sha256:[0-9a-f]{64}$", "prints the id")
    engine.docker("run", "--name", "changer", "--network", "none", "base:1", "sh", "-c", CHANGE)
    seen = engine.out("run", "--rm", "--network", "none", "base:1", "sh", "-c", "ls /work")
    equal(seen, "dir\nfile\ngone\nkept", "the base is as it was")
    second = engine.out("commit", "-a", "An Author", "-m", "a comment", "-c", "ENV ADDED=1",
                        "-c", 'CMD ["sh", "-c", "echo from cmd"]', "changer", "changed:1")
    engine.docker("run", "--name", "looker", "--network", "none", "changed:1", "sh", "-c", LOOK)
    text = engine.out("logs", "looker")
    for piece in ("made/deep/file regular file 4750 12:34", "made/fifo fifo", "work/file directory",
                  "\nnew\nchanged\nx\nfile\none file"):
        contains(text, piece, "what it sees")
    for piece in ("gone", "below"):
        check(piece not in text, f"{piece} was removed: {text}")
    inspected = engine.inspect("changed:1")
    equal(inspected["Id"], second, "id")
    equal(inspected["Author"], "An Author", "author")
    equal(inspected["Comment"], "a comment", "comment")
    contains(inspected["Config"]["Env"], "ADDED=1", "changes")
    equal(inspected["RootFS"]["Layers"][:-1], engine.inspect("base:1")["RootFS"]["Layers"], "layers")
    equal(engine.out("run", "--rm", "--network", "none", "changed:1"), "from cmd", "Cmd")
    history = engine.api("GET", "/images/changed:1/history").json
    equal(history[0]["Comment"], "a comment", "history")
    contains(history[0]["CreatedBy"], "sh -c set -e", "history")
    # The same changes are the same layer.
    again = engine.out("commit", "changer", "changed:2")
    equal(engine.inspect(again)["RootFS"], inspected["RootFS"], "committed again")
    engine.docker("rm", "changer", "looker")
    engine.docker("rmi", "changed:1", "changed:2", "base:1")


@case()
def committed_while_it_runs(engine):
    """Paused or not: the container goes on afterwards."""
    running = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                         "echo here > /file; while :; do echo alive; sleep 0.1; done")
    eventually(lambda: "alive" in engine.out("logs", running), "it works")
    for pause in ("true", "false") * 5:
        engine.docker("commit", f"--pause={pause}", running, "live:1")
        equal(engine.out("run", "--rm", "--network", "none", "live:1", "cat", "/file"), "here", "file")
        lines = engine.out("logs", running).count("alive")
        eventually(lambda: engine.out("logs", running).count("alive") > lines, "it goes on")
    engine.docker("rm", "-f", running)
    engine.docker("rmi", "-f", "live:1")
    engine.api("POST", "/images/prune")


@case()
def nothing_changed_is_no_layer(engine):
    engine.docker("create", "--name", "idle", "--network", "none", "bb", "true")
    engine.docker("commit", "-c", "LABEL a=b", "idle", "idle:1")
    inspected = engine.inspect("idle:1")
    equal(inspected["RootFS"], engine.inspect("bb:latest")["RootFS"], "no layer was added")
    equal(inspected["Config"]["Labels"], {"a": "b"}, "label")
    engine.docker("rm", "idle")
    engine.docker("rmi", "idle:1")


@case()
def what_cannot_be_committed(engine):
    missing = engine.api("POST", "/commit?container=no-such", {})
    equal(missing.status, 404, "no such container")
    engine.docker("create", "--name", "odd", "--network", "none", "bb", "true")
    refused = engine.docker("commit", "-c", "RUN x", "odd", status=1)
    contains(refused.stderr.upper(), "RUN", "an instruction that is none of a config")
    named = engine.docker("commit", "odd", "Bad:Name", status=1)
    check(named.stderr.strip(), "a bad name")
    engine.docker("rm", "odd")
    if ENGINE == "davit":  # dockerd writes it, and the file means a removal afterwards.
        engine.docker("run", "--name", "odd", "--network", "none", "bb", "touch", "/.wh.file")
        contains(engine.docker("commit", "odd", status=1).stderr, ".wh.file", "and names it")
        engine.docker("rm", "odd")


@case()
def the_body_is_the_config(engine):
    engine.docker("create", "--name", "src", "--network", "none", "-e", "A=container", "-e", "B=kept",
                  "bb", "true")
    answer = engine.api("POST", "/commit?container=src&repo=body&tag=1&changes=" + "USER%20nobody",
                        {"Env": ["A=body"], "Cmd": ["echo", "body"], "ExposedPorts": {"80/tcp": {}}})
    equal(answer.status, 201, "status")
    config = engine.inspect(answer.json["Id"])["Config"]
    contains(config["Env"], "A=body", "the body's")
    contains(config["Env"], "B=kept", "what it leaves open")
    check("A=container" not in config["Env"], "once each")
    equal((config["Cmd"], config["User"]), (["echo", "body"], "nobody"), "Cmd and changes")
    equal(config["ExposedPorts"], {"80/tcp": {}}, "ports")
    engine.docker("rm", "src")
    engine.docker("rmi", "body:1")


@case()
def an_export_is_the_root_file_system(engine):
    engine.docker("run", "--name", "stopped", "--network", "none", "--tmpfs", "/scratch", "bb",
                  "sh", "-c", "echo data > /data; rm /bin/true; echo hidden > /scratch/file")
    running = engine.out("run", "-d", "--network", "none", "--tmpfs", "/scratch", "bb", "sh", "-c",
                         "echo data > /data; rm /bin/true; echo hidden > /scratch/file; exec sleep 1000")
    eventually(lambda: engine.docker("export", running, text=False).stdout.find(b"data\n") > 0, "made")
    for container in ("stopped", running):
        exported = engine.docker("export", container, text=False).stdout
        with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
            names = {name.rstrip("/").removeprefix("./") for name in archive.getnames()}
            equal(archive.extractfile("data").read(), b"data\n", "a file")
        contains(names, "bin/sh", "of the image")
        for absent in ("bin/true", "scratch/file", "proc/1", "proc/self"):
            check(absent not in names, f"{absent} is not in the export of {container}")
    imported = engine.out("import", "-c", 'CMD ["cat", "/data"]', "-", "flat:1", stdin=exported)
    equal(engine.out("run", "--rm", "--network", "none", imported), "data", "it can be imported")
    path = engine.directory / "export.tar"
    engine.docker("export", "-o", path, "stopped")
    equal(path.read_bytes(), engine.docker("export", "stopped", text=False).stdout, "to a file")
    equal(engine.api("GET", "/containers/no-such/export").status, 404, "status")
    engine.docker("rm", "-f", "stopped", running)
    engine.docker("rmi", "flat:1")


@case("davit")
def a_committed_image_goes_around(engine):
    base(engine)
    engine.docker("run", "--name", "changer", "--network", "none", "base:1", "sh", "-c", CHANGE)
    engine.docker("commit", "changer", "round:1")
    saved = engine.docker("save", "round:1", text=False).stdout
    before = engine.inspect("round:1")
    engine.docker("rm", "changer")
    engine.docker("rmi", "round:1")
    engine.docker("load", "-q", stdin=saved)
    equal(json.dumps(engine.inspect("round:1")["RootFS"]), json.dumps(before["RootFS"]), "layers")
    equal(engine.docker("save", "round:1", text=False).stdout, saved, "byte for byte")
    engine.docker("rmi", "round:1", "base:1")


if __name__ == "__main__":
    main()
