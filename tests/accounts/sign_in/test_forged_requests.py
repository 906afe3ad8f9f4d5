"""Requests that other sites make a browser send, and addresses to which it must not be led."""

from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from conversations.models import Completion
from tests.accounts.sign_in.test_malformed_requests import APP_API, BROWSER_API, PAGES
from tests.support.running_server import PATHS, Server, chat_body
from tests.support.signing_in import (
    APP,
    LOGIN,
    PASSWORD,
    SIGNUP,
    app_token,
    call,
    delivered,
    is_signed_in,
    link_in,
    sign_in,
    sign_in_by_api,
    user_with_password,
)

ALICE, BOB = "alice@example.com", "bob@example.com"
WITHOUT_CSRF = {"/accounts/3rdparty/login/cancelled/", "/accounts/3rdparty/login/error/"}
EVIL_TARGETS = [
    "//evil.example/x",
    "///evil.example/x",
    "////evil.example",
    "https://evil.example/",
    "https:evil.example",
    "http:///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\r\n/evil.example",
    "\x01https://evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "https://evil.example#@testserver",
    "https://evil.example\\@testserver",
    "//evil.example%2f@testserver",
    "/accounts/\r\nSet-Cookie: a=b",
    "\x00//evil.example",
    "ftp://testserver/",
    "[",
    "http://[evil",
]


@pytest.fixture
def owner(db: None) -> User:
    return user_with_password(ALICE)


# --- CSRF ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed_in", [False, True])
def test_no_page_takes_a_form_without_the_token(owner: User, signed_in: bool) -> None:
    client = Client(enforce_csrf_checks=True)
    if signed_in:
        client.force_login(owner)
    for path in (*PAGES, "/admin/logout/", "/admin/accounts/user/add/"):
        refused = client.post(path, {"login": ALICE, "password": PASSWORD, "end": "all"})
        if refused.status_code != 403:
            assert refused.status_code in {301, 302, 404, 405}, path
            assert urlsplit(refused.headers.get("Location", "")).path not in {"/accounts/"}, path
    assert not is_signed_in(client) or signed_in
    if signed_in:
        assert is_signed_in(client), "nobody signs others out"
    assert client.post(LOGIN).json()["error"]["code"] == "csrf_failed"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_api_for_browsers_takes_nothing_without_the_token(owner: User, method: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    for path in BROWSER_API:
        refused = call(client, path, {}, method=method)
        assert refused.status_code == 403, path
        assert refused.json()["error"]["code"] == "csrf_failed"
    assert is_signed_in(client)


def test_the_api_for_apps_needs_no_token_and_reads_no_cookie(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert sign_in_by_api(client, ALICE, api=APP).status_code == 200
    assert "sessionid" not in client.cookies
    client.force_login(owner)
    for path in APP_API:
        answer = call(client, path, {}, method="POST")
        assert answer.status_code != 403 or answer.json().get("error", {}).get("code") != "csrf_failed", path
    assert call(client, f"{APP}/auth/session", method="GET").status_code == 401
    call(client, f"{APP}/auth/session", method="DELETE")
    assert is_signed_in(client)


def test_a_token_is_asked_for_with_the_right_origin_alone(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    token = client.get(LOGIN).cookies["csrftoken"].value
    form = {"login": ALICE, "password": PASSWORD, "csrfmiddlewaretoken": token}
    assert client.post(LOGIN, form, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post(LOGIN, form, headers={"Origin": "http://testserver"}).status_code == 302


# --- the streaming endpoints ----------------------------------------------------------------------


def asked(server: Server, cookie: str = "", **headers: str) -> tuple[int, str | None]:
    with server.client(**headers) as client:
        if cookie:
            client.cookies.set("sessionid", cookie)
        answer = client.post(PATHS["native"], json=chat_body("Hi"))
    return answer.status_code, None if answer.is_success else answer.json()["error"]["code"]


def cookie_of(email: str) -> str:
    client = Client()
    sign_in(client, email)
    return client.cookies["sessionid"].value


def test_a_stream_takes_a_cookie_with_the_token_alone(server: Server) -> None:
    user_with_password(ALICE)
    cookie = cookie_of(ALICE)
    assert asked(server, cookie) == (403, "csrf_failed")
    assert asked(server, **{"X-Session-Token": app_token(ALICE)}) == (200, None)


@pytest.mark.parametrize("token", ["", "x", "0" * 32, "0" * 5000, "null"])
def test_a_wrong_token_never_falls_back_to_the_cookie(server: Server, token: str) -> None:
    user_with_password(ALICE)
    cookie = cookie_of(ALICE)
    assert asked(server, cookie, **{"X-Session-Token": token}) == (401, "session_ended")
    client = Client()
    client.cookies["sessionid"] = cookie
    answer = client.get("/v1/conversations", headers={"X-Session-Token": token})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "session_ended")


def test_the_tokens_user_acts_whosever_cookie_is_sent(server: Server) -> None:
    alice, _ = user_with_password(ALICE), user_with_password(BOB)
    assert asked(server, cookie_of(BOB), **{"X-Session-Token": app_token(ALICE)}) == (200, None)
    assert Completion.objects.get().user == alice


# --- open redirects -------------------------------------------------------------------------------


def assert_stays(answer: Any, target: str) -> None:
    assert answer.status_code in {200, 302, 400}, target
    leads_to = answer.headers.get("Location", "")
    for browser_reads in (leads_to, leads_to.replace("\\", "/")):
        url = urlsplit(urljoin("http://testserver/accounts/x", browser_reads))
        assert (url.scheme, url.netloc) == ("http", "testserver"), (target, leads_to)
    assert "Set-Cookie: a=b" not in str(answer.headers)


@pytest.mark.parametrize("target", EVIL_TARGETS)
def test_nobody_is_led_elsewhere(owner: User, settings: Settings, target: str) -> None:
    settings.CHATAPI_SIGN_UP = "open"
    query = f"?next={quote(target)}"
    client = Client()
    client.get(LOGIN + query)
    assert_stays(client.post(LOGIN + query, {"login": ALICE, "password": PASSWORD, "next": target}), target)
    assert is_signed_in(client)
    assert_stays(client.get(LOGIN + query), target)
    assert_stays(client.get(SIGNUP + query), target)
    reauthenticate = "/accounts/reauthenticate/"
    assert_stays(client.post(reauthenticate + query, {"password": PASSWORD, "next": target}), target)
    assert_stays(client.get("/accounts/logout/" + query), target)
    assert_stays(client.post("/accounts/logout/" + query, {"next": target}), target)
    led = client.get("/admin/login/" + query)
    assert_stays(led, target)
    assert_stays(client.post(led.headers["Location"], {"login": ALICE, "password": PASSWORD}), target)


@pytest.mark.parametrize("target", EVIL_TARGETS)
def test_nobody_is_led_elsewhere_from_signing_up(owner: User, settings: Settings, target: str) -> None:
    settings.CHATAPI_SIGN_UP = "open"
    query = f"?next={quote(target)}"
    client = Client()
    form = {"email": BOB, "password1": PASSWORD, "next": target}
    assert_stays(client.post(SIGNUP + query, form), target)
    link = link_in(delivered()[0])
    assert_stays(client.get(link + query), target)
    assert_stays(client.post(link + query, {"next": target}), target)


def test_people_are_led_where_they_wanted(owner: User) -> None:
    led = Client().post(LOGIN, {"login": ALICE, "password": PASSWORD, "next": "/accounts/sessions/?a=b"})
    assert led.headers["Location"] == "/accounts/sessions/?a=b"
