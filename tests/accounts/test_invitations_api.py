"""Invitations into a workspace over REST: who makes, sees, revokes and accepts them, and what they tell."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.keys.services import create_api_key
from accounts.models import Invitation, Membership, OutgoingMail, SecurityEvent, User, Workspace
from accounts.permissions import Scope
from accounts.roles import Role
from accounts.workspaces import invitations
from core.exceptions import ApiError
from tests.support.people import Person, person, signed_in
from tests.support.signing_in import delivered, user_with_password
from tests.support.workspaces import (
    ACCEPT,
    INVITES,
    call,
    error_of,
    join,
    principal_in,
    project,
    roles_in,
    shared_workspace,
    user_in,
)

BOB = "bob@example.com"


@pytest.fixture
def team(alice: Person) -> Workspace:
    return shared_workspace(alice.user)


@pytest.fixture
def hers(alice: Person, team: Workspace) -> Client:
    return signed_in(alice.user)


def invite(browser: Client, team: Workspace, role: str = "member", **body: Any) -> Any:
    return call(browser, "POST", INVITES, {"role": role, **body}, within=team)


def token_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.json()["link"].rstrip("/").rpartition("/")[2])


def accept(who: Person, token: str) -> Any:
    return call(signed_in(who.user), "POST", ACCEPT, {"token": token})


# --- making and looking at them -------------------------------------------------------------------------


def test_an_invitation_as_clients_see_it(hers: Client, alice: Person, team: Workspace) -> None:
    made = invite(hers, team, "admin", email="Bob@example.com")

    assert made["cache-control"] == "no-store"
    shown = made.json()
    link = shown.pop("link")
    invitation = Invitation.objects.get()
    assert shown == {
        "id": f"invite_{invitation.pk.hex}",
        "object": "organization.invite",
        "email": BOB,
        "role": "reader",
        "workspace_role": "admin",
        "status": "pending",
        "projects": [{"id": f"proj_{team.pk.hex}", "role": "member"}],
        "created_at": int(invitation.created_at.timestamp()),
        "expires_at": int(invitation.expires_at.timestamp()),
        "accepted_at": None,
        "revoked_at": None,
        "invited_by": f"user-{alice.user.pk}",
    }
    assert link.startswith("http://testserver/accounts/invitations/")
    assert call(hers, "GET", f"{INVITES}/{shown['id']}", within=team).json() == shown
    listed = call(hers, "GET", INVITES, within=team).json()
    assert (listed["data"], listed["has_more"]) == ([shown], False)
    assert not Invitation.objects.filter(digest__in=link.split("/")).exists()


def test_the_answer_does_not_tell_who_has_an_account(hers: Client, team: Workspace) -> None:
    user_with_password(BOB)
    known, unknown = (invite(hers, team, email=email) for email in (BOB, "who@example.com"))

    assert {name for name, value in known.json().items() if value != unknown.json()[name]} == {
        *("id", "email", "link"),
        *({"created_at", "expires_at"} if known.json()["created_at"] != unknown.json()["created_at"] else ()),
    }
    assert sorted(mail.to[0] for mail in delivered()) == [BOB, "who@example.com"]


def test_roles_as_openai_names_them(hers: Client, team: Workspace) -> None:
    for sent, role, exact in (
        ("reader", "reader", "member"),
        ("owner", "owner", "owner"),
        ("reviewer", "reader", "reviewer"),
    ):
        shown = invite(hers, team, sent).json()
        assert (shown["role"], shown["workspace_role"], shown["email"]) == (role, exact, "")
        assert shown["projects"][0]["role"] == ("owner" if role == "owner" else "member")


def test_an_invitation_is_into_the_current_workspace_alone(
    hers: Client, team: Workspace, charlie: Person
) -> None:
    here = {"id": f"proj_{team.pk.hex}", "role": "member"}
    assert invite(hers, team, projects=[]).status_code == 200
    assert invite(hers, team, projects=[here]).status_code == 200
    for projects, param in (
        ([{**here, "id": f"proj_{charlie.workspace.pk.hex}"}], "projects[0].id"),
        ([{**here, "id": "x"}], "projects[0].id"),
        ([{**here, "role": "owner"}], "projects[0].role"),
        ([here, here], "projects"),
        ([{"id": here["id"]}], "projects[0].role"),
    ):
        refused = invite(hers, team, projects=projects)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "role"),
        ({"role": "god"}, "role"),
        ({"role": ["member"]}, "role"),
        ({"role": "member", "email": "nobody"}, "email"),
        ({"role": "member", "email": 7}, "email"),
        ({"role": "member", "email": f"{'x' * 300}@example.com"}, "email"),
        ({"role": "member", "email": "a\nb@example.com"}, "email"),
        ({"role": "member", "email": "a\x00@example.com"}, "email"),
        ({"role": "member", "emial": BOB}, "emial"),
        ({"role": "member", "projects": {}}, "projects"),
        (b'{"role": "member", "email": "\\ud800@example.com"}', "email"),
        (b'{"role": "member"', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_what_is_no_invitation_is_refused(hers: Client, team: Workspace, body: Any, param: str) -> None:
    refused = call(hers, "POST", INVITES, body, within=team)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert not Invitation.objects.exists()


def test_strangers_find_no_invitation(hers: Client, team: Workspace, charlie: Person) -> None:
    id = invite(hers, team).json()["id"]
    his = signed_in(charlie.user)
    unknown = f"invite_{'0' * 32}"

    answers, queries = [], []
    for method, invitation in (("GET", id), ("GET", unknown), ("DELETE", id), ("DELETE", unknown)):
        with CaptureQueriesContext(
            connection,
        ) as made:
            answers.append(call(his, method, f"{INVITES}/{invitation}"))
        queries.append(len(made))
    assert {(one.status_code, one.content) for one in answers} == {(404, answers[0].content)}
    assert (queries[0], queries[2]) == (queries[1], queries[3])
    assert error_of(call(his, "GET", INVITES, within=team)) == (404, "not_found")
    assert call(his, "GET", f"{INVITES}/nonsense").status_code == 404
    assert Invitation.objects.get().revoked_at is None


def test_pages_of_invitations(hers: Client, team: Workspace) -> None:
    ids = [invite(hers, team).json()["id"] for _ in range(5)]
    first = call(hers, "GET", f"{INVITES}?limit=3", within=team).json()
    rest = call(hers, "GET", f"{INVITES}?limit=3&after={first['last_id']}", within=team).json()

    assert [one["id"] for one in first["data"] + rest["data"]] == ids[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    for query in ("limit=0", "limit=101", "limit=x", "after=x", "after=%00"):
        assert call(hers, "GET", f"{INVITES}?{query}", within=team).status_code == 400


# --- accepting ------------------------------------------------------------------------------------------


def test_a_link_works_once(hers: Client, team: Workspace, charlie: Person) -> None:
    token = token_of(invite(hers, team, "admin"))
    bob, dana = person(BOB), person("dana@example.com")

    joined = accept(bob, token)

    assert (joined.status_code, joined.json()["id"], joined.json()["role"]) == (
        200,
        f"proj_{team.pk.hex}",
        "admin",
    )
    assert error_of(accept(dana, token)) == (410, "invitation_used_up")
    invitation = Invitation.objects.get()
    assert (invitation.accepted_by, invitations.state_of(invitation)) == (bob.user, "accepted")
    id = f"invite_{invitation.pk.hex}"
    assert call(hers, "GET", f"{INVITES}/{id}", within=team).json()["status"] == "accepted"
    assert error_of(call(hers, "DELETE", f"{INVITES}/{id}", within=team)) == (409, "invitation_accepted")
    event = SecurityEvent.objects.get(kind="member_joined")
    assert (event.user, event.workspace_id, event.details["role"]) == (bob.user, team.pk, "admin")


@pytest.mark.parametrize("lost", ["expired", "revoked"])
def test_an_invitation_that_is_lost_lets_nobody_in(
    hers: Client, team: Workspace, charlie: Person, lost: str
) -> None:
    made = invite(hers, team)
    path = f"{INVITES}/{made.json()['id']}"
    if lost == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    else:
        gone = call(hers, "DELETE", path, within=team)
        assert gone.json() == {
            "id": made.json()["id"],
            "object": "organization.invite.deleted",
            "deleted": True,
        }
        assert call(hers, "DELETE", path, within=team).status_code == 200

    assert error_of(accept(charlie, token_of(made))) == (410, "invitation_used_up")
    shown = call(hers, "GET", path, within=team).json()
    assert (shown["status"], shown["revoked_at"] is not None) == ("expired", lost == "revoked")


def test_only_who_has_the_address_accepts(hers: Client, team: Workspace, charlie: Person) -> None:
    token = token_of(invite(hers, team, email=BOB))
    assert error_of(accept(charlie, token)) == (403, "not_invited")

    assert accept(person(BOB), token).status_code == 200


@pytest.mark.parametrize("invited", ["", BOB, "dana@example.com"])
def test_who_has_no_confirmed_address_is_told_so(hers: Client, team: Workspace, invited: str) -> None:
    """In the same words whoever is invited, so that nobody finds out by claiming addresses."""
    token = token_of(invite(hers, team, **({"email": invited} if invited else {})))
    bob = person(BOB)
    EmailAddress.objects.filter(user=bob.user).update(verified=False)

    refused = accept(bob, token)

    assert error_of(refused) == (403, "address_unconfirmed")
    assert "is not confirmed yet" in refused.json()["error"]["message"]
    EmailAddress.objects.filter(user=bob.user).update(verified=True)
    assert accept(bob, token).status_code == (403 if "dana" in invited else 200)


def test_a_member_uses_no_invitation_up(
    hers: Client, alice: Person, team: Workspace, charlie: Person
) -> None:
    token = token_of(invite(hers, team, "reviewer"))

    assert error_of(accept(alice, token)) == (409, "already_member")
    assert roles_in(team) == {"alice@example.com": "owner"}
    assert accept(charlie, token).status_code == 200


@pytest.mark.parametrize("token", ["x", "", "x.y", "x" * 200, "é" * 100, "\u2028"])
def test_what_is_no_token_is_refused(charlie: Person, token: str) -> None:
    assert error_of(accept(charlie, token)) == (404, "not_found")


@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": None}, {"token": "\x00"}, {"token": "x" * 201}])
def test_what_is_no_acceptance_is_refused(charlie: Person, body: Any) -> None:
    answer = call(signed_in(charlie.user), "POST", ACCEPT, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "token")


def test_a_key_accepts_nothing(client: Client, hers: Client, team: Workspace, charlie: Person) -> None:
    token = token_of(invite(hers, team))
    refused = client.post(ACCEPT, {"token": token}, "application/json", headers=charlie.headers)
    assert error_of(refused) == (403, "session_required")
    assert client.post(ACCEPT, {"token": token}, "application/json").status_code == 401


def test_an_invitation_only_to_sign_up_is_none_into_a_workspace(charlie: Person) -> None:
    _, token = invitations.invite(BOB, None)
    assert error_of(accept(charlie, token)) == (404, "not_found")


# --- who lost the right to invite -----------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["removed", "demoted", "left"])
def test_who_is_removed_does_not_come_back_by_an_own_link(
    hers: Client, team: Workspace, charlie: Person, lost: str
) -> None:
    admin = person(BOB)
    join(team, admin.user, Role.ADMIN)
    his = signed_in(admin.user)
    token = token_of(invite(his, team, "admin"))
    kept = token_of(invite(hers, team))

    if lost == "left":
        assert call(his, "POST", project(team, "/leave")).status_code == 200
    elif lost == "removed":
        assert call(hers, "DELETE", user_in(team, admin.user)).status_code == 200
    else:
        assert call(hers, "POST", user_in(team, admin.user), {"role": "member"}).status_code == 200

    assert error_of(accept(charlie, token)) == (410, "invitation_used_up")
    assert accept(charlie, kept).status_code == 200


@pytest.mark.parametrize(
    ("before", "after", "invited"),
    [("admin", None, "member"), ("admin", "member", "member"), ("owner", "admin", "owner")],
)
def test_who_lost_the_right_since_the_request_began_invites_nobody(
    alice: Person, team: Workspace, before: str, after: str | None, invited: str
) -> None:
    """Otherwise the link would be made after the others were revoked."""
    bob = person(BOB)
    own = join(team, bob.user, Role(before))
    who = principal_in(team, bob.user)
    Membership.objects.filter(pk=own.pk).update(role=after) if after else own.delete()

    with pytest.raises(ApiError) as refused:
        invitations.invite_as_member(who, "", Role(invited))

    assert refused.value.code == ("insufficient_permissions" if after else "not_found")
    assert not Invitation.objects.exists()


def test_who_was_deactivated_since_the_request_began_invites_nobody(alice: Person, team: Workspace) -> None:
    bob = person(BOB)
    join(team, bob.user, Role.ADMIN)
    who = principal_in(team, bob.user)
    User.objects.filter(pk=bob.user.pk).update(is_active=False)

    with pytest.raises(ApiError):
        invitations.invite_as_member(who, "", Role.MEMBER)
    assert not Invitation.objects.exists()


def test_an_owner_is_invited_by_an_owner_who_has_proved_lately_who_they_are(
    alice: Person, team: Workspace
) -> None:
    bob = person(BOB)
    join(team, bob.user, Role.ADMIN)
    long_ago = signed_in(alice.user, seconds_ago=3600)

    assert error_of(invite(long_ago, team, "owner")) == (403, "reauthentication_required")
    admin = signed_in(bob.user, seconds_ago=3600)
    assert error_of(invite(admin, team, "owner")) == (403, "insufficient_permissions")
    assert not Invitation.objects.exists()
    assert invite(long_ago, team, "admin").status_code == 200
    assert invite(signed_in(alice.user), team, "owner").status_code == 200


def test_who_is_no_owner_any_more_has_invited_no_owner(
    hers: Client, team: Workspace, charlie: Person
) -> None:
    bob = person(BOB)
    join(team, bob.user, Role.OWNER)
    owner, member = (token_of(invite(signed_in(bob.user), team, role)) for role in ("owner", "member"))

    call(hers, "POST", user_in(team, bob.user), {"role": "admin"})

    assert error_of(accept(charlie, owner)) == (410, "invitation_used_up")
    assert accept(charlie, member).status_code == 200


# --- bounds ---------------------------------------------------------------------------------------------


def test_a_workspace_has_only_so_many_open_invitations(
    hers: Client, team: Workspace, charlie: Person
) -> None:
    first = invite(hers, team).json()["id"]
    expires_at = timezone.now() + timedelta(days=1)
    Invitation.objects.bulk_create(
        Invitation(workspace=team, digest=str(number), expires_at=expires_at)
        for number in range(invitations.MAX_OPEN - 1)
    )

    assert error_of(invite(hers, team)) == (409, "too_many_invitations")
    assert error_of(invite(hers, team, email=BOB)) == (409, "too_many_invitations")
    assert OutgoingMail.objects.count() == 0
    call(hers, "DELETE", f"{INVITES}/{first}", within=team)
    assert invite(hers, team).status_code == 200
    assert call(signed_in(charlie.user), "POST", INVITES, {"role": "member"}).status_code == 200


def test_nobody_mails_strangers_in_bulk(hers: Client, team: Workspace, settings: Settings) -> None:
    assert settings.ACCOUNT_RATE_LIMITS["invite"] == "30/h/user,3/d/key"
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"invite": "4/h/user,2/d/key"}

    statuses = [invite(hers, team, email=BOB).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]  # to one address
    others = [invite(hers, team, email=f"user-{number}@example.com") for number in range(3)]
    assert [answer.status_code for answer in others][-1] == 429
    assert error_of(others[-1]) == (429, "rate_limit_exceeded")
    assert "retry-after" in others[-1].headers
    assert invite(hers, team).status_code == 200  # a link mails nobody
    assert Invitation.objects.exclude(email="").count() == OutgoingMail.objects.count()


def test_a_member_is_not_invited_again(hers: Client, team: Workspace) -> None:
    join(team, person(BOB).user)
    refused = invite(hers, team, email="BOB@example.com")
    assert error_of(refused) == (409, "already_member")
    assert (refused.json()["error"]["param"], OutgoingMail.objects.count()) == ("email", 0)


def test_no_mail_leads_to_the_host_that_a_request_claims(
    hers: Client, team: Workspace, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    answer = hers.post(
        INVITES,
        {"role": "member", "email": BOB},
        "application/json",
        headers={"host": "evil.example", "x-workspace-id": f"proj_{team.pk.hex}"},
    )
    assert answer.status_code == 200
    assert OutgoingMail.objects.count() == 0


def test_a_key_with_the_scope_invites(client: Client, alice: Person, team: Workspace) -> None:
    _, secret = create_api_key(team, alice.user, scopes=[Scope.MEMBERS])
    headers = {"authorization": f"Bearer {secret}"}

    def post(role: str) -> Any:
        return client.post(INVITES, {"role": role, "email": BOB}, "application/json", headers=headers)

    assert post("admin").status_code == 200
    assert error_of(post("owner")) == (403, "session_required")
    _, without = create_api_key(team, alice.user)
    refused = client.get(INVITES, headers={"authorization": f"Bearer {without}"})
    assert error_of(refused) == (403, "insufficient_permissions")


def test_an_account_that_is_deleted_leaves_no_invitations(
    hers: Client, alice: Person, team: Workspace
) -> None:
    bob = person(BOB)
    join(team, bob.user, Role.ADMIN)
    invite(signed_in(bob.user), team)
    assert call(signed_in(bob.user), "DELETE", "/v1/me", {"confirm": BOB}).status_code == 200

    assert invitations.state_of(Invitation.objects.get()) == "revoked"
    assert Membership.objects.filter(workspace=team).count() == 1


def test_an_invitation_ends_in_as_many_days_as_the_setting_says(
    hers: Client, team: Workspace, settings: Settings
) -> None:
    settings.CHATAPI_INVITATION_DAYS = 2
    invite(hers, team)
    left = Invitation.objects.get().expires_at - timezone.now()
    assert timedelta(hours=47) < left <= timedelta(days=2)
