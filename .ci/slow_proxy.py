#!/usr/bin/env python3
"""A registry in front of a registry, that answers late.

    slow_proxy.py UPSTREAM --delay SECONDS

UPSTREAM is host:port, plain http. It listens on 127.0.0.1, at a port that the system gives, and logs every request.
"""

import argparse
import http.client
import http.server
import time

NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "date", "server")

parser = argparse.ArgumentParser()
parser.add_argument("upstream")
parser.add_argument("--delay", type=float, required=True)
options = parser.parse_args()


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

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
        self.forward()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


SERVER = Server(("127.0.0.1", 0), Proxy)
print("127.0.0.1:%d" % SERVER.server_address[1], flush=True)
SERVER.serve_forever()
