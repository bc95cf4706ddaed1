"""A registry that can be told to lie: wrong sizes, wrong digests, cut, stalled or hostile content."""

import hashlib
import http.server
import io
import json
import re
import tarfile
import threading

import oci

DOCUMENT = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]}}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(*entries):
    """A tar of (name, kind, content or link target)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                tar.addfile(info)
    return stream.getvalue()


class Blob:
    """Content under a digest, and what is served instead. Each deviation stands for itself."""

    def __init__(self, data, served=None, declared=None, cut=None, stall=None, status=200):
        self.data = data
        self.served = data if served is None else served
        self.declared = len(self.served) if declared is None else declared  # Content-Length.
        self.cut = cut      # Close after this many bytes.
        self.stall = stall  # After this many bytes wait until the peer or the test gives up.
        self.status = status
        self.digest = digest(data)


class LyingRegistry:
    """Serve images by name. stalled is set when a stalling blob has sent its part; `release` ends
    all stalls; gone counts peers that left while stalled."""

    def __init__(self):
        self.manifests = {}
        self.blobs = {}
        self.tag_pages = {}  # Of a repository: function of the query, gives (tags, Link).
        self.requests = []
        self.deviations = {}  # Of a path: "dies" (no answer), "stalls" (halfway) or "wrong bytes".
        self.stalled = threading.Event()
        self.release = threading.Event()
        self.gone = threading.Event()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def image(self, name, layers, suffix="", diffs=None, change=None):
        """An image of these Blobs; diffs are the uncompressed layers; change edits the manifest."""
        tars = diffs if diffs is not None else [layer.data for layer in layers]
        document = dict(DOCUMENT, rootfs={"type": "layers", "diff_ids": [digest(tar) for tar in tars]})
        config = Blob(json.dumps(document).encode())
        for blob in (config, *layers):
            self.blobs[blob.digest] = blob
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci.MANIFEST_TYPE,
            "config": {"mediaType": oci.CONFIG_TYPE, "digest": config.digest,
                       "size": len(config.data)},
            "layers": [{"mediaType": oci.LAYER_TYPE + suffix, "digest": layer.digest,
                        "size": len(layer.data)} for layer in layers],
        }
        if change:
            change(manifest, config, self)
        self.manifests[name] = (json.dumps(manifest).encode(), oci.MANIFEST_TYPE, 200)
        return f"{self.address}/{name}:latest"

    def answer(self, handler):
        path = handler.path.split("?")[0]
        self.requests.append(path)
        if self.deviations.get(path) == "dies":
            handler.close_connection = True
            return None
        if path == "/v2/":
            return self.send(handler, Blob(b"{}"), "application/json")
        listing = re.fullmatch(r"/v2/(.+)/tags/list", path)
        if listing and listing.group(1) in self.tag_pages:
            tags, link = self.tag_pages[listing.group(1)](handler.path.partition("?")[2])
            body = json.dumps({"name": listing.group(1), "tags": tags}).encode()
            return self.send(handler, Blob(body), "application/json", {"Link": link} if link else {})
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/(.+)", path)
        if found and found.group(2) == "manifests" and found.group(1) in self.manifests:
            body, kind, status = self.manifests[found.group(1)]
            return self.send(handler, Blob(body, status=status), kind, {"Docker-Content-Digest": digest(body)})
        if found and found.group(2) == "blobs" and found.group(3) in self.blobs:
            return self.send(handler, self.blobs[found.group(3)], "application/octet-stream")
        missing = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
        return self.send(handler, Blob(missing, status=404), "application/json")

    def send(self, handler, blob, kind, headers=None):
        deviation = self.deviations.get(handler.path.split("?")[0])
        if deviation == "stalls":
            blob = Blob(blob.served, stall=len(blob.served) // 2, status=blob.status)
        elif deviation == "wrong bytes":
            blob = Blob(blob.served, served=b"\0" + blob.served[1:], status=blob.status)
        handler.send_response(blob.status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(blob.declared))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        try:
            if blob.stall is not None:
                handler.wfile.write(blob.served[: blob.stall])
                self.stall(handler)
            elif blob.cut is not None:
                handler.wfile.write(blob.served[: blob.cut])
            else:
                handler.wfile.write(blob.served)
        except OSError:
            pass
        if blob.stall is not None or blob.cut is not None or blob.declared != len(blob.served):
            handler.close_connection = True

    def stall(self, handler):
        """Wait for the test, or for the peer to leave."""
        self.stalled.set()
        handler.connection.settimeout(0.2)
        while not self.release.is_set():
            try:
                if handler.connection.recv(1) == b"":
                    self.gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.gone.set()
                return
