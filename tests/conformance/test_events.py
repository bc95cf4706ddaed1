"""docker events: every change, in order, with its attributes; filters; since and until."""

import json
import socket
import time

from harness import ENGINE, RUNS, case, check, contains, equal, eventually, main, query


def events(engine, since, **filters):
    """What has happened since then, in order."""
    until = f"{time.time():.9f}"
    path = "/events?" + query(since=f"{since:.9f}", until=until, filters=filters)
    return [json.loads(line) for line in engine.api("GET", path).body.splitlines() if line.strip()]


def actions(found):
    return [event["Action"] for event in found]


@case()
def run_in_order(engine):
    since = time.time()
    engine.docker("run", "--rm", "--name", "evented", "--label", "k=v", "--network", "none", "bb",
                  "sh", "-c", "exit 3", status=3)
    found = events(engine, since, type=["container"], container=["evented"])
    order = [action for action in actions(found) if action != "attach"]
    equal(order, ["create", "start", "die", "destroy"], "order")
    for event in found:
        attributes = event["Actor"]["Attributes"]
        equal((attributes["image"], attributes["name"], attributes["k"]), ("bb", "evented", "v"),
              "attributes")
        equal(event["Type"], "container", "type")
        equal(event["scope"], "local", "scope")
        equal(event["timeNano"] // 10**9, event["time"], "times agree")
        equal((event["id"], event["status"], event["from"]),
              (event["Actor"]["ID"], event["Action"], "bb"), "old keys")
    die = next(event for event in found if event["Action"] == "die")
    equal(die["Actor"]["Attributes"]["exitCode"], "3", "exit code")
    times = [event["timeNano"] for event in found]
    equal(times, sorted(times), "times rise")


@case()
def stop_and_kill(engine):
    since = time.time()
    name = engine.out("run", "-d", "--network", "none", "bb", "sleep", "1000")
    engine.docker("kill", name)
    engine.docker("wait", name)
    engine.docker("start", name)
    engine.docker("stop", "-t", "0", name)
    engine.docker("rm", name)
    found = events(engine, since, container=[name])
    order = actions(found)
    for earlier, later in (("create", "start"), ("kill", "die"), ("die", "stop"), ("stop", "destroy")):
        check(order.index(earlier) < len(order) - 1 - order[::-1].index(later),
              f"{earlier} before {later}: {order}")
    signals = [event["Actor"]["Attributes"]["signal"] for event in found if event["Action"] == "kill"]
    equal(signals[0], "9", "signal is a number")


@case()
def images(engine):
    since = time.time()
    engine.docker("tag", "bb", "other:1")
    engine.docker("rmi", "other:1")
    engine.docker("import", "-", "imported:1", stdin=b"\0" * 1024)
    engine.docker("rmi", "imported:1")
    found = events(engine, since, type=["image"])
    for action in ("tag", "untag", "import", "delete"):
        contains(actions(found), action, "image events")
    tag = next(event for event in found if event["Action"] == "tag")
    equal(tag["Actor"]["Attributes"]["name"], "other:1", "name")
    equal(tag["Actor"]["ID"], engine.inspect("bb:latest")["Id"], "the actor is the image")


@case()
def images_carry_their_labels(engine):
    since = time.time()
    tar = b"\0" * 1024
    identity = engine.out("import", "-c", "LABEL vendor=us", "-", "labelled:1", stdin=tar)
    engine.docker("tag", "labelled:1", "labelled:2")
    engine.docker("rmi", "labelled:2")
    found = events(engine, since, type=["image"], label=["vendor=us"])
    equal(actions(found), ["tag", "import", "tag", "untag"], "by label")
    equal({event["Actor"]["ID"] for event in found}, {identity}, "actors")
    found = events(engine, since, image=["labelled:2"])
    equal(actions(found), ["tag"], "by name")
    contains(actions(events(engine, since, image=[identity])), "untag", "by id")
    engine.docker("rmi", "labelled:1")


@case()
def filters_select(engine):
    since = time.time()
    for name in ("first", "second"):
        engine.docker("run", "--name", name, "--label", f"n={name}", "--network", "none", "bb", "true")
    equal(set(actions(events(engine, since, event=["die"]))), {"die"}, "event")
    one = events(engine, since, label=["n=first"])
    equal({event["Actor"]["Attributes"]["name"] for event in one}, {"first"}, "label")
    one = events(engine, since, container=["second"], event=["start", "die"])
    equal(actions(one), ["start", "die"], "container and one of two events")
    equal(events(engine, since, type=["volume"]), [], "type")
    both = events(engine, since, image=["bb"], event=["create"])
    equal(len(both), 2, "image")
    equal(events(engine, since, image=["first"]), [], "a container's name is no image's")
    equal(len(events(engine, since, container=["fir"], event=["create"])), 1, "by prefix")
    # Docker finds an actor of any type by the name that any of these keys gives.
    name = "first" if ENGINE == "davit" else "no-such-name"
    for key in ("daemon", "network", "node", "plugin", "secret", "service", "config", "volume"):
        equal(events(engine, since, **{key: [name]}), [], key)
    equal(engine.api("GET", "/events?" + query(filters={"colour": ["red"]}, until="1")).status, 400,
          "unknown key")
    refused = engine.api("GET", "/events?" + query(since="10", until="5"))
    equal(refused.status, 400, "since after until")


@case()
def the_cli_follows(engine):
    following = engine.spawn("events", "--filter", "event=die", "--format",
                             "{{.Action}} {{.Actor.Attributes.name}}", "--until",
                             str(int(time.time()) + 8))
    # A stream has begun when the engine has it; the first event may precede that, so repeat.
    names = [f"followed-{number}" for number in range(10)]
    for name in names:
        engine.docker("run", "--rm", "--name", name, "--network", "none", "bb", "true")
    output, _ = following.communicate(timeout=60)
    contains(output.decode(), f"die {names[-1]}\n", "live events")
    equal(following.returncode, 0, "until ends it")


@case()
def until_ends_the_stream_when_due(engine):
    until = time.time() + 1.5
    answer = engine.api("GET", "/events?" + query(until=f"{until:.9f}", filters={"type": ["volume"]}))
    late = time.time() - until
    equal((answer.status, answer.body), (200, b""), "a complete answer")
    check(-0.01 <= late < 1, f"ended {late:.3f} s after until")


@case("davit")
def until_cuts_no_line(engine):
    """The reader stops reading before until, while the engine has more to say than the socket
    takes; what it gets later is whole, and all of it."""
    since = time.time()
    label = "x" * 4000
    for number in range(200):
        body = {"Image": "bb", "Cmd": ["true"], "Labels": {"long": label},
                "HostConfig": {"NetworkMode": "none"}}
        identity = engine.api("POST", f"/containers/create?name=long-{number}", body).json["Id"]
        engine.api("DELETE", f"/containers/{identity}")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(30)
        stream.connect(engine.socket)
        until = time.time() + 1
        path = "/events?" + query(since=f"{since:.9f}", until=f"{until:.9f}", filters={"label": ["long"]})
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        time.sleep(max(0, until + 0.5 - time.time()))  # Not reading, past the end.
        received = b""
        while piece := stream.recv(65536):
            received += piece
    check(received.endswith(b"0\r\n\r\n"), f"the last chunk: {received[-20:]!r}")
    body = received.partition(b"\r\n\r\n")[2]
    lines, rest = [], body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            break
        lines.append(json.loads(rest[:int(size, 16)]))
        rest = rest[int(size, 16) + 2:]
    equal(len(lines), 400, "create and destroy of each")


@case()
def no_event_is_lost(engine):
    since = time.time()
    count = min(RUNS, 60)  # Docker's own ring keeps 256 events.
    for number in range(count):
        engine.docker("run", "--rm", "--network", "none", "--label", "burst=1", "bb", "true")
    found = events(engine, since, label=["burst=1"], event=["create", "die", "destroy"])
    equal(len(found), 3 * count, "events")


@case("davit")
def a_slow_reader_gets_everything(engine):
    """More events than any buffer in between, read only afterwards."""
    reader = engine.spawn("events", "--filter", "label=slow=1", "--filter", "event=die", "--format",
                          "{{.Actor.Attributes.name}}", "--until", str(int(time.time()) + 40))
    first = engine.docker("run", "--rm", "--label", "slow=1", "--network", "none", "bb", "true")
    equal(first.returncode, 0, "warm up")
    body = {"Image": "bb", "Cmd": ["true"], "Labels": {"slow": "1"},
            "HostConfig": {"NetworkMode": "none", "AutoRemove": True}}
    for number in range(RUNS):
        identity = engine.api("POST", f"/containers/create?name=slow-{number}", body).json["Id"]
        engine.api("POST", f"/containers/{identity}/start")
    eventually(lambda: engine.api("GET", "/containers/json?all=1").json == [], "all ended")
    output, _ = reader.communicate(timeout=90)
    names = [line for line in output.decode().split() if line.startswith("slow-")]
    equal(sorted(names), sorted(f"slow-{number}" for number in range(RUNS)), "each once")


@case()
def out_of_memory(engine):
    """A process of a container that goes on is killed: that is told at once, and in its state."""
    since = time.time()
    name = engine.out("run", "-d", "--name", "short", "--network", "none", "--memory", "32m", "--memory-swap", "32m",
                      "bb", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; echo went on; sleep 1000")
    eventually(lambda: "went on" in engine.out("logs", "short"), "it goes on")
    found = eventually(lambda: events(engine, since, event=["oom"]), "the event")
    equal((found[0]["Actor"]["ID"], found[0]["Actor"]["Attributes"]["name"]), (name, "short"), "whose")
    state = engine.inspect("short")["State"]
    equal((state["Running"], state["OOMKilled"]), (True, True), "its state")
    engine.docker("rm", "-f", "short")
    if ENGINE == "davit":
        equal(len(events(engine, since, event=["oom"])), len(found), "not once more at its end")


if __name__ == "__main__":
    main()
