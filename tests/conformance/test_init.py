"""docker run --init: docker-init is pid 1, hands signals on, reaps, and ends as the command does.

Goal: with --init a container behaves as Docker's does. The run directory is on a file system without
exec, as /run is on some hosts: docker-init must run all the same.
"""

import subprocess
import time

from harness import (DAVIT, ENGINE, attach, case, check, contains, equal, eventually, main,
                     start_engine)

PROGRAM = "/sbin/docker-init"


def init(engine, script, *options, status=0):
    return engine.docker("run", "--rm", "--init", "--network", "none", *options, "bb", "sh", "-c",
                         script, status=status)


def background(engine, script, *options):
    """A container with an init that has said "ready"."""
    name = engine.out("run", "-d", "--init", "--network", "none", *options, "bb", "sh", "-c", script)
    eventually(lambda: "ready" in engine.out("logs", name), "it is ready")
    return name


@case()
def init_is_the_first_process(engine):
    done = init(engine, "tr '\\0' ' ' < /proc/1/cmdline; echo; readlink /proc/1/exe; echo $PPID")
    equal(done.stdout.splitlines()[1:], [PROGRAM, "1"], "the program, and the command's parent")
    contains(done.stdout, f"{PROGRAM} -- sh -c ", "its arguments")
    for option in ([], ["--init=false"]):
        done = engine.docker("run", "--rm", "--network", "none", *option, "bb", "sh", "-c", "echo $$")
        equal(done.stdout, "1\n", f"{option}: the command itself")


@case()
def inspect_shows_the_command(engine):
    name = engine.out("run", "-d", "--init", "--network", "none", "bb", "sleep", "1000")
    shown = engine.inspect(name)
    equal((shown["Path"], shown["Args"]), ("sleep", ["1000"]), "the command")
    equal(shown["HostConfig"]["Init"], True, "HostConfig.Init")
    equal(shown["Mounts"], [], "docker-init is no mount of the user's")
    commands = [line.split("] ")[-1] for line in engine.out("top", name, "-o", "pid,args").splitlines()]
    check(any(line.endswith(f"{PROGRAM} -- sleep 1000") for line in commands), f"init: {commands}")
    check(any(line.split()[1:] == ["sleep", "1000"] for line in commands), f"command: {commands}")
    equal(engine.out("exec", name, "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline"),
          f"{PROGRAM} -- sleep 1000", "an exec sees it")
    equal(engine.api("GET", "/info").json["InitBinary"], "docker-init", "info")


@case()
def exit_code_is_the_commands(engine):
    for code in (0, 1, 7, 255):
        init(engine, f"exit {code}", status=code)
    for signal in (6, 9, 11, 15):
        init(engine, f"kill -{signal} $$", status=128 + signal)


@case()
def a_missing_command_is_inits_to_tell(engine):
    """The start succeeds: it is docker-init that does not find the command."""
    for command, code, text in (("no-such-program", 127, "exec no-such-program failed: No such file"),
                                ("/no/such", 127, "exec /no/such failed: No such file"),
                                ("/etc/noexec", 126, "exec /etc/noexec failed: Permission denied"),
                                ("/etc", 126, "exec /etc failed: Permission denied")):
        name = engine.out("create", "--init", "--network", "none", "bb", command)
        engine.docker("start", name)
        equal(engine.out("wait", name), str(code), command)
        contains(engine.docker("logs", name).stderr, text, "what it says")
        state = engine.inspect(name)["State"]
        equal((state["Error"], state["ExitCode"]), ("", code), f"{command}: the daemon has no error")


@case()
def orphans_are_reaped(engine):
    script = "for i in 1 2 3; do (sleep 0.1 & sleep 0) ; done; sleep 1; grep -l 'State:.Z' /proc/[0-9]*/status"
    equal(init(engine, script, status=1).stdout, "", "no zombies")


@case()
def signals_reach_the_command(engine):
    names = {"HUP": 1, "USR1": 10, "USR2": 12, "CONT": 18, "WINCH": 28, "40": 40}
    traps = "".join(f"trap 'echo got {number}.' {number};" for number in names.values())
    name = background(engine, traps + "echo ready; while :; do sleep 0.05; done")
    for signal, number in names.items():
        engine.docker("kill", "--signal", signal, name)
        eventually(lambda number=number: f"got {number}." in engine.out("logs", name), f"signal {signal}")
    engine.docker("kill", name)
    equal(engine.out("wait", name), "137", "SIGKILL is for init itself")


@case()
def stop_takes_no_grace(engine):
    """As pid 1 sleep would not hear of SIGTERM."""
    name = engine.out("run", "-d", "--init", "--network", "none", "bb", "sleep", "1000")
    begun = time.monotonic()
    engine.docker("stop", "-t", "30", name)
    check(time.monotonic() - begun < 15, "it ends on SIGTERM")
    equal(engine.inspect(name)["State"]["ExitCode"], 143, "exit code")
    if ENGINE == "davit":
        why = subprocess.run([DAVIT, "why", name], env=engine.environment(),
                             capture_output=True, text=True, check=True).stdout
        contains(why, "143", "davit why")


@case()
def process_group_on_request(engine):
    """docker-init --init's known switch: the shell ignores SIGTERM, its child does not."""
    script = "sleep 1000 & trap '' TERM; echo ready; wait; exit 5"
    name = background(engine, script, "-e", "TINI_KILL_PROCESS_GROUP=1")
    engine.docker("kill", "--signal", "TERM", name)
    equal(engine.out("wait", name), "5", "the child was ended")


@case()
def terminal_belongs_to_the_command(engine):
    done = engine.docker("run", "--rm", "--init", "-t", "--network", "none", "bb", "sh", "-c",
                         "cut -d' ' -f1,5,8 /proc/$$/stat")
    pid, group, foreground = done.stdout.split()
    equal((group, foreground), (pid, pid), "a group of its own, in the foreground")
    name = engine.out("run", "-d", "-t", "-i", "--init", "--network", "none", "bb", "sh", "-c",
                      "echo ready; sleep 1000; exit 4")
    eventually(lambda: "ready" in engine.out("logs", name), "it is ready")
    with attach(engine, name, "stdin=1") as stream:
        stream.sendall(b"\x03")
        equal(engine.out("wait", name), "130", "^C reaches the command")


@case()
def host_pids_need_no_init(engine):
    done = init(engine, "tr '\\0' ' ' < /proc/$PPID/cmdline; ls /sbin/docker-init", "--pid", "host",
                status=1)
    check(PROGRAM not in done.stdout, f"the parent is none of the container's: {done.stdout}")


@case()
def any_user_and_root(engine):
    equal(init(engine, "id -u", "-u", "guest").stdout, "1000\n", "a plain user")
    init(engine, "true", "--read-only")
    if ENGINE == "davit":  # dockerd's needs every capability that there is.
        init(engine, "true", "--privileged")
    init(engine, "true", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@case()
def it_cannot_be_written(engine):
    done = init(engine, f"echo evil > {PROGRAM}; echo evil > /proc/1/exe; rm {PROGRAM}; wc -c < {PROGRAM}")
    contains(done.stderr, "ead-only", "a read-only mount")
    check(int(done.stdout) > 1000, "it is still there")


@case("davit")
def no_two_containers_share_a_file(engine):
    """Whoever may mount can make the mount writable: it is the container's own file that changes."""
    attack = (f"cp {PROGRAM} /tmp/copy && mount -o remount,bind,rw {PROGRAM} && "
              f"(echo evil > {PROGRAM}; cat /tmp/copy > {PROGRAM}); stat -c %d:%i {PROGRAM}")
    options = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    first = init(engine, attack, *options).stdout.split()[-1]
    name = background(engine, f"echo ready; sleep 1000")
    second = engine.out("exec", name, "stat", "-c", "%d:%i", PROGRAM)
    other = background(engine, f"echo ready; sleep 1000")
    third = engine.out("exec", other, "stat", "-c", "%d:%i", PROGRAM)
    equal(len({first, second, third}), 3, "three files")


@case()
def started_again_and_copied_from(engine):
    name = engine.out("create", "--init", "--network", "none", "bb", "sh", "-c", "echo out > /made")
    for _ in range(3):
        engine.docker("start", "-a", name)
    target = engine.directory / "made"
    engine.docker("cp", f"{name}:/made", target)
    equal(target.read_text(), "out\n", "a copy from the stopped container")


@case("davit")
def it_outlives_the_daemon(engine):
    name = background(engine, "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    engine.kill()
    engine.start()
    equal(engine.out("exec", name, "readlink", "/proc/1/exe"), PROGRAM, "an exec")
    engine.docker("stop", "-t", "30", name)
    eventually(lambda: not engine.inspect(name)["State"]["Running"], "it has stopped")


@case("davit")
def default_of_the_daemon(engine):
    def first_process(*options):
        return engine.out("run", "--rm", "--network", "none", *options, "bb", "readlink", "/proc/1/exe")

    engine.stop()
    engine.options.append("--init")
    try:
        engine.start()
        equal(first_process(), PROGRAM, "without a word")
        equal(first_process("--init"), PROGRAM, "with --init")
        check(first_process("--init=false") != PROGRAM, "with --init=false")
        name = engine.out("create", "bb", "true")
        check("Init" not in engine.inspect(name)["HostConfig"], "what was not said is not shown")
    finally:
        engine.stop()
        engine.options.remove("--init")
        engine.start()


def prepare(engine, stack):
    if ENGINE == "davit":
        engine.run_dir.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,nosuid,nodev", "run", engine.run_dir],
                       check=True)
        stack.callback(subprocess.run, ["umount", engine.run_dir], check=True)
    start_engine(engine, stack)


if __name__ == "__main__":
    main(prepare)
