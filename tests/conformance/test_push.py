"""Images into registries: push, login, logout, and what a registry tells of a name.

Goal: what is pushed is what was pulled, digest for digest, whatever stands in between; and refusals
carry docker's texts. Method: two real registries, one behind a proxy that takes notes and breaks
connections; registries with passwords and with tokens.
"""

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile

import oci
from harness import Engine, Registry, case, check, contains, equal, main, matches, start_engine
from registry_proxy import PASSWORD, USER, LocalRegistry, Proxy, TokenServer


def prepare(engine, stack):
    source = stack.enter_context(Registry(engine.directory / "source"))
    target = stack.enter_context(LocalRegistry(engine.directory / "target"))
    proxy = stack.enter_context(Proxy(target.address))
    start_engine(engine, stack)
    return {"source": source, "proxy": proxy}


def raw_manifest(name):
    return subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
                          check=True, capture_output=True).stdout


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pulled(engine, source, image, name):
    """Pull an image, and give it another name."""
    engine.docker("pull", "-q", source.name(image))
    engine.docker("tag", source.name(image), name)


@case()
def push_keeps_the_digest(engine, source, proxy):
    for image in ("busybox:gzip", "layers:gzip", "layers:plain"):
        name = f"{proxy.address}/kept/{image}"
        pulled(engine, source, image, name)
        done = engine.docker("push", name)
        manifest = raw_manifest(source.name(image))
        equal(raw_manifest(f"{proxy.address}/kept/{image.split(':')[0]}@{digest(manifest)}"),
              manifest, f"{image}: the manifest, byte for byte")
        lines = done.stdout.splitlines()
        equal(lines[0], f"The push refers to repository [{name.rsplit(':', 1)[0]}]", "first")
        equal(lines[-1], f"{image.split(':')[1]}: digest: {digest(manifest)} size: {len(manifest)}",
              "last")
        layers = len(json.loads(manifest)["layers"])
        equal(len(re.findall(r"^[0-9a-f]{12}: Preparing$", done.stdout, re.M)), layers, "prepared")
        equal(len(re.findall(r"^[0-9a-f]{12}: (?:Pushed|Layer already exists|Mounted from .+)$",
                             done.stdout, re.M)), layers, f"layers: {done.stdout}")
        again = engine.docker("push", name)
        equal(len(re.findall(r"^[0-9a-f]{12}: Layer already exists$", again.stdout, re.M)), layers,
              "again")
        digests = engine.inspect(name)["RepoDigests"]
        check(f"{name.rsplit(':', 1)[0]}@{digest(manifest)}" in digests, f"RepoDigests: {digests}")
        engine.docker("rmi", "-f", name, source.name(image))
        engine.docker("pull", "-q", f"{name.rsplit(':', 1)[0]}@{digest(manifest)}")
        engine.docker("rmi", "-f", f"{name.rsplit(':', 1)[0]}@{digest(manifest)}")


@case("davit")
def what_came_from_no_registry_is_packed(engine, source, proxy):
    """Engines that have loaded an archive push it as well; the image is the same everywhere."""
    pulled(engine, source, "layers:gzip", "packed:1")
    archive = engine.directory / "packed.tar"
    identity = engine.inspect("packed:1")["Id"]
    engine.docker("save", "-o", archive, "packed:1")
    engine.docker("rmi", "-f", identity)
    engine.docker("load", "-i", archive)
    name = f"{source.address}/packed/layers:1"
    engine.docker("tag", "packed:1", name)
    engine.docker("push", name)
    engine.docker("rmi", "-f", identity)
    engine.docker("pull", "-q", name)
    equal(engine.inspect(name)["Id"], identity, "the image's id")
    engine.docker("rmi", "-f", identity)


@case("davit")
def push_keeps_zstd(engine, source, proxy):
    name = f"{proxy.address}/zstd:1"
    pulled(engine, source, "layers:zstd", name)
    engine.docker("push", name)
    equal(raw_manifest(name), raw_manifest(source.name("layers:zstd")), "manifest")


@case()
def progress_is_a_stream_of_json(engine, source, proxy):
    name = f"{proxy.address}/stream"
    pulled(engine, source, "busybox", name + ":a")
    answer = engine.api("POST", f"/images/{name}/push?tag=a", headers={"X-Registry-Auth": "e30="})
    equal(answer.status, 200, "status")
    equal(answer.headers["Transfer-Encoding"], "chunked", "docker-py needs it chunked")
    messages = [json.loads(line) for line in answer.body.splitlines() if line.strip()]
    equal(messages[0], {"status": f"The push refers to repository [{name}]"}, "first")
    manifest = raw_manifest(name + ":a")
    equal(messages[-1], {"progressDetail": {}, "aux": {"Tag": "a", "Digest": digest(manifest),
                                                       "Size": len(manifest)}}, "last")
    check(all(re.fullmatch("[0-9a-f]{12}", m["id"]) for m in messages if "id" in m), "ids")


@case()
def mounted_from_another_repository(engine, source, proxy):
    first, second = f"{proxy.address}/mount/first:1", f"{proxy.address}/mount/second:1"
    pulled(engine, source, "layers:gzip", first)
    engine.docker("push", first)
    engine.docker("tag", first, second)
    proxy.answers.clear()
    done = engine.docker("push", second)
    # Docker's first candidate may be another repository of this registry.
    mounts = re.findall(r"^[0-9a-f]{12}: Mounted from (\S+)$", done.stdout, re.M)
    equal(len(mounts), 3, f"mounted layers: {done.stdout}")
    equal(proxy.statuses("POST", r"mount/second/blobs/uploads/.*mount="), [201] * 3, "the registry's answers")
    equal(raw_manifest(second), raw_manifest(first), "manifest")


@case()
def a_broken_connection_is_no_end(engine, source, proxy):
    # A registry of its own: elsewhere the layer could be mounted.
    with LocalRegistry(engine.directory / "fresh") as fresh, Proxy(fresh.address) as breaking:
        name = f"{breaking.address}/broken:1"
        pulled(engine, source, "busybox:gzip", name)
        breaking.break_after = 200_000
        engine.docker("push", name)
        equal([answer[2] for answer in breaking.answers].count("broken"), 1, "it broke once")
        equal(raw_manifest(name), raw_manifest(source.name("busybox:gzip")), "manifest")
        layer = json.loads(raw_manifest(name))["layers"][0]
        equal(breaking.statuses("HEAD", layer["digest"])[-1], 404, "the layer was not there")


@case()
def all_tags(engine, source, proxy):
    name = f"{proxy.address}/many"
    for tag, image in (("a", "busybox"), ("b", "layers")):
        pulled(engine, source, image, f"{name}:{tag}")
    refused = engine.docker("push", "-a", name + ":a", status=1)
    contains(refused.stderr, "tag can't be used with --all-tags/-a", "a tag and all")
    done = engine.docker("push", "-a", name)
    for tag in ("a", "b"):
        matches(done.stdout, rf"(?m)^{tag}: digest: sha256:[0-9a-f]{{64}} size: \d+$", tag)
        check(raw_manifest(f"{name}:{tag}"), tag)


@case()
def what_is_not_here(engine, source, proxy):
    name = f"{proxy.address}/nothing"
    done = engine.docker("push", name, status=1)
    contains(done.stderr, f"An image does not exist locally with the tag: {name}", "no such name")
    pulled(engine, source, "busybox", name + ":there")
    done = engine.docker("push", name + ":absent", status=1)
    contains(done.stderr, f"tag does not exist: {name}:absent", "no such tag")
    done = engine.docker("push", "127.0.0.1:1/x", status=1)
    check(done.stderr.strip(), "a registry that is not there")


def config_of(engine):
    return json.loads((engine.directory / "docker-config" / "config.json").read_text())


def login(engine, address, password, **options):
    return engine.docker("login", "-u", USER, "--password-stdin", address, stdin=password + "\n",
                         **options)


@case()
def passwords(engine, source, proxy):
    with LocalRegistry(engine.directory / "basic", "htpasswd") as registry:
        name = f"{registry.address}/secret/app:1"
        pulled(engine, source, "busybox", name)
        done = engine.docker("push", name, status=1)
        contains(done.stderr, "no basic auth credentials", "push without a login")
        done = engine.docker("pull", name, status=1)
        contains(done.stderr, "no basic auth credentials", "pull without a login")
        done = login(engine, registry.address, "wrong", status=1)
        contains(done.stderr, f"login attempt to http://{registry.address}/v2/ failed with status: "
                 "401 Unauthorized", "a wrong password")
        equal(login(engine, registry.address, PASSWORD).stdout.splitlines()[-1], "Login Succeeded",
              "login")
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        equal(config_of(engine)["auths"], {registry.address: {"auth": expected}}, "config.json")
        mode = os.stat(engine.directory / "docker-config" / "config.json").st_mode & 0o777
        equal(oct(mode), "0o600", "mode of config.json")
        engine.docker("push", name)
        engine.docker("rmi", name)
        engine.docker("pull", name)
        done = engine.docker("logout", registry.address)
        equal(done.stdout.strip(), f"Removing login credentials for {registry.address}", "logout")
        done = engine.docker("push", name, status=1)
        contains(done.stderr, "no basic auth credentials", "push after a logout")
        wrong = base64.urlsafe_b64encode(json.dumps(
            {"username": USER, "password": "wrong"}).encode()).decode()
        answer = engine.api("POST", f"/images/{name.rsplit(':', 1)[0]}/push?tag=1",
                            headers={"X-Registry-Auth": wrong})
        contains(answer.body.decode(), "unauthorized: authentication required", "wrong credentials")


@case()
def tokens(engine, source, proxy):
    with TokenServer(engine.directory / "tokens") as server, \
            LocalRegistry(engine.directory / "bearer", server.auth()) as registry:
        names = [f"{registry.address}/secret/{app}:1" for app in ("one", "two")]
        for name in names:
            pulled(engine, source, "layers:gzip", name)
        done = login(engine, registry.address, "wrong", status=1)
        contains(done.stderr, "unauthorized: incorrect username or password", "a wrong password")
        engine.docker("push", names[0], status=1)
        answer = engine.api("POST", "/auth", {"username": USER, "password": PASSWORD,
                                              "serveraddress": registry.address})
        equal((answer.status, answer.json),
              (200, {"Status": "Login Succeeded", "IdentityToken": "an-identity"}), "POST /auth")
        header = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(
            {"username": USER, "password": PASSWORD}).encode()).decode()}
        server.asked.clear()
        for name in names:
            repository = name.rsplit(":", 1)[0]
            pushed = engine.api("POST", f"/images/{repository}/push?tag=1", headers=header)
            contains(pushed.body.decode(), '"aux":{"Tag":"1"', f"push {name}")
        contains(pushed.body.decode(), "Mounted from secret/one", "mounted with a token")
        asked = [scope for scopes in server.asked for scope in scopes]
        check("repository:secret/two:pull,push" in asked and "repository:secret/one:pull" in asked,
              f"scopes: {asked}")
        repository = names[0].rsplit(":", 1)[0]
        engine.docker("rmi", *names)
        got = engine.api("POST", f"/images/create?fromImage={repository}&tag=1", headers=header)
        contains(got.body.decode(), f"Downloaded newer image for {names[0]}", "pull with a token")


@case()
def distribution(engine, source, proxy):
    name = source.name("busybox")
    manifest = raw_manifest(name)
    answer = engine.api("GET", f"/distribution/{name}/json").json
    equal(answer["Descriptor"]["digest"], digest(manifest), "digest")
    equal(answer["Descriptor"]["size"], len(manifest), "size")
    equal(answer["Descriptor"]["mediaType"], json.loads(manifest)["mediaType"], "media type")
    equal([platform["os"] for platform in answer["Platforms"]], ["linux"], "platforms")
    gone = engine.api("GET", f"/distribution/{source.name('absent')}/json")
    check(gone.status in (401, 403, 404, 500) and gone.message, f"absent: {gone.status}")


@case("davit")
def mirrors_and_limits(engine, source, proxy):
    """A mirror of a registry that nobody can reach, and one upload at a time."""
    other = Engine(engine.directory / "mirrored")
    flags = ["--registry-mirror", f"absent.invalid=http://{source.address}",
             "--max-concurrent-uploads", "1"]
    other.command = lambda: Engine.command(other) + flags
    other.start()
    try:
        other.docker("pull", "absent.invalid/layers:gzip")
        name = f"{proxy.address}/limited:1"
        other.docker("tag", "absent.invalid/layers:gzip", name)
        done = other.docker("push", name)
        equal(len(re.findall(r"^[0-9a-f]{12}: Waiting$", done.stdout, re.M)), 2, "layers that wait")
        equal(raw_manifest(name), raw_manifest(source.name("layers:gzip")), "manifest")
    finally:
        other.stop()
    for flag in (["--registry-mirror", "x=y"], ["--max-concurrent-uploads", "0"]):
        refused = subprocess.run([*Engine.command(other), *flag], capture_output=True, check=False)
        check(refused.returncode != 0, f"{flag} is refused")


@case("davit")
def a_link_to_a_file_of_a_layer_below(engine, source, proxy):
    """The same diff over two others: each image has the file of its own."""
    def files_of(name):
        container = engine.out("create", "--network", "none", name, "x")
        with tarfile.open(fileobj=io.BytesIO(engine.docker("export", container, text=False).stdout)) as archive:
            found = {member.name: archive.extractfile(member).read() for member in archive.getmembers()
                     if member.name in ("d/f", "h", "top")}
        engine.docker("rm", container)
        return found

    def stacked(name, *layers):
        return oci.saved(name, [oci.tar_of(files) for files in layers])

    link = {"h": b"=>d/f"}
    names = [f"{proxy.upstream}/linked:{number}" for number in (1, 2)]
    for name, text in zip(names, (b"first", b"second")):
        engine.docker("load", "-q", stdin=stacked(name, {"d/f": text}, link, {"top": text}))
    for turn in ("loaded", "pulled"):
        for name, text in zip(names, (b"first", b"second")):
            equal(files_of(name), {"d/f": text, "h": text, "top": text}, f"{turn}: {name}")
            engine.docker("push", name)
        engine.docker("rmi", *names)
        for name in names if turn == "loaded" else ():
            engine.docker("pull", "-q", name)
    name = f"{proxy.upstream}/linked:3"
    refused = engine.docker("load", "-q", stdin=stacked(name, {"d/g": b"x"}, link), status=1)
    contains(refused.stderr, "extract h: hard link to d/f: no such file in this layer or below it", "nothing there")


@case("davit")
def search_parameters(engine, source, proxy):
    for parameters, text in (("term=x&limit=101", "limit 101 is outside the range of [1, 100]"),
                             ("term=x&limit=-1", "limit -1 is outside the range of [1, 100]"),
                             ("term=", "term"),
                             ("term=x&filters=" + '{"color":["red"]}', "invalid filter 'color'")):
        answer = engine.api("GET", "/images/search?" + parameters.replace('"', "%22"))
        equal(answer.status, 400, parameters)
        contains(answer.message, text, parameters)
    # A registry of the second API only: its refusal is shown.
    answer = engine.api("GET", f"/images/search?term={source.address}/x")
    equal(answer.status, 404, "a registry that does not search")
    contains(answer.message, "404", "its words")


if __name__ == "__main__":
    main(prepare)
