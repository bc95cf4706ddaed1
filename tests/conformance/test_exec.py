"""exec: further processes in a running container.

Goal: what is asked for is what runs (user, environment, directory, terminal, privileges), exit codes
and streams arrive whole, mistakes are told in the words that clients know, and nothing is left of
any of it. Method: the command line as people use it, and sockets of our own for what it never does.
"""

import collections
import os
import pathlib
import re
import threading

from exec_support import Events, container, create, detached, ended, inspect, read_all, start
from harness import CLI, Skip, bad_request, case, check, contains, equal, eventually, main

MISSING = "0" * 64


@case()
def exit_codes_and_output(engine):
    with container(engine) as identity:
        done = engine.docker("exec", identity, "sh", "-c", "echo out; echo err >&2; exit 7",
                             status=7)
        equal(done.stdout, "out\n")
        equal(done.stderr, "err\n")
        engine.docker("exec", identity, "true")
        engine.docker("exec", identity, "sh", "-c", "kill -9 $$", status=137)
        equal(engine.out("exec", identity, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"),
              "x" * 3000000)


@case()
def commands_that_cannot_be_run(engine):
    prefix = "OCI runtime exec failed: exec failed: "
    with container(engine) as identity:
        engine.docker("exec", identity, "sh", "-c", "echo text > /plain")
        for command, status, text in (
                ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
                ("/nosuch", 127, "no such file or directory"),
                ("/plain", 126, "permission denied"),
                ("/etc", 126, "is a directory" if CLI == "davit" else "")):
            done = engine.docker("exec", identity, command, status=status)
            contains(done.stdout + done.stderr, prefix)
            contains(done.stdout + done.stderr, text)
        done = engine.docker("exec", "-w", "/nosuch", identity, "true", status=None)
        check(done.returncode in (126, 127), f"status {done.returncode}")
        contains(done.stdout + done.stderr, "chdir to cwd")
        done = engine.docker("exec", "-u", "nobodyhere", identity, "true", status=None)
        check(done.returncode in (1, 126), f"status {done.returncode}")
        contains(done.stdout + done.stderr,
                 "unable to find user nobodyhere: no matching entries in passwd file")
        exec_id = create(engine, identity, ["nosuch"])
        answer = detached(engine, exec_id)
        equal(answer.status, 400, answer.body)
        contains(answer.message, "executable file not found in $PATH")
        equal(inspect(engine, exec_id)["ExitCode"], 127)
        check(not inspect(engine, exec_id)["Running"], "it does not run")


@case()
def user_environment_and_directory(engine):
    with container(engine, "-e", "A=container", "-e", "B=container", "-w", "/tmp",
                   "--hostname", "host1") as identity:
        engine.docker("exec", identity, "sh", "-c",
                      "echo 'web:x:1234:1235::/home/web:/bin/sh' >> /etc/passwd;"
                      "echo 'staff:x:50:web' >> /etc/group")
        show = "echo $(id -u):$(id -g) $HOME $A $B $(pwd) $HOSTNAME $TERM"
        equal(engine.out("exec", identity, "sh", "-c", show),
              "0:0 " + engine.out("exec", identity, "sh", "-c", "echo $HOME") +
              " container container /tmp host1")
        equal(engine.out("exec", "-u", "web", "-e", "A=exec", "-w", "/etc", identity, "sh", "-c",
                         show), "1234:1235 /home/web exec container /etc host1")
        equal(engine.out("exec", "-u", "web:50", "-e", "HOME=/own", identity, "sh", "-c", show),
              "1234:50 /own container container /tmp host1")
        equal(engine.out("exec", "-u", "4711:4712", identity, "sh", "-c", show),
              "4711:4712 / container container /tmp host1")
        equal(engine.out("exec", "-u", "web", identity, "sh", "-c", "id -G"), "1235 50")
    with container(engine, "-u", "5:6") as identity:
        equal(engine.out("exec", identity, "sh", "-c", "echo $(id -u):$(id -g)"), "5:6")
        equal(engine.out("exec", "-u", "0", identity, "id", "-u"), "0")


@case()
def environment_files(engine):
    path = engine.directory / "env"
    path.write_text("# comment\nONE=1\nTWO=two words\n")
    with container(engine) as identity:
        equal(engine.out("exec", "--env-file", str(path), "-e", "ONE=first", identity, "sh", "-c",
                         "echo $ONE $TWO"), "first two words")


@case()
def privileges(engine):
    with container(engine) as identity:
        show = ["grep", "-E", "Cap(Eff|Bnd)|NoNewPrivs|Seccomp:", "/proc/self/status"]
        first = engine.out("exec", identity, "grep", "-E", "Cap(Eff|Bnd)|NoNewPrivs|Seccomp:",
                           "/proc/1/status")
        equal(engine.out("exec", identity, *show), first)
        more = engine.out("exec", "--privileged", identity, *show)
        own = int(re.search(r"CapEff:\s+(\w+)", first).group(1), 16)
        all_of_them = int(re.search(r"CapEff:\s+(\w+)", more).group(1), 16)
        check(all_of_them & own == own and all_of_them != own, f"more capabilities: {more}")
        plain = engine.out("exec", "--privileged", "-u", "1000", identity, *show)
        equal(int(re.search(r"CapEff:\s+(\w+)", plain).group(1), 16), 0, "but not for others")
    with container(engine, "--security-opt", "no-new-privileges", "--ulimit", "nofile=99:101",
                   "--cap-drop", "ALL") as identity:
        contains(engine.out("exec", identity, *show), "NoNewPrivs:\t1")
        contains(engine.out("exec", identity, *show), "CapEff:\t0000000000000000")
        equal(engine.out("exec", identity, "sh", "-c", "ulimit -n; ulimit -Hn"), "99\n101")


@case()
def where_the_container_is(engine):
    with container(engine) as identity:
        script = ("for n in mnt pid net ipc uts cgroup; do "
                  "test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo $n; done; "
                  "cat /proc/self/cgroup > /tmp/own; cmp /tmp/own /proc/1/cgroup; "
                  "ls /proc/self/fd | wc -l")
        # 0, 1, 2 and the one that ls reads with.
        equal(engine.out("exec", identity, "sh", "-c", script), "4")


@case()
def in_the_background(engine):
    with container(engine) as identity:
        equal(engine.out("exec", "-d", identity, "sh", "-c",
                         "while ! test -e /stop; do sleep 0.05; done; touch /done"), "")
        exec_id, = engine.inspect(identity)["ExecIDs"]
        facts = inspect(engine, exec_id)
        check(facts["Running"] and facts["ExitCode"] is None and facts["Pid"] > 0, f"{facts}")
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 0)
        engine.docker("exec", identity, "test", "-e", "/done")
        equal(engine.inspect(identity)["ExecIDs"], None)


@case()
def what_inspect_tells(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "exit 4"], User="0:0", Tty=False,
                         AttachStdin=True, DetachKeys="ctrl-a", Env=["A=1"])
        equal(engine.inspect(identity)["ExecIDs"], [exec_id])
        facts = inspect(engine, exec_id)
        pid = facts.pop("Pid")
        equal(facts, {
            "ID": exec_id, "Running": False, "ExitCode": None,
            "ProcessConfig": {"tty": False, "entrypoint": "sh", "arguments": ["-c", "exit 4"],
                              "privileged": False, "user": "0:0"},
            "OpenStdin": True, "OpenStderr": True, "OpenStdout": True, "CanRemove": False,
            "ContainerID": identity, "DetachKeys": "AQ=="})
        equal(pid, 0)
        equal(detached(engine, exec_id).status, 200)
        equal(ended(engine, exec_id), 4)
        equal(engine.inspect(identity)["ExecIDs"], None)


@case()
def events(engine):
    with container(engine, "--name", "watched", "-l", "color=blue") as identity:
        happened = Events(engine, identity)
        engine.docker("exec", identity, "sh", "-c", "exit 5", status=5)
        eventually(lambda: happened.seen()[-1]["Action"] == "exec_die", "its end is told")
        seen = happened.seen()
        equal([event["Action"] for event in seen],
              ["exec_create: sh -c exit 5", "exec_start: sh -c exit 5", "exec_die"])
        ids = {event["Actor"]["Attributes"]["execID"] for event in seen}
        equal(len(ids), 1)
        equal(seen[-1]["Actor"]["Attributes"]["exitCode"], "5")
        for event in seen:
            attributes = event["Actor"]["Attributes"]
            equal((attributes["name"], attributes["image"], attributes["color"]),
                  ("watched", "bb", "blue"))
        equal([event["Action"] for event in happened.seen(event=["exec_start"])],
              ["exec_start: sh -c exit 5"])


@case()
def requests_that_are_refused(engine):
    answer = engine.api("POST", "/containers/nosuch/exec", {"Cmd": ["true"]})
    equal((answer.status, answer.message), (404, "No such container: nosuch"))
    for method, path, body in (("POST", "start", {"Detach": True}), ("GET", "json", None),
                               ("POST", "resize?h=1&w=1", None)):
        answer = engine.api(method, f"/exec/{MISSING}/{path}", body)
        equal((answer.status, answer.message), (404, "No such exec instance: " + MISSING), path)
    with container(engine) as identity:
        answer = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": []})
        bad_request(answer, "no command")
        contains(answer.message, "No exec command specified")
        answer = engine.api("POST", f"/containers/{identity}/exec",
                            {"Cmd": ["true"], "DetachKeys": "ctrl-1x"})
        bad_request(answer, "detach keys")
        bad_request(engine.api("POST", f"/containers/{identity}/exec", "{"), "half a document")
        exec_id = create(engine, identity, ["true"])
        bad_request(engine.api("POST", f"/exec/{exec_id}/resize?h=x&w=1"), "height")
        engine.docker("stop", "-t", "0", identity)
        answer = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": ["true"]})
        equal((answer.status, answer.message.lower()), (409, f"container {identity} is not running"))
        equal(engine.api("GET", f"/exec/{exec_id}/json").status, 404, "not started, never will be")
        done = engine.docker("exec", identity, "true", status=1)
        contains(done.stderr, "is not running")


@case("davit")
def only_once(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "while ! test -e /stop; do sleep 0.05; done"])
        equal(detached(engine, exec_id).status, 200)
        answer = detached(engine, exec_id)
        equal((answer.status, answer.message),
              (409, f"Error: Exec command {exec_id} is already running"))
        engine.docker("exec", identity, "touch", "/stop")
        equal(ended(engine, exec_id), 0)
        answer = detached(engine, exec_id)
        equal((answer.status, answer.message), (409, f"Error: Exec command {exec_id} has already run"))
        stream, head = start(engine, exec_id)
        with stream:
            contains(head.split("\r\n")[0], "409")


@case()
def a_kill_of_the_container_is_the_end(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sh", "-c", "echo here; sleep 1000"])
        stream, _ = start(engine, exec_id)
        with stream:
            check(stream.recv(100), "output")
            engine.docker("kill", identity)
            read_all(stream)
        equal(ended(engine, exec_id), 137)
        engine.docker("start", identity)
        equal(engine.out("exec", identity, "echo", "again"), "again")


@case()
def removed_with_its_container(engine):
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sleep", "1000"])
        equal(detached(engine, exec_id).status, 200)
        engine.docker("rm", "-f", identity)
        equal(engine.api("GET", f"/exec/{exec_id}/json").status, 404)


@case()
def many_at_once(engine):
    with container(engine) as identity:
        results = []

        def run(number):
            done = engine.docker("exec", "-i", identity, "sh", "-c", f"cat; exit {number}",
                                 stdin=f"input {number}", status=None)
            results.append((done.returncode, done.stdout))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(sorted(results), [(number, f"input {number}") for number in range(32)])


@case("davit")
def nothing_is_left(engine):
    with container(engine) as identity:
        for _ in range(3):
            engine.docker("exec", identity, "true")
        before = collections.Counter(engine.descriptors())  # A last connection may still be closing.
        for number in range(30):
            engine.docker("exec", "-i", identity, "sh", "-c", f"exit {number}", status=number)
            engine.docker("exec", identity, "nosuch", status=127)
            engine.docker("exec", "-d", identity, "true")
            engine.docker("exec", "-u", "nosuch", identity, "true", status=None)
        eventually(lambda: engine.inspect(identity)["ExecIDs"] is None, "all have ended")
        eventually(lambda: not collections.Counter(engine.descriptors()) - before,
                   "no descriptor is left")
        # A child that nobody waited for would be there.
        equal(engine.children(), [str(engine.inspect(identity)["State"]["Pid"])])
        equal(len(engine.out("exec", identity, "sh", "-c", "echo /proc/[0-9]*").split()), 2)


@case("davit")
def a_start_races_with_the_end(engine):
    """Whoever wins: an answer, no process left, and the container ends."""
    for _ in range(20):
        with container(engine) as identity:
            ids = [create(engine, identity, ["sleep", "1000"]) for _ in range(4)]
            answers = []
            threads = [threading.Thread(target=lambda exec_id=exec_id: answers.append(
                detached(engine, exec_id).status)) for exec_id in ids]
            for thread in threads:
                thread.start()
            engine.docker("kill", identity)
            for thread in threads:
                thread.join()
            check(all(status in (200, 404, 409, 500) for status in answers), f"{answers}")
            eventually(lambda: not engine.inspect(identity)["State"]["Running"], "it ends")
            eventually(lambda: engine.inspect(identity)["ExecIDs"] is None, "and they do")


@case("davit")
def a_daemon_that_dies_forgets_its_execs(engine):
    """They were its clients'. The container goes on, and takes them along when it ends."""
    with container(engine) as identity:
        exec_id = create(engine, identity, ["sleep", "1000"])
        equal(detached(engine, exec_id).status, 200)
        pid = inspect(engine, exec_id)["Pid"]
        check(os.path.exists(f"/proc/{pid}"), "it runs")
        engine.kill()
        engine.start()
        equal(engine.api("GET", f"/exec/{exec_id}/json").status, 404)
        check(engine.inspect(identity)["State"]["Running"], "its container goes on")
        equal(engine.out("exec", identity, "echo", "x"), "x", "and takes new ones")
        engine.docker("kill", identity)
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), "it ends")


@case("davit")
def pid_and_network_of_the_host(engine):
    with container(engine, "--pid", "host", network="host") as identity:
        exec_id = create(engine, identity, ["sleep", "1000"])
        equal(detached(engine, exec_id).status, 200)
        equal(engine.out("exec", identity, "readlink", "/proc/self/ns/pid"),
              os.readlink("/proc/self/ns/pid"))
        engine.docker("kill", identity)
        equal(ended(engine, exec_id), 137)


@case("davit")
def a_container_that_uses_controllers_of_its_own(engine):
    """On pure v2 such a cgroup takes no process any more: the exec goes where the init is."""
    controllers = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    if not controllers.exists() or "pids" not in controllers.read_text():
        raise Skip("needs a pure v2 host")
    script = ("mkdir /sys/fs/cgroup/inner; echo 1 > /sys/fs/cgroup/inner/cgroup.procs; "
              "echo +pids > /sys/fs/cgroup/cgroup.subtree_control && echo ready; exec sleep 1000")
    identity = engine.out("run", "-d", "--privileged", "--network", "none", "bb", "sh", "-c", script)
    eventually(lambda: "ready" in engine.out("logs", identity), "controllers are in use")
    equal(engine.out("exec", identity, "grep", "^0:", "/proc/self/cgroup"), "0::/inner", "beside the init")
    engine.docker("rm", "-f", identity)


if __name__ == "__main__":
    main()
