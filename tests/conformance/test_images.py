"""Images from a real registry: pull, tag, list, inspect, import, remove; every compression.

Goal: what the registry holds is what containers see, byte by byte, and refusals carry the texts
that clients match.
"""

import io
import json
import os
import re
import tarfile
import time
import urllib.request

import oci
from harness import (ENGINE, Registry, case, check, contains, equal, main, matches, query,
                     start_engine)


def prepare(engine, stack):
    registry = stack.enter_context(Registry(engine.directory / "registry"))
    start_engine(engine, stack)
    return {"registry": registry}


def remove(engine, *names):
    for name in names:
        engine.docker("rmi", "-f", name, status=None)


@case()
def pull_then_run(engine, registry):
    name = registry.name("busybox")
    remove(engine, name)
    pulled = engine.docker("pull", name)
    lines = pulled.stdout.splitlines()
    equal(lines[0], "Using default tag: latest", "default tag")
    matches(pulled.stdout, r"\n[0-9a-f]{12}: (Pull complete|Already exists)\n", "layers")
    matches(lines[-3], r"^Digest: sha256:[0-9a-f]{64}$", "digest")
    equal(lines[-2], f"Status: Downloaded newer image for {name}:latest", "status")
    equal(lines[-1], f"{name}:latest", "what was pulled")
    equal(engine.out("run", "--rm", "--network", "none", name, "echo", "from", "the", "image"),
          "from the image", "run")
    again = engine.docker("pull", name)
    contains(again.stdout, f"Status: Image is up to date for {name}:latest", "again")
    equal(engine.out("pull", "-q", name), f"{name}:latest", "quiet")


@case()
def progress_is_a_stream_of_json(engine, registry):
    name = registry.name("layers")
    remove(engine, name)
    answer = engine.api("POST", f"/images/create?fromImage={name}&tag=latest")
    equal(answer.status, 200, "status")
    equal(answer.headers["Transfer-Encoding"], "chunked", "docker-py needs it chunked")
    messages = [json.loads(line) for line in answer.body.splitlines() if line.strip()]
    contains(messages[0]["status"], "Pulling from layers", "first")
    contains(messages[-1]["status"], f"Downloaded newer image for {name}:latest", "last")
    by_layer = {}
    for message in messages:
        by_layer.setdefault(message.get("id"), []).append(message.get("status"))
    layers = [steps for key, steps in by_layer.items() if re.fullmatch("[0-9a-f]{12}", key or "")]
    equal(len(layers), 3, "three layers report")
    for steps in layers:
        check(steps[-1] in ("Pull complete", "Already exists"), f"end of a layer: {steps}")


LAYERS_SCRIPT = """cd /data
test ! -e removed; cat kept; ls opaque; cat opaque/new; cat becomes-file; ls becomes-directory
cat becomes-directory/inner; stat -c %a setuid; stat -c %u:%g:%a owned
test "$(stat -c %i hard)" = "$(stat -c %i kept)" && readlink soft && test -p fifo && echo fifo
cat long-name-*; cat *ml*ut; stat -c %Y kept; ls -A /data | grep -c '^.wh'; test -x /bin/sh"""
LAYERS_EXPECTED = """kept
new
new
now a file
inner
now inside
4755
1000:1000:640
kept
fifo
long
utf-8
1700000000
0
"""


def layers_variant(engine, registry, tag):
    name = f"{registry.name('layers')}:{tag}"
    remove(engine, *(f"{registry.name('layers')}:{other}" for other in ("gzip", "zstd", "plain", "latest")))
    engine.docker("pull", name)
    done = engine.docker("run", "--rm", "--network", "none", name, "sh", "-c", LAYERS_SCRIPT)
    equal(done.stdout, LAYERS_EXPECTED, f"what the layers make, {tag}")


@case()
def layers_gzip(engine, registry):
    layers_variant(engine, registry, "gzip")


@case()
def layers_plain(engine, registry):
    layers_variant(engine, registry, "plain")


@case("davit")
def layers_zstd(engine, registry):
    layers_variant(engine, registry, "zstd")


@case()
def run_pulls_what_is_missing(engine, registry):
    name = f"{registry.name('busybox')}:plain"
    remove(engine, name)
    done = engine.docker("run", "--rm", "--network", "none", name, "echo", "x")
    equal(done.stdout, "x\n", "output is the container's alone")
    contains(done.stderr, f"Unable to find image '{name}' locally", "CLI's announcement")
    contains(done.stderr, "Status: Downloaded newer image", "progress")


def tags_put(registry, repository, tags):
    """Give the busybox image further names, without pushing anything."""
    base = f"http://{registry.address}/v2"
    with urllib.request.urlopen(urllib.request.Request(
            f"{base}/busybox/manifests/latest", headers={"Accept": oci.MANIFEST_TYPE})) as answer:
        manifest = answer.read()
    for blob in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        urllib.request.urlopen(urllib.request.Request(
            f"{base}/{repository}/blobs/uploads/?mount={blob['digest']}&from=busybox",
            method="POST")).close()
    for tag in tags:
        urllib.request.urlopen(urllib.request.Request(
            f"{base}/{repository}/manifests/{tag}", data=manifest, method="PUT",
            headers={"Content-Type": oci.MANIFEST_TYPE})).close()


@case()
def a_large_layer(engine, registry):
    """Large enough that davit fetches it in pieces, several at a time."""
    data = os.urandom(40 * 1024 * 1024 + 12345)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("data")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    name = f"{registry.name('large')}:1"
    engine.docker("import", "-", name, stdin=buffer.getvalue())
    engine.docker("push", "-q", name)
    engine.docker("rmi", name)
    engine.docker("pull", "-q", name)
    engine.docker("create", "--name", "large", name, "none")
    exported = engine.docker("export", "large", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        check(archive.extractfile("data").read() == data, "every byte")
    engine.docker("rm", "large")
    engine.docker("rmi", name)


@case()
def pull_all_tags(engine, registry):
    name = registry.name("some/tags")
    tags_put(registry, "some/tags", ("one", "three", "two"))
    pulled = engine.docker("pull", "-a", name).stdout.splitlines()
    for tag in ("one", "three", "two"):
        contains(pulled, f"{tag}: Pulling from some/tags", "each is told")
    equal(len([line for line in pulled if line.startswith("Digest: ")]), 3, "digests")
    equal([line for line in pulled if line.startswith("Status: ")],
          [f"Status: Downloaded newer image for {name}"], "one status")
    listed = engine.out("images", name, "--format", "{{.Tag}}").split()
    equal(sorted(listed), ["one", "three", "two"], "images")
    again = engine.docker("pull", "-a", name).stdout
    contains(again, f"Status: Image is up to date for {name}\n", "again")
    # The API without a tag means all of them, too.
    remove(engine, *(f"{name}:{tag}" for tag in listed))
    answer = engine.api("POST", f"/images/create?fromImage={name}")
    equal(answer.status, 200, "without a tag")
    equal(len(engine.out("images", name, "-q").split()), 3, "all are here")
    remove(engine, *(f"{name}:{tag}" for tag in listed))
    engine.docker("pull", "-q", f"{name}:two")
    equal(engine.out("images", name, "--format", "{{.Tag}}"), "two", "with a tag only that")
    unknown = engine.docker("pull", "-a", registry.name("no/tags"), status=1)
    contains(unknown.stderr, "not found", "unknown repository")
    remove(engine, f"{name}:two")


@case()
def pull_all_tags_of_many_pages(engine, registry):
    name = registry.name("many/tags")
    tags = [f"t{number:03}" for number in range(230)]
    tags_put(registry, "many/tags", tags)
    engine.docker("pull", "-q", "-a", name)
    listed = engine.out("images", name, "--format", "{{.Tag}}").split()
    equal(sorted(listed), tags, "every page")
    engine.docker("rmi", "-f", engine.inspect(f"{name}:t000")["Id"])


@case()
def pull_by_digest(engine, registry):
    name = registry.name("busybox")
    digest = re.search("sha256:[0-9a-f]{64}", engine.out("pull", name)).group()
    engine.docker("pull", f"{name}@{digest}")
    equal(engine.out("run", "--rm", "--network", "none", f"{name}@{digest}", "echo", "y"), "y", "run")
    contains(engine.inspect(name)["RepoDigests"], f"{name}@{digest}", "RepoDigests")
    wrong = engine.docker("pull", f"{name}@sha256:{'0' * 64}", status=1)
    contains(wrong.stderr, "not found", "unknown digest")


@case()
def pull_unknown(engine, registry):
    name = registry.name("busybox")
    tag = engine.docker("pull", f"{name}:no-such-tag", status=1)
    contains(tag.stderr, f"manifest for {name}:no-such-tag not found: manifest unknown", "tag")
    answer = engine.api("POST", f"/images/create?fromImage={name}&tag=no-such-tag")
    equal(answer.status, 404, "a failure before the first byte keeps its status")
    repository = engine.docker("pull", registry.name("no/such"), status=1)
    contains(repository.stderr, "not found", "repository")
    nobody = engine.docker("pull", "127.0.0.1:1/x", status=1)
    contains(nobody.stderr, "connection refused", "no registry there")
    malformed = engine.docker("pull", "127.0.0.1:1/CASE", status=1)
    contains(malformed.stderr, "must be lowercase", "not a reference")


@case()
def parallel_pulls_of_one_image(engine, registry):
    name = f"{registry.name('layers')}:gzip"
    remove(engine, *(f"{registry.name('layers')}:{tag}" for tag in ("gzip", "zstd", "plain", "latest")))
    pulls = [engine.spawn("pull", name) for _ in range(8)]
    for process in pulls:
        _, errors = process.communicate(timeout=120)
        equal(process.returncode, 0, f"each succeeds: {errors}")


@case()
def list_and_inspect(engine, registry):
    name = registry.name("busybox")
    engine.docker("pull", "-q", name)
    identity = engine.inspect(name)["Id"]
    matches(identity, "^sha256:[0-9a-f]{64}$", "Id")
    listed = engine.out("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
    contains(listed.splitlines(), f"{name}:latest {identity}", "images")
    equal(engine.out("images", "-q", "--no-trunc", f"{name}:latest"), identity, "by reference")
    found = engine.inspect(name)
    contains(found["RepoTags"], f"{name}:latest", "RepoTags")
    equal((found["Os"], found["Architecture"]), ("linux", "amd64"), "platform")
    equal(found["Config"]["Cmd"], ["sh"], "Cmd")
    equal(len(found["RootFS"]["Layers"]), 1, "layers")
    check(found["Size"] > 500_000, f"size {found['Size']}")
    for text in (identity, identity.removeprefix("sha256:"), identity[7:19], f"{name}:latest"):
        equal(engine.inspect(text)["Id"], identity, text)
    filtered = engine.out("images", "-q", "-f", "reference=*/busybox:latest")
    check(filtered != "", "filter by reference")


@case()
def list_filters(engine, registry):
    del registry
    for number in (1, 2, 3):
        engine.out("import", "-c", f"LABEL number={number}", "-", f"filtered:{number}",
                   stdin=b"\0" * 1024)
    untagged = engine.out("import", "-c", "LABEL number=none", "-", stdin=b"\0" * 1024)

    def listed(*filters):
        arguments = [word for text in filters for word in ("-f", text)]
        return engine.out("images", "--format", "{{.Tag}}", "-f", "label=number", *arguments).split()

    equal(sorted(listed("before=filtered:2", "dangling=false")), ["1"], "before")
    equal(sorted(listed("since=filtered:2", "dangling=false")), ["3"], "since, in the same second")
    equal(listed("reference=filtered:[12]", "label=number=2"), ["2"], "reference and label")
    equal(engine.out("images", "-q", "--no-trunc", "-f", "label=number", "-f", "dangling=true"),
          untagged, "dangling")
    if ENGINE == "davit":  # Docker 20 does not know it.
        equal(sorted(listed("until=10m")), [], "until ten minutes ago")
        equal(len(listed(f"until={int(time.time()) + 10}")), 4, "until later")
        bad = engine.api("GET", "/images/json?" + query(filters={"until": ["soon"]}))
        equal(bad.status, 400, "until what")
    equal(engine.api("GET", "/images/json?" + query(filters={"before": ["no"]})).status, 404, "unknown")
    equal(engine.api("GET", "/images/json?" + query(filters={"nope": ["1"]})).status, 400, "key")
    engine.docker("rmi", untagged, *(f"filtered:{number}" for number in (1, 2, 3)))


@case()
def tag_and_remove(engine, registry):
    name = registry.name("busybox")
    engine.docker("pull", "-q", name)
    engine.docker("tag", name, "mine:1")
    engine.docker("tag", name, "mine:2")
    equal(engine.inspect("mine:1")["Id"], engine.inspect(name)["Id"], "the same image")
    equal(engine.out("rmi", "mine:1"), "Untagged: mine:1", "only the name goes")
    gone = engine.docker("inspect", "--type", "image", "mine:1", status=1)
    contains(gone.stderr, "No such image: mine:1", "gone")
    refused = engine.docker("tag", "no-such", "x:1", status=1)
    contains(refused.stderr, "No such image: no-such:latest", "tag of the unknown")
    engine.docker("tag", name, "Not/Valid", status=1)
    engine.docker("rmi", "mine:2")


@case()
def remove_refuses_what_is_used(engine, registry):
    name = f"{registry.name('busybox')}:gzip"
    for other in ("latest", "zstd", "plain"):
        remove(engine, f"{registry.name('busybox')}:{other}")
    engine.docker("pull", "-q", name)
    stopped = engine.out("create", "--network", "none", name, "true")
    refused = engine.docker("rmi", name, status=1)
    contains(refused.stderr, "conflict: unable to remove repository reference", "stopped")
    contains(refused.stderr, stopped[:12], "by whom")
    equal(engine.api("DELETE", f"/images/{name}").status, 409, "status")
    engine.docker("rmi", "-f", name)
    engine.docker("start", stopped)  # Its layers are still there.
    equal(engine.out("wait", stopped), "0", "and it runs")
    engine.docker("rm", stopped)


@case()
def remove_deletes_layers(engine, registry):
    name = f"{registry.name('layers')}:gzip"
    for other in ("latest", "zstd", "plain"):
        remove(engine, f"{registry.name('layers')}:{other}")
    engine.docker("pull", "-q", name)
    lines = engine.out("rmi", name).splitlines()
    equal(lines[0], f"Untagged: {name}", "first the name")
    matches(lines[1], f"^Untagged: {re.escape(registry.name('layers'))}@sha256:", "then the digest")
    # dockerd with its own graph also names each layer; with containerd's it names the image alone.
    check(any(line.startswith("Deleted: sha256:") for line in lines), f"then all else: {lines}")
    missing = engine.docker("rmi", name, status=1)
    contains(missing.stderr, f"No such image: {name}", "again")
    equal(engine.api("DELETE", "/images/no-such").status, 404, "status")
    remove(engine, "layers")


@case()
def import_makes_an_image(engine, registry):
    del registry
    tar = (engine.directory / "busybox.tar").read_bytes()
    identity = engine.out("import", "-c", "CMD [\"echo\", \"imported\"]", "-c", "ENV A=b",
                          "-m", "a message", "-", "imported:1", stdin=tar)
    matches(identity, "^sha256:[0-9a-f]{64}$", "prints the id")
    equal(engine.inspect("imported:1")["Id"], identity, "inspect")
    equal(engine.out("run", "--rm", "--network", "none", "imported:1"), "imported", "Cmd")
    contains(engine.out("run", "--rm", "--network", "none", "imported:1", "env"), "A=b", "Env")
    broken = engine.docker("import", "-", "broken:1", stdin=b"this is no tar" * 100, status=None)
    check(broken.returncode != 0, "what is no tar is refused")
    equal(engine.out("images", "-q", "broken"), "", "and leaves nothing")
    engine.docker("rmi", "imported:1")


@case()
def create_of_unknown_image_is_404(engine, registry):
    del registry
    answer = engine.api("POST", "/containers/create", {"Image": "no/such:1", "Cmd": ["true"]})
    equal(answer.status, 404, "this makes the CLI pull")
    contains(answer.message, "No such image: no/such:1", "text")


@case()
def a_pull_without_its_client(engine, registry):
    """A client that vanishes must not harm the next one."""
    name = f"{registry.name('layers')}:gzip"
    remove(engine, name)
    for _ in range(5):
        process = engine.spawn("pull", name)
        process.kill()
        process.communicate()
    engine.docker("pull", name)
    engine.docker("run", "--rm", "--network", "none", name, "true")


if __name__ == "__main__":
    main(prepare)
