#!/usr/bin/env python3
"""An OIDC issuer on loopback that gives everybody the token asked for: discovery, keys, tokens.

    issuer.py KEY PORT

GET /token?email=A@B                  a person's, of the issuer http://127.0.0.1:PORT
GET /gha/token?repo=O/R&workflow=W    a GitHub job's, of the issuer http://127.0.0.1:PORT/gha

What is wrong with one on purpose: `left=SECONDS` (negative: it is over), `begins=SECONDS` from now on, `aud=OTHER`, `iss=OTHER`,
`verified=false`, and `forged=1`: its last byte is another.
"""

import base64
import http.server
import json
import sys
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

with open(sys.argv[1], "rb") as file:
    KEY = serialization.load_pem_private_key(file.read(), None)
PORT = int(sys.argv[2])
BASE = f"http://127.0.0.1:{PORT}"
LIFETIME = 600


def base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value):
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def token(claims):
    header = {"alg": "RS256", "typ": "JWT", "kid": "1"}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + base64url(KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))


def person(query):
    email = query.get("email", "dev@example.com")
    return {"sub": email, "email": email, "email_verified": query.get("verified") != "false"}


def job(query):
    repo, ref, sha = query.get("repo", "acme/pkgs"), query.get("ref", "refs/heads/main"), "a" * 40
    workflow = f"{repo}/.github/workflows/{query.get('workflow', 'release.yml')}@{ref}"
    return {
        "sub": f"repo:{repo}:ref:{ref}",
        "job_workflow_ref": workflow,
        "job_workflow_sha": sha,
        "sha": sha,
        "event_name": "push",
        "repository": repo,
        "workflow": "release",
        "ref": ref,
        "runner_environment": "github-hosted",
        "repository_id": "1",
        "repository_owner": repo.split("/")[0],
        "repository_owner_id": "2",
        "workflow_ref": workflow,
        "workflow_sha": sha,
        "run_id": "42",
        "run_attempt": "1",
        "repository_visibility": "public",
    }


def discovery(issuer):
    return {
        "issuer": issuer,
        "jwks_uri": issuer + "/keys",
        "authorization_endpoint": issuer + "/auth",
        "token_endpoint": issuer + "/token",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def keys():
    public = KEY.public_key().public_numbers()
    return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": number(public.n), "e": number(public.e)}]}


class Issuer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        workload = url.path.startswith("/gha/")
        issuer, path = (BASE + "/gha", url.path.removeprefix("/gha")) if workload else (BASE, url.path)
        now = int(time.time())
        if path == "/.well-known/openid-configuration":
            answer = json.dumps(discovery(issuer))
        elif path == "/keys":
            answer = json.dumps(keys())
        elif path == "/token":
            claims = job(query) if workload else person(query)
            end, begin = int(query.get("left", LIFETIME)), int(query.get("begins", -5))
            times = {"iat": now + min(0, end - 60), "nbf": now + min(begin, end - 60) if begin < 0 else now + begin, "exp": now + end}
            named = {"iss": query.get("iss", issuer), "aud": query.get("aud", "sigstore")}
            answer = token({**named, **times, **claims})
            if "forged" in query:
                head, _, signature = answer.rpartition(".")
                answer = head + "." + ("A" if signature[0] != "A" else "B") + signature[1:]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain" if path == "/token" else "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Issuer).serve_forever()
