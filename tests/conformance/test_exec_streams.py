"""exec: its streams.

Goal: input, output and terminals of an exec are whole, whatever its client does, and cost neither
the process nor the daemon anything when it does nothing. Method: the command line on pipes and on
a pseudo terminal, and sockets of our own for what it never does.
"""

import os
import signal
import socket
import threading

from exec_support import (Events, Terminal, container, create, ended, frames, inspect, read_all,
                          start)
from harness import COMMAND_SECONDS, case, check, contains, equal, eventually, main


@case()
def stdin_to_its_end(engine):
    with container(engine) as identity:
        equal(engine.out("exec", "-i", identity, "sh", "-c", "cat; echo end", stdin="a\nb\n"),
              "a\nb\nend")
        data = os.urandom(2_000_000)
        done = engine.docker("exec", "-i", identity, "cat", stdin=data, text=False)
        check(done.stdout == data, "all of it comes back")
        # Without -i there is none.
        equal(engine.out("exec", identity, "cat", stdin="not read"), "")


@case()
def a_terminal(engine):
    with container(engine) as identity:
        script = ("stty size; tty; echo TERM is $TERM; read line; echo line is $line; "
                  "echo ready; until test \"$(stty size)\" = '40 120'; do sleep 0.05; done; exit 9")
        terminal = Terminal(engine, "exec", "-it", identity, "sh", "-c", script, rows=31, columns=97)
        # Some command lines tell the size only when it runs already.
        terminal.expect(r"\d+ \d+\r\n|standard input\r\n")
        terminal.expect(r"/dev/pts/\d+\r\n")
        terminal.expect(r"TERM is xterm")
        terminal.send("typed\n")
        terminal.expect(r"typed\r\n")
        terminal.expect(r"line is typed\r\n")
        terminal.expect("ready")
        terminal.resize(40, 120)

        def told():
            # Again, if the command line did not listen yet.
            terminal.process.send_signal(signal.SIGWINCH)
            return terminal.process.poll() is not None

        eventually(told, "the new size arrives", COMMAND_SECONDS)
        equal(terminal.end(), 9)


@case()
def interrupt_and_detach_from_a_terminal(engine):
    with container(engine) as identity:
        terminal = Terminal(engine, "exec", "-it", identity, "sh", "-c",
                            "echo here; sleep 1000; echo not reached")
        terminal.expect("here")
        terminal.send("\x03")
        equal(terminal.end(), 130)

        terminal = Terminal(engine, "exec", "-it", "--detach-keys", "ctrl-a,x", identity, "sh", "-c",
                            "echo here; while ! test -e /stop; do sleep 0.05; done; exit 3")
        terminal.expect("here")
        exec_id, = engine.inspect(identity)["ExecIDs"]
        terminal.send("\x01x")
        terminal.end()
        check(inspect(engine, exec_id)["Running"], "it goes on")
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 3)


@case()
def detach_keys_through_the_api(engine):
    with container(engine) as identity:
        happened = Events(engine, identity)
        exec_id = create(engine, identity, ["cat"], Tty=True, AttachStdin=True)
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            stream.sendall(b"typed\n")
            seen = b""
            while not seen.endswith(b"typed\r\ntyped\r\n"):
                piece = stream.recv(100)
                check(piece, f"it is read: {seen}")
                seen += piece
            stream.sendall(b"\x10\x11")
            read_all(stream)
        check(inspect(engine, exec_id)["Running"], "it goes on")
        contains([event["Action"] for event in happened.seen()], "exec_detach")
        equal(happened.seen()[-1]["Actor"]["Attributes"]["execID"], exec_id)


@case()
def frames_and_their_type(engine):
    with container(engine) as identity:
        script = ["sh", "-c", "echo out; echo err >&2"]
        stream, head = start(engine, create(engine, identity, script))
        with stream:
            contains(head, "101")
            contains(head, "application/vnd.docker.multiplexed-stream")
            equal(sorted(frames(read_all(stream))), [(1, b"out\n"), (2, b"err\n")])
        stream, head = start(engine, create(engine, identity, script), version="/v1.41")
        with stream:
            contains(head, "application/vnd.docker.raw-stream")
            equal(sorted(frames(read_all(stream))), [(1, b"out\n"), (2, b"err\n")])
        stream, head = start(engine, create(engine, identity, script, Tty=True), Tty=True)
        with stream:
            contains(head, "application/vnd.docker.raw-stream")
            equal(read_all(stream), b"out\r\nerr\r\n")
        stream, _ = start(engine, create(engine, identity, script, AttachStdout=False))
        with stream:
            equal(frames(read_all(stream)), [(2, b"err\n")])
        exec_id = create(engine, identity, ["stty", "size"], Tty=True, ConsoleSize=[11, 22])
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            equal(read_all(stream), b"11 22\r\n")


@case()
def a_half_closed_client_gets_the_output(engine):
    with container(engine) as identity:
        stream, _ = start(engine, create(engine, identity, ["sh", "-c", "cat; echo after"],
                                         AttachStdin=True))
        with stream:
            stream.sendall(b"sent\n")
            stream.shutdown(socket.SHUT_WR)
            equal(frames(read_all(stream)), [(1, b"sent\nafter\n")])


@case("davit")
def a_client_that_leaves_ends_nothing(engine):
    with container(engine) as identity:
        script = "echo here; while ! test -e /stop; do sleep 0.05; echo more; done; exit 6"
        exec_id = create(engine, identity, ["sh", "-c", script])
        stream, _ = start(engine, exec_id)
        check(stream.recv(100), "output")
        stream.close()
        check(inspect(engine, exec_id)["Running"], "it goes on")
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 6)


@case()
def a_client_that_does_not_read_holds_up_nobody_else(engine):
    size = 8_000_000
    with container(engine) as identity:
        exec_id = create(engine, identity, ["head", "-c", str(size), "/dev/zero"])
        stream, _ = start(engine, exec_id)
        with stream:
            for _ in range(3):
                equal(engine.out("exec", identity, "echo", "other"), "other")
            received = read_all(stream)
        equal(sum(len(piece) for _, piece in frames(received)), size)
        equal(ended(engine, exec_id), 0)


@case("davit")
def what_a_client_does_not_read_is_not_kept(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "yes; true"])
        before = engine.resident_kib()
        stream, _ = start(engine, exec_id)
        with stream:
            for _ in range(20):
                engine.docker("exec", identity, "true")
            grown = engine.resident_kib() - before
            check(grown < 8 * 1024, f"the daemon grew by {grown} KiB")
            check(inspect(engine, exec_id)["Running"], "it waits for its reader")


@case()
def output_of_what_outlives_the_command(engine):
    with container(engine) as identity:
        done = engine.docker("exec", identity, "sh", "-c", "echo first; sleep 1000 & exit 8", status=8)
        equal(done.stdout, "first\n")


@case()
def resize_through_the_api(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh"], Tty=True, AttachStdin=True)
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            equal(engine.api("POST", f"/exec/{exec_id}/resize?h=33&w=44").status, 200)
            stream.sendall(b"stty size; exit\n")
            contains(read_all(stream).decode(), "33 44")
        check(engine.api("POST", f"/exec/{exec_id}/resize?h=3&w=4").status in (404, 409, 500),
              "it has ended")


@case("davit")
def a_resize_waits_for_the_start(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["stty", "size"], Tty=True)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            engine.api("POST", f"/exec/{exec_id}/resize?h=33&w=44").status))
        waiting.start()
        eventually(lambda: "exec_resize" in engine.api("GET", "/davit/jobs").body.decode(),
                   "the resize waits")
        stream, _ = start(engine, exec_id, Tty=True)
        with stream:
            read_all(stream)
        waiting.join(COMMAND_SECONDS)
        check(answers and answers[0] in (200, 404), f"answered: {answers}")


if __name__ == "__main__":
    main()
