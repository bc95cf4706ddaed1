"""--security-opt apparmor=PROFILE.

Goal: where the kernel has AppArmor, a container's programs and what is executed in it are under the
profile that was asked for, which somebody has loaded; where it has not, that is said.
"""

import pathlib
import shutil
import subprocess

from harness import Skip, case, check, contains, equal, main, start_engine

NAME = "davit-test"
PROFILE = f"""profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  network,
  signal,
  unix,
  deny /secret rwklx,
}}
"""


def has_apparmor():
    enabled = pathlib.Path("/sys/module/apparmor/parameters/enabled")
    return enabled.exists() and enabled.read_text().startswith("Y")


def parser(engine, action):
    file = engine.directory / "profile"
    file.write_text(PROFILE)
    done = subprocess.run(["apparmor_parser", action, str(file)], capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""), f"apparmor_parser {action}")


def prepare(engine, stack):
    start_engine(engine, stack)
    if has_apparmor():
        if not shutil.which("apparmor_parser"):
            raise Skip("apparmor_parser is missing")
        parser(engine, "-r")
        stack.callback(parser, engine, "-R")


def run(engine, script, *options, profile=NAME, status=0):
    return engine.docker("run", "--rm", "--network", "none", "--security-opt", f"apparmor={profile}", *options,
                         "bb", "sh", "-c", script, status=status)


@case("davit")
def a_kernel_without_it(engine):
    if has_apparmor():
        return
    contains(run(engine, "true", status=125).stderr, "apparmor: config provided but apparmor not supported", "run")
    equal(run(engine, "echo on", profile="unconfined").stdout, "on\n", "unconfined is what all are")
    check("name=apparmor" not in engine.api("GET", "/info").json["SecurityOptions"], "info")


@case("davit")
def a_profile(engine):
    if not has_apparmor():
        print("  not here: the kernel has no AppArmor")
        return
    contains(engine.api("GET", "/info").json["SecurityOptions"], "name=apparmor", "info")
    label = "cat /proc/self/attr/current; "
    for options in ((), ("--init",), ("--user", "1000"), ("--security-opt", "no-new-privileges"), ("--pid", "host"),
                    ("--privileged",)):
        said = run(engine, label + "touch /tmp/x; echo x > /secret || echo denied", *options).stdout
        equal(said.split("\n")[:2], [f"{NAME} (enforce)", "denied"], f"under it: {options}")
    equal(run(engine, label, profile="unconfined").stdout, "unconfined\n", "unconfined")
    engine.docker("run", "-d", "--name", "box", "--network", "none", "--security-opt", f"apparmor={NAME}", "bb",
                  "sleep", "1000")
    equal(engine.inspect("box")["AppArmorProfile"], NAME, "inspect")
    equal(engine.out("exec", "box", "cat", "/proc/self/attr/current"), f"{NAME} (enforce)", "exec")
    equal(engine.out("exec", "--user", "1000", "box", "cat", "/proc/self/attr/current"), f"{NAME} (enforce)", "as another")
    equal(engine.out("exec", "--privileged", "box", "cat", "/proc/self/attr/current"), "unconfined", "privileged")
    engine.docker("rm", "-f", "box")
    done = run(engine, "true", profile="nobody-has-loaded-it", status=None)
    check(done.returncode in (125, 126, 127), f"it does not start: {done.returncode}")
    contains(done.stderr, "set apparmor profile", "and it is said")


if __name__ == "__main__":
    main(prepare)
