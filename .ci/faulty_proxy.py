#!/usr/bin/env python3
"""A registry in front of a registry, that answers wrongly, late or too often, where it is told to.

    faulty_proxy.py UPSTREAM [--faults FILE] [--delay SECONDS] [--limited AGENT]

UPSTREAM is host:port, plain http. It listens on 127.0.0.1, at a port that the system gives, and logs every request.

--faults FILE     is read for each request: "PLACE ANSWER", or empty for none. PLACE is sig (the tag sha256-HEX.sig),
                  referrers (the API) or fallback (the tag sha256-HEX); ANSWER is 401, 500 or garbage (200, a web page)
--delay SECONDS   comes before every answer
--limited AGENT   for olareg --rate-limit: only clients with this word in their User-Agent count as one client, every
                  other request as a client of its own. Hosts, engines and judges don't wait at 429, so they must not
                  meet it; the program under test must.
"""

import argparse
import http.client
import http.server
import itertools
import re
import time

PLACES = {
    "sig": re.compile(r"/manifests/sha256-[0-9a-f]{64}\.sig$"),
    "referrers": re.compile(r"/referrers/sha256:[0-9a-f]{64}$"),
    "fallback": re.compile(r"/manifests/sha256-[0-9a-f]{64}$"),
}
PAGE = b"<!DOCTYPE html><html><body>Please accept our cookies</body></html>\n"
NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "date", "server")

parser = argparse.ArgumentParser()
parser.add_argument("upstream")
parser.add_argument("--faults")
parser.add_argument("--delay", type=float, default=0)
parser.add_argument("--limited")
options = parser.parse_args()
clients = itertools.count()


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def fault(self):
        """Returns the wrong answer for this request, or None."""
        if not options.faults:
            return None
        with open(options.faults, encoding="utf-8") as file:
            words = file.read().split()
        if words and PLACES[words[0]].search(self.path.split("?")[0]):
            return words[1]
        return None

    def request_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def forward(self):
        # A client may send one header in several lines, such as Accept.
        headers = {name.title(): ", ".join(self.headers.get_all(name)) for name in self.headers.keys()}
        for name in ("Connection", "Transfer-Encoding", "Content-Length"):
            headers.pop(name, None)
        if options.limited:
            ours = options.limited in self.headers.get("User-Agent", "")
            headers["X-Forwarded-For"] = "limited" if ours else f"client {next(clients)}"
        body = self.request_body()
        upstream = http.client.HTTPConnection(options.upstream, timeout=30)
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    def answer(self):
        time.sleep(options.delay)
        fault = self.fault()
        if fault is None:
            self.forward()
            return
        content = PAGE if fault == "garbage" else b""
        self.send_response(200 if fault == "garbage" else int(fault))
        if fault == "401":
            self.send_header("WWW-Authenticate", 'Basic realm="somewhere"')
        if content:
            self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", 0), Proxy).serve_forever()
