"""Nasty archives: extended records (PAX), attributes and sparse files."""

import struct

from nasty import (BLOCK, EXHAUSTED, GNU, UNSUPPORTED, D, F, L, header, octal, pad, pax, pax_record)

MALFORMED = "PAX header: malformed record"


def records(cases):
    bad = {"short-length": b"3 path=x\n", "long-length": b"99 path=x\n", "no-length": b"path=x\n",
           "no-equals": b"9 pathxx\n", "no-newline": b"9 path=xy", "zero-length": b"0 path=x\n",
           "negative-length": b"-9 path=x\n", "no-key": b"6 =xx\n", "only-length": b"5\n", "spaces": b"  9 path=x\n",
           "huge-length": b"99999999999999999999999 path=x\n", "hex-length": b"0x9 path=x\n"}
    for name, body in bad.items():
        cases.new("pax-" + name).raw(pax(body)).file("f").refused(MALFORMED)
    cases.new("pax-empty").raw(pax(b"")).file("f").loads({"": D(), "f": F()})
    (cases.new("pax-last-wins").raw(pax(pax_record(b"path", b"n/wrong") + pax_record(b"path", b"n/pax-last-wins/g")))
     .file("f").loads({"": D(), "g": F()}))
    cases.new("pax-empty-value").pax(path=b"", uid=b"").file("f", uid=5).loads({"": D(), "f": F(uid=5)})
    (cases.new("pax-unknown-key").pax(VENDOR__thing=b"\0\xff\n", comment=b"x" * 5000).file("f")
     .loads({"": D(), "f": F()}))
    (cases.new("pax-nul-in-key").raw(pax(pax_record(b"a\0b", b"x"))).file("f").loads({"": D(), "f": F()})
     .peer_refuses("a record that is not known means nothing, whatever is in it"))
    cases.new("pax-900k").pax(comment=b"c" * 900_000).file("f").loads({"": D(), "f": F()})
    cases.new("pax-2m").pax(comment=b"c" * 2_000_000).file("f").refused("is too long", EXHAUSTED)
    cases.new("pax-one-entry-only").pax(uid=b"77").file("f").file("g").loads(
        {"": D(), "f": F(uid=77), "g": F()})
    cases.new("pax-two-headers").pax(uid=b"5").pax(gid=b"6").file("f").loads({"": D(), "f": F(gid=6)})
    (cases.new("pax-solaris").raw(pax({"uid": b"5"}, kind=b"X")).file("f").loads({"": D(), "f": F(uid=5)})
     .peer_refuses("Solaris' spelling of the same header"))
    cases.new("pax-binary-name").pax(hdrcharset=b"BINARY", path=b"n/pax-binary-name/\xff\xfe").file("f").loads(
        {"": D(), b"\xff\xfe": F()})
    cases.new("pax-size").pax(size=b"700").add("f", b"s" * 700, size=0).loads({"": D(), "f": F(b"s" * 700)})
    cases.new("pax-size-too-large").pax(size=b"99999999").file("f", b"x").refused("of its data are missing")
    cases.new("pax-size-negative").pax(size=b"-1").file("f").refused("PAX record size: bad number")
    cases.new("pax-size-beyond").pax(size=b"9" * 30).file("f").refused("PAX record size: bad number")
    cases.new("pax-uid-letters").pax(uid=b"root").file("f").refused("PAX record uid: bad number")
    (cases.new("pax-uid-plus").pax(uid=b"+5").file("f").refused("PAX record uid: bad number")
     .peer_loads("POSIX: decimal digits"))
    cases.new("pax-large-ids").pax(uid=b"4000000000", gid=b"4000000001").file("f").loads(
        {"": D(), "f": F(uid=4_000_000_000, gid=4_000_000_001)})
    times = {"ns": (b"1600000000.123456789", 1_600_000_000_123_456_789), "fraction": (b"1.5", 1_500_000_000),
             "negative": (b"-1.5", -1_500_000_000), "many-digits": (b"1.1234567891234", 1_123_456_789),
             "zero": (b"0", 0), "point": (b"7.", 7_000_000_000)}
    for name, (text, ns) in times.items():
        case = cases.new("pax-mtime-" + name).pax(mtime=text).file("f").loads({"": D(), "f": F(mtime=ns)})
        if ns < 0:
            case.differs("Docker takes a time before 1970 for its beginning")
    for name, text in {"letters": b"noon", "exponent": b"1e3", "two-points": b"1.2.3", "huge": b"9" * 25}.items():
        cases.new("pax-mtime-" + name).pax(mtime=text).file("f").refused("PAX record mtime: bad time")
    (cases.new("pax-atime-letters").pax(atime=b"noon").file("f").loads({"": D(), "f": F()})
     .peer_refuses("times of access are not taken from archives"))
    (cases.new("global-comment").raw(pax({"comment": b"a commit"}, kind=b"g")).file("f").loads({"": D(), "f": F()}))
    why = "POSIX: global records hold for all entries; Docker ignores them"
    (cases.new("global-owner").raw(pax({"uid": b"5", "gid": b"6"}, kind=b"g")).file("f").file("g", uid=1)
     .loads({"": D(), "f": F(uid=5, gid=6), "g": F(uid=5, gid=6)}).differs(why))
    (cases.new("global-overridden").raw(pax({"uid": b"5"}, kind=b"g")).pax(uid=b"9").file("f").file("g")
     .loads({"": D(), "f": F(uid=9), "g": F(uid=5)}).differs(why))
    (cases.new("global-changed").raw(pax({"uid": b"5"}, kind=b"g")).file("f")
     .raw(pax({"uid": b"6"}, kind=b"g")).file("g").loads({"": D(), "f": F(uid=5), "g": F(uid=6)})
     .peer_refuses("it keeps global headers by one name, and a name once"))
    (cases.new("global-path").raw(pax({"path": b"n/global-path/one"}, kind=b"g")).file("f", b"1").file("g", b"2")
     .loads({"": D(), "one": F(b"2")}).differs(why))
    (cases.new("global-up").raw(pax({"path": b"../davit-nasty-escaped"}, kind=b"g")).file("f")
     .refused("name climbs out").peer_loads(why))
    cases.new("global-last").file("f").raw(pax({"comment": b"x"}, kind=b"g")).loads({"": D(), "f": F()})
    (cases.new("global-bad").raw(pax(b"7 bad\n", kind=b"g")).file("f").refused(MALFORMED))
    (cases.new("global-flood").raw(pax({"comment": b"c" * 400_000}, kind=b"g") * 3).file("f")
     .refused("global headers are too long", EXHAUSTED))
    (cases.new("bomb-many-pax").raw(pax({"comment": b"c" * 50_000}) * 60).file("f").loads({"": D(), "f": F()}))
    case = cases.new("bomb-many-files")
    for index in range(3000):
        case.add("%04d" % index)
    case.loads({"": D(), **{"%04d" % index: F() for index in range(3000)}})


def xattr(name, value):
    return pax({"SCHILY.xattr." + name: value})


CAPABILITY = struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0)


def attributes(cases):
    (cases.new("xattr-user").raw(xattr("user.a", b"\0\xff binary")).file("f")
     .loads({"": D(), "f": F(xattrs={"user.a": b"\0\xff binary"})}))
    (cases.new("xattr-empty").raw(xattr("user.a", b"")).file("f").loads({"": D(), "f": F(xattrs={"user.a": b""})})
     .differs("Go takes an empty value for the removal of the record"))
    (cases.new("xattr-dir").raw(xattr("user.a", b"dir")).dir("d").loads({"": D(), "d": D(xattrs={"user.a": b"dir"})}))
    (cases.new("xattr-last-wins").raw(pax(pax_record(b"SCHILY.xattr.user.a", b"1") +
                                          pax_record(b"SCHILY.xattr.user.a", b"2"))).file("f")
     .loads({"": D(), "f": F(xattrs={"user.a": b"2"})}))
    (cases.new("xattr-equals").raw(xattr("user.a", b"b=c\n")).file("f")
     .loads({"": D(), "f": F(xattrs={"user.a": b"b=c\n"})}))
    (cases.new("xattr-capability").raw(xattr("security.capability", CAPABILITY)).file("f", b"x", mode=0o755)
     .loads({"": D(), "f": F(b"x", mode=0o755, xattrs={"security.capability": CAPABILITY})}))
    (cases.new("xattr-capability-owned").raw(xattr("security.capability", CAPABILITY))
     .file("f", mode=0o4755, uid=1000, gid=1000)
     .loads({"": D(), "f": F(mode=0o4755, uid=1000, gid=1000, xattrs={"security.capability": CAPABILITY})}))
    (cases.new("xattr-capability-bad").raw(xattr("security.capability", b"nonsense")).file("f")
     .refused("security.capability"))
    (cases.new("xattr-overlay-opaque").lower(d__old=b"").raw(xattr("trusted.overlay.opaque", b"y")).dir("d")
     .loads({"": D(), "d": D(), "d/old": F()})
     .differs("an archive must not speak to the file system behind the engine's back"))
    (cases.new("xattr-overlay-redirect").lower(secret__x=b"").raw(xattr("trusted.overlay.redirect", b"/etc")).dir("d")
     .loads({"": D(), "d": D(xattrs={}), "secret": D(), "secret/x": F()}))
    (cases.new("xattr-overlay-user").raw(xattr("user.overlay.opaque", b"y")).dir("d")
     .loads({"": D(), "d": D(xattrs={})})
     .differs("keys of overlay are the engine's own in both spellings"))
    (cases.new("xattr-security-other").raw(xattr("security.evil", b"x")).file("f").loads({"": D(), "f": F(xattrs={})})
     .differs("of the security attributes an image may set capabilities only"))
    (cases.new("xattr-namespace").raw(xattr("nonsense.x", b"y")).file("f").loads({"": D(), "f": F(xattrs={})}))
    cases.new("xattr-on-link").raw(xattr("user.a", b"1")).symlink("l", "x").loads({"": D(), "l": L("x")})
    cases.new("xattr-no-name").raw(xattr("", b"1")).file("f").refused("bad attribute name")
    cases.new("xattr-nul-name").raw(xattr("user.a\0b", b"1")).file("f").refused("bad attribute name")
    (cases.new("xattr-flood").raw(pax({"SCHILY.xattr.user.%d" % n: b"" for n in range(300)})).file("f")
     .refused("too many extended attributes").peer_loads("their number has a bound"))


def old_sparse(name, real_size, first, more, data, size=None):
    """A GNU sparse member: four pairs in its header, more blocks of 21 each."""
    def pairs(regions, room):
        field = b"".join(octal(offset, 12) + octal(length, 12) for offset, length in regions)
        return field.ljust(room * 24, b"\0")

    tail = (386, pairs(first, 4) + (b"\1" if more else b"\0") + octal(real_size, 12))
    made = header(name, kind=b"S", magic=GNU, size=len(data) if size is None else size, tail=tail)
    for index, block in enumerate(more):
        made += (pairs(block, 21) + (b"\1" if index + 1 < len(more) else b"\0")).ljust(BLOCK, b"\0")
    return made + pad(data)


def sparse_gnu(cases):
    def case(name, *arguments, **options):
        made = cases.new("sparse-gnu-" + name)
        return made.raw(old_sparse(made.at("f"), *arguments, **options)).file("g")

    def holds(content):
        return {"": D(), "f": F(content), "g": F()}

    case("plain", 3000, [(0, 3), (2000, 4)], [], b"abcdefg").loads(
        holds(b"abc" + bytes(1997) + b"defg" + bytes(996)))
    case("all-hole", 5000, [(5000, 0)], [], b"").loads(holds(bytes(5000)))
    case("empty", 0, [], [], b"").loads(holds(b""))
    case("hole-first", 4097, [(4096, 1)], [], b"z").loads(holds(bytes(4096) + b"z"))
    many = [(index * 100, 1) for index in range(60)]
    content = b"".join((b"%c" % (65 + index % 26)).ljust(100, b"\0") for index in range(60))
    case("extended", 6000, many[:4], [many[4:25], many[25:46], many[46:]],
         bytes(65 + index % 26 for index in range(60))).loads(holds(content))
    bad = "bad sparse map"
    case("overlap", 3000, [(0, 4), (2, 4)], [], b"abcdefgh").refused(bad)
    case("backwards", 3000, [(100, 4), (0, 4)], [], b"abcdefgh").refused(bad)
    case("beyond-size", 10, [(8, 4)], [], b"abcd").refused(bad)
    case("beyond-all", 10, [(0o77777777777, 0o77777777777)], [], b"abcd").refused(bad)
    case("more-than-data", 3000, [(0, 9)], [], b"abcd").refused("sparse map does not match the data")
    case("less-than-data", 3000, [(0, 2)], [], b"abcd").refused("sparse map does not match the data")
    cut = cases.new("sparse-gnu-cut")
    cut.raw(old_sparse(cut.at("f"), 3000, [(0, 1)], [[(100, 1)]], b"ab")[:BLOCK + 100])
    cut.refused("in its sparse map", end=b"")
    (cases.new("sparse-gnu-in-ustar").add("f", kind=b"S").refused("not GNU tar's"))
    (case("terabyte", 1 << 32, [(0, 1), ((1 << 32) - 1, 1)], [], b"ab")
     .loads({"": D(), "f": F(None, size=1 << 32), "g": F()}).unsafe("Go writes the hole out"))
    for made in cases:
        if made.name.startswith("sparse-gnu") and made.tree is not None and made.peer is None:
            made.peer_refuses("Docker takes no member of the type S")


def sparse_pax(cases):
    content = b"abc" + bytes(1997) + b"defg" + bytes(996)
    zero = [("GNU.sparse.size", b"3000"), ("GNU.sparse.numblocks", b"2")]
    pairs = [("GNU.sparse.offset", b"0"), ("GNU.sparse.numbytes", b"3"), ("GNU.sparse.offset", b"2000"),
             ("GNU.sparse.numbytes", b"4")]

    def listed(name, entries, data=b"abcdefg"):
        body = b"".join(pax_record(key.encode(), value) for key, value in entries)
        return cases.new("sparse-" + name).raw(pax(body)).file("f", data).file("g")

    holds = {"": D(), "f": F(content), "g": F()}
    bad = "bad sparse map"
    listed("0.0", zero + pairs).loads(holds)
    listed("0.1", zero + [("GNU.sparse.map", b"0,3,2000,4")]).loads(holds)
    listed("0.0-order", zero + [pairs[1], pairs[0], *pairs[2:]]).refused(bad)
    listed("0.0-half", zero + pairs[:3]).refused(bad)
    listed("0.0-count", [zero[0], ("GNU.sparse.numblocks", b"3")] + pairs).refused(bad)
    listed("0.1-odd", zero + [("GNU.sparse.map", b"0,3,2000")]).refused(bad)
    listed("0.1-letters", zero + [("GNU.sparse.map", b"0,x,2000,4")]).refused("bad number")
    listed("0.1-overlap", zero + [("GNU.sparse.map", b"0,3,1,4")]).refused(bad)
    listed("0.1-count", [zero[0], ("GNU.sparse.numblocks", b"1"), ("GNU.sparse.map", b"0,3,2000,4")]).refused(bad)
    listed("0.1-no-match", zero + [("GNU.sparse.map", b"0,3,2000,9")]).refused("sparse map does not match the data")
    one = [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"3000")]

    def in_data(name, map_text, entries=None, data=b"abcdefg"):
        made = cases.new("sparse-1.0-" + name)
        body = b"".join(pax_record(key.encode(), value) for key, value in (
            [*(entries or one), ("GNU.sparse.name", made.at("f"))]))
        return made.raw(pax(body)).add(b"GNUSparseFile.0/f", pad(map_text) + data).file("g")

    in_data("plain", b"2\n0\n3\n2000\n4\n").loads(holds)
    in_data("empty", b"0\n", [*one[:2], ("GNU.sparse.realsize", b"0")], b"").loads({"": D(), "f": F(), "g": F()})
    many = [(index * 10, 1) for index in range(300)]
    text = b"300\n" + b"".join(b"%d\n%d\n" % pair for pair in many)
    in_data("many", text, data=b"m" * 300).loads({"": D(), "f": F((b"m" + bytes(9)) * 300), "g": F()})
    in_data("huge-count", b"999999999\n0\n3\n").refused(bad)
    in_data("letters", b"2\n0\nx\n2000\n4\n").refused(bad)
    in_data("no-newline", b"9" * 600).refused(bad)
    in_data("no-end", b"5\n0\n3\n", data=b"").refused(bad)
    in_data("overlap", b"2\n0\n3\n1\n4\n").refused(bad)
    in_data("no-size", b"1\n0\n7\n", one[:2]).refused("without its real size").peer_loads(
        "Go takes the size of the map and the data for the file's")
    (cases.new("sparse-2.0").pax(GNU__sparse__major=b"2", GNU__sparse__minor=b"0").file("f")
     .refused("sparse format 2 is not known", UNSUPPORTED)
     .peer_loads("Go takes a format that it does not know for a plain file"))


def add_all(cases):
    for family in (records, attributes, sparse_gnu, sparse_pax):
        family(cases)
