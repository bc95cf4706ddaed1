"""rename, restart, prune, and what wait waits for across them.

Goal: states, messages and events as Docker's, and what is answered is on disk.
"""

import json
import threading
import time

from exec_support import Events
from harness import ENGINE, case, check, contains, equal, eventually, main, query


def sleeper(engine, *options):
    return engine.out("run", "-d", "--network", "none", *options, "bb", "sleep", "1000")


def names(engine, identity):
    listed = engine.api("GET", "/containers/json?all=1&" + query(filters={"id": [identity]})).json
    return listed[0]["Names"]


def actions(events):
    return [event["Action"] for event in events.seen()]


@case()
def rename(engine):
    identity = sleeper(engine, "--name", "before", "--hostname", "stays")
    happened = Events(engine, identity)
    engine.docker("exec", identity, "touch", "/kept")
    equal(engine.out("rename", "before", "after"), "")
    equal(engine.inspect("after")["Id"], identity)
    equal(engine.inspect(identity)["Name"], "/after")
    equal(names(engine, identity), ["/after"])
    equal(engine.api("GET", "/containers/before/json").status, 404, "the old name is gone")
    engine.docker("exec", "after", "test", "-e", "/kept")
    equal(engine.out("exec", "after", "hostname"), "stays")
    event, = [event for event in happened.seen() if event["Action"] == "rename"]
    equal((event["Actor"]["Attributes"]["name"], event["Actor"]["Attributes"]["oldName"]),
          ("after", "/before"))
    other = sleeper(engine, "--name", "before")
    check(other != identity, "the old name is free")
    answer = engine.api("POST", f"/containers/{other}/rename?name=after")
    equal(answer.status, 409)
    contains(answer.message, f'Conflict. The container name "/after" is already in use by container'
             f' "{identity}". You have to remove (or rename) that container')
    done = engine.docker("rename", "before", "after", status=1)
    contains(done.stderr, "already in use by container")
    equal(names(engine, other), ["/before"], "nothing has changed")
    engine.docker("stop", "-t", "0", "after")
    engine.docker("rename", "/after", "/stopped")
    equal(engine.inspect(identity)["Name"], "/stopped")
    engine.docker("start", "stopped")


@case()
def rename_refused(engine):
    identity = sleeper(engine, "--name", "only")
    for name, status in (("", 400), ("only", 400), ("/only", 400), ("a/b", 400), ("-x", 400),
                         ("x", 400)):
        answer = engine.api("POST", f"/containers/only/rename?{query(name=name)}")
        check(answer.status == status or ENGINE == "dockerd", f"{name!r}: {answer.status}")
        check(answer.message, "a reason")
    equal(names(engine, identity), ["/only"])
    equal(engine.api("POST", "/containers/nosuch/rename?name=y").status, 404)
    done = engine.docker("rename", "nosuch", "other", status=1)
    contains(done.stderr, "No such container: nosuch")
    engine.docker("rename", "only", " ", status=1)


@case()
def renames_race(engine):
    """One of many gets the name; nothing is lost and nothing is there twice."""
    identities = [sleeper(engine) for _ in range(6)]
    answers = {}

    def wish(identity):
        answers[identity] = engine.api("POST", f"/containers/{identity}/rename?name=wanted").status

    threads = [threading.Thread(target=wish, args=(identity,)) for identity in identities]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(answers.values()), [204] + [409] * 5)
    winner = engine.inspect("wanted")["Id"]
    equal(answers[winner], 204)
    equal(len({names(engine, identity)[0] for identity in identities}), 6)


@case("davit")
def rename_outlives_the_daemon(engine):
    kept = engine.out("create", "--network", "none", "--name", "one", "bb", "true")
    fleeting = engine.out("create", "--rm", "--network", "none", "--name", "two", "bb", "true")
    engine.docker("rename", "one", "uno")
    engine.docker("rename", "two", "due")
    equal(engine.inspect("due")["Id"], fleeting)
    engine.kill()
    engine.start()
    equal(engine.inspect("uno")["Id"], kept)
    equal(engine.inspect("uno")["Name"], "/uno")
    equal(engine.api("GET", "/containers/one/json").status, 404)
    engine.out("create", "--network", "none", "--name", "one", "bb", "true")
    equal(engine.out("start", "-a", "uno"), "")


@case()
def restart(engine):
    identity = sleeper(engine, "--name", "again")
    first = engine.inspect(identity)["State"]
    happened = Events(engine, identity)
    equal(engine.out("restart", "-t", "1", "again"), "again")
    second = engine.inspect(identity)["State"]
    check(second["Running"] and second["Pid"] != first["Pid"], f"{second}")
    equal(engine.inspect(identity)["RestartCount"], 0)
    expected = ["kill", "kill", "die", "stop", "start", "restart"]  # sleep ignores TERM as pid 1.
    equal(actions(happened), expected)
    engine.docker("stop", "-t", "0", identity)
    happened = Events(engine, identity)
    engine.docker("restart", identity)
    equal(actions(happened), ["start", "restart"], "of a stopped one")
    equal(engine.api("POST", "/containers/nosuch/restart").status, 404)
    created = engine.out("create", "--network", "none", "bb", "sleep", "1000")
    engine.docker("restart", created)
    check(engine.inspect(created)["State"]["Running"], "of a created one")


@case()
def restart_signal(engine):
    if ENGINE == "dockerd":
        return  # Docker 20 does not know it.
    identity = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                          "trap 'echo got USR1; exit 3' USR1; while :; do sleep 0.01; done")
    eventually(lambda: engine.inspect(identity)["State"]["Running"], "it runs")
    happened = Events(engine, identity)
    time.sleep(0.2)  # The shell sets its trap.
    engine.docker("restart", "-s", "USR1", "-t", "60", identity)
    equal(actions(happened), ["kill", "die", "stop", "start", "restart"])
    contains(engine.out("logs", identity), "got USR1")
    equal(engine.api("POST", f"/containers/{identity}/restart?signal=NOSUCH").status, 400)


@case()
def restart_of_one_that_removes_itself(engine):
    identity = sleeper(engine, "--rm")
    engine.docker("restart", "-t", "0", identity)
    check(engine.inspect(identity)["State"]["Running"], "it is there, and runs")
    engine.docker("stop", "-t", "0", identity)
    eventually(lambda: engine.api("GET", f"/containers/{identity}/json").status == 404, "removed")


@case()
def waits_across_a_restart(engine):
    identity = sleeper(engine)
    answers = {}

    def wait(condition):
        answers[condition] = engine.api(
            "POST", f"/containers/{identity}/wait?condition={condition}").json["StatusCode"]

    threads = [threading.Thread(target=wait, args=(name,)) for name in ("next-exit", "removed")]
    for thread in threads:
        thread.start()
    time.sleep(0.2)  # Both wait by now; nothing depends on it.
    engine.docker("restart", "-t", "0", identity)
    threads[0].join(30)
    equal(answers, {"next-exit": 137}, "only the exit was waited for")
    engine.docker("rm", "-f", identity)
    threads[1].join(30)
    equal(answers["removed"], 137)


@case()
def next_exit_of_a_stopped_one(engine):
    identity = engine.out("create", "--network", "none", "bb", "sh", "-c", "exit 5")
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(
        engine.api("POST", f"/containers/{identity}/wait?condition=next-exit").json))
    waiter.start()
    equal(engine.out("wait", identity), "0", "it does not run: at once")
    time.sleep(0.2)
    equal(answers, [], "the next exit is awaited")
    engine.docker("start", identity)
    waiter.join(30)
    equal([answer["StatusCode"] for answer in answers], [5])


@case()
def prune(engine):
    running = sleeper(engine)
    paused = sleeper(engine)
    engine.docker("pause", paused)
    created = engine.out("create", "--network", "none", "bb", "true")
    exited = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c",
                        "head -c 100000 /dev/zero > /big")
    engine.docker("wait", exited)
    since = f"{time.time():.9f}"
    done = engine.out("container", "prune", "-f")
    lines = done.splitlines()
    equal(lines[0], "Deleted Containers:")
    equal(sorted(lines[1:3]), sorted([created, exited]))
    equal(lines[-1], "Total reclaimed space: 100kB")
    listed = engine.out("ps", "-aq", "--no-trunc").split()
    equal(sorted(listed), sorted([running, paused]))
    answer = engine.api("POST", "/containers/prune")
    equal((answer.status, answer.json), (200, {"ContainersDeleted": None, "SpaceReclaimed": 0}))
    events = engine.api("GET", "/events?" + query(
        since=since, until=f"{time.time():.9f}", filters={"event": ["prune"]}))
    reclaimed = [json.loads(line)["Actor"]["Attributes"]["reclaimed"]
                 for line in events.body.splitlines()]
    equal(reclaimed, ["100000", "0"])


@case()
def prune_filters(engine):
    old = engine.out("create", "--network", "none", "-l", "keep=yes", "-l", "a=1", "bb", "true")
    time.sleep(1.1)
    border = int(time.time())
    time.sleep(1.1)
    new = engine.out("create", "--network", "none", "-l", "a=2", "bb", "true")

    def pruned(*filters):
        words = [word for text in filters for word in ("--filter", text)]
        return [line for line in engine.out("container", "prune", "-f", *words).splitlines()
                if len(line) == 64]

    equal(pruned("label=nosuch"), [])
    equal(pruned("label=a=1", "label=a=2"), [], "all labels must be there")
    equal(pruned("until=24h"), [])
    equal(pruned(f"until={border}", "label!=keep=yes"), [])
    equal(pruned("label!=keep"), [new])
    equal(pruned(f"until={border}"), [old])
    for filters in ({"nosuch": ["x"]}, {"until": ["1h", "2h"]}, {"until": ["bogus"]}):
        answer = engine.api("POST", "/containers/prune?" + query(filters=filters))
        check(answer.status in ((400,) if ENGINE == "davit" else (400, 500)), f"{answer.status}")


@case()
def prune_asks(engine):
    identity = engine.out("create", "--network", "none", "bb", "true")
    done = engine.docker("container", "prune", stdin="n\n", status=None)
    contains(done.stdout, "WARNING! This will remove all stopped containers.")
    equal(engine.out("ps", "-aq", "--no-trunc"), identity)
    engine.docker("container", "prune", stdin="y\n")
    equal(engine.out("ps", "-aq"), "")


if __name__ == "__main__":
    main()
