"""The keeper program by itself, with a daemon that does what the test says.

Goal: what it is given it gives back; it knows how what it inherited ended; it starts daemons again,
and ends when it should. Method: the test speaks libcontainer/keeper/protocol.h in the daemon's place.
"""

import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile

HELLO, SHARE, HOLD, DROP_INPUT, RELEASE, READY = range(1, 7)
WELCOME, HELD, END, EXITED, LEAVE = range(16, 21)
PROCESS, INPUT, OUTPUT, ERROR = 1, 2, 4, 8
MESSAGE = struct.Struct("<IIIIiIiIq32s")
VERSION = 1
FAKE = pathlib.Path(__file__).with_name("fake_daemon.py")
SECONDS = 20


class Failure(AssertionError):
    pass


def equal(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what}: got {actual!r}, expected {expected!r}")


class Message:
    def __init__(self, data, fds=()):
        (self.kind, self.version, self.slot, self.descriptors, self.pid, self.exit, self.value, _,
         self.time, self.id) = MESSAGE.unpack(data)
        self.fds = list(fds)


class Daemon:
    """One that the keeper has started."""

    def __init__(self, control):
        self.control = control
        data, fds, _, _ = socket.recv_fds(control, 1000, 1)
        pid, *self.arguments = data.decode().split()
        self.pid = int(pid)
        self.keeper = socket.socket(fileno=fds[0])
        self.keeper.settimeout(SECONDS)

    def send(self, kind, slot=0, pid=0, id=b"", version=0, fds=()):
        descriptors = sum(bit for bit, fd in fds)
        data = MESSAGE.pack(kind, version, slot, descriptors, pid, 0, 0, 0, 0, id)
        socket.send_fds(self.keeper, [data], [fd for _, fd in fds])

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.keeper, MESSAGE.size, 4)
        return Message(data, fds)

    def hello(self):
        """Gives the welcome, and what is held by slot."""
        self.send(HELLO, version=VERSION)
        welcome = self.receive()
        equal((welcome.kind, welcome.version), (WELCOME, VERSION), "welcome")
        held = {}
        while (message := self.receive()).kind == HELD:
            held[message.slot] = message
        equal(message.kind, END, "the end of the hand-over")
        return welcome, held

    def child(self, code):
        """Gives its pid, and what is to be closed for its end."""
        read, write = os.pipe()
        socket.send_fds(self.control, [f"child {code}".encode()], [read])
        os.close(read)
        return int(self.control.recv(100)), write

    def exit(self, code):
        self.control.send(f"exit {code}".encode())

    def close(self):
        self.keeper.close()
        self.control.close()


class Keeper:
    def __init__(self, program, directory):
        self.daemons = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(f"{directory}/control")
        self.listener.listen()
        self.listener.settimeout(SECONDS)
        self.log = open(f"{directory}/log", "w+b")
        path = str(FAKE)

        def descriptor_3():
            os.dup2(os.open(path, os.O_PATH), 3)

        self.process = subprocess.Popen(
            ["davit", "keeper", path, f"{directory}/control", "--option"], executable=program,
            preexec_fn=descriptor_3, close_fds=False, stderr=self.log)

    def daemon(self):
        control, _ = self.listener.accept()
        control.settimeout(SECONDS)
        self.daemons.append(Daemon(control))  # Their connections are open for as long as the test runs.
        return self.daemons[-1]

    def wait(self):
        return self.process.wait(SECONDS)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_kib(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.listener.close()
        self.log.close()


def pidfd_ended(fd):
    equal(bool(select.select([fd], [], [], SECONDS)[0]), True, "it ends")


def hands_back_what_it_was_given(keeper):
    first = keeper.daemon()
    equal(first.arguments[:2], ["daemon", "--keeper-socket"], "arguments")
    equal(first.arguments[3:], ["--option"], "the user's arguments")
    welcome, held = first.hello()
    equal((held, welcome.descriptors), ({}, 0), "nothing at first")
    first.send(READY)
    with open("/dev/zero", "rb") as zero, open("/dev/full", "rb") as full:
        first.send(SHARE, fds=[(1, zero.fileno()), (2, full.fileno()), (4, zero.fileno())])
    pid, end = first.child(7)
    pidfd = os.pidfd_open(pid)
    output, theirs = os.pipe()
    held_input, input = os.pipe()
    id = bytes(range(32))
    first.send(HOLD, slot=5, pid=pid, id=id,
               fds=[(PROCESS, pidfd), (INPUT, input), (OUTPUT, output)])
    first.send(HOLD, slot=9, pid=pid + 1000000, id=bytes(32), fds=[(PROCESS, pidfd)])
    first.send(RELEASE, slot=9)
    os.write(theirs, b"written")
    os.close(output)
    os.close(input)
    os.kill(first.pid, signal.SIGKILL)
    second = keeper.daemon()
    welcome, held = second.hello()
    equal([os.readlink(f"/proc/self/fd/{fd}") for fd in welcome.fds], ["/dev/zero", "/dev/full", "/dev/zero"],
          "what is shared")
    equal(list(held), [5], "slots")
    slot = held[5]
    equal((slot.pid, slot.id, slot.exit, slot.descriptors), (pid, id, 0, PROCESS | INPUT | OUTPUT), "slot")
    equal(os.read(slot.fds[2], 100), b"written", "its pipe")
    os.write(slot.fds[1], b"given")
    equal(os.read(held_input, 100), b"given", "its other pipe")
    os.close(slot.fds[1])
    second.send(DROP_INPUT, slot=5)
    equal(os.read(held_input, 100), b"", "dropped: its reader sees the end")
    os.close(end)
    told = second.receive()
    equal((told.kind, told.slot, told.pid, told.exit, told.value), (EXITED, 5, pid, 1, 7), "its exit")
    os.kill(second.pid, signal.SIGKILL)  # Before it has recorded that.
    third = keeper.daemon()
    _, held = third.hello()
    equal((held[5].exit, held[5].value, held[5].time), (1, 7, told.time), "the exit is kept")
    third.send(RELEASE, slot=5)
    third.send(READY)
    third.send(HELLO, version=VERSION)
    equal([third.receive().kind for _ in range(2)], [WELCOME, END], "released")
    for daemon in (first, second):
        daemon.close()
    keeper.process.terminate()


def exits_between_two_daemons(keeper):
    first = keeper.daemon()
    first.hello()
    first.send(READY)
    children = [first.child(code) for code in range(40)]
    for slot, (pid, _) in enumerate(children):
        fd = os.pidfd_open(pid)
        first.send(HOLD, slot=slot, pid=pid, id=bytes(32), fds=[(PROCESS, fd)])
        os.close(fd)
    unknown, unknown_end = first.child(3)
    unknown_fd = os.pidfd_open(unknown)
    watched = os.pidfd_open(children[0][0])
    keeper.process.send_signal(signal.SIGSTOP)
    os.kill(first.pid, signal.SIGKILL)
    os.kill(children[1][0], signal.SIGKILL)
    for index, (_, end) in enumerate(children):
        if index != 2:
            os.close(end)
    pidfd_ended(watched)
    keeper.process.send_signal(signal.SIGCONT)
    second = keeper.daemon()
    _, held = second.hello()
    late = {}
    while len([slot for slot in held.values() if slot.exit]) + len(late) < 39:
        message = second.receive()
        late[message.slot] = message
    for slot in range(40):
        found = late.get(slot, held[slot])
        expected = (2, 9) if slot == 1 else (0, 0) if slot == 2 else (1, slot)
        equal((found.exit, found.value), expected, f"slot {slot}")
    os.close(unknown_end)
    second.send(READY)
    pidfd_ended(unknown_fd)  # Reaped, although nobody has asked for it: it would stay a zombie.
    keeper.process.terminate()


def ends_as_the_daemon_does(keeper):
    keeper.daemon().exit(3)
    equal(keeper.wait(), 3, "a daemon that never was ready")


def starts_one_that_crashed(keeper):
    for _ in range(4):
        daemon = keeper.daemon()
        daemon.send(READY)
        daemon.exit(1)
    keeper.daemon().exit(0)
    equal(keeper.wait(), 0, "one that ends by itself, orderly")
    keeper.log.seek(0)
    equal(keeper.log.read().count(b"started again: it exited with 1"), 4, "and says so")


def passes_signals_on(keeper):
    daemon = keeper.daemon()
    daemon.hello()
    daemon.send(READY)
    keeper.process.send_signal(signal.SIGHUP)
    keeper.process.send_signal(signal.SIGUSR2)
    equal(daemon.receive().kind, LEAVE, "asked to make room")
    daemon.exit(0)
    second = keeper.daemon()
    second.hello()
    second.send(READY)
    second.send(HELLO)
    second.receive()  # It has read `ready`.
    keeper.process.send_signal(signal.SIGINT)
    equal(keeper.wait(), 128 + signal.SIGTERM, "the daemon gets SIGTERM, and its end is the keeper's")


def is_stopped_while_no_daemon_runs(keeper):
    """The next one is started for that: somebody has to end the containers."""
    for _ in range(6):
        daemon = keeper.daemon()
        daemon.send(READY)
        ended = os.pidfd_open(daemon.pid)
        daemon.exit(1)
        pidfd_ended(ended)
    keeper.process.terminate()
    last = keeper.daemon()
    last.send(READY)
    equal(keeper.wait(), 128 + signal.SIGTERM, "stopped once it was ready")


def is_small_and_forgets(keeper):
    daemon = keeper.daemon()
    daemon.hello()
    daemon.send(READY)
    before = keeper.descriptors()
    pid, end = daemon.child(0)
    pidfd = os.pidfd_open(pid)
    for round in range(3):
        for slot in range(500):
            daemon.send(HOLD, slot=slot, pid=pid + slot, id=bytes(32),
                        fds=[(PROCESS, pidfd), (INPUT, pidfd), (OUTPUT, pidfd), (ERROR, pidfd)])
        daemon.send(HELLO)
        kinds = []
        while not kinds or kinds[-1] != END:
            message = daemon.receive()
            kinds.append(message.kind)
            for fd in message.fds:
                os.close(fd)
        equal(len(kinds), 502, f"round {round}")
    equal(keeper.descriptors(), before + 2000, "descriptors")
    if keeper.resident_kib() > 256:
        raise Failure(f"it takes {keeper.resident_kib()} KiB")
    for slot in range(500):
        daemon.send(RELEASE, slot=slot)
    for kind, slot in ((HOLD, 1 << 20), (RELEASE, 1 << 31), (77, 0)):  # None of these does anything.
        daemon.send(kind, slot=slot, fds=[(PROCESS, pidfd)] * (kind == HOLD))
    daemon.send(HELLO)
    daemon.receive()
    equal(keeper.descriptors(), before, "descriptors in the end")
    os.close(end)
    keeper.process.terminate()


def main():
    if os.geteuid() != 0:
        print("skipped: needs root")
        sys.exit(77)
    failed = 0
    only = sys.argv[2:]
    for test in (hands_back_what_it_was_given, exits_between_two_daemons, ends_as_the_daemon_does,
                 starts_one_that_crashed, passes_signals_on, is_stopped_while_no_daemon_runs,
                 is_small_and_forgets):
        if only and test.__name__ not in only:
            continue
        with tempfile.TemporaryDirectory() as directory:
            keeper = Keeper(sys.argv[1], directory)
            try:
                test(keeper)
                keeper.wait()
                print(f"{test.__name__}: ok", flush=True)
            except (Failure, OSError, subprocess.TimeoutExpired) as problem:
                print(f"{test.__name__}: FAILED: {problem}", flush=True)
                failed += 1
            finally:
                keeper.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
