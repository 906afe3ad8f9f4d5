"""A client that keeps its connection, with a key, with an app's session, or signed in to the admin site."""

import http.client
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from benchmarks.processes import BenchmarkError
from benchmarks.target_servers import HOST

TIMEOUT = 120.0
IDLE = 2.0
"""Seconds after which a connection is made anew: the server may be closing it."""


class Answer(NamedTuple):
    """`milliseconds` are from sending the request to having read the whole answer."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage
    milliseconds: float


class Client:
    """A client; `headers` go with each request."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
        self._headers = dict(headers or {})
        self._used = time.monotonic()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        if time.monotonic() - self._used > IDLE:
            self._connection.close()
        began = time.perf_counter()
        self._connection.request(method, path, body, {**self._headers, **(headers or {})})
        response = self._connection.getresponse()
        data = response.read()
        milliseconds = 1000 * (time.perf_counter() - began)
        self._used = time.monotonic()
        return Answer(response.status, data, response.headers, milliseconds)

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def json(self, path: str) -> Any:
        """Return what a list holds. Raises `BenchmarkError` for another status than 200."""
        answer = self.get(path)
        if answer.status != 200:
            raise BenchmarkError(f"GET {path}: {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body)


def with_key(port: int, key: str) -> Client:
    return Client(port, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})


def signed_in(port: int, email: str, password: str, workspace_id: str) -> Client:
    """Sign in as an app does, to act in a workspace."""
    client = Client(port, {"Content-Type": "application/json"})
    body = json.dumps({"email": email, "password": password}).encode()
    answer = client.send("POST", "/_allauth/app/v1/auth/login", body)
    if answer.status != 200:
        raise BenchmarkError(f"{email} could not sign in: {answer.status} {answer.body[:300]!r}")
    token = json.loads(answer.body)["meta"]["session_token"]
    return Client(port, {"X-Session-Token": token, "X-Workspace-Id": workspace_id})


def staff(port: int, email: str, password: str) -> Client:
    """Sign in to the admin site by its page."""
    client, login = Client(port), "/accounts/login/"
    page = client.get(login)
    cookies = _cookies(page)
    found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)
    form = {"login": email, "password": password, "csrfmiddlewaretoken": found[1].decode() if found else ""}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookies}
    answer = client.send("POST", login, urlencode(form).encode(), headers)
    if answer.status != 302:
        raise BenchmarkError(f"{email} could not sign in to the admin site: {answer.status}")
    return Client(port, {"Cookie": _cookies(answer)})


def _cookies(answer: Answer) -> str:
    set_cookies = answer.headers.get_all("Set-Cookie") or []
    return "; ".join(cookie.partition(";")[0] for cookie in set_cookies)
