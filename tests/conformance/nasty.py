"""Archives that nobody should make, each with what must become of it.

A case is the bytes of one layer, written block by block (no archiver would), and its expected
outcome: the exact tree that it gives, or the refusal. Nothing is random: the same archives come out
every time. Each case has a directory n/CASE to itself, so that many fit into one image; names
given as text are below it, names given as bytes are taken as they are.

Follows: POSIX.1-2017 pax(1); GNU tar manual, "Tar Internals"; OCI image-spec layer.md.
"""

import os

BLOCK = 512
MTIME = 1_600_000_000
USTAR = b"ustar\x0000"
GNU = b"ustar  \x00"
V7 = bytes(8)

# What refusals are called, and the status of the answer.
CORRUPT, UNSUPPORTED, EXHAUSTED = 400, 501, 500


def octal(value, size):
    return b"%0*o\0" % (size - 1, value)


def base256(value, size):
    """GNU's binary numbers: big endian, the first bit set."""
    raw = bytearray(value.to_bytes(size, "big", signed=True))
    raw[0] |= 0x80
    return bytes(raw)


def number(value, size):
    return value if isinstance(value, bytes) else octal(value, size)


def pad(data):
    return data + bytes(-len(data) % BLOCK)


def header(name, kind=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=MTIME, link=b"", magic=USTAR,
           major=0, minor=0, prefix=b"", tail=None, names=b"", checksum=None):
    """One header block; numbers given as bytes are written as they are."""
    block = bytearray(BLOCK)

    def put(offset, room, value):
        block[offset:offset + min(room, len(value))] = value[:room]

    put(0, 100, name)
    put(100, 8, number(mode, 8))
    put(108, 8, number(uid, 8))
    put(116, 8, number(gid, 8))
    put(124, 12, number(size, 12))
    put(136, 12, number(mtime, 12))
    put(156, 1, kind)
    put(157, 100, link)
    put(257, 8, magic)
    put(265, 64, names)
    if magic != V7:
        put(329, 8, number(major, 8))
        put(337, 8, number(minor, 8))
    put(345, 155, prefix)
    if tail:
        put(tail[0], BLOCK - tail[0], tail[1])
    put(148, 8, b" " * 8)
    put(148, 8, b"%06o\0 " % sum(block) if checksum is None else checksum(block))
    return bytes(block)


def member(name, data=b"", **fields):
    fields.setdefault("size", len(data))
    return header(name, **fields) + pad(data)


def pax_record(key, value):
    record = b" " + key + b"=" + value + b"\n"
    length = len(record)
    while len(b"%d" % length) + len(record) != length:
        length = len(b"%d" % length) + len(record)
    return b"%d" % length + record


def pax(records, kind=b"x"):
    """records: a dictionary, or the raw body."""
    if isinstance(records, dict):
        records = b"".join(pax_record(key.encode(), value) for key, value in records.items())
    return member(b"pax", records, kind=kind)


# --- what is expected --------------------------------------------------------------------------

class Node:
    """One name of the tree. An attribute that is None may be anything."""

    def __init__(self, kind, mode=None, uid=0, gid=0, mtime=None, **more):
        self.kind, self.mode, self.uid, self.gid, self.mtime = kind, mode, uid, gid, mtime
        self.more = more

    def differences(self, seen, tree):
        wanted = {"kind": self.kind, "mode": self.mode, "uid": self.uid, "gid": self.gid,
                  "mtime": self.mtime, **self.more}
        for key, value in wanted.items():
            if key == "same":
                other = tree.get(value)
                if other is None or other["inode"] != seen["inode"]:
                    yield f"is not the same file as {value}"
            elif value is not None and seen.get(key) != value:
                yield f"{key} is {seen.get(key)!r}, expected {value!r}"


def F(data=b"", mode=0o644, mtime=MTIME * 10**9, **more):
    return Node("file", mode, mtime=mtime, data=data, **more)


def D(mode=0o755, **more):
    return Node("dir", mode, **more)


def L(target, **more):
    return Node("symlink", target=target, **more)


def C(major, minor, mode=0o644, **more):
    return Node("char", mode, device=(major, minor), **more)


def B(major, minor, mode=0o644, **more):
    return Node("block", mode, device=(major, minor), **more)


def P(mode=0o644, **more):
    return Node("fifo", mode, **more)


def H(target, data=None):
    """Another name of a file of the same case."""
    return Node("file", uid=None, gid=None, same=target, data=data)


class Case:
    """An archive in the making; loads() or refused() completes it."""

    def __init__(self, name):
        self.name = name
        self.pieces = []
        self.below = {}       # What a lower layer holds: name to bytes, or None for a directory.
        self.tree = None      # Path from the root to Node; or None: refused.
        self.reason = None    # Of the refusal: a regular expression, and the status.
        self.peer = None      # (what, why) where dockerd does something else.
        self.end = None       # What follows the last member; None: the end marker.
        self.wrap = None      # How the layer is compressed.

    def at(self, path):
        """The full name of something of this case."""
        if isinstance(path, bytes):
            return path
        path = os.fsencode(path)
        return b"n/" + self.name.encode() + (b"/" + path if path else b"")

    def raw(self, data):
        self.pieces.append(data)
        return self

    def add(self, name, data=b"", **fields):
        return self.raw(member(self.at(name), data, **fields))

    file = add

    def dir(self, name, mode=0o755, **fields):
        return self.add(name, kind=b"5", mode=mode, **fields)

    def symlink(self, name, target, **fields):
        return self.add(name, kind=b"2", link=os.fsencode(target), mode=0o777, **fields)

    def hardlink(self, name, target, **fields):
        return self.add(name, kind=b"1", link=self.at(target), **fields)

    def char(self, name, major, minor, **fields):
        return self.add(name, kind=b"3", major=major, minor=minor, **fields)

    def block(self, name, major, minor, **fields):
        return self.add(name, kind=b"4", major=major, minor=minor, **fields)

    def fifo(self, name, **fields):
        return self.add(name, kind=b"6", **fields)

    def pax(self, **records):
        """Records for the next member; "__" in a key stands for "."."""
        return self.raw(pax({key.replace("__", "."): value for key, value in records.items()}))

    def lower(self, **files):
        """Files of a layer below; None makes a directory, "/" is spelled "__"."""
        self.below.update({key.replace("__", "/"): value for key, value in files.items()})
        return self

    def layer(self):
        return b"".join(self.pieces) + (bytes(2 * BLOCK) if self.end is None else self.end)

    def differs(self, why):
        """dockerd gives another tree."""
        self.peer = ("differs", why)
        return self

    def peer_refuses(self, why):
        self.peer = ("refuses", why)
        return self

    def peer_loads(self, why):
        self.peer = ("loads", why)
        return self

    def unsafe(self, why):
        """Not given to dockerd."""
        self.peer = ("unsafe", why)
        return self

    def loads(self, tree=None, end=None):
        """tree: names below the case's directory (or from the root, with a slash in front)."""
        self.end = end
        self.tree = {}
        for name, node in (tree or {}).items():
            name = os.fsencode(name)
            path = name[1:] if name.startswith(b"/") else self.at("") + (b"/" + name if name else b"")
            if "same" in node.more:
                node.more["same"] = self.at(node.more["same"])
            self.tree[path] = node
        return self

    def refused(self, pattern, status=CORRUPT, end=None):
        self.end = end
        self.reason = (pattern, status)
        return self


class Cases(list):
    def new(self, name):
        assert all(case.name != name for case in self), name
        case = Case(name)
        self.append(case)
        return case
