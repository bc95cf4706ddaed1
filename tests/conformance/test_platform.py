"""Platforms: of an index the image that is asked for, and refusals in Docker's words.

Goal: --platform chooses what is pulled and loaded; whoever asks for an image that is here, but for
another platform, hears so with status 404, and a run without the option works with a warning.
"""

import json
import urllib.request

import oci
from harness import Registry, case, contains, equal, main, query, start_engine

ARM = {"os": "linux", "architecture": "arm64"}


def prepare(engine, stack):
    registry = stack.enter_context(Registry(engine.directory / "registry", ("busybox",)))
    start_engine(engine, stack)
    return {"registry": registry}


def manifest_get(registry, repository, tag):
    url = f"http://{registry.address}/v2/{repository}/manifests/{tag}"
    headers = {"Accept": f"{oci.MANIFEST_TYPE}, application/vnd.docker.distribution.manifest.v2+json"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return {"mediaType": answer.headers["Content-Type"],
                "digest": answer.headers["Docker-Content-Digest"], "size": len(answer.read())}


def index_put(engine, registry):
    """An index of one image for this processor and one for arm64, which differ in a label."""
    name = registry.name("multi")
    tar = (engine.directory / "busybox.tar").read_bytes()
    entries = []
    for architecture in ("amd64", "arm64"):
        tagged = f"{name}:{architecture}"
        engine.docker("import", "--platform", f"linux/{architecture}", "-c",
                      f"LABEL for={architecture}", "-", tagged, stdin=tar)
        engine.docker("push", "-q", tagged)
        entries.append({**manifest_get(registry, "multi", architecture),
                        "platform": {"os": "linux", "architecture": architecture}})
        engine.docker("rmi", tagged)
    body = json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX_TYPE, "manifests": entries}).encode()
    urllib.request.urlopen(urllib.request.Request(
        f"http://{registry.address}/v2/multi/manifests/latest", data=body, method="PUT",
        headers={"Content-Type": oci.INDEX_TYPE})).close()
    return f"{name}:latest"


def refusal(name):
    return (f"image with reference {name} was found but does not match the specified platform: "
            "wanted linux/arm64, actual: linux/amd64")


@case("davit")
def the_platform_that_is_pulled(engine, registry):
    name = index_put(engine, registry)
    engine.docker("pull", "-q", name)
    equal(engine.inspect(name)["Architecture"], "amd64", "this host's")
    engine.docker("pull", "-q", "--platform", "linux/arm64", name)
    found = engine.inspect(name)
    equal((found["Architecture"], found["Config"]["Labels"]), ("arm64", {"for": "arm64"}), "asked for")
    none = engine.docker("pull", "--platform", "linux/s390x", name, status=1)
    contains(none.stderr, "no matching manifest for linux/s390x in the manifest list entries", "none")
    # What is here is for another platform: create says 404, and the CLI pulls the right one.
    done = engine.docker("run", "--rm", "--network", "none", "--platform", "linux/amd64", name,
                         "echo", "right one")
    equal(done.stdout, "right one\n", "run")
    equal(engine.inspect(name)["Architecture"], "amd64", "after the run")
    engine.docker("rmi", "-f", name)
    engine.api("POST", "/images/prune")


@case("davit")
def an_image_for_another_platform(engine, registry):
    del registry
    platform = query(platform=ARM)
    for path in ("/images/bb:latest/json", "/images/bb:latest/history", "/images/bb:latest/get"):
        answer = engine.api("GET", f"{path}?{platform}")
        equal((answer.status, answer.message), (404, refusal("bb:latest")), path)
    answer = engine.api("GET", f"/images/get?names=bb:latest&{platform}")
    equal((answer.status, answer.message), (404, refusal("bb:latest")), "get of several")
    answer = engine.api("POST", "/containers/create?platform=linux/arm64", {"Image": "bb:latest"})
    equal((answer.status, answer.message), (404, refusal("bb:latest")), "create")
    host = query(platform={"os": "linux", "architecture": "amd64"})
    equal(engine.api("GET", f"/images/bb:latest/json?{host}").status, 200, "its own")
    for wrong in ("linux/arm64", '{"os":"linux"}'):
        answer = engine.api("GET", "/images/bb:latest/json?" + query(platform=wrong))
        equal(answer.status, 400, wrong)
    both = engine.api("GET", f"/images/bb:latest/json?manifests=1&{host}")
    equal((both.status, both.message),
          (400, "conflicting options: manifests and platform options cannot both be set"), "both")
    partly = engine.api("DELETE", "/images/bb:latest?" + query(platforms=ARM))
    contains(partly.message, "an image is kept for one platform only", "a part of an image")
    for command in (("image", "inspect"), ("history",), ("save", "-o", engine.directory / "no.tar")):
        refused = engine.docker(*command, "--platform", "linux/arm64", "bb:latest", status=1)
        contains(refused.stderr, "does not match the specified platform", command[0])


@case("davit")
def without_a_platform_there_is_a_warning(engine, registry):
    del registry
    tar = (engine.directory / "busybox.tar").read_bytes()
    engine.docker("import", "--platform", "linux/arm64", "-", "arm:1", stdin=tar)
    body = {"Image": "arm:1", "Cmd": ["/bin/true"], "HostConfig": {"NetworkMode": "none"}}
    answer = engine.api("POST", "/containers/create", body)
    equal(answer.status, 201, "it is created")
    contains(answer.json["Warnings"],
             "The requested image's platform (linux/arm64) does not match the detected host platform "
             "(linux/amd64) and no specific platform was requested", "warning")
    asked = engine.api("POST", "/containers/create?platform=linux/arm64", body)
    equal((asked.status, asked.json["Warnings"]), (201, []), "asked for")
    engine.remove_all()
    engine.docker("rmi", "arm:1")


@case("davit")
def of_an_archive_only_one_platform(engine, registry):
    del registry
    tar = (engine.directory / "busybox.tar").read_bytes()
    for architecture in ("amd64", "arm64"):
        engine.docker("import", "--platform", f"linux/{architecture}", "-", f"{architecture}:1", stdin=tar)
    saved = engine.docker("save", "amd64:1", "arm64:1", text=False).stdout
    engine.docker("rmi", "amd64:1", "arm64:1")
    loaded = engine.docker("load", "-q", "--platform", "linux/arm64", stdin=saved)
    equal(loaded.stdout, "Loaded image: arm64:1\n", "the one")
    equal(engine.out("images", "-q", "amd64:1"), "", "the other")
    none = engine.docker("load", "-q", "--platform", "linux/s390x", stdin=saved, status=1)
    contains(none.stderr, "requested platform (linux/s390x) not found", "none")
    engine.docker("rmi", "arm64:1")


if __name__ == "__main__":
    main(prepare)
