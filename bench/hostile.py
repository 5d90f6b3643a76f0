#!/usr/bin/env python3
"""A registry that wants to hurt: it is in front of a good one and replaces one kind of answer.

    hostile.py UPSTREAM
    hostile.py --list          the attacks, one a line
    hostile.py --bundles FOLDER    writes bundles of files into the folder, each called by its attack

UPSTREAM is host:port, plain http. An image is asked for as 127.0.0.1:PORT/ATTACK/REPOSITORY:TAG: the attack is the first
part of the path, the rest is what the good registry has. It listens on 127.0.0.1, at a port that the system gives.
"""

import base64
import hashlib
import http.client
import http.server
import json
import pathlib
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
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
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


def dense(text, size):
    """JSON of so many bytes, of values that are small in a document and large when they are built."""
    return f"[{text * ((size - 20) // len(text))}0]"


VALUES = ("0,", '{"":0},', "[[[]]],")


def with_values(values, size=4 << 20):
    return f'{{"schemaVersion": 2, "mediaType": "{MANIFEST}", "layers": {dense(values, size - 200)}}}'.encode()


def evidence(text):
    """A signature manifest whose one signature has this beside it, with a certificate, so that it is looked at."""
    pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    notes = {SIGNATURE: "AAAA", "dev.sigstore.cosign/certificate": pem, "dev.sigstore.cosign/bundle": text}
    return manifest(descriptor(SIMPLE_SIGNING, annotations=notes))


MADE = {}


def keep(content):
    """Keeps what is served under its digest, and returns that and the size."""
    name = "sha256:" + hashlib.sha256(content).hexdigest()
    MADE[name] = content
    return {"digest": name, "size": len(content)}


def large_referrers(subject, count=12):
    """Referrers that are as large as they may be, of bundles that are so as well."""
    entries = []
    bundle = json.dumps({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {}},
        "dsseEnvelope": {
            "payload": base64.b64encode(dense("[[[]]],", 700_000).encode()).decode(),
            "payloadType": "x",
            "signatures": [{"sig": "AAAA"}],
        },
    }).encode()
    layer = {"mediaType": BUNDLE, **keep(bundle)}
    for number in range(count):
        made = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": descriptor("application/vnd.oci.empty.v1+json"),
            "layers": [layer],
            "subject": descriptor(MANIFEST) | {"digest": subject},
            "annotations": {"number": str(number), "filler": "x" * ((1 << 20) - 2_000)},
        }).encode()
        entries.append({"mediaType": MANIFEST, "artifactType": BUNDLE, **keep(made)})
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def bundles():
    """Bundles of a file, for verify-blob: too much of one thing each."""
    public = pathlib.Path(__file__).parent / "public-good" / "bundle.sigstore.json"
    size = (4 << 20) - 20_000

    def changed(change):
        bundle = json.loads(public.read_text())
        material = bundle["verificationMaterial"]
        change(material, material["tlogEntries"][0])
        return json.dumps(bundle)

    def lines(_, entry):
        head, own = entry["inclusionProof"]["checkpoint"]["envelope"].split("\n\n", 1)
        line = own.splitlines()[0]
        wrong = line[:-12] + ("B" if line[-12] == "A" else "A") + line[-11:] + "\n"
        entry["inclusionProof"]["checkpoint"]["envelope"] = f"{head}\n\n{wrong * (size // len(wrong.encode()))}{own}"

    def hashes(_, entry):
        entry["inclusionProof"]["hashes"] = [base64.b64encode(bytes(32)).decode()] * (size // 48)

    def timestamps(material, _):
        token = {"signedTimestamp": "MAAA" * (size // 128)}
        material["timestampVerificationData"] = {"rfc3161Timestamps": [token] * 32}

    def entries(material, entry):
        material["tlogEntries"] = [entry] * 32

    def values(material, _):
        material["tlogEntries"] = "HERE"

    for name, change in (("lines", lines), ("hashes", hashes), ("timestamps", timestamps), ("entries", entries)):
        yield name, changed(change)
    for number, text in enumerate(VALUES):
        yield f"values-{number}", changed(values).replace('"HERE"', dense(text, size))
        old = f'{{"base64Signature": "AAAA", "rekorBundle": {dense(text, size)}}}'
        yield f"old-{number}", old


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
        "values-image": (IMAGE, lambda self: self.body(with_values(VALUES[0]))),
        "objects-image": (IMAGE, lambda self: self.body(with_values(VALUES[1]))),
        "lists-image": (IMAGE, lambda self: self.body(with_values(VALUES[2]))),
        "objects-sig": (SIG, lambda self: self.body(with_values(VALUES[1]))),
        "objects-fallback": (FALLBACK, lambda self: self.body(with_values(VALUES[1]), INDEX)),
        "objects-referrers": (REFERRERS, lambda self: self.body(with_values(VALUES[1], 1 << 20), INDEX)),
        "annotation-sig": (SIG, lambda self: self.body(evidence(dense(VALUES[0], 4_000_000)))),
        "small-annotation-sig": (SIG, lambda self: self.body(evidence(dense(VALUES[2], 1_000_000)))),
        "large-referrers": (REFERRERS, lambda self: self.body(large_referrers(self.path.split("/")[-1].split("?")[0]), INDEX)),
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
        made = MADE.get(self.path.split("/")[-1])
        try:
            if made:
                self.body(made)
            elif target.search(self.path.split("?")[0]):
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
elif sys.argv[1] == "--bundles":
    for attack_name, attack_text in bundles():
        pathlib.Path(sys.argv[2], attack_name).write_text(attack_text, encoding="utf-8")
else:
    UPSTREAM = sys.argv[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    print("127.0.0.1:%d" % server.server_address[1], flush=True)
    server.serve_forever()
