"""What root in a remapped container may not do.

Goal: with --userns-remap, a root that has every capability and neither a filter nor masked paths is a
user without any power outside: over the kernel, over files, over processes. Method: each attempt is made
by such a root; and, to show that it would be noticed, by one in the host's user namespace, who may.
"""

import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))

# pylint: disable=wrong-import-position
import harness
import test_userns
from test_escapes import ATTACKS, RUN
from test_userns import FIRST

from harness import Skip, case, check, contains, equal, main

harness.CASES.clear()  # Those of the suites that lend their tools.
OPEN = ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined")
NOBODY = 65534


def prepare(engine, stack):
    if not os.access(ATTACKS, os.X_OK):
        raise Skip(f"no attacks at {ATTACKS}: scripts/build davit_attacks")
    found = test_userns.prepare(engine, stack)
    engine.docker("create", "--name", "maker", "--network", "none", "bb", "true")
    engine.docker("cp", ATTACKS, "maker:/bin/davit_attacks")
    engine.docker("commit", "maker", "hostile:latest")
    engine.docker("rm", "maker")
    return found


def attack(engine, *options):
    """How each attempt ended: {what: why it failed, or ""}."""
    said = engine.docker(*RUN, *OPEN, *options, "hostile", "davit_attacks", "powers").stdout
    return {what: why or "" for what, why in re.findall(r"(?:failed|done): ([^:\n]+)(?:: (.*))?", said)}


def sh(engine, script, *options):
    return engine.docker(*RUN, *OPEN, *options, "bb", "sh", "-c", script, status=None).stdout.strip()


@case("davit")
def powers_over_the_kernel(engine):
    refused = ("Operation not permitted", "Permission denied")
    inside = attack(engine)
    check(len(inside) > 15, f"all were tried: {inside}")
    for what, why in inside.items():
        if why == "Function not implemented" or (what == "freeze" and why == "Operation not supported"):
            continue  # The kernel has no modules, say; overlayfs cannot be frozen by anybody.
        check(why in refused, f"{what}: {why or 'it was done'}")
    outside = attack(engine, "--userns", "host")
    allowed = {what for what, why in outside.items() if why not in refused}
    for what in ("settimeofday", "acct", "swapon", "bpf", "open_by_handle_at", "trusted", "mknod"):
        check(what in allowed, f"who may is not refused: {what}: {outside}")


@case("davit")
def files_of_the_host(engine):
    """Of a directory that it is given, and what it makes there."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        path = pathlib.Path(name)
        path.chmod(0o755)
        secret, public = path / "secret", path / "public"
        secret.write_text("secret")
        secret.chmod(0o600)
        public.mkdir()
        public.chmod(0o777)
        given = ("-v", f"{path}:/given")
        attempts = ("cat /given/secret", "echo x >> /given/secret", "chmod 666 /given/secret", "chown 0 /given/secret",
                    "rm -f /given/secret && test ! -e /given/secret", "mv /given/secret /given/public/",
                    "touch /given/new", "setfacl -m u:0:rw /given/secret", "ln /given/secret /given/public/link")
        script = "".join(f"({attempt}) 2> /dev/null && echo '{attempt}'\n" for attempt in attempts)
        equal(sh(engine, script, *given), "", "what it could do")
        equal(sh(engine, "cat /given/secret", *given, "--userns", "host"), "secret", "who may is not refused")
        sh(engine, "cp /bin/busybox /given/public/tool && chmod 6755 /given/public/tool", *given)
        made = (public / "tool").stat()
        equal((made.st_uid, made.st_gid), (FIRST, FIRST), "whose a setuid program is")
        done = subprocess.run([str(public / "tool"), "id", "-u"], capture_output=True, text=True, user=NOBODY,
                              group=NOBODY, extra_groups=[], check=False)
        check(done.stdout.strip() != "0", f"who runs it is not root: {done.stdout}")


@case("davit")
def programs_in_layers_and_volumes(engine):
    """On disk these belong to the ids inside, so root's are root's: nobody else may come near."""
    engine.docker("run", "--name", "box", "--network", "none", "-v", "vol:/vol", "bb", "sh", "-c",
                  "for at in / /vol/; do cp /bin/busybox ${at}tool && chmod 4755 ${at}tool; done")
    places = [pathlib.Path(engine.inspect("vol")["Mountpoint"]) / "tool", test_userns.made_by(engine, "box") / "tool"]
    for place in places:
        info = place.stat()
        equal((info.st_uid, info.st_mode & stat.S_ISUID), (0, stat.S_ISUID), "it is there")
        done = subprocess.run(["/bin/busybox", "test", "-e", str(place)], user=NOBODY, group=NOBODY, extra_groups=[],
                              check=False)
        check(done.returncode != 0, f"another user of the host can reach {place}")
    engine.docker("rm", "box")
    engine.docker("volume", "rm", "vol")


@case("davit")
def processes_of_the_host_and_of_others(engine):
    """In the host's pid namespace it sees them all."""
    victim = subprocess.Popen(["sleep", "1000"])
    try:
        with test_userns.background(engine, "--userns", "host") as other:
            pid = engine.inspect(other)["State"]["Pid"]
            script = (f"for pid in {victim.pid} {pid} 1; do kill -0 $pid && echo kill $pid; cat /proc/$pid/environ "
                      "&& echo environ; readlink /proc/$pid/root && echo root; echo 5 > /proc/$pid/oom_score_adj "
                      "&& echo score; nsenter -t $pid -m true && echo nsenter; renice 5 $pid && echo nice; done")
            done = engine.docker(*RUN, *OPEN, "--pid", "host", "bb", "sh", "-c", f"({script}) 2> /dev/null; echo tried",
                                 status=None)
            if done.returncode == 125:  # Docker's rule: it does not go together.
                contains(done.stderr, "user namespace", "why not")
            else:
                equal(done.stdout.strip(), "tried", "what it could do")
            equal(victim.poll(), None, "it lives")
    finally:
        victim.kill()
        victim.wait()


@case("davit")
def switches_of_the_host(engine):
    """Below /proc and /sys, nothing of which is masked or read-only here."""
    names = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
             "/proc/sysrq-trigger", "/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper",
             "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled")
    before = {name: pathlib.Path(name).read_bytes() for name in names[:2] if os.path.exists(name)}
    script = "".join(f"(true >> {name}) 2> /dev/null && echo {name}\n" for name in names)
    script += "(mount -o remount,rw /sys && true >> /sys/power/state) 2> /dev/null && echo remounted\n"
    script += ("mkdir -p /mnt && for type in proc sysfs; do (mount -t $type x /mnt && for name in sys/kernel/core_pattern "
               "sysrq-trigger power/state; do true >> /mnt/$name; done && echo $type) 2> /dev/null; done\n")
    equal(sh(engine, script + "echo tried"), "tried", "what it could open for writing")
    for name, content in before.items():
        equal(pathlib.Path(name).read_bytes(), content, name)


if __name__ == "__main__":
    main(prepare)
