"""Signing up: open, by invitation or closed; and what strangers learn by it about others: nothing."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Invitation, OutgoingMail, SecurityEvent, User
from accounts.workspaces import invitations
from tests.support.concurrent_calls import at_once
from tests.support.signing_in import (
    APP,
    BROWSER,
    PASSWORD,
    SIGNUP,
    call,
    delivered,
    is_signed_in,
    link_in,
    sign_in,
    user_with_password,
)

BOB, ALICE = "bob@example.com", "alice@example.com"
MAX_SIGN_UPS = 6
WAYS = ["page", BROWSER, APP]


def sign_up(way: str, email: str = BOB, token: str = "", client: Client | None = None) -> Any:
    client = client or Client()
    query = f"?invitation={token}" if token else ""
    if way == "page":
        return client.post(SIGNUP + query, {"email": email, "password1": PASSWORD})
    return call(client, f"{way}/auth/signup{query}", {"email": email, "password": PASSWORD})


@pytest.fixture
def open_to_all(db: None, settings: Settings) -> None:
    settings.CHATAPI_SIGN_UP = "open"


@pytest.fixture
def by_invitation(db: None, settings: Settings) -> None:
    settings.CHATAPI_SIGN_UP = "invitation"


def users() -> list[str]:
    return sorted(User.objects.values_list("email", flat=True))


# --- closed, or too many --------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_nobody_signs_up_where_that_is_closed(db: None, way: str) -> None:
    _, token = invitations.invite(BOB, None)
    assert sign_up(way).status_code in {200, 403}
    assert sign_up(way, token=token).status_code in {200, 403}
    assert (users(), OutgoingMail.objects.count()) == ([], 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_sign_up_does_not_tell_who_has_an_account(db: None, way: str) -> None:
    user_with_password(ALICE)
    assert same(sign_up(way, ALICE), sign_up(way, BOB))
    assert OutgoingMail.objects.count() == 0


@pytest.mark.parametrize("way", WAYS)
def test_mass_sign_up_is_refused(open_to_all: None, settings: Settings, way: str) -> None:
    assert settings.ACCOUNT_RATE_LIMITS["signup"] == "300/h/ip"
    limits = settings.ACCOUNT_RATE_LIMITS | {"signup": f"{MAX_SIGN_UPS}/h/ip"}
    settings.ACCOUNT_RATE_LIMITS = limits
    for number in range(MAX_SIGN_UPS):
        sign_up(way, f"user-{number}@example.com")
    made = len(users())

    refused = sign_up(way)

    assert refused.status_code == 429
    assert refused.headers["Content-Type"].startswith("application/json")
    assert (made, len(users())) == (MAX_SIGN_UPS, MAX_SIGN_UPS)


@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_in_before_the_address_is_theirs(open_to_all: None, way: str) -> None:
    client = Client()
    assert sign_up(way, client=client).status_code in {302, 401}
    assert not is_signed_in(client)
    sign_in(client, BOB)
    assert not is_signed_in(client)

    link = link_in(delivered()[0])
    client.post(link)
    sign_in(client, BOB)

    assert is_signed_in(client)
    assert SecurityEvent.objects.filter(kind="signed_up").count() == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_taken_address_is_not_given_away(open_to_all: None, way: str) -> None:
    user_with_password(ALICE)
    taken, free = sign_up(way, ALICE), sign_up(way, BOB)
    assert same(taken, free)
    assert sorted(OutgoingMail.objects.values_list("recipient", flat=True)) == [ALICE, BOB]
    assert users() == [ALICE, BOB]
    assert EmailAddress.objects.get(email=ALICE).verified


@pytest.mark.parametrize("way", WAYS)
def test_a_reset_does_not_tell_who_has_an_account(db: None, way: str) -> None:
    user_with_password(ALICE)

    def ask(email: str) -> Any:
        client = Client()
        if way == "page":
            return client.post("/accounts/password/reset/", {"email": email})
        return call(client, f"{way}/auth/password/request", {"email": email})

    assert same(ask(ALICE), ask("nobody@example.com"))
    assert list(OutgoingMail.objects.values_list("recipient", flat=True)) == [ALICE]


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_sign_in_does_not_tell_who_has_an_account(db: None, way: str) -> None:
    user_with_password(ALICE)
    User.objects.create_user("keys-only@example.com")
    User.objects.create_user("gone@example.com", PASSWORD, is_active=False)

    def ask(email: str) -> Any:
        if way == "page":
            return sign_in(Client(), email, "wr0ng one")
        return call(Client(), f"{way}/auth/login", {"email": email, "password": "wr0ng one"})

    unknown = ask("nobody@example.com")
    for email in (ALICE, "keys-only@example.com", "gone@example.com"):
        assert same(ask(email), unknown), email
    assert OutgoingMail.objects.count() == 0


def same(one: Any, other: Any) -> bool:
    """Tell whether two answers show the same, but for tokens and the address that was sent."""
    return shown(one) == shown(other)


def shown(answer: Any) -> tuple[int, str, str]:
    text = re.sub(r'(csrfmiddlewaretoken" value=|session_token": )"[^"]*"', "", answer.content.decode())
    text = re.sub(r"[\w.-]+@example\.com", "ADDRESS", text)
    return answer.status_code, answer.headers.get("Location", ""), text


# --- by invitation --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_the_invited_person_signs_up_and_is_in(by_invitation: None, way: str) -> None:
    _, token = invitations.invite("Bob@example.com", None)
    client = Client()
    assert sign_up(way, token=token, client=client).status_code in {200, 302}
    if way != APP:
        assert is_signed_in(client)
    assert EmailAddress.objects.get(email=BOB).verified
    assert OutgoingMail.objects.count() == 0


@pytest.mark.parametrize("way", WAYS)
def test_nobody_else_signs_up_with_an_invitation(by_invitation: None, way: str) -> None:
    _, token = invitations.invite(BOB, None)
    for email, with_token in (
        ("mallory@example.com", token),
        (BOB, ""),
        (BOB, "x"),
        (BOB, "\x00"),
        (BOB, token[:-1]),
    ):
        assert sign_up(way, email, with_token).status_code in {200, 400, 403}
    assert users() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lost", ["expired", "revoked", "used", "has an account"])
def test_an_invitation_that_is_lost_lets_nobody_in(by_invitation: None, way: str, lost: str) -> None:
    invitation, token = invitations.invite(BOB, None)
    if lost == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif lost == "revoked":
        invitations.revoke(invitation)
    elif lost == "used":
        sign_up(way, token=token)
        User.objects.all().delete()
    else:
        user_with_password(BOB)
    before, client = users(), Client()

    sign_up(way, token=token, client=client)

    assert users() == before
    assert not is_signed_in(client)
    assert (b'name="password1"' in client.get(f"{SIGNUP}?invitation={token}").content) == (
        lost == "has an account"
    )


def test_of_two_who_use_an_invitation_at_once_one_gets_in(transactional_db: None, settings: Settings) -> None:
    settings.CHATAPI_SIGN_UP = "invitation"
    _, token = invitations.invite(BOB, None)
    clients = [Client() for _ in range(4)]

    answers = at_once(*(lambda one=one: sign_up("page", token=token, client=one) for one in clients))

    assert {answer.status_code for answer in answers} <= {200, 302}
    assert [is_signed_in(client) for client in clients].count(True) == 1
    assert users() == [BOB]


# --- inviting -------------------------------------------------------------------------------------


def test_the_command_prints_a_link_that_works(
    by_invitation: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("invite", BOB, "--url", "https://chat.example", "--mail")
    out, err = capsys.readouterr()
    link = out.strip()
    assert link.startswith("https://chat.example/accounts/signup/?invitation=")
    assert "set CHATAPI_SIGN_UP" not in err
    assert link in str(delivered()[0].body)
    client = Client()
    page = link.removeprefix("https://chat.example")
    assert b'name="email"' in client.get(page).content
    client.post(page, {"email": BOB, "password1": PASSWORD})
    assert is_signed_in(client)


def test_the_command_says_what_is_wrong(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    user_with_password(ALICE)
    for email, complaint in (
        (ALICE, "has an account already"),
        ("nobody", "valid email"),
        ("", "Name the email address"),
    ):
        with pytest.raises(CommandError, match=complaint):
            call_command("invite", email)
    call_command("invite", BOB)
    assert "set CHATAPI_SIGN_UP=invitation" in capsys.readouterr().err


def test_the_admin_invites_once_and_revokes(by_invitation: None) -> None:
    User.objects.create_superuser("root@example.com", PASSWORD)
    admin = Client()
    sign_in(admin, "root@example.com")
    shown = admin.post("/admin/accounts/invitation/add/", {"email": "Bob@example.com"}, follow=True)
    [token] = re.findall(rb"invitation=([\w-]+)", shown.content)
    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.invited_by) == (BOB, User.objects.get())
    assert token not in admin.get(f"/admin/accounts/invitation/{invitation.pk}/change/").content
    assert token in str(delivered()[0].body).encode()

    action = {"action": "revoke", "_selected_action": str(invitation.pk)}
    admin.post("/admin/accounts/invitation/", action)

    sign_up("page", token=token.decode())
    assert users() == ["root@example.com"]
    invitation.refresh_from_db()
    assert invitation.revoked_at
    assert timezone.now() - invitation.revoked_at < timedelta(minutes=1)


def test_the_admin_does_not_invite_who_has_an_account(by_invitation: None) -> None:
    User.objects.create_superuser("root@example.com", PASSWORD)
    admin = Client()
    sign_in(admin, "root@example.com")
    refused = admin.post("/admin/accounts/invitation/add/", {"email": "ROOT@example.com"})
    assert b"has an account already" in refused.content
    assert not Invitation.objects.exists()
