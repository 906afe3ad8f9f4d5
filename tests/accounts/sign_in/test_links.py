"""Links in mails: used twice, expired, tampered with, or sent to somebody else."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from pytest_django import Settings

from accounts.models import SecurityEvent, User
from tests.support.signing_in import (
    APP,
    BROWSER,
    PASSWORD,
    add_totp,
    app_token,
    call,
    delivered,
    is_signed_in,
    link_in,
    sign_in,
    user_with_password,
)

ALICE, BOB, NEW_ADDRESS = "alice@example.com", "bob@example.com", "alice@new.example"
NEW, NEWER = "an0ther horse battery", "yet an0ther horse"
RESET = "/accounts/password/reset/"


@pytest.fixture
def owner(db: None) -> User:
    return user_with_password(ALICE)


def reset_link(email: str = ALICE) -> str:
    Client().post(RESET, {"email": email})
    return link_in(delivered()[-1])


def follow(link: str, password: str = NEW) -> Any:
    """Open a reset link and fill in the form, if there is one."""
    client = Client()
    opened = client.get(link, follow=True)
    path = opened.redirect_chain[-1][0] if opened.redirect_chain else link
    return client.post(path, {"password1": password, "password2": password})


def key_in(link: str) -> str:
    return str(re.findall(r"/key/(.+)/$", link)[0])


def can_sign_in(password: str, email: str = ALICE) -> bool:
    client = Client()
    sign_in(client, email, password)
    return is_signed_in(client)


# --- resetting a password -------------------------------------------------------------------------


def test_a_reset_link_works_once(owner: User) -> None:
    link = reset_link()
    follow(link)
    assert can_sign_in(NEW)
    follow(link, NEWER)
    assert not can_sign_in(NEWER)
    assert b'name="password1"' not in Client().get(link, follow=True).content
    assert SecurityEvent.objects.filter(kind="password_reset").count() == 1


@pytest.mark.parametrize("api", [BROWSER, APP])
def test_a_reset_key_works_once_by_the_api(owner: User, api: str) -> None:
    key = key_in(reset_link())
    for password in (NEW, NEWER):
        answer = call(Client(), f"{api}/auth/password/reset", {"key": key, "password": password})
    assert answer.status_code == 400
    assert (can_sign_in(NEW), can_sign_in(NEWER)) == (True, False)


def test_a_reset_link_ends_with_the_password_that_it_was_for(owner: User) -> None:
    link = reset_link()
    client = Client()
    sign_in(client, ALICE)
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    follow(link, NEWER)
    assert (can_sign_in(NEW), can_sign_in(NEWER)) == (True, False)


def test_a_reset_link_expires(owner: User, settings: Settings) -> None:
    link = reset_link()
    settings.PASSWORD_RESET_TIMEOUT = -1
    follow(link)
    assert not can_sign_in(NEW)


def test_a_tampered_reset_link_does_nothing(owner: User) -> None:
    bob = user_with_password(BOB)
    link, his = reset_link(), reset_link(BOB)
    uid, _, token = key_in(link).partition("-")
    bobs_uid = key_in(his).partition("-")[0]
    wrong = (
        f"{bobs_uid}-{token}",
        f"{uid}-{token[:-1]}",
        f"{uid}-x",
        f"{'z' * 13}-{token}",
        f"{uid}-set-password",
    )
    for key in wrong:
        follow(f"{RESET}key/{key}/")
        call(Client(), f"{APP}/auth/password/reset", {"key": key, "password": NEW})
    assert not can_sign_in(NEW)
    assert not can_sign_in(NEW, bob.email)


def test_a_reset_ends_all_sessions(owner: User) -> None:
    client, token = Client(), app_token(ALICE)
    sign_in(client, ALICE)
    follow(reset_link())
    assert not is_signed_in(client)
    assert Client().get("/v1/conversations", headers={"X-Session-Token": token}).status_code == 401


def test_a_reset_gets_nobody_past_the_second_factor(owner: User) -> None:
    add_totp(owner)
    client = Client()
    opened = client.get(reset_link(), follow=True)
    client.post(opened.redirect_chain[-1][0], {"password1": NEW, "password2": NEW})
    assert not is_signed_in(client)
    assert not can_sign_in(NEW)


def test_the_reset_links_token_does_not_stay_in_the_address(owner: User) -> None:
    link = reset_link()
    opened = Client().get(link, follow=True)
    assert key_in(link) not in opened.redirect_chain[-1][0]


# --- verifying an address -------------------------------------------------------------------------


def verification_link(settings: Settings, email: str = BOB) -> str:
    settings.CHATAPI_SIGN_UP = "open"
    Client().post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    return link_in(delivered()[-1])


def is_verified(email: str = BOB) -> bool:
    return bool(EmailAddress.objects.filter(email=email, verified=True).exists())


def test_a_verification_link_does_nothing_before_the_button_is_pressed(db: None, settings: Settings) -> None:
    link = verification_link(settings)
    assert Client().get(link).status_code == 200
    assert not is_verified()


def test_a_verification_link_used_twice_signs_nobody_in(db: None, settings: Settings) -> None:
    link = verification_link(settings)
    Client().post(link)
    assert is_verified()
    stranger = Client()
    assert stranger.post(link).status_code in {200, 302, 404}
    stranger.get(link)
    assert not is_signed_in(stranger)


def test_a_verification_link_expires(db: None, settings: Settings) -> None:
    link = verification_link(settings)
    settings.ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = 0
    assert Client().post(link).status_code in {200, 302, 404}
    key = link.removesuffix("/").rpartition("/")[2]
    for api in (BROWSER, APP):
        assert call(Client(), f"{api}/auth/email/verify", {"key": key}).status_code == 400
    assert not is_verified()


def test_a_tampered_verification_link_does_nothing(db: None, settings: Settings) -> None:
    key = verification_link(settings).removesuffix("/").rpartition("/")[2]
    other = verification_link(settings, "charlie@example.com").removesuffix("/").rpartition("/")[2]
    for wrong in (
        key[:-1],
        key.swapcase(),
        other.split(":")[0] + ":" + key.partition(":")[2],
        "x",
        "x" * 3000,
    ):
        assert Client().post(f"/accounts/confirm-email/{wrong}/").status_code in {200, 302, 404}
        for api in (BROWSER, APP):
            assert call(Client(), f"{api}/auth/email/verify", {"key": wrong}).status_code == 400
    assert not is_verified()


def test_a_link_for_an_address_that_somebody_else_has_verified_meanwhile(
    db: None, settings: Settings
) -> None:
    link = verification_link(settings)
    EmailAddress.objects.all().delete()
    User.objects.all().delete()
    user_with_password(BOB)
    assert Client().post(link).status_code in {200, 302, 404}
    assert User.objects.count() == 1


def test_a_new_address_counts_once_it_is_verified(owner: User) -> None:
    client = Client()
    sign_in(client, ALICE)
    asked = client.post("/accounts/email/", {"email": NEW_ADDRESS, "action_add": ""})
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/"), "it would be another way in"
    assert not [mail for mail in delivered() if mail.to == [NEW_ADDRESS]]
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/email/", {"email": NEW_ADDRESS, "action_add": ""})
    owner.refresh_from_db()
    assert owner.email == ALICE
    link = next(link_in(mail) for mail in delivered() if mail.to == [NEW_ADDRESS])
    client.post(link)
    owner.refresh_from_db()
    assert owner.email == NEW_ADDRESS
    assert list(EmailAddress.objects.values_list("email", "verified", "primary")) == [
        (NEW_ADDRESS, True, True)
    ]
    assert SecurityEvent.objects.get(kind="email_changed").details == {"before": ALICE}


def test_nobody_takes_the_address_of_another(owner: User) -> None:
    user_with_password(BOB)
    client = Client()
    sign_in(client, ALICE)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    before = len(delivered())
    shown = client.post("/accounts/email/", {"email": BOB, "action_add": ""}, follow=True)
    free = client.post("/accounts/email/", {"email": "free@example.com", "action_add": ""}, follow=True)
    assert (shown.status_code, free.status_code) == (200, 200)
    assert b"already" not in shown.content.lower().replace(b"already have", b"")
    for link in [link_in(mail) for mail in delivered()[before:] if "/confirm-email/" in str(mail.body)]:
        Client().post(link)
    assert User.objects.get(email=BOB) != owner
    assert EmailAddress.objects.get(email=BOB, verified=True).user != owner
