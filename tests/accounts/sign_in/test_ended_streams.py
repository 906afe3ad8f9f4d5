"""An answer that runs for somebody who was signed out ends within a second, whoever ended the session."""

import time
from collections.abc import Callable

import pytest
from allauth.usersessions.models import UserSession
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from tests.support.leaving import read_until
from tests.support.running_server import PATHS, Server, chat_body, wait_until
from tests.support.signing_in import (
    APP,
    PASSWORD,
    app_token,
    call,
    sign_in,
    user_with_password,
)

PATIENCE = 5.0
"""Seconds until it must have ended, on a machine that other tests keep busy too."""
ALICE = "alice@example.com"
NEW = "an0ther horse battery"


def sign_out(token: str) -> None:
    call(Client(), f"{APP}/auth/session", method="DELETE", headers={"X-Session-Token": token})


def end_from_elsewhere(token: str) -> None:
    browser = Client()
    sign_in(browser, ALICE)
    browser.post("/accounts/sessions/", {"end": UserSession.objects.get(session_key=token).pk})


def end_all(token: str) -> None:
    browser = Client()
    sign_in(browser, ALICE)
    browser.post("/accounts/sessions/", {"end": "all"})


def change_password(token: str) -> None:
    browser = Client()
    sign_in(browser, ALICE)
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert browser.post("/accounts/password/change/", form).status_code == 302


def reset(token: str) -> None:
    call_command("reset_sign_in", ALICE)


def deactivate(token: str) -> None:
    User.objects.update(is_active=False)


@pytest.mark.parametrize(
    "end",
    [sign_out, end_from_elsewhere, end_all, change_password, reset, deactivate],
    ids=lambda one: one.__name__,
)
@pytest.mark.parametrize("dialect", PATHS)
def test_an_apps_answer_ends_with_its_session(
    server: Server, dialect: str, end: Callable[[str], None]
) -> None:
    user_with_password(ALICE)
    token = app_token(ALICE)
    body = chat_body("[[text: begun]] [[stall]]", stream=True) | {"model": "scripted"}
    with (
        server.client(**{"X-Session-Token": token}) as client,
        client.stream("POST", PATHS[dialect], json=body) as response,
    ):
        chunks = response.iter_text()
        read_until(chunks, "begun")
        end(token)
        ended = time.monotonic()
        rest = "".join(chunks)
        assert time.monotonic() - ended < PATIENCE
    assert '"session_ended"' in rest
    assert "[DONE]" not in rest
    wait_until(lambda: server.is_idle, PATIENCE)
    with server.client(**{"X-Session-Token": token}) as client:
        refused = client.post(PATHS[dialect], json=chat_body("Hi"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "session_ended")
