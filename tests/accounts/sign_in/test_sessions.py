"""Sessions: listed, ended by their user alone, and at an end when nobody uses them."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.models import SecurityEvent, User
from tests.support.running_server import PATHS, Server, chat_body
from tests.support.signing_in import (
    APP,
    BROWSER,
    PASSWORD,
    app_token,
    call,
    is_signed_in,
    location,
    sign_in,
    sign_in_by_api,
    user_with_password,
)

ALICE, MALLORY = "alice@example.com", "mallory@example.com"
NEW = "an0ther horse battery"
SESSIONS = "/accounts/sessions/"


@pytest.fixture
def owner(db: None) -> User:
    return user_with_password(ALICE)


def browser(email: str = ALICE) -> Client:
    client = Client()
    sign_in(client, email)
    assert is_signed_in(client)
    return client


def key_of(client: Client) -> str:
    return client.cookies["sessionid"].value


def is_app_signed_in(token: str) -> bool:
    answered = Client().get("/v1/conversations", headers={"X-Session-Token": token})
    assert answered.status_code in {200, 401}
    return answered.status_code == 200


def test_a_session_from_before_the_sign_in_is_not_signed_in(owner: User) -> None:
    victim = Client()
    victim.post("/accounts/password/reset/", {"email": ALICE})
    victim.get("/accounts/password/reset/done/")
    planted = victim.session.session_key or "planted" * 4
    victim.cookies["sessionid"] = planted
    sign_in(victim, ALICE)

    assert key_of(victim) != planted
    attacker = Client()
    attacker.cookies["sessionid"] = planted
    assert not is_signed_in(attacker)


def test_a_token_from_before_the_sign_in_is_not_signed_in(owner: User) -> None:
    session = Client().session
    session["planted"] = True
    session.save()
    planted = {"X-Session-Token": session.session_key or ""}

    answered = call(Client(), f"{APP}/auth/login", {"email": ALICE, "password": PASSWORD}, headers=planted)

    assert answered.json()["meta"]["session_token"] != planted["X-Session-Token"]
    assert not is_app_signed_in(planted["X-Session-Token"])


# --- the list -----------------------------------------------------------------------------------


def test_one_session_is_ended(owner: User) -> None:
    here, there, token = browser(), browser(), app_token(ALICE)
    chosen = UserSession.objects.get(session_key=key_of(there))
    assert b"3" in here.get(SESSIONS).content
    here.post(SESSIONS, {"end": chosen.pk})
    assert (is_signed_in(here), is_signed_in(there), is_app_signed_in(token)) == (True, False, True)


def test_the_others_are_ended_and_then_all(owner: User) -> None:
    here, there, token = browser(), browser(), app_token(ALICE)
    here.post(SESSIONS, {"end": "others"})
    assert (is_signed_in(here), is_signed_in(there), is_app_signed_in(token)) == (True, False, False)
    token = app_token(ALICE)
    assert location(here.post(SESSIONS, {"end": "all"})) == "/accounts/login/"
    assert (is_signed_in(here), is_app_signed_in(token)) == (False, False)
    assert not UserSession.objects.exists()
    assert not Session.objects.exists()


@pytest.mark.parametrize("named", ["", "0", "-1", "1.5", "x", "\x00", "All", "9" * 40])
def test_nothing_is_ended_by_what_names_no_session(owner: User, named: str) -> None:
    here, there = browser(), browser()
    here.post(SESSIONS, {"end": named})
    assert is_signed_in(here)
    assert is_signed_in(there)


def test_nobody_ends_the_sessions_of_others(owner: User) -> None:
    user_with_password(MALLORY)
    there, mallory, mallorys_token = browser(), browser(MALLORY), app_token(MALLORY)
    chosen = UserSession.objects.get(session_key=key_of(there)).pk

    mallory.post(SESSIONS, {"end": chosen})
    call(mallory, f"{BROWSER}/auth/sessions", {"sessions": [chosen]}, method="DELETE")
    headers = {"X-Session-Token": mallorys_token}
    call(Client(), f"{APP}/auth/sessions", {"sessions": [chosen]}, method="DELETE", headers=headers)

    assert is_signed_in(there)
    assert ALICE.encode() not in mallory.get(SESSIONS).content
    listed = call(mallory, f"{BROWSER}/auth/sessions", method="GET").json()["data"]
    assert chosen not in [session["id"] for session in listed]


def test_an_app_ends_sessions_and_its_own(owner: User) -> None:
    there, token = browser(), app_token(ALICE)
    headers = {"X-Session-Token": token}
    ids = [row.pk for row in UserSession.objects.filter(session_key=key_of(there))]
    call(Client(), f"{APP}/auth/sessions", {"sessions": ids}, method="DELETE", headers=headers)
    assert not is_signed_in(there)
    assert is_app_signed_in(token)
    assert call(Client(), f"{APP}/auth/session", method="DELETE", headers=headers).status_code == 401
    assert not is_app_signed_in(token)


@pytest.mark.parametrize("way", ["page", "app"])
def test_a_new_password_ends_the_other_sessions(owner: User, way: str) -> None:
    here, there, token, other = browser(), browser(), app_token(ALICE), app_token(ALICE)
    if way == "page":
        form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
        here.post("/accounts/password/change/", form)
        assert (is_signed_in(here), is_app_signed_in(token)) == (True, False)
    else:
        body = {"current_password": PASSWORD, "new_password": NEW}
        headers = {"X-Session-Token": token}
        answered = call(Client(), f"{APP}/account/password/change", body, headers=headers)
        token = answered.json().get("meta", {}).get("session_token", token)
        assert (is_signed_in(here), is_app_signed_in(token)) == (False, True)
    assert (is_signed_in(there), is_app_signed_in(other)) == (False, False)
    assert SecurityEvent.objects.filter(kind="password_changed").count() == 1


def test_deactivating_a_user_signs_them_out(owner: User) -> None:
    here, token = browser(), app_token(ALICE)
    User.objects.update(is_active=False)
    assert not is_signed_in(here)
    assert not is_app_signed_in(token)
    assert call(Client(), f"{APP}/auth/login", {"email": ALICE, "password": PASSWORD}).status_code != 200


# --- idle sessions ------------------------------------------------------------------------------


def idle(client: Client, settings: Settings, part: float) -> Session:
    """Let a part of the idle time have passed since the session was used."""
    left = timedelta(seconds=settings.CHATAPI_SESSION_IDLE_SECONDS * (1 - part))
    return idle_key(key_of(client), left)


def idle_key(key: str, left: timedelta) -> Session:
    row = Session.objects.get(session_key=key)
    row.expire_date = timezone.now() + left
    row.save()
    return row


def expires_in(key: str) -> timedelta:
    return Session.objects.get(session_key=key).expire_date - timezone.now()


@pytest.fixture
def idle_time(settings: Settings) -> timedelta:
    settings.CHATAPI_SESSION_IDLE_SECONDS = 3600
    return timedelta(hours=1)


def test_a_session_that_nobody_used_has_ended(owner: User, settings: Settings, idle_time: timedelta) -> None:
    client = browser()
    assert idle_time - timedelta(minutes=1) < expires_in(key_of(client)) <= idle_time
    idle(client, settings, 1.01)
    assert not is_signed_in(client)


@pytest.mark.parametrize("path", ["/accounts/", "/v1/conversations", "/admin/", f"{BROWSER}/auth/session"])
def test_a_session_lives_while_it_is_used(
    owner: User, settings: Settings, idle_time: timedelta, path: str
) -> None:
    client = browser()
    idle(client, settings, 0.9)
    client.get(path)
    assert expires_in(key_of(client)) > idle_time * 0.99


@pytest.mark.parametrize("path", ["/v1/conversations", f"{APP}/auth/session"])
def test_an_apps_session_lives_while_it_is_used(owner: User, idle_time: timedelta, path: str) -> None:
    token = app_token(ALICE)
    idle_key(token, idle_time * 0.1)
    Client().get(path, headers={"X-Session-Token": token})
    assert expires_in(token) > idle_time * 0.99


def test_a_stream_is_a_use_of_its_session(server: Server, settings: Settings, idle_time: timedelta) -> None:
    user_with_password(ALICE)
    token = app_token(ALICE)
    idle_key(token, idle_time * 0.1)
    with server.client(None, **{"X-Session-Token": token}) as client:
        assert client.post(PATHS["native"], json=chat_body("Hi")).status_code == 200
    assert expires_in(token) > idle_time * 0.99


def test_looking_at_the_list_is_no_use_of_the_others(
    owner: User, settings: Settings, idle_time: timedelta
) -> None:
    here, there = browser(), browser()
    before = idle(there, settings, 0.9).expire_date
    here.get(SESSIONS)
    call(here, f"{BROWSER}/auth/sessions", method="GET")
    assert Session.objects.get(session_key=key_of(there)).expire_date == before


def test_use_is_not_written_down_each_time(owner: User, settings: Settings, idle_time: timedelta) -> None:
    client = browser()
    idle(client, settings, 0.9)
    client.get("/v1/conversations")
    with CaptureQueriesContext(connection) as queries:
        for path in ("/v1/conversations", "/accounts/"):
            client.get(path)
    written = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT"))]
    assert written == []


def test_the_last_use_is_shown(owner: User, settings: Settings, idle_time: timedelta) -> None:
    client = browser()
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(days=1))
    idle(client, settings, 0.9)
    client.get("/v1/conversations")
    assert timezone.now() - UserSession.objects.get().last_seen_at < timedelta(minutes=1)


# --- ended while a request ran ------------------------------------------------------------------


@pytest.mark.parametrize("way", ["page", BROWSER, APP])
def test_a_session_that_ends_during_a_request_stays_ended(owner: User, settings: Settings, way: str) -> None:
    client, token = Client(raise_request_exception=False), app_token(ALICE)
    sign_in(client, ALICE)
    key = key_of(client)
    settings.PASSWORD_HASHERS = [f"{__name__}.SessionEndingHasher"]
    User.objects.update(password=SessionEndingHasher().encode(PASSWORD, "s"))
    answered: Any
    client.cookies["sessionid"] = key = renewed(owner, key)
    token = renewed(owner, token)
    if way == "page":
        answered = client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    else:
        headers = {"X-Session-Token": token} if way == APP else {}
        answered = call(client, f"{way}/auth/reauthenticate", {"password": PASSWORD}, headers=headers)
    assert answered.status_code == 401, answered.content
    assert not Session.objects.exists()


def renewed(user: User, key: str) -> str:
    """Return the key of a session like that one, for the user as they are now."""
    user.refresh_from_db()
    client = Client()
    client.force_login(user)
    return key_of(client)


class SessionEndingHasher(MD5PasswordHasher):
    """A hasher that ends all sessions, as somebody might do elsewhere while it works."""

    def encode(self, password: str, salt: str) -> str:
        Session.objects.all().delete()
        return super().encode(password, salt)


def test_an_api_client_that_is_signed_in_signs_nobody_else_in(owner: User) -> None:
    user_with_password(MALLORY)
    client = browser()
    assert sign_in_by_api(client, MALLORY).status_code == 409
    assert client.get("/accounts/").wsgi_request.user == owner
