"""Faults at every step of what changes the disk: pull, load, import, tag, push, save, commit, rmi,
prune, create, start, rm, a run with --rm, volumes, and the start of a daemon after a crash.

Goal: after kill -9, a full or a broken disk at any point the next daemon starts; what it shows is
whole, byte for byte; what was answered with success is there; the operation succeeds when repeated;
and once everything is removed, disk and tables hold what an empty installation holds.
Method: fault_points.c numbers the calls of the daemon that change files, directories and mounts. Each
operation is run once to count them, then with one fault at some point. Threads may reach a point in
another order in each run: nothing rests on which call it is.

Environment:
  DAVIT_FAULT_POINTS  points per operation and kind of fault: a number (default 3) or `all`
  DAVIT_FAULT_DRIVER  storage driver (default overlay); btrfs gets a disk in a file
  DAVIT_FAULT_KIND    only kinds of fault whose name contains this
  DAVIT_FAULT_FIRST   skip the points before this one of those chosen
"""

import contextlib
import http.client
import io
import json
import os
import tarfile

from fault_operations import (LAYERS, Loaded, Operation, Pull, archive_of, image_is_whole, layers_of,
                              layers_saved, load, noise, try_all)
from faults import DRIVER, faulty_engine
from lying_registry import Blob, LyingRegistry

from harness import Failure, case, check, eventually, equal, main, query


class Load(Operation):
    def act(self, engine):
        return load(engine, self.archive)


class Import(Operation):
    def act(self, engine):
        status, body = engine.request("POST", "/images/create?" + query(fromSrc="-", repo="imported"),
                                      LAYERS[0], {"Content-Type": "application/x-tar"})
        return status == 200 and b'"error"' not in body

    def verify(self, engine, succeeded):
        there = engine.api("GET", "/images/imported/json").status == 200
        check(there or not succeeded, "what was answered with success is there")
        if there:
            equal(layers_saved(engine, "imported") == LAYERS[:1], True, "its layer is what was sent")


class Tag(Loaded):
    def act(self, engine):
        path = f"/images/{self.reference}/tag?" + query(repo="other", tag="1")
        return engine.request("POST", path)[0] == 201

    def verify(self, engine, succeeded):
        check(image_is_whole(engine, self.reference), "the image is as it was")
        check(image_is_whole(engine, "other:1") or not succeeded, "so is its other name's")


class Push(Loaded):
    """Of layers that no registry is known to have, to a repository that has nothing."""

    pushes = True
    number = 0

    def prepare(self, engine):
        super().prepare(engine)
        self.number += 1
        self.repository = f"pushed{self.number}"
        path = f"/images/{self.reference}/tag?" + query(repo=self.name_there(), tag="1")
        equal(engine.api("POST", path).status, 201, "tag")

    def name_there(self):
        return f"{self.registry.target.address}/{self.repository}"

    def act(self, engine):
        status, body = engine.request("POST", f"/images/{self.name_there()}/push?tag=1", None,
                                      {"X-Registry-Auth": "e30="})
        return status == 200 and b'"error"' not in body

    def verify(self, engine, succeeded):
        check(image_is_whole(engine, self.name_there() + ":1"), "the image is as it was")
        if succeeded:  # The registry has checked each blob's digest, and that the manifest's are there.
            connection = http.client.HTTPConnection(self.registry.target.address)
            with contextlib.closing(connection):
                connection.request("GET", f"/v2/{self.repository}/manifests/1", headers={
                    "Accept": "application/vnd.docker.distribution.manifest.v2+json"})
                manifest = json.load(connection.getresponse())
            equal(len(manifest["layers"]), len(LAYERS), "the registry has it")


class Save(Loaded):
    """It changes leases alone."""

    def act(self, engine):
        status, body = engine.request("GET", f"/images/{self.reference}/get")
        return status == 200 and layers_of(body) == LAYERS


class Rmi(Loaded):
    def act(self, engine):
        return engine.request("DELETE", f"/images/{self.reference}")[0] == 200

    def again(self, engine):
        return engine.request("DELETE", f"/images/{self.reference}")[0] in (200, 404)

    def verify(self, engine, succeeded):
        whole = image_is_whole(engine, self.reference)
        check(not (whole and succeeded), "what was removed is gone")


class Prune(Rmi):
    """All images, and the layers of a pull that ended in the middle."""

    def prepare(self, engine):
        super().prepare(engine)
        broken = self.registry.image("broken", [Blob(LAYERS[1]), Blob(noise("broken", 100), status=404)])
        engine.request("POST", "/images/create?" + query(fromImage=broken))

    def act(self, engine):
        status, _ = engine.request("POST", "/images/prune?" + query(filters={"dangling": ["false"]}))
        return status == 200

    again = act


class Contained(Loaded):
    """With a container that has run once and has files of its own."""

    def prepare(self, engine):
        super().prepare(engine)
        check(self.create(engine), "create")
        check(self.run(engine), "run")

    def create(self, engine):
        status, _ = engine.request("POST", "/containers/create?name=one", {
            "Image": self.reference, "HostConfig": {"NetworkMode": "none"},
            "Cmd": ["/bin/busybox", "sh", "-c",
                    "[ -f /own ] || /bin/busybox cp /etc/one /own; echo more >>/more"]})
        return status == 201

    def run(self, engine):
        """Start it and wait for its end."""
        if engine.request("POST", "/containers/one/start")[0] not in (204, 304):
            return False
        status, body = engine.request("POST", "/containers/one/wait")
        return status == 200 and json.loads(body)["StatusCode"] == 0

    def container_is_whole(self, engine):
        state = engine.api("GET", "/containers/one/json")
        if state.status == 404:
            return False
        if state.json["State"]["Status"] == "dead":
            return False  # Its removal has failed; it waits for the next rm, or the next start.
        check(not state.json["State"]["Running"], f"it does not run: {state.json['State']}")
        answer = engine.api("GET", "/containers/one/export")
        equal(answer.status, 200, "export")
        with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
            files = {member.name: archive.extractfile(member).read() for member in archive
                     if member.isreg() and not member.name.startswith(("dev/", "proc/", "sys/"))}
        for name, expected in (("deep/er/file", noise("file", 200_000)), ("own", noise("one", 5000))):
            equal(files.get(name) == expected, True, f"its file {name}")
        equal(files["more"].replace(b"more\n", b""), b"", "its file more")
        check("gone" not in files, "what the image deletes")
        return True


class Commit(Contained):
    def act(self, engine):
        return engine.request("POST", "/commit?container=one&repo=committed&pause=0", {})[0] == 201

    def verify(self, engine, succeeded):
        check(self.container_is_whole(engine), "the container is as it was")
        there = engine.api("GET", "/images/committed/json").status == 200
        check(there or not succeeded, "what was answered with success is there")
        if there:
            layers = layers_saved(engine, "committed")
            equal(layers[:-1] == LAYERS, True, "the layers below")
            with tarfile.open(fileobj=io.BytesIO(layers[-1])) as layer:
                equal(layer.extractfile("own").read() == noise("one", 5000), True, "a new file")
                equal(layer.extractfile("more").read(), b"more\n", "another")


class Create(Contained):
    def prepare(self, engine):
        Loaded.prepare(self, engine)

    def act(self, engine):
        return self.create(engine)

    def again(self, engine):
        there = engine.api("GET", "/containers/one/json")
        if there.status == 200 and there.json["State"]["Status"] == "dead":
            eventually(lambda: engine.api("GET", "/containers/one/json").status == 404,
                       "what could not be taken back is removed by and by")
        return engine.request("GET", "/containers/one/json")[0] == 200 or self.create(engine)

    def verify(self, engine, succeeded):
        there = engine.request("GET", "/containers/one/json")[0] == 200
        check(there or not succeeded, "what was answered with success is there")


class CreateKeyed(Create):
    """With an idempotency key and without a name: a retry is all that a client can do."""

    def create(self, engine):
        status, body = engine.request("POST", "/containers/create", json.dumps(
            {"Image": self.reference, "Cmd": ["/bin/busybox", "true"],
             "HostConfig": {"NetworkMode": "none"}}),
            {"Content-Type": "application/json", "Idempotency-Key": "key"})
        if status == 201:
            equal(self.containers(engine), [json.loads(body)["Id"]], "one container, the one of the answer")
        return status == 201

    def again(self, engine):
        before = self.containers(engine)
        made = self.create(engine)
        check(not before or before == self.containers(engine), "a retry gets the one that is there")
        return made

    def containers(self, engine):
        return [container["Id"] for container in engine.api("GET", "/containers/json?all=1").json]

    def verify(self, engine, succeeded):
        equal(len(self.containers(engine)) <= 1, True, "at most one container")
        check(self.containers(engine) or not succeeded, "what was answered with success is there")


class Start(Contained):
    def act(self, engine):
        return self.run(engine)

    def verify(self, engine, succeeded):
        check(self.container_is_whole(engine), "the container is there")


class Rm(Contained):
    def act(self, engine):
        return engine.request("DELETE", "/containers/one")[0] == 204

    def again(self, engine):
        return engine.request("DELETE", "/containers/one")[0] in (204, 404)

    def verify(self, engine, succeeded):
        check(not (self.container_is_whole(engine) and succeeded), "what was removed is gone")


class Run(Contained):
    """A container of one run, which removes itself."""

    def prepare(self, engine):
        Loaded.prepare(self, engine)

    def act(self, engine):
        status, _ = engine.request("POST", "/containers/create?name=once", {
            "Image": self.reference, "HostConfig": {"NetworkMode": "none", "AutoRemove": True},
            "Cmd": ["/bin/busybox", "true"]})
        if status != 201 or engine.request("POST", "/containers/once/start")[0] != 204:
            return False
        # It may be gone already.
        return engine.request("POST", "/containers/once/wait?condition=removed")[0] in (200, 404)

    def again(self, engine):
        left = engine.api("GET", "/containers/once/json")
        if left.status != 404 and left.json["State"]["Status"] == "created":  # It may lack its start.
            equal(engine.api("DELETE", "/containers/once").status, 204, "rm")
        elif left.status != 404:
            equal(left.json["State"]["Status"], "dead", "what could not be removed says so")
            eventually(lambda: engine.api("GET", "/containers/once/json").status == 404,
                       "and is removed by and by")
        return self.act(engine)

    def verify(self, engine, succeeded):
        check(image_is_whole(engine, self.reference), "its image is there")


class Volume(Operation):
    """One without a container."""

    def act(self, engine):
        return engine.request("POST", "/volumes/create", {"Name": "vol", "Labels": {"l": "1"}})[0] == 201

    def verify(self, engine, succeeded):
        answer = engine.api("GET", "/volumes/vol")
        check(answer.status == 200 or not succeeded, "what was answered with success is there")
        if answer.status == 200:
            equal(answer.json["Labels"], {"l": "1"}, "and what was said of it")
            check(os.path.isdir(answer.json["Mountpoint"]), "and its directory")


class VolumeRm(Volume):
    def prepare(self, engine):
        check(Volume.act(self, engine), "create")
        path = engine.api("GET", "/volumes/vol").json["Mountpoint"]
        with open(os.path.join(path, "file"), "wb") as file:
            file.write(noise("file", 5000))

    def act(self, engine):
        return engine.request("DELETE", "/volumes/vol")[0] == 204

    def again(self, engine):
        return engine.request("DELETE", "/volumes/vol")[0] in (204, 404)

    def verify(self, engine, succeeded):
        answer = engine.api("GET", "/volumes/vol")
        check(not (answer.status == 200 and succeeded), "what was removed is gone")
        if answer.status == 200:
            with open(os.path.join(answer.json["Mountpoint"], "file"), "rb") as file:
                equal(file.read() == noise("file", 5000), True, "what is there is whole")


class VolumeFill(Create):
    """A container with a named and an anonymous volume, both filled from the image."""

    def create(self, engine):
        return engine.request("POST", "/containers/create?name=one", {
            "Image": self.reference, "Cmd": ["/bin/busybox", "true"], "Volumes": {"/etc": {}},
            "HostConfig": {"NetworkMode": "none", "Binds": ["vol:/deep"]}})[0] == 201

    def verify(self, engine, succeeded):
        super().verify(engine, succeeded)
        volumes = {volume["Name"]: volume["Mountpoint"]
                   for volume in engine.api("GET", "/volumes").json["Volumes"]}
        container = engine.api("GET", "/containers/one/json")
        whole = container.status == 200 and container.json["State"]["Status"] != "dead"
        if whole:
            for mount in container.json["Mounts"]:
                equal(volumes.get(mount["Name"]), mount["Source"], "its volumes are there")
            equal(len(volumes), 2, "and no others")
        for path in volumes.values():
            files = sorted(os.listdir(path))
            check(files in ([], ["er"], ["one", "three", "two"]), f"all of it or nothing: {files}")
            if whole:
                check(files, "a container's volumes are filled")
            if files == ["er"]:
                with open(os.path.join(path, "er/file"), "rb") as file:
                    equal(file.read() == noise("file", 200_000), True, "a file")


class Restart(Contained):
    """The start of a daemon whose predecessor was killed during a pull and a run."""

    def prepare(self, engine):
        super().prepare(engine)
        half = self.registry.image("half", [Blob(LAYERS[0]), Blob(noise("half", 100), status=404)])
        engine.request("POST", "/images/create?" + query(fromImage=half))
        body = {"Image": self.reference, "Cmd": ["/bin/busybox", "sleep", "1000"], "StopTimeout": 0,
                "HostConfig": {"NetworkMode": "none", "AutoRemove": True}}
        for name in ("once", "twice"):
            equal(engine.request("POST", f"/containers/create?name={name}", body)[0], 201, name)
        equal(engine.request("POST", "/containers/once/start")[0], 204, "start")
        for folder in ("staging", "trash", "layers", "rw"):
            (engine.data_root / DRIVER / folder / "stranger" / "diff").mkdir(parents=True)
        engine.kill()

    def act(self, engine):
        """The daemon may refuse to start."""
        try:
            engine.start()
        except Failure:
            return False
        return True

    def again(self, engine):
        check(not engine.has_died(), "it runs")
        return True

    def verify(self, engine, succeeded):
        check(image_is_whole(engine, self.reference), "the image is there")
        check(self.container_is_whole(engine), "the container is there")
        left = engine.api("GET", "/containers/once/json")
        if left.status != 404:  # It goes on, or is gone; what could not be deleted is told.
            check(left.json["State"]["Status"] in ("running", "dead"), f"with --rm: {left.json['State']}")


def removal_again(directory):
    """Of a container with --rm, by the daemon itself, until it succeeds."""
    with LyingRegistry() as registry, faulty_engine(directory / "again") as engine:
        reference, archive = archive_of(engine, registry)
        check(load(engine, archive), "load")
        body = {"Image": reference, "Cmd": ["/bin/busybox", "sleep", "1000"],
                "HostConfig": {"NetworkMode": "none", "AutoRemove": True}}
        equal(engine.api("POST", "/containers/create?name=once", body).status, 201, "create")
        equal(engine.api("POST", "/containers/once/start").status, 204, "start")

        def shown():
            return engine.api("GET", "/containers/once/json")

        engine.arm("disk broken", 1)
        equal(engine.api("POST", "/containers/once/kill").status, 204, "kill")
        eventually(lambda: shown().json["State"]["Status"] == "dead", "its removal fails")
        engine.disarm()
        eventually(lambda: shown().status == 404, "and succeeds later")
        engine.agrees()


def cases():
    case("davit")(removal_again)
    for kind in (Pull, Load, Import, Tag, Push, Save, Commit, Rmi, Prune, Create, CreateKeyed, Start, Rm, Run,
                 Volume, VolumeRm, VolumeFill,
                 Restart):
        def one(directory, kind=kind):
            try_all(directory, kind)
        one.__name__ = kind.__name__.lower()
        case("davit")(one)


if __name__ == "__main__":
    cases()
    main(engine_own=True)
