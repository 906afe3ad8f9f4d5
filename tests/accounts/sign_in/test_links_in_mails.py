"""Links in mails lead to this service alone, whatever host a request claims."""

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import OutgoingMail, User
from accounts.sign_in.encryption import decrypt
from tests.support.people import Person

EVIL = "evil.example"


def ask_for_reset(user: User, host: str) -> int:
    form = {"email": user.email}
    return Client().post("/accounts/password/reset/", form, headers={"host": host}).status_code


def test_a_link_leads_to_the_name_that_is_served(alice: Person, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["chat.example.com"]

    assert ask_for_reset(alice.user, "chat.example.com") == 302
    assert ask_for_reset(alice.user, EVIL) == 400
    [mail] = OutgoingMail.objects.all()
    assert "http://chat.example.com/accounts/password/reset/key/" in decrypt(mail.content)


def test_where_every_name_is_served_no_link_is_sent(
    alice: Person, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    assert ask_for_reset(alice.user, EVIL) == 302  # as ever: it tells nobody who has an account
    assert not OutgoingMail.objects.exists()
    assert "CHATAPI_ALLOWED_HOSTS" in caplog.text


def test_a_frontend_gets_its_links_whatever_names_are_served(alice: Person, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.HEADLESS_FRONTEND_URLS = {"account_reset_password_from_key": "https://app.example/reset/{key}"}

    answer = Client().post(
        "/_allauth/app/v1/auth/password/request",
        {"email": alice.user.email},
        "application/json",
        headers={"host": EVIL},
    )

    assert answer.status_code == 200
    [mail] = OutgoingMail.objects.all()
    assert "https://app.example/reset/" in decrypt(mail.content)
