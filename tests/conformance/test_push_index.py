"""Whole indexes and referrers, with real registries that know neither more nor less than the
distribution specification of before 1.1.

Goal: an index gets from one registry to another as it is, though only one of its images is here; what is
about an image is found there, and kept in the way that clients agree on. Method: two of Debian's
docker-registry; what is put into the first by hand is looked for in the second with skopeo and by hand.
"""

import contextlib
import hashlib
import http.client
import json
import subprocess
import urllib.parse

from harness import (DAVIT, Registry, case, check, contains, equal, main, query, start_engine)
from registry_proxy import LocalRegistry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def prepare(engine, stack):
    source = stack.enter_context(Registry(engine.directory / "source"))
    target = stack.enter_context(LocalRegistry(engine.directory / "target"))
    start_engine(engine, stack)
    return {"source": source, "target": target}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def ask(address, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(address, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


def blob_put(address, repository, data):
    status, headers, _ = ask(address, "POST", f"/v2/{repository}/blobs/uploads/")
    equal(status, 202, "begin of an upload")
    where = urllib.parse.urlsplit(headers["Location"])
    path = f"{where.path}?{where.query}&" + query(digest=digest(data))
    equal(ask(address, "PUT", path, data)[0], 201, "a blob")
    return {"digest": digest(data), "size": len(data)}


def manifest_get(address, repository, reference):
    """Its bytes; None if there is none."""
    status, _, body = ask(address, "GET", f"/v2/{repository}/manifests/{reference}",
                          headers={"Accept": f"{MANIFEST}, {INDEX}"})
    return body if status == 200 else None


def manifest_put(address, repository, document, reference=None):
    """A descriptor of it."""
    body = json.dumps(document, indent=3).encode()  # As nobody else would write it.
    status, _, answer = ask(address, "PUT", f"/v2/{repository}/manifests/{reference or digest(body)}", body,
                            {"Content-Type": document["mediaType"]})
    equal(status, 201, f"a manifest: {answer}")
    return {"mediaType": document["mediaType"], "digest": digest(body), "size": len(body)}


def index_make(address, repository):
    """An index "all": busybox for this machine, an image for another one, an attestation."""
    here = json.loads(manifest_get(address, repository, "gzip"))
    config = json.loads(ask(address, "GET", f"/v2/{repository}/blobs/{here['config']['digest']}")[2])
    native = config["architecture"]
    config["architecture"] = "s390x"
    other = manifest_put(address, repository, {
        **here, "config": {"mediaType": CONFIG,
                           **blob_put(address, repository, json.dumps(config).encode())}})
    statement = blob_put(address, repository, b'{"_type":"https://in-toto.io/Statement/v0.1"}')
    unknown = blob_put(address, repository, b'{"architecture":"unknown","os":"unknown"}')
    attestation = manifest_put(address, repository, {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, **unknown},
        "layers": [{"mediaType": "application/vnd.in-toto+json", **statement}]})
    inner = manifest_put(address, repository, {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {**other, "platform": {"os": "linux", "architecture": "s390x"}}]})
    body = manifest_get(address, repository, "gzip")
    manifest_put(address, repository, {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": digest(body), "size": len(body),
             "platform": {"os": "linux", "architecture": native}}, inner,
            {**attestation, "platform": {"os": "unknown", "architecture": "unknown"},
             "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}]}, "all")
    return [digest(body), other["digest"], inner["digest"], attestation["digest"]]


def push_all(engine, name):
    """As `davit push --all-platforms` asks for it."""
    repository, tag = name.rsplit(":", 1)
    answer = engine.api("POST", f"/images/{repository}/push?tag={tag}&allPlatforms=1",
                        headers={"X-Registry-Auth": "e30="})
    equal(answer.status, 200, "status")
    return [json.loads(line) for line in answer.body.splitlines() if line.strip()]


@case("davit")
def a_whole_index(engine, source, target):
    children = index_make(source.address, "busybox")
    index = manifest_get(source.address, "busybox", "all")
    name = f"{target.address}/whole/app:all"
    engine.docker("pull", "-q", source.name("busybox:all"))
    engine.docker("tag", source.name("busybox:all"), name)
    engine.docker("push", name)
    check(manifest_get(target.address, "whole/app", "all") != index, "by itself the image alone")
    messages = push_all(engine, name)
    equal(messages[-1]["aux"], {"Tag": "all", "Digest": digest(index), "Size": len(index)}, "last")
    equal(manifest_get(target.address, "whole/app", "all"), index, "the index, byte for byte")
    for child in children:
        equal(manifest_get(target.address, "whole/app", child),
              manifest_get(source.address, "busybox", child), f"a child of it: {child}")
    # Not --all: skopeo copies no index within an index.
    for name_there in (source.name("busybox:all"), name):
        copied = subprocess.run(["skopeo", "copy", "--src-tls-verify=false", f"docker://{name_there}",
                                 f"dir:{engine.directory / 'copied'}"], capture_output=True, text=True)
        equal(copied.returncode, 0, f"skopeo: {copied.stderr}")
    check(f"{target.address}/whole/app@{digest(index)}" in engine.inspect(name)["RepoDigests"], "its digest")
    engine.docker("rmi", name, source.name("busybox:all"))
    engine.docker("pull", "-q", f"{target.address}/whole/app@{digest(index)}")
    engine.docker("pull", "-q", "--platform", "linux/s390x", f"{target.address}/whole/app:all")
    engine.docker("rmi", "-f", f"{target.address}/whole/app@{digest(index)}", f"{target.address}/whole/app:all")


@case("davit")
def by_our_command_line(engine, source, target):
    index_make(source.address, "busybox")
    name = f"{target.address}/cli/app:all"
    engine.docker("pull", "-q", source.name("busybox:all"))
    engine.docker("tag", source.name("busybox:all"), name)
    done = subprocess.run([DAVIT, "push", "--all-platforms", name], env=engine.environment(),
                          capture_output=True, text=True, check=True)
    index = manifest_get(source.address, "busybox", "all")
    contains(done.stdout, f"all: digest: {digest(index)} size: {len(index)}", "output")
    equal(manifest_get(target.address, "cli/app", "all"), index, "the index")
    engine.docker("rmi", "-f", name, source.name("busybox:all"))


@case("davit")
def into_another_repository_of_the_registry(engine, source, target):
    index_make(source.address, "busybox")
    name = source.name("moved/app:all")
    engine.docker("pull", "-q", source.name("busybox:all"))
    engine.docker("tag", source.name("busybox:all"), name)
    steps = {message.get("status") for message in push_all(engine, name) if "id" in message}
    equal(steps, {"Mounted from busybox"}, "no blob is sent")
    equal(manifest_get(source.address, "moved/app", "all"), manifest_get(source.address, "busybox", "all"), "index")
    engine.docker("rmi", "-f", name, source.name("busybox:all"))


@case("davit")
def an_image_without_an_index(engine, source, target):
    name = f"{target.address}/none/app:1"
    engine.docker("pull", "-q", source.name("layers:gzip"))
    engine.docker("tag", source.name("layers:gzip"), name)
    contains(push_all(engine, name)[-1]["error"], "was not pulled by an index", "why")
    engine.docker("rmi", "-f", name, source.name("layers:gzip"))


def about(address, repository, subject, **more):
    """An image that is about another manifest."""
    body = manifest_get(address, repository, "gzip")
    return {**json.loads(body), "subject": subject, **more}


@case("davit")
def referrers(engine, source, target):
    """An image that is about another one is pulled and pushed: neither registry lists it itself."""
    body = manifest_get(source.address, "busybox", "gzip")
    subject = {"mediaType": MANIFEST, "digest": digest(body), "size": len(body)}
    tag = "sha256-" + subject["digest"].removeprefix("sha256:")
    base = f"{target.address}/about/app"
    pushed = []
    for number in ("1", "2"):
        document = about(source.address, "busybox", subject, annotations={"number": number})
        pushed.append(manifest_put(source.address, "busybox", document, f"about{number}")["digest"])
        engine.docker("pull", "-q", source.name(f"busybox:about{number}"))
        engine.docker("tag", source.name(f"busybox:about{number}"), f"{base}:{number}")
        for _ in range(2):
            engine.docker("push", f"{base}:{number}")
        # As the same bytes have the same digest, a tag is as good as another.
        equal(digest(manifest_get(target.address, "about/app", number)), pushed[-1], "its digest")
    kept = json.loads(manifest_get(target.address, "about/app", tag))
    equal([(one["digest"], one["artifactType"], one["annotations"]) for one in kept["manifests"]],
          [(pushed[0], CONFIG, {"number": "1"}), (pushed[1], CONFIG, {"number": "2"})], "the list")
    equal(kept["mediaType"], INDEX, "its type")
    answer = engine.api("GET", f"/davit/referrers/{base}@{subject['digest']}").json
    equal(answer["Subject"], subject["digest"], "subject")
    equal([one["digest"] for one in answer["Referrers"]], pushed, "referrers")
    none = engine.api("GET", f"/davit/referrers/{base}@{subject['digest']}?" + query(artifactType="x/y"))
    equal(none.json["Referrers"], [], "of another type")
    equal(engine.api("GET", f"/davit/referrers/{base}:1").json["Referrers"], [], "of the referrer")
    gone = engine.api("GET", f"/davit/referrers/{base}:none")
    equal(gone.status, 404, f"no such tag: {gone.body}")
    done = subprocess.run([DAVIT, "image", "referrers", "--format", "{{.Digest}} {{.Annotations}}",
                           f"{base}@{subject['digest']}"], env=engine.environment(), capture_output=True,
                          text=True, check=True)
    equal(done.stdout.split("\n")[:2], [f"{pushed[0]} number=1", f"{pushed[1]} number=2"], "our command line")
    engine.docker("rmi", "-f", f"{base}:1", f"{base}:2", source.name("busybox:about1"),
                  source.name("busybox:about2"))


if __name__ == "__main__":
    main(prepare)
