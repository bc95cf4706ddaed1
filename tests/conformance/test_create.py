"""What create refuses, warns of, and leaves to start: in Docker's words, with Docker's statuses."""

import os
import pathlib

from harness import case, cgroup_tree_remove, check, contains, equal, main


def create(engine, host=None, **config):
    body = {"Image": "bb", "Cmd": ["true"], **config,
            "HostConfig": {"NetworkMode": "none", **(host or {})}}
    return engine.api("POST", "/containers/create", body)


@case()
def create_refuses_what_is_not_there(engine):
    answer = create(engine, {"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]})
    equal((answer.status, answer.message),
          (400, 'invalid mount config for type "bind": bind source path does not exist: /no/such'),
          "a bind's source")
    answer = create(engine, {"LogConfig": {"Type": "nope"}})
    equal((answer.status, answer.message),
          (400, 'error looking up logging plugin nope: plugin "nope" not found'), "log driver")
    answer = create(engine, {"LogConfig": {"Type": "json-file", "Config": {"nope": "1"}}})
    equal((answer.status, answer.message),
          (400, "unknown log opt 'nope' for json-file log driver"), "log option")


@case("davit")
def create_names_the_log_drivers_there_are(engine):
    for name in ("gelf", "fluentd"):
        answer = create(engine, {"LogConfig": {"Type": name}})
        equal(answer.status, 501, name)
        contains(answer.message, "use json-file, local, journald, syslog or none", name)


@case()
def unknown_network(engine):
    """Told by start: a create that was not found would make the CLI pull the image."""
    made = create(engine, {"NetworkMode": "nope"})
    equal(made.status, 201, "create")
    answer = engine.api("POST", f"/containers/{made.json['Id']}/start")
    equal((answer.status, answer.message), (404, "network nope not found"), "start")
    state = engine.inspect(made.json["Id"])["State"]
    equal((state["Status"], state["Error"]), ("created", "network nope not found"), "state")
    done = engine.docker("run", "--rm", "--network", "nope", "bb", "true", status=125)
    contains(done.stderr, "network nope not found", "run")
    check("Unable to find image" not in done.stderr, f"no pull: {done.stderr}")


@case()
def logs_of_none(engine):
    identity = create(engine, {"LogConfig": {"Type": "none"}}, Cmd=["echo", "x"]).json["Id"]
    engine.api("POST", f"/containers/{identity}/start")
    engine.api("POST", f"/containers/{identity}/wait")
    answer = engine.api("GET", f"/containers/{identity}/logs?stdout=1")
    equal((answer.status, answer.message),
          (501, "configured logging driver does not support reading"), "logs")


@case()
def cgroup_parent_without_a_slash(engine):
    """Relative to the root of the hierarchy, as with one."""
    name = f"davit-parent-{os.getpid()}"
    try:
        for parent in (name, f"/{name}", f"{name}/below"):
            identity = create(engine, {"CgroupParent": parent}, Cmd=["sleep", "1000"]).json["Id"]
            equal(engine.api("POST", f"/containers/{identity}/start").status, 204, parent)
            pid = engine.inspect(identity)["State"]["Pid"]
            paths = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
            contains(paths, f":/{parent.strip('/')}/{identity}\n", parent)
            engine.api("DELETE", f"/containers/{identity}?force=1")
    finally:
        cgroup_tree_remove(f"/{name}")


@case("davit")
def create_warns_of_limits_that_cannot_be(engine):
    equal(create(engine, {"Memory": 2**24, "PidsLimit": 10}).json["Warnings"], [], "what can be")
    most = int(pathlib.Path("/proc/sys/fs/nr_open").read_text())
    limit = {"Name": "nofile", "Soft": 1000, "Hard": most + 1}
    warnings = create(engine, {"Ulimits": [limit]}).json["Warnings"]
    equal(len(warnings), 1, "one limit")
    contains(warnings[0], f"ulimit nofile: the hard limit cannot be raised to {most + 1}", "text")
    blkio = pathlib.Path("/sys/fs/cgroup/blkio")
    if not (blkio / "blkio.weight").exists() and not (blkio / "blkio.bfq.weight").exists() and \
            not pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
        equal(create(engine, {"BlkioWeight": 100}).json["Warnings"],
              ["Your kernel does not support Block I/O weight or the cgroup is not mounted. "
               "Weight discarded."], "blkio")


if __name__ == "__main__":
    main()
