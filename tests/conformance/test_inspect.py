"""What is told of containers: sizes, places on disk, details of logs, and the end of a removal."""

import json
import pathlib
import subprocess

from harness import UnixHttp, case, check, contains, equal, main, matches


def created(engine, *command, **config):
    body = {"Image": "bb", "Cmd": list(command), **config, "HostConfig": {"NetworkMode": "none"}}
    return engine.api("POST", "/containers/create", body).json["Id"]


def ended(engine, *command, **config):
    identity = created(engine, *command, **config)
    engine.api("POST", f"/containers/{identity}/start")
    engine.api("POST", f"/containers/{identity}/wait")
    return identity


@case()
def sizes(engine):
    script = "mkdir /d; head -c 5000 /dev/zero > /d/one; ln /d/one /d/two; ln -s one /d/link; mkfifo /d/f"
    identity = ended(engine, "sh", "-c", script)
    image = engine.inspect("bb:latest")["Size"]
    found = engine.api("GET", f"/containers/{identity}/json?size=1").json
    equal((found["SizeRw"], found["SizeRootFs"]), (5003, image + 5003), "inspect")
    check("SizeRw" not in engine.api("GET", f"/containers/{identity}/json").json, "unasked")
    listed = engine.api("GET", "/containers/json?all=1&size=1").json
    equal([(one["SizeRw"], one["SizeRootFs"]) for one in listed], [(5003, image + 5003)], "list")
    matches(engine.out("ps", "-a", "-s", "--format", "{{.Size}}"), r"^5kB \(virtual \S+\)$", "ps -s")
    equal(json.loads(engine.out("inspect", "-s", identity))[0]["SizeRw"], 5003, "inspect -s")
    fresh = created(engine, "true")
    found = engine.api("GET", f"/containers/{fresh}/json?size=1").json
    equal((found["SizeRw"], found["SizeRootFs"]), (0, image), "nothing written")


@case()
def sizes_while_containers_come_and_go(engine):
    busy = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                      "while :; do mkdir -p /a/b; echo x > /a/b/c; rm -r /a; done")
    for _ in range(20):
        gone = engine.spawn("run", "--rm", "--network", "none", "bb", "true")
        answer = engine.api("GET", "/containers/json?all=1&size=1")
        equal(answer.status, 200, "list")
        contains([one["Id"] for one in answer.json], busy, "the one that stays")
        gone.communicate(timeout=60)


@case()
def places_on_disk(engine):
    identity = ended(engine, "sh", "-c", "echo here > /file")
    found = engine.inspect(identity)["GraphDriver"]
    equal(found["Name"], "overlay2", "driver")
    data = found["Data"]
    equal(pathlib.Path(data["UpperDir"], "file").read_text(), "here\n", "UpperDir")
    check(pathlib.Path(data["WorkDir"]).is_dir(), "WorkDir")
    layers = data["LowerDir"].split(":")
    check(pathlib.Path(layers[-1], "bin/sh").exists(), "LowerDir")
    running = engine.out("run", "-d", "--network", "none", "bb", "sleep", "1000")
    merged = pathlib.Path(engine.inspect(running)["GraphDriver"]["Data"]["MergedDir"])
    check((merged / "bin/sh").exists(), "MergedDir of a running one")
    image = engine.inspect("bb:latest")["GraphDriver"]["Data"]
    check(pathlib.Path(image["UpperDir"], "bin/sh").exists(), "UpperDir of an image")


@case()
def logs_with_details(engine):
    """Without log options there are no attributes; the space after them is there all the same."""
    identity = ended(engine, "sh", "-c", "echo one; echo two")
    equal(engine.docker("logs", "--details", identity).stdout, " one\n two\n", "details")
    body = engine.api("GET", f"/containers/{identity}/logs?stdout=1&details=1").body
    equal(body, b"\1\0\0\0\0\0\0\5 one\n\1\0\0\0\0\0\0\5 two\n", "frames")
    stamped = engine.api("GET", f"/containers/{identity}/logs?stdout=1&details=1&timestamps=1&tail=1").body
    matches(stamped[8:].decode(), r"^\d{4}-\S+Z  two\n$", "after the time")


@case()
def resize(engine):
    for terminal in (False, True):
        identity = created(engine, "sleep", "1000", Tty=terminal)
        early = engine.api("POST", f"/containers/{identity}/resize?h=10&w=20")
        equal(early.status, 409, "before start")
        contains(early.message, f"ontainer {identity} is not running", "text")
        engine.api("POST", f"/containers/{identity}/start")
        equal(engine.api("POST", f"/containers/{identity}/resize?h=10&w=20").status, 200, "running")
    equal(engine.api("POST", f"/containers/{identity}/resize?h=x&w=20").status, 400, "no number")
    equal(engine.api("POST", "/containers/nope/resize?h=1&w=20").status, 404, "unknown")


def wait_begin(engine, identity, condition):
    """Gives the response, whose head says that the engine waits; its body comes with the end."""
    connection = UnixHttp(engine.socket)
    connection.request("POST", f"/containers/{identity}/wait?condition={condition}")
    response = connection.getresponse()
    equal(response.status, 200, "wait")
    return response


@case("davit")
def a_removal_that_fails(engine):
    """Something is mounted in the container's directory of logs, so it cannot go."""
    identity = ended(engine, "sh", "-c", "exit 3")
    blocked = pathlib.Path(engine.inspect(identity)["LogPath"]).parent / "blocked"
    blocked.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(blocked)], check=True)
    try:
        waiting = wait_begin(engine, identity, "removed")
        equal(engine.api("DELETE", f"/containers/{identity}").status, 500, "remove")
        for response in (waiting, wait_begin(engine, identity, "removed")):
            answer = json.loads(response.read())
            equal(answer["StatusCode"], 3, "exit code")
            contains(answer["Error"]["Message"], "blocked", "why")
    finally:
        subprocess.run(["umount", str(blocked)], check=True)
    equal(engine.api("DELETE", f"/containers/{identity}").status, 204, "then it can")


@case()
def a_removal_that_succeeds(engine):
    identity = ended(engine, "sh", "-c", "exit 3")
    waiting = wait_begin(engine, identity, "removed")
    engine.docker("rm", identity)
    answer = json.loads(waiting.read())
    equal((answer["StatusCode"], answer.get("Error")), (3, None), "no error")


if __name__ == "__main__":
    main()
