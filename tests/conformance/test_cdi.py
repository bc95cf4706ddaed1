"""--device vendor.com/class=name and --gpus: devices of the container device interface.

Goal: a container gets what the specs of the directory say, and one that asks for what is not there is
told so in Docker's words. The nodes are those that every host has, under names of the spec's.
"""

import json

from harness import ENGINE, case, check, contains, equal, main, start_engine

SPECS = "cdi"


def spec(kind, devices, **rest):
    return {"cdiVersion": "0.6.0", "kind": kind,
            "devices": [{"name": name, "containerEdits": edits} for name, edits in devices.items()], **rest}


def write(engine, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (engine.directory / SPECS / name).write_text(text)


def sh(engine, script, *options, status=0):
    return engine.docker("run", "--rm", "--network", "none", *options, "bb", "sh", "-c", script, status=status)


def vendor(engine):
    (engine.directory / "driver").mkdir(exist_ok=True)
    (engine.directory / "driver" / "lib").write_text("library\n")
    write(engine, "vendor.json", spec("vendor.com/toy", {
        "zero": {"deviceNodes": [{"path": "/dev/toy0", "hostPath": "/dev/zero", "permissions": "r"}],
                 "env": ["TOY=zero", "OWN=spec"]},
        "null": {"deviceNodes": [{"path": "/dev/toys/one", "type": "c", "major": 1, "minor": 3,
                                  "fileMode": 0o600, "uid": 5, "gid": 6}]},
        "groups": {"additionalGids": [0, 4444]},
        "missing": {"deviceNodes": [{"path": "/dev/no-such-device"}]},
        "hooked": {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/vendor-hook"}]},
    }, containerEdits={
        "env": ["TOYS=all"],
        "mounts": [{"hostPath": str(engine.directory / "driver"), "containerPath": "/usr/lib/toy",
                    "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"]}]}))


@case("davit")
def nodes_variables_and_mounts(engine):
    vendor(engine)
    given = ("--device", "vendor.com/toy=zero", "--device", "vendor.com/toy=null", "-e", "OWN=mine")
    done = sh(engine, "stat -c '%n %F %t:%T %a %u:%g' /dev/toy0 /dev/toys/one; head -c 4 /dev/toy0 | wc -c;"
              " cat /usr/lib/toy/lib; echo $TOY $TOYS $OWN", *given)
    equal(done.stdout.splitlines(), ["/dev/toy0 character special file 1:5 666 0:0",
                                     "/dev/toys/one character special file 1:3 600 5:6",
                                     "4", "library", "zero all spec"])
    contains(sh(engine, ": > /usr/lib/toy/new", *given, status=None).stderr, "Read-only", "the mount's option")
    sh(engine, "test ! -e /dev/toy0 && test ! -e /usr/lib/toy && test -z \"$TOYS\"")


@case("davit")
def the_user_of_the_container(engine):
    vendor(engine)
    user = ("-u", "1000:1000")
    equal(sh(engine, "stat -c %u:%g /dev/toy0", *user, "--device", "vendor.com/toy=zero").stdout, "1000:1000\n")
    contains(sh(engine, "id -G", *user, "--device", "vendor.com/toy=groups").stdout, "4444", "groups")


@case("davit")
def mounts_of_the_users_stay_inside(engine):
    vendor(engine)
    (engine.directory / "mine").write_text("mine\n")
    done = sh(engine, "cat /usr/lib/toy/lib", "-v", f"{engine.directory}/mine:/usr/lib/toy/lib",
              "--device", "vendor.com/toy=zero")
    equal(done.stdout, "mine\n", "what the user mounts below the vendor's directory")


@case("davit")
def it_is_kept_and_looked_up_at_each_start(engine):
    vendor(engine)
    name = engine.out("create", "--network", "none", "--device", "vendor.com/late=x", "bb", "sh", "-c", "echo $LATE")
    shown = engine.inspect(name)["HostConfig"]["DeviceRequests"][0]
    equal((shown["Driver"], shown["Count"], shown["DeviceIDs"]), ("cdi", 0, ["vendor.com/late=x"]), "inspect")
    answer = engine.api("POST", f"/containers/{name}/start")
    equal((answer.status, answer.message),
          (500, "CDI device injection failed: unresolvable CDI devices vendor.com/late=x"), "not there yet")
    for value in ("one", "two"):
        write(engine, "late.json", spec("vendor.com/late", {"x": {"env": [f"LATE={value}"]}}))
        equal(engine.docker("start", "-a", name).stdout, value + "\n", "as the spec is now")
    engine.docker("rm", name)
    (engine.directory / SPECS / "late.json").unlink()


@case("davit")
def what_cannot_be_done_is_named(engine):
    vendor(engine)
    def refused(*options):
        return sh(engine, "true", *options, status=125).stderr

    contains(refused("--device", "vendor.com/toy=none", "--device", "other.com/thing=y"),
             "CDI device injection failed: unresolvable CDI devices vendor.com/toy=none, other.com/thing=y")
    # As of a missing command: the docker CLI goes by the words.
    contains(sh(engine, "true", "--device", "vendor.com/toy=missing", status=127).stderr,
             'failed to stat CDI host device "/dev/no-such-device"', "a device that the host has not")
    contains(refused("--device", "vendor.com/toy=hooked"),
             "needs a createContainer hook (/usr/bin/vendor-hook)", "a hook")
    write(engine, "vendor.yaml", "cdiVersion: 0.6.0\n")
    write(engine, "broken.json", '{"cdiVersion":"0.6.0","kind":"a/b","devices":[],"x":1}')
    text = refused("--device", "made.up/class=c")
    contains(text, "davit reads specs in JSON only", "YAML")
    contains(text, 'broken.json: unknown field "x" in the spec', "a broken spec")
    info = engine.api("GET", "/info").json
    check(any("broken.json" in line for line in info["Warnings"]), f"warnings: {info['Warnings']}")
    for name in ("vendor.yaml", "broken.json"):
        (engine.directory / SPECS / name).unlink()


@case("davit")
def gpus(engine):
    vendor(engine)
    contains(sh(engine, "true", "--gpus", "all", status=125).stderr,
             'could not select device driver "" with capabilities: [[gpu]]', "a host without GPUs")
    write(engine, "nvidia.json", spec("nvidia.com/gpu", {
        name: {"env": [f"GPU_{name}=here"]} for name in ("0", "1", "all")}))
    script = "env | grep -E 'GPU_|NVIDIA' | sort"
    equal(sh(engine, script, "--gpus", "all").stdout, "GPU_all=here\n")
    equal(sh(engine, script, "--gpus", "2").stdout, "GPU_0=here\nGPU_1=here\n")
    equal(sh(engine, script, "--gpus", '"device=1","capabilities=utility,compute"').stdout,
          "GPU_1=here\nNVIDIA_DRIVER_CAPABILITIES=utility,compute\n")
    contains(sh(engine, "true", "--gpus", "3", status=125).stderr, "unresolvable CDI devices nvidia.com/gpu=2")
    (engine.directory / SPECS / "nvidia.json").unlink()


@case("davit")
def info_lists_them(engine):
    vendor(engine)
    info = engine.api("GET", "/info").json
    equal(info["CDISpecDirs"], [str(engine.directory / SPECS)], "directories")
    found = [device["ID"] for device in info["DiscoveredDevices"]]
    equal(found, [f"vendor.com/toy={name}" for name in ("groups", "hooked", "missing", "null", "zero")], "devices")
    equal({device["Source"] for device in info["DiscoveredDevices"]}, {"cdi"}, "source")
    check("DiscoveredDevices" not in engine.api("GET", "/v1.49/info").json, "not before 1.50")


def prepare(engine, stack):
    if ENGINE == "davit":
        (engine.directory / SPECS).mkdir()
        engine.options += ["--cdi-spec-dir", str(engine.directory / SPECS)]
    start_engine(engine, stack)


if __name__ == "__main__":
    main(prepare)
