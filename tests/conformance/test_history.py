"""history: how an image was made, newest step first.

Goal: steps without a layer have no size, the image's own id and the ids of the images that it was
committed from are told, and every form of the list says the same.
"""

import json

import oci
from harness import case, check, contains, equal, main, matches

STEPS = [
    {"created": "2020-01-01T00:00:00Z", "created_by": "ADD base", "comment": "first"},
    {"created": "2020-01-01T00:00:01Z", "created_by": "ENV A=b", "empty_layer": True},
    {"created": "2020-01-01T00:00:02Z", "created_by": "RUN\tmake all of this, which is much longer "
                                                      "than a column is wide"},
    {"created": "2020-01-01T00:00:03Z", "created_by": 'CMD ["sh"]', "empty_layer": True},
]


def load(engine, name="made:1"):
    layers = [oci.tar_of({"a": b"x" * 1000}), oci.tar_of({"b": b"y" * 2500, "c": b"z" * 500})]
    engine.docker("load", "-q", stdin=oci.saved(name, layers, STEPS))
    return engine.inspect(name)["Id"]


@case()
def every_step_newest_first(engine):
    identity = load(engine)
    engine.docker("tag", "made:1", "made:another")
    rows = engine.api("GET", "/images/made:1/history").json
    equal([row["CreatedBy"] for row in rows], [step["created_by"] for step in reversed(STEPS)], "steps")
    equal([row["Size"] for row in rows], [0, 3000, 0, 1000], "sizes")
    equal([row["Id"] for row in rows], [identity] + ["<missing>"] * 3, "ids")
    equal([row["Created"] for row in rows], [1577836803, 1577836802, 1577836801, 1577836800], "times")
    equal([row["Comment"] for row in rows], ["", "", "", "first"], "comments")
    equal([row["Tags"] for row in rows], [["made:1", "made:another"], None, None, None], "tags")
    equal(engine.api("GET", f"/images/{identity}/history").json, rows, "by id")
    engine.docker("rmi", "made:1", "made:another")


@case()
def the_lists_forms(engine):
    identity = load(engine)
    lines = engine.docker("history", "made:1").stdout.splitlines()
    matches(lines[0], "^IMAGE +CREATED +CREATED BY +SIZE +COMMENT$", "headings")
    matches(lines[1], f'^{identity[7:19]} +[0-9]+ years ago +CMD \\["sh"\\] +0B *$', "newest")
    matches(lines[2], "^<missing> +.*RUN make all of this, which is much longer t… +3kB *$", "shortened")
    matches(lines[4], "^<missing> .*ADD base +1kB +first$", "oldest")
    equal(engine.out("history", "-q", "made:1").split(), [identity[7:19]] + ["<missing>"] * 3, "-q")
    equal(engine.out("image", "history", "-q", "--no-trunc", "made:1").split()[0], identity, "whole id")
    exact = engine.docker("history", "--human=false", "--no-trunc", "--format",
                          "{{.CreatedAt}}|{{.CreatedSince}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}",
                          "made:1").stdout.splitlines()
    matches(exact[1], r"^2020-01-01T00:00:02Z\|2020-01-01T00:00:02Z\|RUN make .* is wide\|3000\|$", "exact")
    first = json.loads(engine.docker("history", "--format", "json", "made:1").stdout.splitlines()[3])
    equal((first["CreatedBy"], first["Size"], first["Comment"]), ("ADD base", "1kB", "first"), "json")
    missing = engine.docker("history", "no-such", status=1)
    contains(missing.stderr, "No such image: no-such:latest", "unknown")
    equal(engine.api("GET", "/images/no-such/history").status, 404, "status")
    engine.docker("rmi", "made:1")


@case()
def what_was_committed_from_what(engine):
    engine.docker("run", "--name", "step", "--network", "none", "bb", "sh", "-c", "echo 12345 > /file")
    first = engine.out("commit", "-m", "one", "step", "committed:1")
    engine.docker("rm", "step")
    engine.docker("create", "--name", "step", "--network", "none", "committed:1", "true")
    second = engine.out("commit", "-m", "two", "step")
    engine.docker("rm", "step")
    rows = engine.api("GET", f"/images/{second}/history").json
    base = engine.inspect("bb:latest")["Id"]
    equal([row["Id"] for row in rows], [second, first, base], "each image is known")
    equal([row["Tags"] for row in rows], [None, ["committed:1"], ["bb:latest"]], "and its tags")
    equal([row["Comment"] for row in rows][:2], ["two", "one"], "comments")
    equal([row["Size"] for row in rows][:2], [0, 6], "sizes")
    contains(rows[1]["CreatedBy"], "echo 12345", "the command")
    check(rows[2]["Size"] > 500_000, "the root file system")
    engine.docker("rmi", second, "committed:1")


if __name__ == "__main__":
    main()
