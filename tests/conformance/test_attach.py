"""attach: what becomes of a container's stdin when its client leaves, at every moment.

Goal: with StdinOnce the client's end is the end of stdin, whoever notices it first, and nothing that
it sent is lost; a client that left leaves nothing open in the daemon. Method: sockets of our own,
since the CLI always says goodbye.
"""

import json
import socket

from harness import ENGINE, RUNS, attach, case, check, equal, eventually, main

# Ends with 7 once its stdin has ended.
CAT = "cat; exit 7"
COUNT = "test $(cat | wc -c) = {} && exit 7"


def create(engine, script, once=True):
    answer = engine.api("POST", "/containers/create", {
        "Image": "bb", "Cmd": ["sh", "-c", script], "OpenStdin": True, "StdinOnce": once,
        "AttachStdin": True, "HostConfig": {"NetworkMode": "none"}})
    equal(answer.status, 201, answer.body)
    return answer.json["Id"]


def start(engine, identity):
    equal(engine.api("POST", f"/containers/{identity}/start").status, 204, "started")


def state(engine, identity):
    return engine.api("GET", f"/containers/{identity}/json").json["State"]


def ends_with_seven(engine, identity):
    eventually(lambda: not state(engine, identity)["Running"], "its stdin ends")
    equal(state(engine, identity)["ExitCode"], 7, "and all came")


def attachments(engine):
    """Attach jobs that run now."""
    jobs = engine.api("GET", "/davit/jobs").json
    return [job for job in jobs if "attach" in json.dumps(job) and '"running"' in json.dumps(job)]


def none_left(engine):
    eventually(lambda: not attachments(engine), "the attachment ends")


@case()
def a_client_that_leaves_a_silent_container(engine):
    identity = create(engine, CAT)
    stream = attach(engine, identity)
    start(engine, identity)
    stream.close()
    ends_with_seven(engine, identity)


@case()
def a_client_that_leaves_in_the_middle_of_output(engine):
    identity = create(engine, "yes & cat > /dev/null; kill $!; exit 7")
    stream = attach(engine, identity)
    start(engine, identity)
    check(stream.recv(1000), "output")
    stream.close()
    ends_with_seven(engine, identity)


@case("davit")
def what_was_sent_before_leaving_arrives(engine):
    size = 150_000
    identity = create(engine, "echo first; sleep 0.3; echo second; " + COUNT.format(size))
    with attach(engine, identity) as stream:
        start(engine, identity)
        stream.sendall(b"x" * size)
    ends_with_seven(engine, identity)
    none_left(engine)


@case()
def a_half_closed_client_gets_the_output(engine):
    identity = create(engine, "cat; echo after; exit 7")
    with attach(engine, identity, "stdin=1&stdout=1") as stream:
        stream.sendall(b"sent\n")
        stream.shutdown(socket.SHUT_WR)
        start(engine, identity)
        received = b""
        while piece := stream.recv(65536):
            received += piece
    check(b"sent\n" in received and b"after\n" in received, f"all output: {received}")
    ends_with_seven(engine, identity)


@case("davit")
def a_client_that_leaves_before_the_start(engine):
    identity = create(engine, CAT)
    for _ in range(3):
        attach(engine, identity).close()
        none_left(engine)
    start(engine, identity)
    ends_with_seven(engine, identity)
    # Only this run is meant: the next one has a stdin again.
    start(engine, identity)
    with attach(engine, identity, "stdin=1&stdout=1") as stream:
        stream.sendall(b"again\n")
        check(stream.recv(100), "it reads")
    ends_with_seven(engine, identity)


@case("davit")
def a_client_that_leaves_before_the_start_while_another_stays(engine):
    identity = create(engine, CAT)
    with attach(engine, identity) as stays:
        attach(engine, identity).close()
        eventually(lambda: len(attachments(engine)) == 1, "one is left")
        start(engine, identity)
        stays.sendall(b"here\n")
        check(stays.recv(100), "it is read from")
    ends_with_seven(engine, identity)


@case("davit")
def what_was_sent_before_the_start_arrives(engine):
    identity = create(engine, COUNT.format(5))
    with attach(engine, identity) as stream:
        stream.sendall(b"early")
    start(engine, identity)
    ends_with_seven(engine, identity)
    none_left(engine)


@case()
def without_stdin_once_stdin_stays_open(engine):
    identity = create(engine, CAT, once=False)
    stream = attach(engine, identity)
    start(engine, identity)
    stream.close()
    with attach(engine, identity, "stdin=1&stdout=1") as second:
        second.sendall(b"still here\n")
        check(second.recv(100), "it reads on")
    check(state(engine, identity)["Running"], "it runs on")
    engine.docker("kill", identity)


@case("davit")
def a_client_that_leaves_a_container_that_does_not_read(engine):
    """Nothing is written and nothing is read: only the hang-up tells."""
    identity = create(engine, "sleep 1000", once=False)
    start(engine, identity)
    attach(engine, identity, "stdout=1").close()
    none_left(engine)
    attach(engine, identity).close()
    none_left(engine)
    engine.docker("kill", identity)


@case()
def streams_opened_and_closed_over_and_over(engine):
    """Beside a container that writes and one that is silent; then there is as much of everything as
    before, and the containers are well. (Issue size: 100,000, RUNS being 20,000.)"""
    busy = create(engine, "while :; do echo line; usleep 1000; done", once=False)
    silent = create(engine, "trap 'exit 7' TERM; while :; do read line; echo $line; done", once=False)
    for identity in (busy, silent):
        start(engine, identity)
    attach(engine, busy).close()
    none_left(engine)
    descriptors = engine.descriptors() if ENGINE == "davit" else []
    kinds = ("stdout=1&stderr=1", "stdin=1", "stdin=1&stdout=1&stderr=1", "logs=1&stdout=1")
    for number in range(5 * RUNS):
        with attach(engine, (busy, silent)[number % 2], kinds[number // 2 % 4]) as stream:
            if number % 3 == 0:
                stream.shutdown(socket.SHUT_WR)
    none_left(engine)
    if ENGINE == "davit":
        eventually(lambda: engine.descriptors() == descriptors, "descriptors are given back")
    with attach(engine, silent, "stdin=1&stdout=1") as stream:
        stream.sendall(b"asked\n")
        check(stream.recv(100).endswith(b"asked\n"), "it answers")
    engine.docker("stop", silent)
    equal(state(engine, silent)["ExitCode"], 7, "it was well until the end")
    engine.docker("kill", busy)


if __name__ == "__main__":
    main()
