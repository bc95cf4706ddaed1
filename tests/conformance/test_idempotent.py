"""Creates with an idempotency key: one container for one key, whatever is lost on the way.

Goal: a client that got no answer asks again and gets the container of its first call, also from the
next daemon; a key is never taken for another request; it is free again when its container is gone.
Method: retries over connections of their own; answers that nobody reads; daemons that are killed.
"""

import concurrent.futures
import contextlib
import json
import pathlib
import tempfile

from harness import (Engine, case, cgroup_tree_remove, check, contains, equal, eventually,
                     import_busybox, main, query)

LABEL = "davit.idempotency"


def body_of(**config):
    return {"Image": "bb", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}, **config}


def create(engine, key=None, body=None, **parameters):
    headers = {"Idempotency-Key": key} if key is not None else {}
    path = "/containers/create" + ("?" + query(**parameters) if parameters else "")
    return engine.api("POST", path, body or body_of(), headers)


def listed(engine):
    return [container["Id"] for container in engine.api("GET", "/containers/json?all=1").json]


def told(answer, what="create"):
    equal(answer.status, 201, f"{what}: {answer.body[:200]}")
    return answer.json["Id"], answer.json["Warnings"]


@case("davit")
def a_retry_gets_the_same_container(engine):
    most = int(pathlib.Path("/proc/sys/fs/nr_open").read_text())
    body = body_of(HostConfig={"NetworkMode": "none",
                               "Ulimits": [{"Name": "nofile", "Soft": most * 2, "Hard": most * 2}]})
    first = told(create(engine, "one", body))
    equal(told(create(engine, "one", body)), first, "the answer again, warnings and all")
    equal(listed(engine), [first[0]], "one container")
    plain = told(create(engine, None, body))
    equal(plain[1], first[1], "the warnings are those of any create")
    check(plain[0] != first[0], "without a key another one")
    check(told(create(engine, "two", body))[0] != first[0], "with another key, too")
    equal(len(listed(engine)), 3, "containers")
    engine.api("POST", f"/containers/{first[0]}/start")
    engine.api("POST", f"/containers/{first[0]}/wait")
    equal(engine.api("POST", f"/containers/{first[0]}/rename?name=other").status, 204, "rename")
    equal(told(create(engine, "one", body)), first, "whatever has become of it since")


@case("davit")
def by_label(engine):
    arguments = ("create", "--network", "none", "--label", f"{LABEL}=by-label", "bb", "true")
    identity = engine.out(*arguments)
    equal(engine.out(*arguments), identity, "the same command line")
    equal(listed(engine), [identity], "one container")
    done = engine.docker(*arguments[:-1], "false", status=None)
    check(done.returncode != 0, "another command is refused")
    contains(done.stderr, 'The idempotency key "by-label" was used for another request', "why")
    contains(done.stderr, identity, "and by whom")
    body = body_of(Labels={LABEL: "both"})
    equal(told(create(engine, "both", body)), told(create(engine, None, body)), "header and label")
    answer = create(engine, "other", body)
    equal((answer.status, answer.message),
          (400, f"the header Idempotency-Key and the label {LABEL} have different keys"), "differ")


@case("davit")
def a_label_of_the_image_is_no_key(engine):
    """An image that was committed from a keyed container has its labels."""
    made = told(create(engine, None, body_of(Labels={LABEL: "first"})))[0]
    engine.docker("commit", made, "keyed")
    body = body_of(Image="keyed")
    check(told(create(engine, None, body))[0] != told(create(engine, None, body))[0], "two containers")
    engine.remove_all()
    engine.docker("rmi", "keyed")


@case("davit")
def another_request_is_a_conflict(engine):
    identity, _ = told(create(engine, "key", name="named"))
    equal(told(create(engine, "key", name="named"))[0], identity, "the same name is no conflict")
    again = {"HostConfig": {"ConsoleSize": [50, 132], "NetworkMode": "none"}, "Cmd": ["true"], "Image": "bb"}
    equal(told(create(engine, "key", again, name="named"))[0], identity, "from another terminal, in another order")
    for what, answer in (("body", create(engine, "key", body_of(Cmd=["false"]), name="named")),
                         ("name", create(engine, "key", name="unnamed")),
                         ("platform", create(engine, "key", name="named", platform="linux/amd64"))):
        equal((answer.status, answer.message),
              (409, 'Conflict. The idempotency key "key" was used for another request, which made '
                    f'container "{identity}". You have to remove that container, or use another key.'),
              f"another {what}")
    equal(listed(engine), [identity], "one container")


@case("davit")
def keys_that_are_none(engine):
    for key in ("x" * 256, "a\tb", "\xe4"):
        answer = create(engine, key)
        equal(answer.status, 400, repr(key))
        contains(answer.message, "1 to 255 printable ASCII characters", repr(key))
    answer = create(engine, None, body_of(Labels={LABEL: ""}))
    equal(answer.status, 400, "an empty label")
    told(create(engine, "x" * 255))


@case("davit")
def a_key_lives_as_long_as_its_container(engine):
    first, _ = told(create(engine, "again"))
    equal(engine.api("DELETE", f"/containers/{first}").status, 204, "rm")
    second, _ = told(create(engine, "again", body_of(Cmd=["false"])))
    check(second != first, "a new one, for any request")
    equal(engine.out("run", "--rm", "--network", "none", "--label", f"{LABEL}=run", "bb", "echo", "x"),
          "x", "run --rm")
    equal(engine.out("run", "--rm", "--network", "none", "--label", f"{LABEL}=run", "bb", "echo", "y"),
          "y", "it is gone, and the key is free")


@case("davit")
def a_create_that_fails_takes_no_key(engine):
    answer = create(engine, "missing", body_of(Image="nosuch"))
    equal(answer.status, 404, "no such image: the command line would pull it now")
    told(create(engine, "missing"))


@case("davit")
def at_the_same_time(engine):
    """Each over a connection of its own."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            answers = list(pool.map(lambda _, key=f"turn{turn}": create(engine, key), range(16)))
            equal(len({told(answer)[0] for answer in answers}), 1, "one container for all")
            equal(len(listed(engine)), turn + 1, "and no other")
        keyed = list(pool.map(lambda number: told(create(engine, f"own{number}"))[0], range(16)))
        equal(len(set(keyed)), 16, "those with other keys have their own")


@case("davit")
def one_that_fails_makes_way(engine):
    """Of two at once that ask for different things one wins; the other is told."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for turn in range(20):
            bodies = [body_of(Cmd=["true"]), body_of(Cmd=["false"])]
            answers = list(pool.map(lambda body, key=f"race{turn}": create(engine, key, body), bodies))
            equal(sorted(answer.status for answer in answers), [201, 409], "one each")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for turn in range(20):
            bodies = [body_of(Image="nosuch"), body_of()]
            answers = list(pool.map(lambda body, key=f"fail{turn}": create(engine, key, body), bodies))
            equal(answers[1].status, 201, "whoever was first")
            check(answers[0].status in (404, 409), f"the other: {answers[0].status}")


@case("davit")
def answers_that_are_lost(engine):
    """The daemon is killed before anybody has read the answer, or in the middle of its work."""
    with tempfile.TemporaryDirectory(prefix="davit-key-", dir="/var/tmp") as directory:
        own = Engine(pathlib.Path(directory))
        try:
            own.start()
            import_busybox(own)
            for number in range(20):
                retried(own, f"lost{number}", number)
            equal(len(listed(own)), 20, "one for each key")
            before = [told(create(own, f"lost{number}")) for number in range(20)]
            own.stop()
            own.start()
            equal([told(create(own, f"lost{number}")) for number in range(20)], before,
                  "by the next daemon")
            own.remove_all()
            own.check_clean()
        finally:
            if own.process is not None:
                own.stop()
            cgroup_tree_remove(own.cgroup_parent)


def retried(engine, key, number):
    """Every other time it is listed when the daemon dies, and recorded or about to be; else whatever it has come to."""
    body = json.dumps(body_of())
    request = (f"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
               f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
    known = set(listed(engine))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sent = pool.submit(engine.raw, request)
        if number % 2 == 0:
            eventually(lambda: set(listed(engine)) - known, "it is listed")
        engine.kill()
        with contextlib.suppress(OSError):  # It may not have come as far as its connection.
            sent.result()
    engine.start()
    after = set(listed(engine)) - known
    check(len(after) <= 1, f"at most one: {after}")
    identity, _ = told(engine.api("POST", "/containers/create", body,
                                  {"Content-Type": "application/json", "Idempotency-Key": key}))
    equal(set(listed(engine)) - known, {identity}, "one")
    equal(after - {identity}, set(), "what was there after the crash is what the retry got")


if __name__ == "__main__":
    main()
