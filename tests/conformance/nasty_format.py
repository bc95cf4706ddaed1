"""Nasty archives: what headers, numbers, extended records and sparse maps can do."""

import gzip

from nasty import (BLOCK, EXHAUSTED, GNU, MTIME, UNSUPPORTED, V7, B, C, D, F, L, P, base256, header,
                   member)

CUT_OFF = "what a header announces is missing: the archive was cut"
CHECKSUM = "header checksum does not match"


def headers(cases):
    def bad_second(name, change):
        case = cases.new(name).file("f")
        block = bytearray(header(case.at("g")))
        change(block)
        return case.raw(bytes(block))

    def flip(block):
        block[0] ^= 1

    def wipe(block):
        block[148:156] = bytes(8)

    def letters(block):
        block[148:156] = b"checksum"

    bad_second("sum-wrong", flip).refused(CHECKSUM)
    bad_second("sum-empty", wipe).refused(CHECKSUM)
    bad_second("sum-letters", letters).refused(CHECKSUM)
    (cases.new("sum-wrong-at-first").raw(header(b"n", checksum=lambda b: b"000001\0 "))
     .refused("is not there").unsafe("each engine has its own words for what is no archive"))
    spelled = {"spaces": b"%7o ", "no-end": b"%08o", "nul-only": b"%07o\0", "short": b"%o\0"}
    for name, form in spelled.items():
        case = cases.new("sum-" + name)
        case.add("f", checksum=lambda block, form=form: form % sum(block)).loads({"": D(), "f": F()})

    def signed(block):
        return b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in block)

    cases.new("sum-signed").add(b"n/sum-signed/\xe9\xe8", checksum=signed).loads({"": D(), b"\xe9\xe8": F()})
    cases.new("magic-none").add("f", b"v7", magic=V7).loads({"": D(), "f": F(b"v7")})
    cases.new("magic-unknown").add("f", b"x", magic=b"gibber\0x").loads({"": D(), "f": F(b"x")})
    cases.new("magic-gnu").add("f", magic=GNU).loads({"": D(), "f": F()})
    cases.new("magic-ustar-no-version").add("f", magic=b"ustar\0\0\0").loads({"": D(), "f": F()})
    cases.new("name-100").add(b"n/name-100/" + b"a" * 89).loads({"": D(), "a" * 89: F()})
    cases.new("name-prefix").add(b"f", prefix=b"n/name-prefix").loads({"": D(), "f": F()})
    long = b"n/name-prefix-full/".ljust(155, b"p")
    (cases.new("name-prefix-full").add(b"a" * 100, prefix=long)
     .loads({"": D(), b"p" * 136: D(), b"p" * 136 + b"/" + b"a" * 100: F()}))
    (cases.new("name-star").add(b"f", prefix=b"n/name-star", tail=(508, b"tar\0")).loads({"": D(), "f": F()}))
    cases.new("owner-names").add("f", names=b"\xff" * 64).loads({"": D(), "f": F()})
    cases.new("mode-with-type").add("f", mode=0o100755).loads({"": D(), "f": F(mode=0o755)})
    for kind in (b"A", b"Z", b"M", b"N", b"I", b"E", b"H", b"\xff", b"8", b" "):
        (cases.new("type-%02x" % kind[0]).add("f", kind=kind).refused("is not known", UNSUPPORTED))
    (cases.new("type-contiguous").add("f", b"x", kind=b"7").loads({"": D(), "f": F(b"x")})
     .peer_refuses("POSIX: a contiguous file is a regular one where there are none"))
    cases.new("type-nul").add("f", b"x", kind=b"\0").loads({"": D(), "f": F(b"x")})
    (cases.new("type-label").add(b"volume", kind=b"V", magic=GNU).file("f").loads({"": D(), "f": F()})
     .peer_refuses("a volume's label is no file"))
    (cases.new("type-dump-dir").add("d", b"Yf\0Nd\0\0", kind=b"D", mode=0o755, magic=GNU).file("g")
     .loads({"": D(), "d": D(), "g": F()}).peer_refuses("GNU tar's incremental directories"))
    (cases.new("type-dir-with-size").raw(header(b"n/type-dir-with-size/d", kind=b"5", mode=0o755, size=77))
     .file("g").loads({"": D(), "d": D(), "g": F()}))


def numbers(cases):
    whole = {"spaces": b"   1750 ", "no-end": b"00001750", "nul-start": b"\0\x30001750"}
    for name, spelled in whole.items():
        cases.new("number-" + name).add("f", uid=spelled).loads({"": D(), "f": F(uid=0o1750)})
    cases.new("number-empty").add("f", uid=bytes(8), gid=b" " * 8, mtime=bytes(12)).loads({"": D(), "f": F(mtime=0)})
    cases.new("number-base256").add("f", uid=base256(3_000_000_000, 8), gid=base256(70_000, 8)).loads(
        {"": D(), "f": F(uid=3_000_000_000, gid=70_000)})
    cases.new("number-base256-size").add("f", b"abc", size=base256(3, 12)).loads({"": D(), "f": F(b"abc")})
    cases.new("number-largest-id").add("f", uid=base256(0xfffffffe, 8)).loads({"": D(), "f": F(uid=0xfffffffe)})
    nobody = "an id of all ones means to leave the owner alone"
    cases.new("number-id-of-ones").add("f", uid=base256(0xffffffff, 8)).refused("bad uid").peer_loads(nobody)
    cases.new("number-id-too-large").add("f", gid=base256(1 << 40, 8)).refused("bad gid").peer_loads(
        "Docker cuts the number off: another owner than the archive's")
    cases.new("number-id-negative").add("f", uid=base256(-1, 8)).refused("bad uid").peer_loads(nobody)
    cases.new("number-letters").add("f", uid=b"00008z0\0").refused("bad uid")
    cases.new("number-minus").add("f", uid=b"-000001\0").refused("bad uid")
    cases.new("number-two").add("f", uid=b"01 02\0\0\0").refused("bad uid")
    cases.new("number-size-negative").add("f", size=base256(-512, 12)).refused("bad size")
    cases.new("number-size-huge").add("f", size=base256(1 << 62, 12)).refused("unexpected end of archive")
    cases.new("number-size-beyond").add("f", size=base256(1 << 80, 12)).refused("bad size")
    cases.new("number-size-letters").add("f", size=b"0000000000x\0").refused("bad size")
    cases.new("number-mode-letters").add("f", mode=b"rwxr-xr\0").refused("bad mode")
    cases.new("number-mtime-letters").add("f", mtime=b"yesterday\0\0\0").refused("bad mtime")
    for name, seconds in {"before-1970": -1, "1901": -(1 << 31), "2038": (1 << 31) + 5}.items():
        cases.new("mtime-" + name).add("f", mtime=base256(seconds, 12)).loads(
            {"": D(), "f": F(mtime=seconds * 10**9)})
        if seconds < 0:
            cases[-1].differs("Docker takes a time before 1970 for its beginning")
    cases.new("mtime-huge").add("f", mtime=base256(1 << 60, 12)).loads({"": D(), "f": F(mtime=None)})
    cases.new("device-largest").char("c", 0xfff, 0xfffff & 0o7777777).block("b", 8, 1).loads(
        {"": D(), "c": C(0xfff, 0xfffff), "b": B(8, 1)})
    cases.new("device-base256").char("c", base256(12, 8), base256(70_000, 8)).loads(
        {"": D(), "c": C(12, 70_000)})
    why = "Docker cuts the number off: another device than the archive's"
    (cases.new("device-major-large").char("c", 0x1000, 1).refused("device number out of range")
     .peer_loads(why))
    (cases.new("device-minor-large").char("c", 1, base256(1 << 20, 8)).refused("device number out of range")
     .peer_loads(why))
    cases.new("device-negative").char("c", base256(-1, 8), 1).refused("bad device major").peer_loads(why)


def modes(cases):
    cases.new("mode-setuid").file("f", b"#", mode=0o4755, uid=1000).file("g", mode=0o2750, gid=50).loads(
        {"": D(), "f": F(b"#", mode=0o4755, uid=1000), "g": F(mode=0o2750, gid=50)})
    cases.new("mode-all-bits").file("f", mode=0o7777).dir("d", 0o7777).loads(
        {"": D(), "f": F(mode=0o7777), "d": D(mode=0o7777)})
    cases.new("mode-none").file("f", b"x", mode=0).dir("d", 0).file("d/f").loads(
        {"": D(), "f": F(b"x", mode=0), "d": D(mode=0), "d/f": F()})
    cases.new("mode-no-umask").file("f", mode=0o666).dir("d", 0o777).fifo("p", mode=0o622).loads(
        {"": D(), "f": F(mode=0o666), "d": D(mode=0o777), "p": P(mode=0o622)})
    cases.new("mode-setgid-dir").dir("d", 0o2775, gid=33).file("d/f").dir("d/e").loads(
        {"": D(), "d": D(mode=0o2775, gid=33), "d/f": F(), "d/e": D()})
    cases.new("mode-read-only-dir").dir("d", 0o555).file("d/f").dir("d/e", 0o500).file("d/e/f").loads(
        {"": D(), "d": D(mode=0o555), "d/f": F(), "d/e": D(mode=0o500), "d/e/f": F()})
    cases.new("mode-dir-at-last").file("d/f").dir("d", 0o1777, uid=9).loads(
        {"": D(), "d": D(mode=0o1777, uid=9, mtime=MTIME * 10**9), "d/f": F()})
    cases.new("mode-dir-times").dir("d").file("d/f").dir("d/e").file("d/e/g").loads(
        {"": D(), "d": D(mtime=MTIME * 10**9), "d/e": D(mtime=MTIME * 10**9), "d/f": F(), "d/e/g": F()})
    cases.new("owner-of-links").symlink("l", "x", uid=5, gid=6).char("c", 1, 3, uid=7).loads(
        {"": D(), "l": L("x", uid=5, gid=6), "c": C(1, 3, uid=7)})


def long_names(cases):
    deep = "/".join(["d%02d" % (level % 100) for level in range(900)])
    case = cases.new("name-deep").pax(path=b"n/name-deep/" + deep.encode() + b"/f").file("f")
    tree = {"": D(), deep + "/f": F()}
    parts = deep.split("/")
    tree.update({"/".join(parts[:level]): D() for level in range(1, len(parts) + 1)})
    case.loads(tree)
    cases.new("name-255").pax(path=b"n/name-255/" + b"a" * 255).file("f").loads({"": D(), "a" * 255: F()})
    cases.new("name-256").pax(path=b"n/name-256/" + b"a" * 256).file("f").refused("name component too long")
    cases.new("name-5000").pax(path=b"n/" + b"a/" * 2500 + b"f").file("f").refused("name too long")
    long = b"n/name-gnu/" + b"g" * 200
    (cases.new("name-gnu").add(b"././@LongLink", long + b"\0", kind=b"L", magic=GNU).add(b"short", magic=GNU)
     .loads({"": D(), "g" * 200: F()}))
    (cases.new("name-gnu-twice").add(b"././@LongLink", b"n/wrong\0", kind=b"L", magic=GNU)
     .add(b"././@LongLink", b"n/name-gnu-twice/right\0", kind=b"L", magic=GNU).add(b"short", magic=GNU)
     .loads({"": D(), "right": F()}))
    (cases.new("name-gnu-link").add(b"././@LongLink", b"t" * 300 + b"\0", kind=b"K", magic=GNU)
     .add("l", kind=b"2", link=b"short", magic=GNU).loads({"": D(), "l": L("t" * 300)}))
    (cases.new("name-gnu-nul").add(b"././@LongLink", b"n/name-gnu-nul/f\0behind", kind=b"L", magic=GNU)
     .add(b"short", magic=GNU).loads({"": D(), "f": F()}))
    (cases.new("name-gnu-huge").add(b"././@LongLink", b"n/" + b"a" * 9000, kind=b"L", magic=GNU)
     .file("f").refused("extended header of 9002 bytes is too long", EXHAUSTED))
    cases.new("name-gnu-alone").add(b"././@LongLink", b"x\0", kind=b"L", magic=GNU).refused("has no entry").peer_loads(
        CUT_OFF)
    cases.new("name-empty").add(b"").refused("the root of a layer can only be a directory").peer_loads(
        "Docker passes over a file without a name")
    cases.new("name-empty-dir").add(b"", kind=b"5", mode=0o755).file("f").loads({"": D(), "f": F()})
    odd = [b"new\nline", b"tab\tbell\x07", b"\x01\x1b[31m", b"\xff\xfe\x80", b"caf\xc3\xa9", b"caf\xe9",
           b"back\\slash", b" lead", b"trail ", b"-rf", b"*", b"a:b=c,d", b"'\"`$(x)", b"...", b"\x7f",
           b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"CON", b"%n%s"]
    case = cases.new("name-odd")
    for name in odd:
        case.add(b"n/name-odd/" + name, name)
    case.loads({"": D(), **{name: F(name) for name in odd}})
    case = cases.new("name-odd-pax")
    for name in odd:
        case.pax(path=b"n/name-odd-pax/" + name).file("f", name)
    case.loads({"": D(), **{name: F(name) for name in odd}})
    cases.new("name-pax-nul").pax(path=b"n/a\0b").file("f").refused("holds a NUL")
    cases.new("name-behind-nul").add(b"n/name-behind-nul/f\0behind").loads({"": D(), "f": F()})


def ends(cases):
    def cut(name, size):
        case = cases.new("end-" + name).file("f", b"x" * 1000)
        case.pieces = [case.layer()[:size]]
        return case

    cut("in-header", 300 + 512 + 1024).refused("unexpected end of archive", end=b"")
    cut("in-data", 512 + 700).refused("300 bytes of its data are missing", end=b"")
    cut("before-data", 512).refused("1000 bytes of its data are missing", end=b"")
    cut("in-padding", 512 + 1005).loads({"": D(), "f": F(b"x" * 1000)}, end=b"")
    cut("no-marker", 512 + 1024).loads({"": D(), "f": F(b"x" * 1000)}, end=b"")
    cut("half-marker", 512 + 1024 + 512).loads({"": D(), "f": F(b"x" * 1000)}, end=b"")
    (cases.new("end-lone-zeros").file("f").raw(bytes(BLOCK)).file("g").refused("a lone zero block"))
    cases.new("end-garbage").file("f").loads({"": D(), "f": F()}, end=bytes(1024) + b"garbage" * 999)
    (cases.new("end-second-archive").file("f").loads(
        {"": D(), "f": F()}, end=bytes(1024) + member(b"n/end-second-archive/g") + bytes(1024)))
    cases.new("end-many-zeros").file("f").loads({"": D(), "f": F()}, end=bytes(20 * 512))
    cases.new("end-nothing-but").loads({})
    cases.new("end-in-pax").raw(header(b"pax", kind=b"x", size=100) + b"30 path=").refused(
        "unexpected end of archive in a header", end=b"")
    cases.new("end-pax-alone").pax(path=b"x").refused("an extended header has no entry").peer_loads(CUT_OFF)
    cases.new("end-pax-alone-cut").pax(path=b"x").refused("unexpected end of archive", end=b"").peer_loads(
        CUT_OFF)
    packed = cases.new("bomb-gzip").file("f", bytes(8 << 20)).loads({"": D(), "f": F(bytes(8 << 20))})
    packed.wrap = gzip.compress


def add_all(cases):
    for family in (headers, numbers, modes, long_names, ends):
        family(cases)
