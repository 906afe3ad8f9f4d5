"""Whatever is sent to the sign-in pages and to their API, nothing of it is the server's failure."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from tests.support.signing_in import add_totp, sign_in, sign_in_by_api, user_with_password

EVIL_TEXTS = ["", "\x00", "\ud800", "x" * 5_000, "𝕏‮%00{{7*7}}' OR 1=1 --"]
UNPARSABLE = {
    "id": "A",
    "rawId": "A",
    "type": "public-key",
    "response": {"clientDataJSON": "!", "userHandle": 7},
}
PARSABLE = {
    "id": "AAAA",
    "rawId": "AAAA",
    "type": "public-key",
    "response": {
        "clientDataJSON": "AAAA",
        "authenticatorData": "AAAA",
        "attestationObject": "AAAA",
        "signature": "AAAA",
        "userHandle": "AAAA",
    },
}
EVIL_VALUES: list[Any] = [
    None,
    True,
    10**400,
    [],
    [[None]],
    {"response": []},
    UNPARSABLE,
    PARSABLE,
    *EVIL_TEXTS,
]
BODIES: list[tuple[str, bytes]] = [
    ("application/json", b""),
    ("application/json", b"{"),
    ("application/json", b"[]"),
    ("application/json", b"null"),
    ("application/json", b'"text"'),
    ("application/json", b"\xff\xfe"),
    ("application/json", b"[" * 100_000),
    ("application/json", b'{"email":' * 50_000),
    ("application/json", b'{"code": NaN, "email": Infinity}'),
    ("application/json", b'{"code": ' + b"9" * 5000 + b"}"),
    ("text/plain", b"{}"),
    ("multipart/form-data", b"no boundary"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=login\r\n\r\nab"),
    ("multipart/form-data; boundary=\xff", b"--x"),
    ("application/x-www-form-urlencoded; charset=nonsense", b"login=a&password=b"),
    ("application/x-www-form-urlencoded", b"login=%FF%00&password=%00&email=%ED%A0%80&code=%00&key=%00"),
    ("application/x-www-form-urlencoded", b"&".join(b"f%d=1" % number for number in range(2000))),
    ("\x00", b"x"),
]
FIELDS = (
    "email", "login", "password", "password1", "password2", "oldpassword", "current_password", "new_password",
    "key", "code", "credential", "name", "id", "authenticators", "sessions", "provider", "account", "process",
    "callback_url", "token", "primary", "phone", "passwordless", "end", "action", "next", "email_select",
    "uid", "remember", "trust", "action_send", "action_primary", "action_remove", "action_add", "confirm",
)  # fmt: skip
FORM = "application/x-www-form-urlencoded"
METHODS = ("POST", "DELETE")
TOKENS = ["", "x", "\x00", "é", "0" * 5000, "session:", "' OR 1=1"]


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        else:
            yield from routes(entry, route)


def paths(prefix: str) -> list[str]:
    made = {f"/{route}" for route in routes(get_resolver()) if route.startswith(prefix)}
    return sorted(
        path.replace("<int:pk>", "1")
        .replace(r"^confirm-email/(?P<key>[-:\w]+)/$", "confirm-email/a:b/")
        .replace(r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$", "password/reset/key/1-set/")
        for path in made
    )


PAGES, BROWSER_API, APP_API = paths("accounts/"), paths("_allauth/browser/"), paths("_allauth/app/")


@pytest.fixture
def alice_of_the_web(db: None) -> User:
    return user_with_password("alice@example.com")


def tolerant_client() -> Client:
    """A client that answers what a browser would see, instead of raising what the server raised."""
    return Client(raise_request_exception=False)


def clients(state: str) -> tuple[Client, dict[str, str]]:
    """A browser and the header of an app in this state of signing in."""
    client, headers = tolerant_client(), {}
    if state != "anonymous":
        user = User.objects.get(email="alice@example.com")
        if state == "second factor":
            add_totp(user)
        sign_in(client, user.email)
        answered = sign_in_by_api(Client(), user.email, api="/_allauth/app/v1")
        headers = {"X-Session-Token": answered.json()["meta"]["session_token"]}
    return client, headers


STATES = ["anonymous", "signed in", pytest.param("second factor", marks=pytest.mark.long)]


def failures(answers: Iterator[tuple[Any, Any]]) -> list[Any]:
    """Return what was sent where the answer was the server's failure."""
    return [sent for sent, answer in answers if answer.status_code >= 500]


def evil_bodies() -> Iterator[bytes]:
    for value in EVIL_VALUES:
        yield json.dumps(dict.fromkeys(FIELDS, value)).encode()


@pytest.mark.parametrize("state", STATES)
def test_no_json_breaks_the_api(alice_of_the_web: User, state: str) -> None:
    def answers() -> Iterator[tuple[Any, Any]]:
        for path in (*BROWSER_API, *APP_API):
            for body in evil_bodies():
                client, headers = fresh(state, saved)
                for method in METHODS:
                    answer = client.generic(
                        method, path, body, content_type="application/json", headers=headers
                    )
                    yield (method, path, body[:90]), answer
            cache.clear()

    saved = clients(state)
    assert failures(answers()) == []


def fresh(state: str, saved: tuple[Client, dict[str, str]]) -> tuple[Client, dict[str, str]]:
    """The same browser and app, though some request may have signed them out."""
    client, headers = tolerant_client(), saved[1]
    client.cookies.update(saved[0].cookies)
    return client, headers


@pytest.mark.parametrize("state", STATES)
def test_no_form_breaks_a_page(alice_of_the_web: User, state: str) -> None:
    def answers() -> Iterator[tuple[Any, Any]]:
        for path in PAGES:
            for text in [*EVIL_TEXTS, "[]", "{}", '{"response": []}', '{"response": {}}', *CREDENTIALS]:
                client, _ = fresh(state, saved)
                form = urlencode(dict.fromkeys(FIELDS, text), errors="surrogatepass")
                yield (path, text[:90]), client.post(path, form, content_type=FORM)
                yield (path, text[:90]), client.get(f"{path}?{form}&invitation={form[-20:]}")
            cache.clear()

    saved = clients(state)
    assert failures(answers()) == []


CREDENTIALS = [json.dumps(value) for value in EVIL_VALUES if isinstance(value, dict)]


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/_allauth/app/v1/auth/login"])
def test_bodies_of_any_kind_are_answered(db: None, path: str) -> None:
    client = tolerant_client()
    sent = (
        ((kind, body[:50]), client.generic(method, path, body, content_type=kind))
        for kind, body in BODIES
        for method in ("POST", "PUT", "DELETE", "PATCH", "GET", "HEAD", "OPTIONS", "TRACE", "BREW")
    )
    assert failures(sent) == []


def test_no_session_token_breaks_anything(db: None) -> None:
    client = tolerant_client()
    sent = (
        ((path, token[:20]), client.generic(method, path, headers={"X-Session-Token": token}))
        for path in (*APP_API, "/v1/models", "/v1/conversations")
        for token in TOKENS
        for method in ("GET", "POST")
    )
    assert failures(sent) == []
