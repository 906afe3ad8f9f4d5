"""Invitations into a workspace, as people follow their links: with an account, and without one."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Invitation, OutgoingMail, SecurityEvent, User, Workspace
from accounts.roles import Role
from accounts.sign_in.invitations import send
from accounts.sign_in.reset import verify_address
from accounts.workspaces import invitations
from accounts.workspaces.acceptance import join_accepted
from tests.support.people import Person, person, signed_in
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
from tests.support.workspaces import INVITES, join, project, roles_in, shared_workspace, user_in
from tests.support.workspaces import call as call_rest

ALICE, BOB = "alice@example.com", "bob@example.com"
WAYS = ["page", BROWSER, APP]
OWNED = {ALICE: "owner"}


@pytest.fixture
def team(alice: Person) -> Workspace:
    return shared_workspace(alice.user)


@pytest.fixture
def by_invitation(db: None, settings: Settings) -> None:
    settings.CHATAPI_SIGN_UP = "invitation"


def made_by(alice: Person, team: Workspace, email: str = "", role: Role = Role.MEMBER) -> str:
    """Invite as Alice; return the token of the link that she sees."""
    _, token = invitations.invite(email, alice.user, workspace=team, role=role)
    return token


def mailed(token: str) -> str:
    """Return the token of the link that is mailed."""
    link = invitations.mailed_link(Invitation.objects.get(), token, "")
    return link.rstrip("/").rpartition("/")[2]


def page_of(token: str) -> str:
    return f"/accounts/invitations/{token}/"


def sign_up(way: str, email: str, token: str, client: Client | None = None) -> Any:
    client = client or Client()
    query = f"?invitation={token}"
    if way == "page":
        return client.post(SIGNUP + query, {"email": email, "password1": PASSWORD})
    return call(client, f"{way}/auth/signup{query}", {"email": email, "password": PASSWORD})


# --- with an account ------------------------------------------------------------------------------------


def test_who_is_not_signed_in_does_that_first_and_comes_back(
    by_invitation: None, alice: Person, team: Workspace
) -> None:
    user_with_password(BOB)
    page = page_of(made_by(alice, team, BOB, Role.ADMIN))
    browser = Client()

    shown = browser.get(page)
    assert shown.status_code == 200
    for words in ("alice@example.com", "The team", "as admin", "Sign in", "Sign up"):
        assert words in shown.text
    assert browser.post(page).headers["location"] == f"/accounts/login/?next={page}"
    [to_sign_in] = re.findall(r'href="(/accounts/login/\?next=[^"]+)"', shown.text)
    form = {"login": BOB, "password": PASSWORD, "next": page}
    assert browser.post(to_sign_in, form).headers["location"] == page
    assert shown.text.count("<form") == 0
    assert browser.get(page).text.count('<button class="button" type="submit">Join</button>') == 1

    joined = browser.post(page, follow=True)

    assert "You are a member of The team now." in joined.text
    assert "You are admin" in joined.text
    assert roles_in(team) == {**OWNED, BOB: "admin"}
    event = SecurityEvent.objects.get(kind="member_joined")
    assert event.details == {"role": "admin", "invitation": str(Invitation.objects.get().pk)}


def test_a_token_leaks_by_no_referer_and_no_cache(alice: Person, team: Workspace) -> None:
    shown = Client().get(page_of(made_by(alice, team)))

    assert shown.headers["referrer-policy"] == "same-origin"
    assert shown.headers["cache-control"] == "no-store, private"
    assert "'unsafe-inline'" not in shown.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|href=\"http", shown.text)


@pytest.mark.parametrize("signed", [True, False])
def test_an_invitation_that_does_not_work_is_one_plain_page(
    alice: Person, charlie: Person, team: Workspace, signed: bool
) -> None:
    browser = signed_in(charlie.user) if signed else Client()
    browser.defaults["HTTP_ACCEPT"] = "text/html"
    tokens = [made_by(alice, team) for _ in range(3)]
    used, expired, revoked = Invitation.objects.order_by("pk")
    Invitation.objects.filter(pk=used.pk).update(accepted_at=timezone.now())
    Invitation.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    invitations.revoke(revoked)

    pages = [browser.get(page_of(token)) for token in tokens]
    assert {(page.status_code, shown(page)) for page in pages} == {(410, shown(pages[0]))}
    assert "was used, was revoked or has expired" in pages[0].text
    for token in ("x", "x.y", "%00", "é", "x" * 3000, mailed_wrongly(tokens[0])):
        unknown = browser.get(page_of(token))
        assert (unknown.status_code, "There is no such invitation" in unknown.text) == (404, True)
        assert browser.post(page_of(token)).status_code == (404 if signed else 302)
    if signed:
        assert {browser.post(page_of(token)).status_code for token in tokens} == {410}
    assert roles_in(team) == OWNED


def shown(page: Any) -> str:
    return re.sub(r"(csrfmiddlewaretoken\" value=)\"[^\"]*\"", "", page.text)


def mailed_wrongly(token: str) -> str:
    return f"{token}.{'x' * 43}"


def test_a_member_is_told_so_and_uses_nothing_up(alice: Person, charlie: Person, team: Workspace) -> None:
    page = page_of(made_by(alice, team, role=Role.REVIEWER))
    hers = signed_in(alice.user)

    for answer in (hers.get(page), hers.post(page)):
        assert (answer.status_code, "You are a member already." in answer.text) == (200, True)
    assert roles_in(team) == OWNED
    assert signed_in(charlie.user).post(page).status_code == 302


def test_somebody_else_is_told_so(alice: Person, charlie: Person, team: Workspace) -> None:
    page = page_of(made_by(alice, team, BOB))
    his = signed_in(charlie.user)

    for answer in (his.get(page), his.post(page)):
        assert (answer.status_code, "the invitation is for another address" in answer.text) == (200, True)
        assert BOB not in answer.text
    assert roles_in(team) == OWNED


def test_who_has_no_confirmed_address_is_told_so(alice: Person, charlie: Person, team: Workspace) -> None:
    page = page_of(made_by(alice, team))
    EmailAddress.objects.filter(user=charlie.user).update(verified=False)
    his = signed_in(charlie.user)

    for answer in (his.get(page), his.post(page)):
        assert (answer.status_code, "is not confirmed yet" in answer.text) == (200, True)
        assert "another address" not in answer.text
    assert roles_in(team) == OWNED


def test_a_name_of_a_workspace_is_shown_as_text(alice: Person) -> None:
    team = shared_workspace(alice.user, "<b>x</b>\n" + "y" * 150)
    token = made_by(alice, team, BOB)
    page = Client().get(page_of(token))
    send(Invitation.objects.get(), token, "https://chat.example")

    assert "&lt;b&gt;x&lt;/b&gt;" + "y" * 72 + "…" in page.text
    assert "“<b>x</b>" + "y" * 72 + "…”" in str(delivered()[0].body)


# --- without an account ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_the_mailed_link_signs_up_and_joins_at_once(
    by_invitation: None, alice: Person, team: Workspace, way: str
) -> None:
    """It was in the mailbox of the address, which so is theirs."""
    token = mailed(made_by(alice, team, BOB, Role.REVIEWER))
    client = Client()
    assert sign_up(way, BOB, token, client).status_code in {200, 302}

    if way != APP:
        assert is_signed_in(client)
    assert EmailAddress.objects.get(email=BOB).verified
    assert roles_in(team) == {**OWNED, BOB: "reviewer"}
    assert OutgoingMail.objects.count() == 0
    sign_up(way, "mallory@example.com", token)
    assert not User.objects.filter(email="mallory@example.com").exists()


@pytest.mark.parametrize("way", WAYS)
def test_who_invites_does_not_sign_up_as_the_invited(
    by_invitation: None, alice: Person, team: Workspace, way: str
) -> None:
    """The link that Alice sees proves nothing of Bob's address."""
    token, client = made_by(alice, team, BOB), Client()
    sign_up(way, BOB, token, client)

    assert not is_signed_in(client)
    assert not EmailAddress.objects.get(email=BOB).verified
    assert roles_in(team) == OWNED
    assert [mail.to for mail in delivered()] == [[BOB]]

    client.post(link_in(delivered()[0]))  # Bob himself
    assert roles_in(team) == {**OWNED, BOB: "member"}


@pytest.mark.parametrize("way", WAYS)
def test_who_has_a_link_joins_once_the_address_is_theirs(
    by_invitation: None, alice: Person, team: Workspace, way: str
) -> None:
    token, client = made_by(alice, team), Client()
    sign_up(way, BOB, token, client)
    assert roles_in(team) == OWNED
    invitation = Invitation.objects.get()
    assert (invitation.accepted_by, invitation.accepted_at) == (User.objects.get(email=BOB), None)
    sign_up(way, "mallory@example.com", token)
    assert not User.objects.filter(email="mallory@example.com").exists()

    client.post(link_in(delivered()[0]))

    assert roles_in(team) == {**OWNED, BOB: "member"}
    invitation.refresh_from_db()
    assert invitations.state_of(invitation) == "accepted"


def test_an_invitation_is_revoked_before_the_address_is_verified(
    by_invitation: None, alice: Person, team: Workspace
) -> None:
    sign_up("page", BOB, made_by(alice, team))
    invitations.revoke(Invitation.objects.get())

    Client().post(link_in(delivered()[0]))

    assert EmailAddress.objects.get(email=BOB).verified
    assert roles_in(team) == OWNED


def test_who_was_removed_does_not_join_again_by_a_new_address(
    by_invitation: None, alice: Person, team: Workspace
) -> None:
    sign_up("page", BOB, made_by(alice, team))
    Client().post(link_in(delivered()[0]))
    bob = User.objects.get(email=BOB)
    assert call_rest(signed_in(alice.user), "DELETE", user_in(team, bob)).status_code == 200

    sign_in(Client(), BOB)
    join_accepted(bob)

    assert roles_in(team) == OWNED


def test_who_was_verified_by_an_operator_joins_on_signing_in(
    by_invitation: None, alice: Person, team: Workspace
) -> None:
    sign_up("page", BOB, made_by(alice, team))
    verify_address(User.objects.get(email=BOB))
    client = Client()
    sign_in(client, BOB)

    assert is_signed_in(client)
    assert roles_in(team) == {**OWNED, BOB: "member"}


def test_an_invitation_is_free_again_when_who_signed_up_was_nobody(
    by_invitation: None, alice: Person, team: Workspace
) -> None:
    token = made_by(alice, team)
    sign_up("page", "typo@example.com", token)
    User.objects.get(email="typo@example.com").delete()

    sign_up("page", BOB, token)

    assert Invitation.objects.get().accepted_by == User.objects.get(email=BOB)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lost", ["expired", "revoked", "used", "workspace deleted"])
def test_an_invitation_that_is_lost_signs_nobody_up(
    by_invitation: None, alice: Person, team: Workspace, way: str, lost: str
) -> None:
    token = made_by(alice, team)
    if lost == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif lost == "revoked":
        invitations.revoke(Invitation.objects.get())
    elif lost == "used":
        signed_in(person("dana@example.com").user).post(page_of(token))
    else:
        confirmed = {"confirm": "The team"}
        assert call_rest(signed_in(alice.user), "DELETE", project(team), confirmed).status_code == 200

    sign_up(way, BOB, token)

    assert not User.objects.filter(email=BOB).exists()


@pytest.mark.parametrize("way", WAYS)
def test_where_nobody_signs_up_only_people_with_accounts_join(
    alice: Person, team: Workspace, charlie: Person, settings: Settings, way: str
) -> None:
    assert settings.CHATAPI_SIGN_UP == "closed"
    token = made_by(alice, team)

    assert "Sign up" not in Client().get(page_of(token)).text
    sign_up(way, BOB, token)
    assert not User.objects.filter(email=BOB).exists()
    assert signed_in(charlie.user).post(page_of(token)).status_code == 302
    assert charlie.user.email in roles_in(team)


@pytest.mark.parametrize("way", WAYS)
def test_a_taken_address_uses_no_invitation_up(
    by_invitation: None, alice: Person, team: Workspace, way: str
) -> None:
    user_with_password(BOB)
    token = mailed(made_by(alice, team, BOB))
    sign_up(way, BOB, token)

    assert roles_in(team) == OWNED
    assert invitations.state_of(Invitation.objects.get()) == "open"


def test_mails_are_counted_and_say_who_invites(alice: Person, team: Workspace) -> None:
    hers = signed_in(alice.user)
    call_rest(hers, "POST", INVITES, {"role": "admin", "email": BOB}, within=team)
    call_rest(hers, "POST", INVITES, {"role": "admin"}, within=team)

    [mail] = delivered()
    assert (mail.to, mail.subject) == ([BOB], "[chatapi] You are invited")
    assert "alice@example.com invites you to the workspace “The team”, as admin:" in str(mail.body)
    token = link_in(mail).rstrip("/").rpartition("/")[2]
    found = invitations.present(token)
    assert found
    assert found.proves_address
    assert not found.invitation.digest.startswith(token[:8])


def test_a_person_with_two_workspaces_sees_them_at_home(alice: Person, charlie: Person) -> None:
    join(shared_workspace(alice.user), charlie.user, Role.REVIEWER)
    home = signed_in(charlie.user).get("/accounts/").text
    assert "The team" in home
    assert "You are reviewer" in home
