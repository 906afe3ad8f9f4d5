"""An OpenID Connect server on loopback that says whatever a test wants about whoever comes."""

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt

CLIENT_ID, SECRET = "chatapi-client", "the-clients-secret-of-many-letters"


class IdentityProvider(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.claims: dict[str, Any] = {}
        self.challenges: dict[str, str] = {}
        self.is_broken = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def grant(self, authorization_url: str, **claims: Any) -> str:
        """Let somebody with these claims agree. Return the query that their browser is sent back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(authorization_url).query).items()}
        assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
        self.claims, self.challenges["granted"] = claims, asked["code_challenge"]
        return str(httpx2.QueryParams({"code": "granted", "state": asked["state"]}))


class _Handler(BaseHTTPRequestHandler):
    server: IdentityProvider

    def do_GET(self) -> None:
        url = self.server.url
        if self.server.is_broken:
            self._answer(500, {})
        elif self.path == "/.well-known/openid-configuration":
            names = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
            names |= {"userinfo_endpoint": "userinfo", "jwks_uri": "jwks"}
            self._answer(200, {"issuer": url} | {name: f"{url}/{path}" for name, path in names.items()})
        elif self.path == "/userinfo" and self.headers["Authorization"] == "Bearer access":
            self._answer(200, self.server.claims)
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        challenge = urlsafe_b64encode(sha256(form.get("code_verifier", [""])[0].encode()).digest()).decode()
        granted = self.server.challenges.pop(form["code"][0], None)
        if granted != challenge.rstrip("=") or form["client_secret"] != [SECRET]:
            self._answer(400, {"error": "invalid_grant"})
            return
        identity = {"iss": self.server.url, "aud": CLIENT_ID, "exp": 2**33, "iat": 1, **self.server.claims}
        token = jwt.encode(identity, SECRET * 2, "HS256")
        self._answer(200, {"access_token": "access", "token_type": "Bearer", "id_token": token})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Keep the tests' output clean."""


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
