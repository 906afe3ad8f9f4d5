"""Second factors: guessed, used twice, lost, and not there yet."""

import threading
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts.models import SecurityEvent, User
from tests.support.running_server import PATHS, Server, chat_body
from tests.support.signing_in import (
    APP,
    BROWSER,
    TOTP_SECRET,
    add_totp,
    call,
    factors_of,
    is_signed_in,
    location,
    recovery_codes_of,
    sign_in,
    sign_in_by_api,
    totp_code,
    user_with_password,
    wrong_code,
)

ALICE = "alice@example.com"
CODE_PAGE = "/accounts/2fa/authenticate/"
FREE_GUESSES = 5


@pytest.fixture
def careful(db: None) -> User:
    """Alice, who has an authenticator app."""
    user = user_with_password(ALICE)
    add_totp(user)
    return user


def half_signed_in() -> Client:
    """A browser in which the password was right, and the code is asked for."""
    client = Client()
    assert location(sign_in(client, ALICE)).startswith(CODE_PAGE)
    return client


def half_signed_in_app() -> dict[str, str]:
    answered = sign_in_by_api(Client(), ALICE, api=APP)
    assert answered.status_code == 401
    assert {"id": "mfa_authenticate", "is_pending": True} in [
        {name: flow.get(name) for name in ("id", "is_pending")} for flow in answered.json()["data"]["flows"]
    ]
    return {"X-Session-Token": answered.json()["meta"]["session_token"]}


def enter(client: Client, code: str) -> Any:
    return client.post(CODE_PAGE, {"code": code})


def enter_in_app(headers: dict[str, str], code: str, api: str = APP) -> Any:
    return call(Client(), f"{api}/auth/2fa/authenticate", {"code": code}, headers=headers)


def happened(user: User) -> list[str]:
    events = SecurityEvent.objects.filter(user=user).order_by("at", "id")
    return [": ".join((event.kind, *(event.details or {}).values())) for event in events]


def test_the_code_lets_in(careful: User) -> None:
    client = half_signed_in()
    assert enter(client, totp_code()).status_code == 302
    assert is_signed_in(client)


def test_the_code_lets_an_app_in(careful: User) -> None:
    headers = half_signed_in_app()
    answered = enter_in_app(headers, totp_code())
    assert answered.status_code == 200
    token = answered.json()["meta"]["session_token"]
    assert token != headers["X-Session-Token"], "what was known before the sign-in is not signed in"
    assert call(Client(), f"{APP}/auth/session", method="GET", headers=headers).status_code in {401, 410}


def test_codes_are_guessed_a_few_times_and_then_not_looked_at(careful: User) -> None:
    for _ in range(FREE_GUESSES):
        assert b"The code is wrong" in enter(half_signed_in(), wrong_code()).content
    client = half_signed_in()

    refused = enter(client, totp_code())

    assert b"Too many failed" in refused.content
    assert not is_signed_in(client)
    assert happened(careful).count("sign_in_failed: second_factor") == FREE_GUESSES


def test_pages_and_apps_share_the_guesses(careful: User) -> None:
    for _ in range(FREE_GUESSES):
        assert enter_in_app(half_signed_in_app(), wrong_code()).status_code == 400
    refused = enter_in_app(half_signed_in_app(), totp_code())
    assert refused.json()["errors"][0]["code"] == "too_many_login_attempts"
    assert b"Too many failed" in enter(half_signed_in(), totp_code()).content


def test_no_flood_of_other_requests_makes_the_guesses_forgotten(careful: User) -> None:
    for _ in range(FREE_GUESSES):
        enter(half_signed_in(), wrong_code())
    client = Client()
    for number in range(320):
        client.post("/accounts/password/reset/", {"email": f"user-{number}@example.com"})
    assert b"Too many failed" in enter(half_signed_in(), totp_code()).content


def test_recovery_codes_share_the_guesses(careful: User) -> None:
    codes = recovery_codes_of(careful)
    for _ in range(FREE_GUESSES):
        enter(half_signed_in(), "00000000")
    assert b"Too many failed" in enter(half_signed_in(), codes[0]).content


def test_a_code_is_used_once(careful: User) -> None:
    code = totp_code()
    enter(half_signed_in(), code)
    client = half_signed_in()
    enter(client, code)
    assert not is_signed_in(client)
    assert enter_in_app(half_signed_in_app(), code).status_code == 400


def test_a_recovery_code_is_used_once(careful: User) -> None:
    code = recovery_codes_of(careful)[0]
    first, second = half_signed_in(), half_signed_in()
    enter(first, code)
    enter(second, code)
    assert (is_signed_in(first), is_signed_in(second)) == (True, False)
    assert happened(careful) == ["recovery_code_used", "signed_in", "sign_in_failed: second_factor"]


@pytest.mark.parametrize("kind", ["recovery code", "app"])
def test_of_two_who_send_a_code_at_once_one_gets_in(transactional_db: None, kind: str) -> None:
    user = user_with_password(ALICE)
    codes = add_totp(user)
    code = codes[0] if kind == "recovery code" else totp_code()
    browsers = [half_signed_in() for _ in range(4)]
    begin = threading.Barrier(len(browsers))

    def send(client: Client) -> None:
        begin.wait()
        try:
            enter(client, code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(client,)) for client in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [is_signed_in(client) for client in browsers].count(True) == 1


def test_the_secrets_are_not_in_the_table(careful: User) -> None:
    stored = str(list(Authenticator.objects.values()))
    assert TOTP_SECRET not in stored
    assert not any(code in stored for code in recovery_codes_of(careful))


def test_after_a_change_of_the_services_key_no_code_fits_and_nothing_breaks(
    careful: User, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = recovery_codes_of(careful)[0]
    settings.SECRET_KEY = "another key than before, of fifty letters or so" * 2
    empty = codes_of_an_empty_secret(careful)
    for code in (totp_code(), lost, *empty):
        client = half_signed_in()
        assert enter(client, code).status_code == 200
        assert not is_signed_in(client)

    call_command("reset_sign_in", ALICE)

    client = Client()
    sign_in(client, ALICE, capsys.readouterr().out.strip())
    assert is_signed_in(client)
    assert factors_of(careful) == set()


def codes_of_an_empty_secret(user: User) -> list[str]:
    """Return what anybody could compute, were a lost secret taken for an empty one."""
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

    return [format_hotp_value(hotp_value("", counter)) for counter in yield_hotp_counters_from_time()]


def test_a_password_alone_opens_nothing(server: Server, transactional_db: None) -> None:
    add_totp(user_with_password(ALICE, is_staff=True, is_superuser=True))
    browser, app = half_signed_in(), half_signed_in_app()
    for path in (
        "/accounts/",
        "/accounts/sessions/",
        "/accounts/2fa/",
        "/accounts/password/change/",
        "/admin/",
    ):
        assert browser.get(path).status_code == 302, path
    for path in ("/v1/conversations", "/v1/files", "/v1/models"):
        assert browser.get(path).status_code == 401, path
        assert Client().get(path, headers=app).status_code == 401, path
    for path in (f"{BROWSER}/auth/sessions", f"{BROWSER}/account/authenticators", f"{BROWSER}/account/email"):
        assert browser.get(path).status_code == 401, path
        assert Client().get(path.replace(BROWSER, APP), headers=app).status_code == 401, path
    with server.client(None, **app) as client:
        assert client.post(PATHS["native"], json=chat_body("Hi")).status_code == 401
    cookies = {"sessionid": browser.cookies["sessionid"].value, "csrftoken": "t" * 32}
    with server.client(None, **{"x-csrftoken": "t" * 32}) as client:
        client.cookies.update(cookies)
        assert client.post(PATHS["native"], json=chat_body("Hi")).status_code == 401


def test_who_knows_the_password_alone_removes_no_factor(careful: User) -> None:
    client = half_signed_in()
    client.post("/accounts/2fa/totp/deactivate/")
    call(client, f"{BROWSER}/account/authenticators/totp", method="DELETE")
    call(Client(), f"{APP}/account/authenticators/totp", method="DELETE", headers=half_signed_in_app())
    assert factors_of(careful) == {"totp", "recovery_codes"}
