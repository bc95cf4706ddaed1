"""Pulls from a registry that lies: each fails with a reason, leaves nothing, and harms nobody.

Method: lying_registry.py serves one hostile image per case; afterwards the image must not exist,
the data root must hold the same names as before, and an honest pull must work.
"""

import gzip
import json
import os
import random
import re
import subprocess
import tarfile

from lying_registry import Blob, LyingRegistry, digest, tar_of

from harness import ENGINE, Engine, case, check, equal, eventually, main, start_engine

GOOD_TAR = tar_of(("etc/", tarfile.DIRTYPE, ""), ("etc/motd", tarfile.REGTYPE, b"hello\n" * 1000))
NOISE = random.Random(1).randbytes(300_000)
BIG_TAR = tar_of(("noise", tarfile.REGTYPE, NOISE))


def prepare(engine, stack):
    start_engine(engine, stack)
    liar = stack.enter_context(LyingRegistry())
    return {"liar": liar}


def names_below(engine):
    """Every name under the data root, without what an engine may keep of a failed pull's digest
    bookkeeping and without LMDB's own files."""
    found = set()
    for folder, names, files in os.walk(engine.data_root):
        found.update(os.path.join(folder, name) for name in names + files)
    return {name for name in found if not re.search(r"(data|lock)\.mdb$|/image/overlay2/distribution/"
                                                    r"|/containerd/|/tmp$|/network/", name)}


def refused(engine, liar, reference, reason=r"\S"):
    before = names_below(engine)
    done = engine.docker("pull", reference, status=None)
    check(done.returncode != 0, f"the pull must fail: {done.stdout}")
    check(re.search(reason, done.stderr, re.I), f"the reason {reason!r}: {done.stderr!r}")
    equal(engine.out("images", "-q", reference), "", "no image")
    engine.docker("image", "prune", "-f")  # Whole layers wait for the next pull until then.
    # What was still in the trash before may be gone by now.
    eventually(lambda: names_below(engine) <= before,
               f"no file stays: {sorted(names_below(engine) - before)[:5]}")
    good = liar.image("good", [Blob(GOOD_TAR)])
    engine.docker("pull", good)
    engine.docker("rmi", good)


@case()
def honest(engine, liar):
    """The server itself is in order: else every refusal below would mean nothing."""
    for suffix, pack in (("", bytes), ("+gzip", gzip.compress)):
        reference = liar.image("honest", [Blob(pack(GOOD_TAR)), Blob(pack(BIG_TAR))], suffix,
                               [GOOD_TAR, BIG_TAR])
        engine.docker("pull", reference)
        engine.docker("rmi", reference)


@case()
def blob_cut(engine, liar):
    packed = gzip.compress(BIG_TAR)
    refused(engine, liar, liar.image("cut", [Blob(packed, cut=len(packed) // 2)], "+gzip", [BIG_TAR]))


@case()
def blob_with_other_content(engine, liar):
    other = gzip.compress(tar_of(("other", tarfile.REGTYPE, b"x" * 100)))
    packed = gzip.compress(GOOD_TAR)
    refused(engine, liar, liar.image("other", [Blob(packed, served=other)], "+gzip", [GOOD_TAR]),
            "digest|verif|size|length")


@case("davit")
def size_in_manifest_is_wrong(engine, liar):
    for name, delta in (("larger", 1000), ("smaller", -1000)):
        def change(manifest, _config, _liar, delta=delta):
            manifest["layers"][0]["size"] += delta
        refused(engine, liar, liar.image(name, [Blob(GOOD_TAR)], change=change), "size|length|digest")


@case()
def config_with_other_content(engine, liar):
    def change(_manifest, config, registry):
        registry.blobs[config.digest] = Blob(config.data, served=b" " + config.data[1:])
    refused(engine, liar, liar.image("config", [Blob(GOOD_TAR)], change=change), "digest|verif")


@case()
def diff_id_is_wrong(engine, liar):
    refused(engine, liar, liar.image("diff", [Blob(gzip.compress(GOOD_TAR))], "+gzip", [BIG_TAR]),
            "diff|digest|layer|verif|content")


@case()
def manifest_is_not_what_was_asked_for(engine, liar):
    liar.image("asked", [Blob(GOOD_TAR)])
    refused(engine, liar, f"{liar.address}/asked@{digest(b'something else')}", "digest|verif|not found")


@case()
def manifest_is_malformed(engine, liar):
    for name, text in (("text", b"this is no manifest"), ("empty", b""), ("list", b"[]"),
                       ("types", b'{"schemaVersion":2,"config":5,"layers":"x"}'),
                       ("cut", b'{"schemaVersion":2,"config":{"digest":"sha256:')):
        liar.manifests[name] = (text, "application/vnd.oci.image.manifest.v1+json", 200)
        refused(engine, liar, f"{liar.address}/{name}:latest")


@case()
def digest_is_malformed(engine, liar):
    for name, text in (("climbing", "sha256:../../../../etc/passwd"), ("short", "sha256:abc"),
                       ("unknown", "md5:d41d8cd98f00b204e9800998ecf8427e")):
        def change(manifest, _config, _liar, text=text):
            manifest["layers"][0]["digest"] = text
        refused(engine, liar, liar.image("digest-" + name, [Blob(GOOD_TAR)], change=change))


@case("davit")
def manifest_is_too_large(engine, liar):
    def change(manifest, _config, _liar):
        manifest["annotations"] = {"filler": "x" * (5 << 20)}
    refused(engine, liar, liar.image("large", [Blob(GOOD_TAR)], change=change), "large|limit|size|exceed")


@case("davit")
def too_many_layers(engine, liar):
    def change(manifest, _config, _liar):
        manifest["layers"] *= 2000
    refused(engine, liar, liar.image("layers", [Blob(GOOD_TAR)], change=change))


@case()
def garbage_in_the_layer(engine, liar):
    packed = gzip.compress(BIG_TAR)
    broken = packed[:1000] + bytes(200) + packed[1200:]
    for name, data, suffix, diff in (
        ("no-gzip", b"no gzip at all" * 100, "+gzip", b"x"),
        ("broken-gzip", broken, "+gzip", BIG_TAR),
        ("cut-gzip", packed[: len(packed) // 2], "+gzip", BIG_TAR),
        ("no-tar", NOISE, "", NOISE),
        ("cut-tar", BIG_TAR[:100_000], "", BIG_TAR[:100_000]),
    ):
        refused(engine, liar, liar.image(name, [Blob(data)], suffix, [diff]))


@case()
def names_that_climb_out(engine, liar):
    """Refused or kept inside: nothing may appear outside the layer."""
    mark = f"davit-escape-{os.getpid()}"
    outside = engine.directory / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    up = "../" * 30
    target = str(outside)
    hostile = {
        "dotdot": [(up + target[1:] + "/" + mark, tarfile.REGTYPE, b"x")],
        "absolute": [(target + "/" + mark, tarfile.REGTYPE, b"x")],
        "symlink": [("link", tarfile.SYMTYPE, target), ("link/" + mark, tarfile.REGTYPE, b"x")],
        "symlink-up": [("link", tarfile.SYMTYPE, up + target[1:]),
                       ("link/" + mark, tarfile.REGTYPE, b"x")],
        "symlink-over": [("link", tarfile.SYMTYPE, target + "/victim"), ("link", tarfile.REGTYPE, b"x")],
        "hardlink": [("hard", tarfile.LNKTYPE, target + "/victim"), ("hard", tarfile.REGTYPE, b"x")],
        "hardlink-up": [("hard", tarfile.LNKTYPE, up + target[1:] + "/victim"),
                        ("hard", tarfile.REGTYPE, b"x")],
        "whiteout": [("link", tarfile.SYMTYPE, target), ("link/.wh.victim", tarfile.REGTYPE, b"")],
        "whiteout-up": [(up + target[1:] + "/.wh.victim", tarfile.REGTYPE, b"")],
        "opaque": [("link", tarfile.SYMTYPE, target), ("link/.wh..wh..opq", tarfile.REGTYPE, b"")],
        "whiteout-dots": [(".wh...", tarfile.REGTYPE, b""), ("x/.wh..", tarfile.REGTYPE, b"")],
    }
    for name, entries in hostile.items():
        reference = liar.image("climb-" + name, [Blob(tar_of(*entries))])
        engine.docker("pull", reference, status=None)
        equal(os.listdir(outside), ["victim"], name)
        equal((outside / "victim").read_text(), "untouched", name)
        equal((outside / "victim").stat().st_nlink, 1, name)
        engine.docker("rmi", "-f", reference, status=None)


@case()
def errors_of_the_registry(engine, liar):
    for status in (500, 403):
        liar.manifests["broken"] = (b'{"errors":[{"code":"X","message":"the reason given"}]}',
                                    "application/json", status)
        refused(engine, liar, f"{liar.address}/broken:latest")
    def change(_manifest, _config, registry):
        registry.blobs[digest(GOOD_TAR)] = Blob(b"no", status=404)
    reference = liar.image("blobless", [Blob(GOOD_TAR)], change=change)
    liar.blobs[digest(GOOD_TAR)].status = 404
    refused(engine, liar, reference)
    liar.blobs[digest(GOOD_TAR)].status = 200


@case()
def stalled_and_the_client_gives_up(engine, liar):
    """The transfer ends with its last interested client."""
    before = names_below(engine)
    tar = tar_of(("stalled", tarfile.REGTYPE, NOISE[::-1]))
    reference = liar.image("stalled", [Blob(tar, stall=1000)])
    liar.stalled.clear()
    liar.gone.clear()
    process = engine.spawn("pull", reference)
    check(liar.stalled.wait(30), "the pull has begun")
    equal(engine.api("GET", "/_ping").status, 200, "others are served meanwhile")
    process.kill()
    process.communicate()
    if ENGINE == "davit":  # Docker 20 goes on until the registry closes.
        check(liar.gone.wait(30), "the engine hangs up")
    liar.release.set()
    # What was still in the trash before may be gone by now.
    eventually(lambda: names_below(engine) <= before,
               f"no file stays: {sorted(names_below(engine) - before)[:5]}")
    equal(json.loads(engine.api("GET", "/containers/json").body), [], "and answers")


def steps_of_a_pull(engine, liar):
    """An image, and what a pull of it asks for."""
    tars = [tar_of((f"step{number}", tarfile.REGTYPE, NOISE[number:][:50_000])) for number in range(2)]
    reference = liar.image("steps", [Blob(gzip.compress(tar, mtime=0)) for tar in tars], "+gzip", tars)
    liar.requests.clear()
    engine.docker("pull", reference)
    steps = sorted({path for path in liar.requests if "/manifests/" in path or "/blobs/" in path})
    check(len(steps) >= 4, f"manifest, config and layers: {steps}")
    engine.docker("rmi", reference)
    return reference, steps


@case("davit")
def dies_or_sends_wrong_bytes_at_any_step(engine, liar):
    reference, steps = steps_of_a_pull(engine, liar)
    for deviation in ("wrong bytes", "dies"):
        for step in steps:
            liar.deviations = {step: deviation}
            refused(engine, liar, reference)
    liar.deviations = {}
    engine.docker("pull", reference)
    engine.docker("rmi", reference)


@case("davit")
def stalls_at_any_step(engine, liar):
    """Others are served meanwhile, and the pull that was given up leaves nothing."""
    reference, steps = steps_of_a_pull(engine, liar)
    before = names_below(engine)
    liar.release.clear()  # Another case may have set it.
    for step in steps:
        liar.deviations = {step: "stalls"}
        liar.stalled.clear()
        liar.gone.clear()
        process = engine.spawn("pull", reference)
        check(liar.stalled.wait(30), f"the pull has come to {step}")
        equal(engine.api("GET", "/_ping").status, 200, "others are served meanwhile")
        process.kill()
        process.communicate()
        check(liar.gone.wait(30), "the engine hangs up")
        eventually(lambda: b"image_pull" not in running(engine), "the pull has ended")
        engine.docker("image", "prune", "-f")
        eventually(lambda: names_below(engine) <= before, f"no file stays of {step}")
    liar.deviations = {}
    engine.docker("pull", reference)
    engine.docker("rmi", reference)


@case("davit")
def a_stall_is_given_up_after_the_time_set(engine, liar):
    """Nobody but the daemon gives up; then it asks again, and gets what was missing."""
    other = Engine(engine.directory / "impatient")
    other.command = lambda: [*Engine.command(other), "--registry-stall-timeout", "1"]
    other.start()
    try:
        tar = tar_of(("patience", tarfile.REGTYPE, NOISE[:1000:-1]))
        reference = liar.image("patience", [Blob(tar, stall=1000)])
        liar.release.clear()
        liar.stalled.clear()
        liar.gone.clear()
        process = other.spawn("pull", reference)
        check(liar.stalled.wait(30), "the pull has begun")
        check(liar.gone.wait(30), "the engine hangs up")
        liar.blobs[digest(tar)].stall = None
        output = process.communicate(timeout=60)
        equal(process.returncode, 0, f"the pull goes on: {output}")
    finally:
        other.stop()
    for value in ("0", "1s", "3601"):
        refused_flag = subprocess.run([*Engine.command(other), "--registry-stall-timeout", value],
                                      capture_output=True, check=False, text=True)
        check(refused_flag.returncode != 0, f"{value} is refused")
        check("--registry-stall-timeout takes a number from 1 to 3600" in refused_flag.stderr,
              f"with the reason: {refused_flag.stderr!r}")


def running(engine):
    jobs = json.loads(engine.api("GET", "/davit/jobs").body)
    return json.dumps([job for job in jobs if job["Status"] == "running"]).encode()


@case("davit")
def lists_of_tags(engine, liar):
    """docker pull -a: lists that never end, or hold what no list of tags does."""
    numbers = iter(range(10**9))
    next_of = '</v2/{}/tags/list?last=x>; rel="next"'.format
    for name, page, reason in (
            ("same", lambda _: (["latest"], next_of("same")), "does not end"),
            ("endless", lambda _: ([f"t{next(numbers)}"], next_of("endless")), "more than 200 pages"),
            ("huge", lambda _: ([f"t{number}" for number in range(20_000)], None),
             "more than 10000 tags"),
            ("malformed", lambda _: (["../../x"], None), "malformed"),
            ("elsewhere", lambda _: (["latest"], '</v2/other/_catalog?n=1>; rel="next"'),
             "another place"),
            ("empty", lambda _: (None, None), "has no tags")):
        liar.tag_pages[name] = page
        done = engine.docker("pull", "-a", f"{liar.address}/{name}", status=1)
        check(reason in done.stderr, f"{name}: {done.stderr!r}")
        equal(engine.out("images", "-q", f"{liar.address}/{name}"), "", "no image")


if __name__ == "__main__":
    main(prepare)
