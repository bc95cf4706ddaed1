"""Clients of older API versions get what they know: the gates of the reference, each at its edge.

Goal: for every change of the API that a client can see, the last version before it and the first with
it behave as moby's do.
"""

import json
import pathlib
import subprocess

from harness import ENGINE, UnixHttp, case, check, contains, equal, eventually, main, query

PURE_V2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()


def create(engine, version, host=None, name="", status=201, **config):
    answer = engine.api("POST", f"/v{version}/containers/create" + (f"?name={name}" if name else ""), {
        "Image": "bb", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **(host or {})}, **config})
    equal(answer.status, status, f"{version}: {answer.body}")
    return answer.json["Id"] if status == 201 else answer.message


def created(engine, version, host=None, **config):
    return engine.inspect(create(engine, version, host, **config))


@case()
def auto_remove_1_25(engine):
    for version, kept in (("1.24", False), ("1.25", True)):
        equal(created(engine, version, {"AutoRemove": True})["HostConfig"]["AutoRemove"], kept, version)


@case()
def wait_1_30(engine):
    """Older answers come at the end, and know no condition."""
    for version, early in (("1.29", False), ("1.30", True)):
        name = engine.out("create", "--network", "none", "bb", "sleep", "1000")
        connection = UnixHttp(engine.socket)
        connection.request("POST", f"/v{version}/containers/{name}/wait?condition=next-exit")
        if early:
            equal(connection.getresponse().status, 200, "the head comes before the exit")
            engine.docker("start", name)
            engine.docker("rm", "-f", name)
        else:
            response = connection.getresponse()  # It has not run: that is all that was asked.
            equal(json.loads(response.read())["StatusCode"], 0, "not running")
        connection.close()


@case()
def namespaces_1_40_and_1_41(engine):
    for version, mode in (("1.39", "shareable"), ("1.40", "private")):
        equal(created(engine, version)["HostConfig"]["IpcMode"], mode, version)
    for version, mode in (("1.40", "private" if PURE_V2 else "host"), ("1.41", "private")):
        equal(created(engine, version)["HostConfig"]["CgroupnsMode"], mode, version)


@case()
def pids_limit_of_an_update_1_40(engine):
    name = create(engine, "1.50", {"PidsLimit": 100})
    for version, limit in (("1.39", 100), ("1.40", 55)):
        equal(engine.api("POST", f"/v{version}/containers/{name}/update", {"PidsLimit": 55}).status, 200, version)
        equal(engine.inspect(name)["HostConfig"]["PidsLimit"], limit, version)


@case()
def signal_of_a_stop_1_42(engine):
    script = "trap 'exit 7' USR1; trap 'exit 8' TERM; echo ready; while :; do sleep 0.05; done"
    for version, code in (("1.41", 8), ("1.42", 7)):
        name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c", script)
        eventually(lambda name=name: "ready" in engine.out("logs", name), "it is ready")
        equal(engine.api("POST", f"/v{version}/containers/{name}/stop?signal=USR1").status, 204, version)
        equal(engine.inspect(name)["State"]["ExitCode"], code, version)


@case()
def type_of_streams_1_42(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "true")
    for version, kind in (("1.41", "raw"), ("1.42", "multiplexed")):
        answer = engine.api("GET", f"/v{version}/containers/{name}/logs?stdout=1")
        equal(answer.headers["Content-Type"], f"application/vnd.docker.{kind}-stream", version)


@case()
def console_size_1_42(engine):
    for version, size in (("1.41", [0, 0]), ("1.42", [5, 6])):
        equal(created(engine, version, {"ConsoleSize": [5, 6]})["HostConfig"]["ConsoleSize"], size, version)


@case()
def options_of_other_mounts_1_42(engine):
    wrong = {"Mounts": [{"Type": "tmpfs", "Target": "/t", "VolumeOptions": {"NoCopy": True}}]}
    create(engine, "1.41", wrong)
    create(engine, "1.42", wrong, status=400)
    missing = {"Mounts": [{"Type": "bind", "Source": str(engine.directory / "made"), "Target": "/t",
                           "BindOptions": {"CreateMountpoint": True}}]}
    create(engine, "1.41", missing, status=400)
    create(engine, "1.42", missing)


@case()
def kernel_memory_1_42(engine):
    create(engine, "1.42", {"KernelMemory": 1 << 30})


@case()
def annotations_1_43_and_1_46(engine):
    for version, kept in (("1.42", None), ("1.43", {"a": "b"})):
        equal(created(engine, version, {"Annotations": {"a": "b"}})["HostConfig"].get("Annotations"), kept, version)
    name = create(engine, "1.46", {"Annotations": {"a": "b"}})
    filters = query(filters=json.dumps({"id": [name]}))
    for version, shown in (("1.45", False), ("1.46", True)):
        row, = engine.api("GET", f"/v{version}/containers/json?all=1&{filters}").json
        equal("Annotations" in row["HostConfig"], shown, version)


@case()
def images_without_a_name_1_43(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "true")
    engine.docker("wait", name)
    image = engine.out("commit", name)
    for version, tags in (("1.42", ["<none>:<none>"]), ("1.43", [])):
        row, = [row for row in engine.api("GET", f"/v{version}/images/json").json if row["Id"] == image]
        equal(row["RepoTags"], tags, version)


@case()
def virtual_size_1_44(engine):
    for version, shown in (("1.43", True), ("1.44", False)):
        inspected = engine.api("GET", f"/v{version}/images/bb/json").json
        listed = engine.api("GET", f"/v{version}/images/json").json[0]
        equal(("VirtualSize" in inspected, "VirtualSize" in listed), (shown, shown), version)


@case()
def start_interval_1_44(engine):
    check_config = {"Test": ["CMD", "true"], "StartInterval": 5_000_000_000}
    for version, interval in (("1.43", None), ("1.44", 5_000_000_000)):
        shown = created(engine, version, Healthcheck=check_config)["Config"]["Healthcheck"]
        equal(shown.get("StartInterval"), interval, version)


@case("davit")
def read_only_binds_1_44(engine):
    """Older clients do not expect what is mounted below to be read-only, too."""
    upper = engine.directory / "upper"
    (upper / "below").mkdir(parents=True)
    script = "mount -t tmpfs below %s/below && touch %s/below/file" % (upper, upper)
    subprocess.run(["sh", "-c", script], check=True)
    try:
        for version, code in (("1.43", 0), ("1.44", 1)):
            for host in ({"Binds": [f"{upper}:/m:ro"]},
                         {"Mounts": [{"Type": "bind", "Source": str(upper), "Target": "/m", "ReadOnly": True}]}):
                name = create(engine, version, host, Cmd=["touch", "/m/below/new"])
                engine.docker("start", name)
                equal(engine.out("wait", name), str(code), f"{version} {host}")
    finally:
        subprocess.run(["umount", upper / "below"], check=True)


@case("davit")
def endpoints_of_a_create_1_44(engine):
    for name in ("one", "two"):
        engine.docker("network", "create", name)
    try:
        endpoints = {"EndpointsConfig": {"one": {}, "two": {}}}
        text = create(engine, "1.43", {"NetworkMode": "one"}, NetworkingConfig=endpoints, status=400)
        contains(text, "Container cannot be connected to network endpoints: ")
        both = create(engine, "1.44", {"NetworkMode": "one"}, NetworkingConfig=endpoints)
        equal(sorted(engine.inspect(both)["NetworkSettings"]["Networks"]), ["one", "two"], "both")
        for version, own in (("1.44", [both[:12], "box"]), ("1.45", None)):
            name = create(engine, "1.50", {"NetworkMode": "one"}, Hostname="box")
            shown = engine.api("GET", f"/v{version}/containers/{name}/json").json
            aliases = shown["NetworkSettings"]["Networks"]["one"]["Aliases"]
            equal(aliases, own and [name[:12], "box"], f"{version}: aliases")
            engine.docker("rm", name)
        engine.docker("rm", both)
    finally:
        engine.docker("network", "rm", "one", "two")


@case()
def inspect_of_images_1_45_and_1_50(engine):
    equal(engine.api("GET", "/v1.44/images/bb/json").json["Container"], "", "before 1.45")
    check("Container" not in engine.api("GET", "/v1.45/images/bb/json").json, "from 1.45 on")
    if ENGINE == "davit":
        old = engine.api("GET", "/v1.49/images/bb/json").json["Config"]
        new = engine.api("GET", "/v1.50/images/bb/json").json["Config"]
        equal({key: old[key] for key in ("AttachStdin", "Domainname", "Hostname", "Image", "OpenStdin", "Tty")},
              {"AttachStdin": False, "Domainname": "", "Hostname": "", "Image": "", "OpenStdin": False,
               "Tty": False}, "before 1.50")
        check(not {"AttachStdin", "Hostname", "Image"} & set(new), f"from 1.50 on: {new}")
        equal({key: new[key] for key in ("OnBuild", "User", "WorkingDir")},
              {"OnBuild": None, "User": "", "WorkingDir": ""}, "what an image always says")


@case("davit")
def mounts_1_44_to_1_48(engine):
    def mount(**more):
        return {"Mounts": [{"Target": "/t", **more}]}

    bind = mount(Type="bind", Source="/tmp", ReadOnly=True, BindOptions={"ReadOnlyForceRecursive": True})
    contains(create(engine, "1.43", bind, status=400), "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
    part = mount(Type="volume", Source="v", VolumeOptions={"Subpath": "x"})
    contains(create(engine, "1.44", part, status=400), "VolumeOptions.Subpath needs API v1.45 or newer")
    for version, options in (("1.45", None), ("1.46", [["noexec"]])):
        shown = created(engine, version, mount(Type="tmpfs", TmpfsOptions={"SizeBytes": 1 << 20, "Options": [["noexec"]]}))
        equal(shown["HostConfig"]["Mounts"][0]["TmpfsOptions"].get("Options"), options, version)
    image = mount(Type="image", Source="bb")
    contains(create(engine, "1.47", image, status=400), 'Mount type "Image" needs API v1.48 or newer')
    create(engine, "1.48", image)


if __name__ == "__main__":
    main()
