"""Pruning images: only what nobody uses goes, and the answer says what and how much.

Goal: `docker image prune` keeps images with names, with containers, too young or wrongly labelled.
"""

import json
import time

from harness import (ENGINE, busybox_tar, case, check, contains, equal, import_busybox, main, matches,
                     query)


def image(engine, name, *changes):
    """One of its own: a change makes another config."""
    arguments = [piece for change in (*changes, f"LABEL unique={name or 'none'}")
                 for piece in ("-c", change)]
    names = [name] if name else []
    return engine.out("import", *arguments, "-", *names,
                      stdin=busybox_tar(engine.directory).read_bytes())


def prune(engine, **filters):
    answer = engine.api("POST", "/images/prune?" + query(filters=filters))
    equal(answer.status, 200, "status")
    return answer.json


def deleted(answer):
    return sorted(entry["Deleted"] for entry in answer["ImagesDeleted"] or []
                  if "Deleted" in entry and "Untagged" not in entry)


@case()
def dangling_images_go_and_the_others_stay(engine):
    named = image(engine, "named:1")
    dangling = image(engine, "")
    used = image(engine, "used:1")
    engine.docker("create", "--network", "none", "used:1", "true")
    other = image(engine, "used:1", "ENV A=b")  # The first has no name any more, but a container.
    printed = engine.out("image", "prune", "-f")
    contains(printed, f"deleted: {dangling}", "the dangling one")
    matches(printed, r"Total reclaimed space: 0B$", "its layer is another's as well")
    for kept in (named, used, other):
        check(kept not in printed, f"{kept} stays")
        engine.inspect(kept)
    equal(engine.docker("image", "inspect", dangling, status=None).returncode, 1, "it is gone")
    equal(engine.out("image", "prune", "-f"), "Total reclaimed space: 0B", "nothing is left to do")
    engine.remove_all()
    engine.docker("rmi", used, "used:1", "named:1")


@case()
def all_unused_images(engine):
    image(engine, "one:1", "ENV A=b")
    engine.docker("tag", "one:1", "one:2")
    used = image(engine, "two:1")
    engine.docker("create", "--network", "none", "two:1", "true")
    engine.docker("tag", "two:1", "two:2")
    answer = prune(engine, dangling=["false"])
    names = sorted(entry["Untagged"] for entry in answer["ImagesDeleted"] if "Untagged" in entry)
    for name in ("one:1", "one:2"):
        check(name in names, f"{name} is among {names}")
    if ENGINE == "davit":  # dockerd 20 takes all names but one from it.
        equal(sorted(engine.inspect(used)["RepoTags"]), ["two:1", "two:2"], "a used one keeps its names")
    engine.remove_all()
    answer = prune(engine, dangling=["false"])
    check(answer["SpaceReclaimed"] > 500_000, f"the last image takes its layer: {answer}")
    equal(engine.out("images", "-q"), "", "no image is left")


@case()
def filters_choose(engine):
    plain = image(engine, "")
    labelled = image(engine, "", "LABEL stage=build")
    equal(deleted(prune(engine, until=["1h"])), [], "too young")
    equal(deleted(prune(engine, label=["stage=test"])), [], "another label's value")
    equal(deleted(prune(engine, label=["stage=build"])), [labelled], "the label")
    labelled = image(engine, "", "LABEL stage=build")
    equal(deleted(prune(engine, **{"label!": ["stage"]})), [plain], "all without the label")
    equal(deleted(prune(engine)), [labelled], "the rest")
    for bad in ({"colour": ["red"]}, {"dangling": ["maybe"]}, {"until": ["yesterday-ish"]}):
        answer = engine.api("POST", "/images/prune?" + query(filters=bad))
        check(answer.status in (400, 500), f"{bad}: status {answer.status}")
        check(answer.message, f"{bad}: a reason")


@case()
def everything_at_once(engine):
    """system prune: what nobody uses of all kinds; named images and volumes stay."""
    dangling = image(engine, "")
    image(engine, "named:1")
    engine.docker("create", "--name", "ended", "--network", "none", "-v", "/anonymous", "named:1", "true")
    engine.docker("network", "create", "unused")
    engine.docker("volume", "create", "kept")
    refused = engine.docker("system", "prune", stdin="n\n", status=None)
    contains(refused.stdout, "  - all stopped containers", "what would go")
    contains(engine.out("ps", "-a"), "ended", "nothing went")
    said = engine.docker("system", "prune", "--volumes", stdin="y\n").stdout
    for text in ("Deleted Containers:", "Deleted Networks:\nunused", f"deleted: {dangling}", "Total reclaimed space: "):
        contains(said, text)
    equal(engine.out("volume", "ls", "-q"), "kept", "volumes with a name stay")
    contains(engine.out("images"), "named", "images with a name stay")
    contains(engine.out("system", "prune", "-af"), "untagged: named:1", "with -a they go")
    engine.docker("volume", "rm", "kept")
    import_busybox(engine)


@case("davit")
def a_prune_is_an_event(engine):
    image(engine, "")
    prune(engine)
    now = time.time()
    answer = engine.api("GET", "/events?" + query(since=f"{now - 60:.0f}", until=f"{now:.9f}",
                                                  filters={"type": ["image"]}))
    events = [json.loads(line) for line in answer.body.splitlines()]
    equal(events[-1]["Action"], "prune", "the last event")
    check("reclaimed" in events[-1]["Actor"]["Attributes"], f"with its amount: {events[-1]}")


if __name__ == "__main__":
    main()
