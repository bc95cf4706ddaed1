"""What stands between an engine and a registry in tests: a proxy that takes notes and breaks
connections to order, registries with authentication, and a token server."""

import base64
import contextlib
import crypt
import hashlib
import http.client
import http.server
import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

from harness import Skip, eventually

USER, PASSWORD = "user", "correct horse"


class Server:
    """A threaded HTTP server of one handler class on a free port of loopback."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Proxy(Server):
    """Passes everything on to a registry. answers has (method, path, status) of each request;
    break_after: after so many bytes of a body hang up, on both sides, once; it is None again then."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.answers = []
        self.break_after = None
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def pass_on(self):
                proxy.pass_on(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        super().__init__(Handler)

    def statuses(self, method, pattern):
        return [status for verb, path, status in self.answers
                if verb == method and re.search(pattern, path)]

    def pass_on(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(handler.command, handler.path, skip_host=True,
                                  skip_accept_encoding=True)
            for name, value in handler.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            if self.break_after is not None and length > self.break_after:
                count, self.break_after = self.break_after, None
                connection.send(handler.rfile.read(count))
                self.answers.append((handler.command, handler.path, "broken"))
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_RDWR)
                return
            while length > 0:
                piece = handler.rfile.read(min(length, 1 << 16))
                length -= len(piece)
                connection.send(piece)
            answer = connection.getresponse()
            body = answer.read()
            self.answers.append((handler.command, handler.path, answer.status))
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "date", "server"):
                    handler.send_header(name, value)
            size = answer.getheader("Content-Length") if handler.command == "HEAD" else len(body)
            handler.send_header("Content-Length", str(size or 0))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)


class Tunnels(Server):
    """An HTTP proxy whose CONNECT leads to one address, whatever host was asked for: so a registry
    on loopback is known by a name, and is not trusted for being on loopback. asked has the hosts."""

    def __init__(self, upstream):
        self.asked = []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_CONNECT(self):
                proxy.asked.append(self.path)
                with socket.create_connection(upstream.split(":")) as other:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=copy, args=(other, self.connection), daemon=True)
                    back.start()
                    copy(self.connection, other)
                    back.join()
                self.close_connection = True

        super().__init__(Handler)


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class LocalRegistry:
    """An empty docker-registry. auth: None, "htpasswd" (USER and PASSWORD), or an auth section.
    tls: its section of the configuration, for https."""

    def __init__(self, directory, auth=None, tls=None):
        self.directory = pathlib.Path(directory)
        self.auth = auth
        self.tls = tls
        self.process = None

    def __enter__(self):
        program = shutil.which("docker-registry") or shutil.which("registry")
        if not program:
            raise Skip("docker-registry is missing: scripts/install-deps test")
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.auth == "htpasswd":
            # The salt's prefix chooses bcrypt, which is all that the registry takes.
            secret = crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5))
            (self.directory / "htpasswd").write_text(f"{USER}:{secret}\n")
            self.auth = {"htpasswd": {"realm": "test", "path": str(self.directory / "htpasswd")}}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        config = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "blobs")},
                        "delete": {"enabled": True}},
            "http": {"addr": self.address},
        }
        if self.auth:
            config["auth"] = self.auth
        if self.tls:
            config["http"]["tls"] = self.tls
        path = self.directory / "config.yml"
        path.write_text(json.dumps(config))  # YAML, too.
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen([program, "serve", str(path)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        eventually(self.answers, "the registry listens")
        return self

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(self.address.split(":")):
            return True
        return False

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class TokenServer(Server):
    """Issues the tokens of docker's token authentication, signed by a key of its own. asked has the
    scopes of each request; life is how long tokens are good, in seconds."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = self.directory / "key.pem", self.directory / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=test", "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)
        self.asked = []
        self.life = 300
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.answer(self)

        super().__init__(Handler)

    def auth(self):
        return {"token": {"realm": f"http://{self.address}/token", "service": "test-service",
                          "issuer": "test-issuer", "rootcertbundle": str(self.certificate)}}

    def token(self, access):
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"],
                             check=True, capture_output=True).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {"iss": "test-issuer", "sub": USER, "aud": "test-service", "exp": now + self.life,
                  "nbf": now - 10, "iat": now, "jti": hashlib.sha256(str(now).encode()).hexdigest(),
                  "access": access}
        text = b64url(json.dumps(header).encode()) + b"." + b64url(json.dumps(claims).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text,
                                   check=True, capture_output=True).stdout
        return (text + b"." + b64url(signature)).decode()

    def answer(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(handler.path).query)
        scopes = [scope for text in query.get("scope", []) for scope in text.split()]
        self.asked.append(scopes)
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        status, body = 401, {"details": "incorrect username or password"}
        if handler.headers.get("Authorization") == expected:
            access = []
            for scope in scopes:
                kind, name, actions = scope.split(":", 2)
                access.append({"type": kind, "name": name, "actions": actions.split(",")})
            status, body = 200, {"token": self.token(access), "expires_in": self.life}
            if query.get("offline_token"):
                body["refresh_token"] = "an-identity"
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        with contextlib.suppress(OSError):  # The first refusal ends a push's other requests.
            handler.wfile.write(data)
