#!/usr/bin/env python3
"""A command line like docker's that runs nothing in containers, for startup_harness_test.py.

What it does wrong is its file's name: honest, fails, hangs, lies, leaves,
few (that is: two containers can run in the background), offline (pulls fail),
third (the third container hangs). A container is a file in
$FAKE_STATE/NAME; how a hanging one says that it hangs is a line into the pipe $FAKE_PIPE.
"""
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

MODE = os.path.basename(sys.argv[0])
STATE = pathlib.Path(os.environ["FAKE_STATE"]) / MODE


def container(words):
    """(flags, name, argv) of run and create."""
    name, flags = None, set()
    while words[0].startswith("--"):
        option = words.pop(0)
        if option in ("--rm", "--detach"):
            flags.add(option)
        else:
            value = words.pop(0)
            name = value if option == "--name" else name
    return flags, name, words[1:]


def execute(argv):
    """Like the container would: as a process of the host."""
    if MODE == "fails":
        print("fake: cannot start containers today", file=sys.stderr)
        return 125
    count = STATE.parent.parent / "third-count"
    if MODE == "third":
        with open(count, "a", encoding="ascii") as file:
            file.write("x")
    if MODE == "hangs" or (MODE == "third" and count.stat().st_size == 3):
        child = subprocess.Popen(["sleep", "1000"])  # Whoever kills us alone leaves it behind.
        with open(os.environ["FAKE_PIPE"], "w", encoding="utf-8") as pipe:
            pipe.write(f"{os.getpid()} {child.pid}\n")
        signal.pause()
    if MODE == "lies":
        print("all is well")
        return 0
    return subprocess.run(argv, check=False).returncode


def sleepers():
    return [path for path in STATE.iterdir() if "sleep" in path.read_text(encoding="utf-8")]


def pull(reference):
    """Everything of the image, each part by its digest, over plain HTTP."""
    if MODE == "offline":
        print("fake: no route to anywhere", file=sys.stderr)
        return 1
    host, _, rest = reference.partition("/")
    name, _, tag = rest.rpartition(":")

    def get(path):
        with urllib.request.urlopen(f"http://{host}/v2/{path}", timeout=30) as answer:
            return answer.read()
    get("")
    manifest = json.loads(get(f"{name}/manifests/{tag}"))
    for part in (manifest["config"], *manifest["layers"]):
        body = get(f"{name}/blobs/{part['digest']}")
        if len(body) != part["size"] or \
                "sha256:" + hashlib.sha256(body).hexdigest() != part["digest"]:
            print("fake: not what was promised", file=sys.stderr)
            return 1
    (STATE / "image").write_text(reference, encoding="utf-8")
    return 0


def main(verb, words):
    STATE.mkdir(parents=True, exist_ok=True)
    if verb == "import":
        return 0
    if verb in ("run", "create"):
        flags, name, argv = container(words)
        if MODE == "few" and "--detach" in flags and "sleep" in argv and len(sleepers()) >= 2:
            print("fake: no more than 2", file=sys.stderr)
            return 125
        path = STATE / name
        path.write_text(json.dumps(argv), encoding="utf-8")
        if verb == "create" or "--detach" in flags:
            print(name)
            return 0
        code = execute(argv)
        if MODE != "leaves":
            path.unlink()
        return code
    if verb == "ps":
        part = words[-1].removeprefix("name=")
        print("\n".join(path.name for path in STATE.iterdir() if part in path.name))
        return 0
    if verb == "pull":
        return pull(words[-1])
    if verb == "rmi":
        (STATE / "image").unlink()
        return 0
    if verb == "container":  # prune: what has the label, which is in the names, too.
        label = words[-1].removeprefix("label=")
        for path in STATE.iterdir():
            if path.name.startswith(label):
                path.unlink()
        return 0
    if verb == "exec":
        return execute(words[1:])
    path = STATE / words[-1]
    if verb == "rm":
        path.unlink()
    elif verb in ("wait", "logs"):
        told = subprocess.run(json.loads(path.read_text(encoding="utf-8")), check=False,
                              capture_output=True, text=True)
        print(told.returncode if verb == "wait" else told.stdout, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
