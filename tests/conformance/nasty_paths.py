"""Nasty archives: what names, links, duplicates and whiteouts can do."""

from nasty import GNU, C, D, F, H, L, P, header, member

CLIMBS = "name climbs out of the archive's root"
ESCAPED = b"davit-nasty-escaped"


# Reasons for outcomes other than dockerd's.
CLAMPS = "a name that climbs out is a lie; Docker takes it for one in the root"
TAR_SPLIT = "Docker's store of tar headers knows a path once; in a layer the last entry wins"


def escapes(cases):
    spellings = {
        "up": b"../", "far-up": b"../" * 12, "down-and-up": b"n/x/../../../", "dot-up": b"./../",
        "inner-up": b"n/../../", "slashes-up": b"..//", "dots-between": b"n/./../.././",
        "up-through-nothing": b"no/such/../../../"}
    for name, spelled in spellings.items():
        cases.new("escape-" + name).file(spelled + ESCAPED, b"out").refused(CLIMBS)
    for name in ("/../", "//../", "/n/../../"):
        (cases.new("escape-absolute-%d" % len(name)).file(name.encode() + ESCAPED, b"out")
         .refused(CLIMBS))
    cases.new("escape-dots-alone").add(b"..", kind=b"5").refused(CLIMBS)
    cases.new("escape-dots-slash").add(b"../", kind=b"5").refused(CLIMBS)
    out = b"../" + ESCAPED
    cases.new("escape-dir").dir(out).refused(CLIMBS)
    cases.new("escape-symlink").symlink(out, "x").refused(CLIMBS)
    cases.new("escape-char").char(out, 1, 3).refused(CLIMBS)
    cases.new("escape-fifo").fifo(out).refused(CLIMBS)
    cases.new("escape-hardlink").file("f").hardlink(out, "f").refused(CLIMBS)
    cases.new("escape-whiteout").file(b"../.wh.etc").refused(CLIMBS)
    cases.new("escape-opaque").file(b"../.wh..wh..opq").refused(CLIMBS)
    cases.new("escape-pax").pax(path=out).file("f").refused(CLIMBS)
    cases.new("escape-gnu").add(b"././@LongLink", out + b"\0", kind=b"L", magic=GNU).file("f").refused(CLIMBS)
    cases.new("escape-prefix").add(ESCAPED, prefix=b"..").refused(CLIMBS)
    cases.new("escape-dots-in-prefix").add(b"../../" + ESCAPED, prefix=b"n").refused(CLIMBS)
    for case in cases:
        case.peer_loads(CLAMPS)


def spelled_oddly(cases):
    here = "n/spelled-"
    spellings = {"absolute": "/%s/f", "slashes": "//%s///f", "dots": "./././%s/./f",
                 "inner": "%s/a/../f", "deep-inner": "%s/a/b/../../f", "mixed": "/.//%s/.//a/..//f"}
    for name, spelled in spellings.items():
        full = (spelled % (here + name)).encode()
        cases.new("spelled-" + name).file(full, b"x").loads({"": D(), "f": F(b"x")})
    cases.new("spelled-root-dot").add(b"./", kind=b"5", mode=0o755).file("f").loads({"": D(), "f": F()})
    cases.new("spelled-root-slash").add(b"/", kind=b"5", mode=0o755).file("f").loads({"": D(), "f": F()})
    (cases.new("spelled-file-as-dir").add("d/", kind=b"\0").loads({"": D(), "d": D(mode=0o644)}))
    (cases.new("spelled-zero-as-dir").add("d/", kind=b"0").loads({"": D(), "d": D(mode=0o644)})
     .differs("Go takes a trailing slash for a directory only with type NUL"))
    cases.new("spelled-dir-without-slash").dir("d").loads({"": D(), "d": D()})
    cases.new("spelled-data-and-slash").file("f/", b"data").loads({"": D(), "f": F(b"data")})


def symlinked_parents(cases):
    inside = {"dir": ("d", "d/x"), "absolute": ("/n/parent-absolute/d", "d/x"), "here": (".", "x"),
              "round": ("d/../d", "d/x"), "clamped": ("../" * 20 + "n/parent-clamped/d", "d/x")}
    for name, (target, lands) in inside.items():
        (cases.new("parent-" + name).dir("d").symlink("l", target).file("l/x", b"in")
         .loads({"": D(), "d": D(), "l": L(target), lands: F(b"in")}))
    (cases.new("parent-to-root").symlink("l", "/").file("l/n/parent-to-root/x", b"in")
     .loads({"": D(), "l": L("/"), "x": F(b"in")}))
    (cases.new("parent-above-root").symlink("l", "../" * 30).file("l/n/parent-above-root/x", b"in")
     .loads({"": D(), "l": L("../" * 30), "x": F(b"in")}))
    (cases.new("parent-two-links").dir("d").symlink("a", "d").symlink("b", "a").file("b/x")
     .loads({"": D(), "d": D(), "a": L("d"), "b": L("a"), "d/x": F()}))
    (cases.new("parent-new-dir").dir("d").symlink("l", "d").file("l/new/x")
     .loads({"": D(), "d": D(), "l": L("d"), "d/new": D(), "d/new/x": F()}))
    (cases.new("parent-in-lower").lower(d__x=b"below").symlink("l", "d").dir("d").file("l/y")
     .loads({"": D(), "d": D(), "d/x": F(b"below"), "l": L("d"), "d/y": F()}))
    (cases.new("parent-repointed").dir("a").dir("b").symlink("l", "a").file("l/x").symlink("l", "b")
     .file("l/y").loads({"": D(), "a": D(), "b": D(), "l": L("b"), "a/x": F(), "b/y": F()})
     .peer_refuses(TAR_SPLIT))
    refused = "make parent"
    for name, target in {"dangling": "missing", "host-tmp": "/tmp/davit-nasty", "self": "l",
                         "proc": "/proc/self/root/tmp", "deep-dangling": "a/b/c",
                         "far-out": "../" * 30 + "var/tmp/davit-nasty"}.items():
        cases.new("parent-" + name).symlink("l", target).file("l/x", b"out").refused(refused)
    cases.new("parent-loop").symlink("l", "m").symlink("m", "l").file("l/x").refused(refused)
    case = cases.new("parent-long-chain").dir("l0")
    for step in range(1, 45):
        case.symlink("l%d" % step, "l%d" % (step - 1))
    case.file("l44/x").refused(refused)
    cases.new("parent-file").file("f", b"x").file("f/x").refused(refused)
    cases.new("parent-fifo").fifo("p").file("p/x").refused(refused)
    cases.new("parent-device").char("c", 1, 3).dir("c/x").refused(refused)
    (cases.new("parent-link-to-file").file("f").symlink("l", "f").file("l/x").refused(refused))
    cases.new("parent-magic").symlink("l", "/proc/self/fd/0").file("l/x").refused(refused)


MAKERS = {  # How each kind is made, and what it is then.
    "file": (lambda case: case.file("x", b"file"), lambda: F(b"file")),
    "dir": (lambda case: case.dir("x").file("x/child"), D),
    "symlink": (lambda case: case.symlink("x", "other"), lambda: L("other")),
    "dirlink": (lambda case: case.symlink("x", "d"), lambda: L("d")),
    "hardlink": (lambda case: case.hardlink("x", "other"), lambda: H("other", b"other")),
    "char": (lambda case: case.char("x", 1, 3), lambda: C(1, 3)),
    "fifo": (lambda case: case.fifo("x"), P),
}


def duplicates(cases):
    """The last entry of a name wins, whatever stood there."""
    for first, (make_first, _) in MAKERS.items():
        for second, (make_second, node) in MAKERS.items():
            case = cases.new(f"twice-{first}-{second}")
            case.file("other", b"other").dir("d").file("d/keep")
            make_first(case)
            make_second(case)
            tree = {"": D(), "other": F(b"other"), "d": D(), "d/keep": F(), "x": node()}
            if second == "dir":
                tree["x/child"] = F()
            case.loads(tree).peer_refuses(TAR_SPLIT)
    case = cases.new("twice-dir-dir-modes").dir("d", 0o700, uid=5).file("d/x").dir("d", 0o751, gid=6)
    case.loads({"": D(), "d": D(mode=0o751, gid=6), "d/x": F()}).peer_refuses(TAR_SPLIT)
    case = cases.new("twice-hundred")
    for turn in range(100):
        case.file("f", b"%d" % turn)
    case.loads({"": D(), "f": F(b"99")}).peer_refuses(TAR_SPLIT)
    (cases.new("twice-other-spelling").dir("a").file("a/f", b"1").file("a/../a//f", b"2")
     .loads({"": D(), "a": D(), "a/f": F(b"2")}).peer_refuses(TAR_SPLIT))
    (cases.new("replaced-lower-dir").lower(x__child=b"").file("x", b"now").loads({"": D(), "x": F(b"now")}))
    (cases.new("replaced-lower-file").lower(x=b"was").dir("x").file("x/y").loads({"": D(), "x": D(), "x/y": F()}))
    (cases.new("replaced-lower-by-link").lower(x__child=b"", d__z=b"")
     .symlink("x", "d").loads({"": D(), "x": L("d"), "d": D(), "d/z": F()}))


NOT_HERE = "no such file in this layer"


def hard_links(cases):
    cases.new("link-plain").file("f", b"f").hardlink("h", "f").loads({"": D(), "f": F(b"f"), "h": H("f")})
    cases.new("link-before-target").hardlink("h", "f").file("f").refused(NOT_HERE)
    cases.new("link-to-nothing").hardlink("h", "missing").refused(NOT_HERE)
    lower = "overlay2 unpacks a layer where those below it are not"
    (cases.new("link-to-lower").lower(f=b"below").hardlink("h", "f")
     .loads({"": D(), "f": F(b"below"), "h": H("f")}).peer_refuses(lower))
    (cases.new("link-to-lower-deep").lower(d__f=b"below", d__g=b"other").dir("e").hardlink("e/h", "d/f")
     .hardlink("i", "e/h").loads({"": D(), "d": D(), "d/f": F(b"below"), "d/g": F(b"other"), "e": D(),
                                  "e/h": H("d/f"), "i": H("d/f")}).peer_refuses(lower))
    (cases.new("link-to-lower-replaced").lower(f=b"below").hardlink("h", "f").file("f", b"new")
     .loads({"": D(), "f": F(b"new"), "h": F(b"below")}).peer_refuses(lower))
    (cases.new("link-to-lower-removed").lower(f=b"below").file(".wh.f").hardlink("h", "f")
     .refused("this layer removes it").peer_loads("overlay2 links the device that marks it as removed"))
    cases.new("link-to-lower-dir").lower(d__f=b"below").hardlink("h", "d").refused("it is a directory")
    cases.new("link-to-itself").file("f").hardlink("f", "f").refused("it is the link itself")
    (cases.new("link-to-itself-spelled").file("f").hardlink("f", "a/../f").refused("it is the link itself"))
    cases.new("link-to-dir").dir("d").hardlink("h", "d").refused("it is a directory")
    cases.new("link-to-root").hardlink("h", b"/").refused("it is a directory")
    cases.new("link-to-empty").hardlink("h", b"").refused("it is a directory")
    cases.new("link-to-outside").hardlink("h", b"../../../etc/passwd").refused(CLIMBS)
    cases.new("link-to-host").hardlink("h", b"/etc/passwd").refused(NOT_HERE)
    cases.new("link-through-outside").symlink("l", "/etc").hardlink("h", "l/passwd").refused(NOT_HERE)
    (cases.new("link-absolute").file("f", b"f").hardlink("h", b"/n/link-absolute/f")
     .loads({"": D(), "f": F(b"f"), "h": H("f")}))
    (cases.new("link-through-link").dir("d").file("d/f").symlink("l", "d").hardlink("h", "l/f")
     .loads({"": D(), "d": D(), "d/f": F(), "l": L("d"), "h": H("d/f")}))
    (cases.new("link-to-symlink").symlink("l", "nowhere").hardlink("h", "l")
     .loads({"": D(), "l": L("nowhere"), "h": L("nowhere")}))
    (cases.new("link-to-fifo").fifo("p").hardlink("h", "p").loads({"": D(), "p": P(), "h": P()}))
    (cases.new("link-chain").file("f").hardlink("g", "f").hardlink("h", "g")
     .loads({"": D(), "f": F(links=3), "g": H("f"), "h": H("f")}))
    (cases.new("link-outlives-target").file("f", b"1").hardlink("h", "f").file("f", b"2")
     .loads({"": D(), "f": F(b"2", links=1), "h": F(b"1", links=1)}).peer_refuses(TAR_SPLIT))
    (cases.new("link-with-a-size").file("f", b"four").add("h", kind=b"1", link=b"n/link-with-a-size/f", size=4)
     .file("g").loads({"": D(), "f": F(b"four"), "h": H("f"), "g": F()}))
    (cases.new("link-with-other-mode").file("f", b"f").hardlink("h", "f", mode=0o4755, uid=7)
     .loads({"": D(), "f": F(b"f"), "h": H("f")})
     .differs("Docker gives the file the link's mode and owner; a link has none of its own"))
    (cases.new("link-many").file("f").raw(b"".join(
        member(b"n/link-many/h%03d" % i, kind=b"1", link=b"n/link-many/f") for i in range(200)))
     .loads({"": D(), "f": F(links=201), **{"h%03d" % i: H("f") for i in range(200)}}))
    case = cases.new("symlink-empty-target")
    case.raw(header(case.at("l"), kind=b"2")).refused("symbolic link without a target")
    (cases.new("symlink-long-target").pax(linkpath=b"t" * 4000).symlink("l", "x")
     .loads({"": D(), "l": L("t" * 4000)}))
    (cases.new("symlink-odd-target").symlink("l", "../../../../etc/shadow\n\x01")
     .loads({"": D(), "l": L("../../../../etc/shadow\n\x01")}))
    cases.new("symlink-too-long").pax(linkpath=b"t" * 5000).symlink("l", "x").refused("name too long")


def whiteouts(cases):
    cases.new("wh-file").lower(f=b"x", g=b"y").file(".wh.f").loads({"": D(), "g": F(b"y")})
    cases.new("wh-dir").lower(d__e__f=b"x").file(".wh.d").loads({"": D()})
    cases.new("wh-missing").file(".wh.f").loads({"": D()})
    cases.new("wh-missing-parents").file("a/b/.wh.f").loads({"": D(), "a": D(mode=None), "a/b": D(mode=None)})
    cases.new("wh-inside").lower(d__f=b"x", d__g=b"y").file("d/.wh.f").loads({"": D(), "d": D(), "d/g": F(b"y")})
    cases.new("wh-then-name").lower(f=b"old").file(".wh.f").file("f", b"new").loads({"": D(), "f": F(b"new")})
    (cases.new("wh-name-then").lower(f=b"old").file("f", b"new").file(".wh.f").loads({"": D(), "f": F(b"new")})
     .peer_refuses("whiteouts speak of lower layers in any order; Docker trips over the file"))
    (cases.new("wh-then-dir").lower(d__old=b"").file(".wh.d").dir("d").file("d/new")
     .loads({"": D(), "d": D(), "d/new": F()})
     .differs("Docker forgets the whiteout: the lower directory shows through"))
    (cases.new("wh-dir-then").lower(d__old=b"").dir("d").file("d/new").file(".wh.d")
     .loads({"": D(), "d": D(), "d/new": F()}).peer_refuses("the order within a layer does not matter"))
    (cases.new("wh-then-child").lower(d__old=b"").file(".wh.d").file("d/new")
     .loads({"": D(), "d": D(), "d/new": F()}).peer_refuses("its whiteout is a file in the way"))
    cases.new("wh-then-symlink").lower(f=b"").file(".wh.f").symlink("f", "x").loads({"": D(), "f": L("x")})
    (cases.new("wh-twice").lower(f=b"x").file(".wh.f").file(".wh.f").loads({"": D()})
     .peer_refuses("it makes the same whiteout twice"))
    cases.new("wh-absolute").lower(f=b"x").file(b"/n/wh-absolute/.wh.f").loads({"": D()})
    (cases.new("wh-through-link").lower(d__f=b"x").dir("d").symlink("l", "d").file("l/.wh.f")
     .loads({"": D(), "d": D(), "l": L("d")}))
    cases.new("wh-with-data").lower(f=b"x").file(".wh.f", b"data" * 300).loads({"": D()})
    cases.new("wh-as-dir").lower(f=b"x").dir(".wh.f").loads({"": D()})
    cases.new("wh-as-symlink").lower(f=b"x").symlink(".wh.f", "/etc/passwd").loads({"": D()})
    cases.new("wh-as-device").lower(f=b"x").char(".wh.f", 1, 3).loads({"": D()})
    cases.new("wh-of-wh-like").lower(**{"a.wh.b": b"x"}).file(".wh.a.wh.b").loads({"": D()})
    nothing = "names nothing that could be removed"
    cases.new("wh-bare").file(".wh.").refused(nothing)
    cases.new("wh-bare-in-dir").dir("d").file("d/.wh.").refused(nothing)
    cases.new("wh-dot").file(".wh..").refused(nothing)
    cases.new("wh-dotdot").file(".wh...").refused(nothing)
    (cases.new("wh-with-child").lower(f=b"x").file(".wh.f/child").refused("a whiteout cannot be a directory")
     .peer_loads("the name means nothing; Docker makes a directory called .wh.f"))
    (cases.new("wh-not-quite").file("a.wh.b").file(".wh").file("..wh.x").file("wh.x")
     .loads({"": D(), "a.wh.b": F(), ".wh": F(), "..wh.x": F(), "wh.x": F()}))
    (cases.new("wh-aufs-own").file(".wh..wh.aufs").dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2").file("f")
     .loads({"": D(), "f": F()}).differs("Docker leaves the directories of aufs in sight"))
    opaque = ".wh..wh..opq"
    (cases.new("opaque-dir").lower(d__old=b"", d__sub__x=b"").dir("d").file("d/" + opaque).file("d/new")
     .loads({"": D(), "d": D(), "d/new": F()}))
    (cases.new("opaque-last").lower(d__old=b"").dir("d").file("d/new").file("d/" + opaque)
     .loads({"": D(), "d": D(), "d/new": F()}))
    (cases.new("opaque-before-dir").lower(d__old=b"").file("d/" + opaque).dir("d", 0o700)
     .loads({"": D(), "d": D(mode=0o700)}))
    (cases.new("opaque-alone").lower(d__old=b"").file("d/" + opaque).loads({"": D(), "d": D(mode=None)}))
    (cases.new("opaque-twice").lower(d__old=b"").dir("d").file("d/" + opaque).file("d/" + opaque)
     .loads({"": D(), "d": D()}).peer_refuses(TAR_SPLIT))
    (cases.new("opaque-nested").lower(d__e__old=b"", d__f=b"").dir("d").dir("d/e").file("d/e/" + opaque)
     .loads({"": D(), "d": D(), "d/e": D(), "d/f": F()}))
    (cases.new("opaque-and-wh").lower(d__a=b"", d__b=b"").dir("d").file("d/" + opaque).file("d/.wh.a")
     .file("d/b", b"new").loads({"": D(), "d": D(), "d/b": F(b"new")}))
    (cases.new("opaque-then-file").lower(d__a=b"").dir("d").file("d/" + opaque).file("d", b"file now")
     .loads({"": D(), "d": F(b"file now")}).peer_refuses(TAR_SPLIT))
    cases.new("device-zero").lower(f=b"x").char("f", 0, 0).loads({"": D()})


def add_all(cases):
    for family in (escapes, spelled_oddly, symlinked_parents, duplicates, hard_links, whiteouts):
        family(cases)
