#!/usr/bin/env python3
"""A registry that wants to hurt: it stands in front of a good one and replaces one kind of answer.

    hostile.py UPSTREAM
    hostile.py --list          the attacks, one a line

UPSTREAM is host:port, plain http. An image is asked for as 127.0.0.1:PORT/ATTACK/REPOSITORY:TAG: the attack is the first
part of the path, the rest is what the good registry has. It listens on 127.0.0.1, at a port that the system gives.
"""

import http.client
import http.server
import json
import re
import sys
import time

IMAGE = re.compile(r"/manifests/(?!sha256-)")
SIG = re.compile(r"/manifests/sha256-[0-9a-f]{64}\.sig$")
FALLBACK = re.compile(r"/manifests/sha256-[0-9a-f]{64}$")
REFERRERS = re.compile(r"/referrers/")
BLOB = re.compile(r"/blobs/")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
DIGEST = "sha256:" + "0" * 64


def descriptor(media_type, size=300, **more):
    return {"mediaType": media_type, "digest": DIGEST, "size": size, **more}


def with_list(head, name, entry, count):
    """Returns the head of a JSON object, a list entry with its comma, how many of them, and the tail."""
    text = json.dumps(head)[:-1] + f', "{name}": ['
    return text.encode(), (json.dumps(entry) + ",").encode(), count - 1, json.dumps(entry).encode() + b"]}"


def manifest(layer, count=1, **more):
    config = descriptor("application/vnd.oci.image.config.v1+json")
    return with_list({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, **more}, "layers", layer, count)


def signature(**more):
    return descriptor(SIMPLE_SIGNING, annotations={SIGNATURE: "AAAA"}, **more)


def referrers(count):
    entry = descriptor(MANIFEST, artifactType="application/vnd.dev.sigstore.bundle.v0.3+json")
    return with_list({"schemaVersion": 2, "mediaType": INDEX}, "manifests", entry, count)


class Hostile(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    # --- ways to answer ---

    def body(self, content, media_type=MANIFEST, status=200, headers=()):
        """Answers with bytes, or with what with_list made: a million entries are sent without being kept."""
        head, entry, count, tail = content if isinstance(content, tuple) else (content, b"", 0, b"")
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(head) + len(entry) * count + len(tail)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(head)
            for sent in range(0, count, 1000):
                self.wfile.write(entry * min(1000, count - sent))
            self.wfile.write(tail)

    def endless(self, status=200, headers=(), start=b"{"):
        """A body without an end, in chunks."""
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        piece = start + b" " * (1 << 16)
        while self.command != "HEAD":
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def without_length(self):
        """A body that ends with the connection, and that is longer than any manifest may be."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Connection", "close")
        self.end_headers()
        for _ in range(256):
            self.wfile.write(b" " * (1 << 20))

    def announced(self, length, content=b"{}"):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        while True:
            self.wfile.write(content)

    def headers_without_end(self):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X-More: " + b"x" * 4000 + b"\r\n")

    def drip(self, content):
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(1)

    def slow_body(self):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", MANIFEST)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.drip(b"{" + b" " * 999)

    def slow_headers(self):
        self.close_connection = True
        self.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000)

    def next_page(self, path):
        self.body(referrers(1), INDEX, headers=[("Link", f"<{path}>; rel=\"next\"")])

    # --- which request is answered how ---

    ATTACKS = {
        "endless-image": (IMAGE, endless),
        "endless-array": (IMAGE, lambda self: self.endless(start=b"[")),
        "endless-error": (IMAGE, lambda self: self.endless(status=500)),
        "endless-challenge": (IMAGE, lambda self: self.endless(status=401, headers=[("WWW-Authenticate", 'Basic realm="x"')])),
        "endless-headers": (IMAGE, headers_without_end),
        "no-length-image": (IMAGE, without_length),
        "huge-length-image": (IMAGE, lambda self: self.announced(1 << 62)),
        "lying-length-image": (IMAGE, lambda self: self.announced(100, b"x" * 65536)),
        "deep-image": (IMAGE, lambda self: self.body(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
        "many-layers-image": (IMAGE, lambda self: self.body(manifest(descriptor("x"), 35_000))),
        "endless-sig": (SIG, endless),
        "deep-sig": (SIG, lambda self: self.body(b"[" * 2_000_000)),
        "many-sig": (SIG, lambda self: self.body(manifest(signature(), 20_000))),
        "too-many-sig": (SIG, lambda self: self.body(manifest(signature(), 1_000_000))),
        "big-annotations-sig": (SIG, lambda self: self.body(manifest(signature(), annotations={"a": "x" * (8 << 20)}))),
        "full-annotations-sig": (SIG, lambda self: self.body(manifest(signature(), annotations={"a": "x" * 4_190_000}))),
        "negative-size-sig": (SIG, lambda self: self.body(manifest(signature(size=-1)))),
        "huge-size-sig": (SIG, lambda self: self.body(manifest(signature(size=2**63)))),
        "endless-payload": (BLOB, endless),
        "no-length-payload": (BLOB, without_length),
        "other-payload": (BLOB, lambda self: self.body(b"x" * 1000, "application/octet-stream")),
        "endless-referrers": (REFERRERS, endless),
        "endless-fallback": (FALLBACK, endless),
        "many-referrers": (REFERRERS, lambda self: self.body(referrers(1_000_000), INDEX)),
        "many-small-referrers": (REFERRERS, lambda self: self.body(referrers(3_000), INDEX)),
        "endless-pages": (REFERRERS, lambda self: self.next_page(f"{self.path.split('?')[0]}?n={time.monotonic_ns()}")),
        "looping-pages": (REFERRERS, lambda self: self.next_page(self.path)),
        # A byte a second; these are for the deadline.
        "slow-body": (IMAGE, slow_body),
        "slow-headers": (IMAGE, slow_headers),
        "slow-sig": (SIG, slow_body),
        "slow-referrers": (REFERRERS, slow_headers),
        "slow-payload": (BLOB, lambda self: self.forward(self.path.replace("/slow-payload/", "/"), slowly=True)),
    }

    def forward(self, path, slowly=False):
        upstream = http.client.HTTPConnection(UPSTREAM, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
        upstream.request(self.command, path, headers=headers)
        answer = upstream.getresponse()
        content = answer.read()
        if slowly:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", MANIFEST))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.drip(content)
            return
        kept = [(n, v) for n, v in answer.getheaders() if n.lower() == "docker-content-digest"]
        self.body(content, answer.getheader("Content-Type", MANIFEST), answer.status, kept)
        upstream.close()

    def answer(self):
        match = re.match(r"/v2/([a-z-]+)(/.*)", self.path)
        if not match or match[1] not in self.ATTACKS:
            self.forward(self.path)
            return
        target, attack = self.ATTACKS[match[1]]
        try:
            if target.search(self.path.split("?")[0]):
                attack(self)
            else:
                self.forward("/v2" + match[2])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


if sys.argv[1] == "--list":
    print("\n".join(Hostile.ATTACKS))
else:
    UPSTREAM = sys.argv[1]
    http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile).serve_forever()
