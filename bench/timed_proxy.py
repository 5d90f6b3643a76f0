#!/usr/bin/env python3
"""A proxy before a service, that writes down when each request came and when its answer was sent.

    timed_proxy.py UPSTREAM      UPSTREAM is host:port, plain http; prints its own address, then for each request the
                                 seconds of the clock that never goes back: BEGAN ENDED METHOD PATH
"""
import http.client
import http.server
import sys
import time

HOP = ("connection", "transfer-encoding", "content-length", "date", "server", "host")
upstream = sys.argv[1]


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        began = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        connection = http.client.HTTPConnection(upstream)
        connection.request(self.command, self.path, body or None, headers)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        print("%.6f %.6f %s %s" % (began, time.monotonic(), self.command, self.path), flush=True)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print("127.0.0.1:%d" % server.server_address[1], flush=True)
server.serve_forever()
