"""Seccomp profiles: --security-opt seccomp=FILE, and the daemon's own with --seccomp-profile.

Goal: what a profile of Docker's says is what a container may call, and a broken one is refused with
Docker's words.
"""

import json

from harness import ENGINE, bad_request, case, check, contains, equal, main

NO_SPACE = 28


def profile(*calls, default="SCMP_ACT_ALLOW", **more):
    return {"defaultAction": default, "syscalls": list(calls), **more}


def call(*names, action="SCMP_ACT_ERRNO", **more):
    return {"names": list(names), "action": action, **more}


NO_MKDIR = profile(call("mkdir", "mkdirat", errnoRet=NO_SPACE))


def written(engine, what, name="profile.json"):
    path = engine.directory / name
    path.write_text(what if isinstance(what, str) else json.dumps(what, indent=4))
    return path


def run(engine, what, *command, options=(), status=0):
    return engine.docker("run", "--rm", "--network", "none", "--security-opt",
                         f"seccomp={written(engine, what)}", *options, "bb", *command, status=status)


def mode(engine, *options):
    return engine.out("run", "--rm", "--network", "none", *options, "bb", "sed", "-n",
                      "s/^Seccomp:\t//p", "/proc/self/status")


@case()
def a_profile_is_applied(engine):
    contains(run(engine, NO_MKDIR, "mkdir", "/x", status=1).stderr, "No space left", "its own errno")
    run(engine, NO_MKDIR, "touch", "/x")
    equal(run(engine, profile(call("mkdir", "mkdirat", action="SCMP_ACT_KILL_PROCESS")), "mkdir", "/x",
              status=159).stdout, "", "killed by SIGSYS")


@case()
def an_exec_has_it_too(engine):
    path = written(engine, NO_MKDIR)
    name = engine.out("run", "-d", "--network", "none", "--security-opt", f"seccomp={path}", "bb",
                      "sleep", "1000")
    done = engine.docker("exec", name, "mkdir", "/x", status=1)
    contains(done.stderr, "No space left", "exec")
    if ENGINE == "davit":
        done = engine.docker("exec", "--privileged", name, "mkdir", "/x", status=1)
        contains(done.stderr, "No space left", "exec --privileged")
    option = engine.inspect(name)["HostConfig"]["SecurityOpt"][0]
    equal(json.loads(option.removeprefix("seccomp=")), NO_MKDIR, "inspect shows the text")
    path.unlink()
    engine.docker("restart", "-t", "0", name)
    engine.docker("exec", name, "mkdir", "/x", status=1)


@case()
def names_that_do_not_exist_are_ignored(engine):
    run(engine, profile(call("no_such_call", "mkdir", "mkdirat")), "mkdir", "/x", status=1)


@case()
def conditions_on_arguments(engine):
    def sends(what, signal, status):
        run(engine, what, "sh", "-c", f"trap '' {signal}; kill -{signal} $$", status=status)

    ten = {"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}
    one = profile(call("kill", args=[ten]))
    sends(one, 12, 0)
    sends(one, 10, 1)
    twelve = {"index": 1, "value": 12, "op": "SCMP_CMP_EQ"}
    either = profile(call("kill", args=[ten, twelve]))
    for signal, status in ((10, 1), (12, 1), (1, 0)):
        sends(either, signal, status)


@case()
def capabilities_decide(engine):
    unless = profile(call("mkdir", "mkdirat", excludes={"caps": ["CAP_SYS_TIME"]}))
    run(engine, unless, "mkdir", "/x", status=1)
    run(engine, unless, "mkdir", "/x", options=["--cap-add", "SYS_TIME"])
    both = profile(call("mkdir", "mkdirat", includes={"caps": ["CAP_CHOWN", "CAP_SYS_TIME"]}))
    run(engine, both, "mkdir", "/x")
    run(engine, both, "mkdir", "/x", options=["--cap-add", "SYS_TIME"], status=1)
    newer = profile(call("mkdir", "mkdirat", includes={"minKernel": "3.10"}))
    run(engine, newer, "mkdir", "/x", status=1)
    future = profile(call("mkdir", "mkdirat", includes={"minKernel": "99.0"}))
    run(engine, future, "mkdir", "/x")


@case()
def builtin_unconfined_and_nothing(engine):
    equal(mode(engine), "2", "the default")
    equal(mode(engine, "--security-opt", "seccomp=unconfined"), "0", "unconfined")
    equal(mode(engine, "--security-opt", f"seccomp={written(engine, {})}"), "0", "an empty profile")
    if ENGINE == "davit":  # Docker 20 does not know the name, and needs every capability there is.
        equal(mode(engine, "--privileged"), "0", "privileged")
        equal(mode(engine, "--security-opt", "seccomp=builtin"), "2", "builtin")


@case()
def a_privileged_container_can_have_one(engine):
    if ENGINE == "davit":  # Docker 20 left it out.
        run(engine, NO_MKDIR, "mkdir", "/x", options=["--privileged"], status=1)


def start_error(engine, text):
    body = {"Image": "bb", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none",
                                                           "SecurityOpt": ["seccomp=" + text]}}
    created = engine.api("POST", "/containers/create", body)
    equal(created.status, 201, "a profile is looked at when it is used")
    identity = created.json["Id"]
    answer = engine.api("POST", f"/containers/{identity}/start")
    state = engine.inspect(identity)["State"]
    equal((state["Status"], state["ExitCode"]), ("created", 128), "it has not run")
    equal(state["Error"], answer.message, "inspect says why")
    return answer


@case()
def a_broken_profile_is_refused(engine):
    for text in ("{", "no-such-file", '{"defaultAction":7}', '{"syscalls":[{"names":"mkdir"}]}'):
        answer = start_error(engine, text)
        bad_request(answer, text)
        contains(answer.message, "Decoding seccomp profile failed: ", text)
    both = profile(architectures=["SCMP_ARCH_X86"], archMap=[{"architecture": "SCMP_ARCH_X86_64"}])
    contains(start_error(engine, json.dumps(both)).message,
             "specified in the seccomp profile, use either 'architectures' or 'archMap'", "both lists")
    for wrong, text in ((call("mkdir", action="SCMP_ACT_NOPE"), "string SCMP_ACT_NOPE is not a valid action"),
                        (call("mkdir", args=[{"op": "EQ"}]), "string EQ is not a valid operator")):
        contains(start_error(engine, json.dumps(profile(wrong))).message, text, "what is wrong")
    engine.docker("run", "--security-opt", "seccomp=/no/such/file", "bb", "true", status=125)
    run(engine, "{ not json", "true", status=125)


@case("davit")
def an_agent_is_not_to_be_had(engine):
    for what in (profile(call("mkdir", action="SCMP_ACT_NOTIFY")),
                 profile(listenerPath="/run/agent.sock")):
        answer = start_error(engine, json.dumps(what))
        equal(answer.status, 501, f"{answer.message}")


@case("davit")
def profile_of_the_daemon(engine):
    def restart(*options):
        engine.stop()
        engine.options = list(options)
        engine.start()

    def makes_directories(*options):
        done = engine.docker("run", "--rm", "--network", "none", *options, "bb", "mkdir", "/x",
                             status=None)
        return done.returncode == 0

    path = written(engine, NO_MKDIR, "daemon.json")
    try:
        restart("--seccomp-profile", str(path))
        path.write_text("changed since")
        check(not makes_directories(), "without a word")
        check(makes_directories("--security-opt", "seccomp=builtin"), "builtin")
        check(makes_directories("--security-opt", "seccomp=unconfined"), "unconfined")
        check(makes_directories("--privileged"), "privileged")
        contains(engine.api("GET", "/info").json["SecurityOptions"], f"name=seccomp,profile={path}",
                 "info")
        restart("--seccomp-profile", "unconfined")
        equal(mode(engine), "0", "unconfined")
        restart("--seccomp-profile", "builtin")
        equal(mode(engine), "2", "builtin")
        contains(engine.api("GET", "/info").json["SecurityOptions"], "name=seccomp,profile=builtin",
                 "info")
    finally:
        if engine.process:
            restart()


if __name__ == "__main__":
    main()
