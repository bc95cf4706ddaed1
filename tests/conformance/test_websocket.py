"""GET /containers/{id}/attach/ws: attach for browsers, in WebSocket frames.

Goal: bytes go both ways as RFC 6455 frames, never multiplexed; the frames are put together here by
hand, so that nothing but the RFC stands between.
"""

import base64
import hashlib
import os
import socket
import struct

from harness import COMMAND_SECONDS, case, check, contains, equal, eventually, main

TEXT, BINARY, CLOSE, PING, PONG, FINAL = 1, 2, 8, 9, 10, 0x80
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocket:
    def __init__(self, engine, identity, query="stream=1&stdin=1&stdout=1&stderr=1", version="", **headers):
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(COMMAND_SECONDS)
        self.stream.connect(engine.socket)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": "d", "Connection": "keep-alive, Upgrade", "Upgrade": "websocket",
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
                  **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.send_raw(f"GET {version}/containers/{identity}/attach/ws?{query} HTTP/1.1\r\n".encode() +
                      "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value).encode() + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.stream.recv(1)
            check(byte, f"the answer ends in {head}")
            head += byte
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {line.split(":")[0].lower(): line.split(": ", 1)[1] for line in lines[1:] if line}
        if self.status == 101:
            digest = hashlib.sha1((key + GUID).encode()).digest()
            equal(self.headers["sec-websocket-accept"], base64.b64encode(digest).decode(), "accept")
            equal(self.headers["upgrade"], "websocket", "upgrade")

    def send_raw(self, data):
        self.stream.sendall(data)

    def send(self, opcode, payload=b"", first=FINAL, masked=True):
        mask = os.urandom(4)
        size = len(payload)
        length = (bytes([size]) if size < 126 else
                  b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size))
        if not masked:
            return self.send_raw(bytes([first | opcode]) + length + payload)
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        return self.send_raw(bytes([first | opcode, length[0] | 0x80]) + length[1:] + mask + body)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.stream.recv(count - len(data))
            check(piece, f"the stream ends within a frame, after {data}")
            data += piece
        return data

    def receive(self):
        """(opcode, payload); None at the end of the stream."""
        first = self.stream.recv(1)
        if not first:
            return None
        check(first[0] & FINAL, "the engine sends no fragments")
        size = self.exactly(1)[0]
        check(size < 128, "a server does not mask")
        if size == 126:
            size = struct.unpack(">H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.exactly(8))[0]
        return first[0] & 15, self.exactly(size)

    def data(self, count, opcode=BINARY):
        got = b""
        while len(got) < count:
            kind, payload = self.receive()
            equal(kind, opcode, "frames of one kind")
            got += payload
        return got

    def rest(self):
        """What comes before the close frame, and its code."""
        got = b""
        while True:
            frame = self.receive()
            check(frame is not None, "the stream ends without a close frame")
            kind, payload = frame
            if kind == CLOSE:
                return got, struct.unpack(">H", payload[:2])[0] if payload else 0
            got += payload


def cat(engine, *options):
    return engine.out("run", "-di", "--network", "none", *options, "bb", "cat")


@case()
def bytes_go_both_ways(engine):
    name = engine.out("create", "-i", "--network", "none", "bb", "cat")
    client = WebSocket(engine, name)
    equal(client.status, 101, "status")
    engine.docker("start", name)
    client.send(BINARY, b"binary\n")
    client.send(TEXT, b"text\n")
    equal(client.data(12), b"binary\ntext\n", "what cat gives back")
    big = bytes(range(256)) * 1024
    client.send(BINARY, big)
    equal(client.data(len(big)), big, "a frame of 256 KiB")
    client.send(CLOSE, struct.pack(">H", 1000))
    equal(client.rest(), (b"", 1000), "the close frame is answered")
    eventually(lambda: not engine.inspect(name)["State"]["Running"], "its stdin has ended, as its only client left")


@case()
def fragments_and_control_frames(engine):
    name = cat(engine)
    client = WebSocket(engine, name)
    client.send(TEXT, b"one ", first=0)
    client.send(PING, b"are you there")
    client.send(0, b"two ", first=0)
    client.send(PONG, b"nobody asked")
    client.send(0, b"three\n")
    got, pongs = b"", []
    while len(got) < 14 or not pongs:
        kind, payload = client.receive()
        if kind == PONG:
            pongs.append(payload)
        else:
            got += payload
    equal((got, pongs), (b"one two three\n", [b"are you there"]))
    engine.docker("rm", "-f", name)


@case()
def the_containers_end_closes(engine):
    name = engine.out("create", "-i", "--network", "none", "bb", "sh", "-c", "echo out; echo err >&2; read x; echo $x")
    client = WebSocket(engine, name)
    engine.docker("start", name)
    equal(sorted(client.data(8).split()), [b"err", b"out"], "both streams, without headers")
    client.send(BINARY, b"last\n")
    equal(client.rest(), (b"last\n", 1000), "to the last byte")
    engine.docker("rm", name)


@case()
def logs_and_streams_are_chosen(engine):
    name = engine.out("run", "-d", "--network", "none", "bb", "sh", "-c", "echo out; echo err >&2")
    engine.docker("wait", name)
    client = WebSocket(engine, name, "logs=1&stdout=1")
    equal(client.rest()[0], b"out\n", "stdout alone, from the log")
    old = WebSocket(engine, name, "logs=1", version="/v1.41")
    equal(sorted(old.rest()[0].split()), [b"err", b"out"], "before 1.42 all streams")
    text = WebSocket(engine, name, "logs=1", version="/v1.27")
    equal(text.receive()[0], TEXT, "before 1.28 text frames")
    engine.docker("rm", name)


@case()
def a_terminal_is_detached_by_its_keys(engine):
    name = cat(engine, "-t")
    client = WebSocket(engine, name)
    client.send(BINARY, b"x")
    equal(client.data(1), b"x", "the echo")
    client.send(BINARY, b"\x10\x11")
    client.rest()
    check(engine.inspect(name)["State"]["Running"], "it runs on")
    engine.docker("rm", "-f", name)


@case("davit")
def what_breaks_the_protocol_is_closed(engine):
    name = cat(engine, "-t")
    for break_it in (lambda client: client.send(BINARY, b"x", masked=False),
                     lambda client: client.send(3, b"x"),
                     lambda client: client.send(0, b"x"),
                     lambda client: client.send(PING, b"x" * 126),
                     lambda client: client.send(BINARY, b"x", first=0xC0)):
        client = WebSocket(engine, name)
        break_it(client)
        equal(client.rest(), (b"", 1002), "a protocol error")
        check(client.stream.recv(1) == b"", "and the connection closes")
    check(engine.inspect(name)["State"]["Running"], "the container does not care")
    engine.docker("rm", "-f", name)


@case("davit")
def handshakes_that_are_none(engine):
    name = cat(engine)
    equal(WebSocket(engine, name, Upgrade="").status, 400, "no upgrade")
    equal(WebSocket(engine, name, Sec_WebSocket_Key="short").status, 400, "no key")
    old = WebSocket(engine, name, Sec_WebSocket_Version="8")
    equal((old.status, old.headers["sec-websocket-version"]), (426, "13"), "another version")
    equal(WebSocket(engine, "nobody").status, 404, "no such container")
    chosen = WebSocket(engine, name, Sec_WebSocket_Protocol="chat, superchat", Origin="http://elsewhere")
    equal((chosen.status, chosen.headers["sec-websocket-protocol"]), (101, "chat"), "a protocol, and any origin here")
    engine.docker("rm", "-f", name)


@case("davit")
def a_page_of_another_site_is_refused(engine):
    """On a port that a browser reaches."""
    with socket.create_server(("127.0.0.1", 0)) as any_port:
        port = any_port.getsockname()[1]
    engine.stop()
    engine.options += ["-H", f"tcp://127.0.0.1:{port}"]
    try:
        engine.start()
        name = cat(engine)
        for origin, status in (("http://evil.example", b"403"), (f"http://127.0.0.1:{port}", b"101"), (None, b"101")):
            with socket.create_connection(("127.0.0.1", port), timeout=COMMAND_SECONDS) as stream:
                stream.sendall((f"GET /containers/{name}/attach/ws?stream=1&stdout=1 HTTP/1.1\r\n"
                                f"Host: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                + (f"Origin: {origin}\r\n" if origin else "") + "\r\n").encode())
                equal(stream.recv(65536).split()[1], status, f"origin {origin}")
        engine.docker("rm", "-f", name)
    finally:
        engine.stop()
        del engine.options[-2:]
        engine.start()


@case("davit")
def clients_that_vanish_leave_nothing(engine):
    name = cat(engine)
    for _ in range(20):
        client = WebSocket(engine, name, "stream=1&stdout=1")
        client.send_raw(b"\x82\xff")
        client.stream.close()
    def attached():
        return [job for job in engine.api("GET", "/davit/jobs").json if job["Name"] == "container_attach"
                and job["Status"] == "running"]
    eventually(lambda: not attached(), "no attachment is left")
    contains(engine.inspect(name)["State"]["Status"], "running", "the container")
    engine.docker("rm", "-f", name)


if __name__ == "__main__":
    main()
