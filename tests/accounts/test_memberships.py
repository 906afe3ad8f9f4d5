"""Members of a workspace: how they join, change roles, leave, hand over; and that somebody always owns it."""

import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from accounts.keys.services import create_api_key, roll_api_key
from accounts.keys.validation import valid_secrets, valid_tokens
from accounts.models import ApiKey, Invitation, Membership, SecurityEvent, User, Workspace
from accounts.permissions import Scope
from accounts.roles import Role
from accounts.secret_digests import digest_of
from accounts.services import personal_workspace
from accounts.workspaces import invitations, memberships, services
from billing.models import Charge
from conversations.models import Conversation
from core.exceptions import ApiError
from core.ids import PROJECT, format_id
from tests.support.concurrent_calls import at_once
from tests.support.history_rows import create_exchange
from tests.support.leaving import read_until
from tests.support.people import Person, person, signed_in, token_for
from tests.support.priced_usage import add_credit, assert_ledger_adds_up
from tests.support.running_server import Server, chat_body
from tests.support.signing_in import delivered
from tests.support.workspaces import (
    ACCEPT,
    INVITES,
    PROJECTS,
    USERS,
    call,
    error_of,
    join,
    principal_in,
    project,
    roles_in,
    shared_workspace,
    user_in,
)


@pytest.fixture
def bob(db: None) -> Person:
    """With an account of his own, and no member of Alice's workspace."""
    return person("bob@example.com")


@pytest.fixture
def team(alice: Person) -> Workspace:
    return shared_workspace(alice.user)


def kinds() -> list[str]:
    rows = SecurityEvent.objects.exclude(kind__in=["signed_in", "key_created"]).order_by("at", "pk")
    return list(rows.values_list("kind", flat=True))


# --- the story ------------------------------------------------------------------------------------------


def test_alice_invites_roles_change_and_bob_leaves(alice: Person, bob: Person, charlie: Person) -> None:
    hers, his, theirs = (signed_in(one.user) for one in (alice, bob, charlie))

    made = call(hers, "POST", PROJECTS, {"name": "The team"})
    team = Workspace.objects.get(name="The team")
    assert (made.status_code, made.json()["role"]) == (200, "owner")
    call(hers, "POST", INVITES, {"email": "Bob@example.com", "role": "member"}, within=team)
    [mail] = delivered()
    assert mail.to == ["bob@example.com"]
    assert "alice@example.com invites you to the workspace “The team”, as member" in str(mail.body)
    [path] = re.findall(r"http://testserver(/accounts/invitations/\S+/)", str(mail.body))
    link = call(hers, "POST", INVITES, {"role": "reviewer"}, within=team).json()["link"]

    assert "invites you to the workspace" in his.get(path).content.decode()
    assert his.post(path).headers["location"] == "/accounts/"
    token = link.rstrip("/").rpartition("/")[2]
    assert call(theirs, "POST", ACCEPT, {"token": token}).json()["role"] == "reviewer"
    assert roles_in(team) == {
        "alice@example.com": "owner",
        "bob@example.com": "member",
        "charlie@example.com": "reviewer",
    }

    promoted = call(hers, "POST", user_in(team, charlie.user), {"role": "admin"})
    assert (promoted.status_code, promoted.json()["role"]) == (200, "admin")
    assert call(theirs, "POST", user_in(team, bob.user), {"role": "admin"}).status_code == 200

    private = Conversation.objects.create(workspace=team, user=bob.user, scope="scope")
    shared = Conversation.objects.create(workspace=team, user=bob.user, scope="scope", visibility="workspace")
    left = call(his, "POST", project(team, "/leave"))
    assert left.json() == {
        "id": f"user-{bob.user.pk}",
        "object": "organization.project.user.deleted",
        "deleted": True,
    }
    assert error_of(his.get(project(team))) == (404, "not_found")
    for browser in (hers, theirs):
        listed = call(browser, "GET", "/v1/conversations", within=team).json()["data"]
        assert [one["id"] for one in listed] == [shared.public_id]
        gone = call(browser, "GET", f"/v1/conversations/{private.public_id}", within=team)
        assert gone.status_code == 404
    assert Conversation.objects.filter(workspace=team).count() == 2

    join(team, bob.user)  # back again
    listed = call(his, "GET", "/v1/conversations", within=team).json()["data"]
    assert {one["id"] for one in listed} == {private.public_id, shared.public_id}
    assert kinds() == [
        "workspace_created",
        "invited",
        "invited",
        "member_joined",
        "member_joined",
        "role_changed",
        "role_changed",
        "member_left",
    ]
    assert set(SecurityEvent.objects.exclude(workspace_id=None).values_list("workspace_id", flat=True)) > {
        team.pk
    }


def test_the_books_stay_whole_when_a_member_leaves(server: Server, alice: Person) -> None:
    team = shared_workspace(alice.user)
    bob = person("bob@example.com", team)
    add_credit(bob, 10**9)
    with server.client(bob) as client:
        body = chat_body("Hi") | {"model": "priced"}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        server.until_idle()
        call(signed_in(bob.user), "POST", project(team, "/leave"))
        assert client.post("/v1/chat/completions", json=body).status_code == 401
    server.until_idle()

    [charge] = Charge.objects.all()
    assert (charge.user_id, charge.workspace_id) == (bob.user.pk, team.pk)
    assert_ledger_adds_up()
    call_command("verify_ledger")


# --- keys and tokens of who leaves ----------------------------------------------------------------------


def test_keys_and_their_tokens_die_with_the_membership(alice: Person, team: Workspace) -> None:
    bob = person("bob@example.com", team)
    token = token_for(bob, "xavier")
    assert valid_secrets([digest_of(bob.key)])
    assert valid_tokens([digest_of(token)])
    call(signed_in(alice.user), "DELETE", user_in(team, bob.user))
    join(team, bob.user)

    assert not valid_secrets([digest_of(bob.key)])
    assert not valid_tokens([digest_of(token)])
    assert ApiKey.objects.filter(user=bob.user, workspace=team, revoked_at=None).exists()


def test_a_leavers_key_is_rolled_and_its_tokens_stay_dead(alice: Person, team: Workspace) -> None:
    adam = person("adam@example.com", team)
    token = token_for(adam, "xavier")
    memberships.leave(team.pk, principal_in(team, adam.user))

    secret = roll_api_key(ApiKey.objects.get(pk=adam.key_id), alice.user)

    assert valid_secrets([digest_of(secret)]) == {digest_of(secret)}
    assert valid_tokens([digest_of(token)]) == set()


def test_who_is_removed_does_not_come_back_by_another_invitation(
    alice: Person, bob: Person, team: Workspace
) -> None:
    hers = signed_in(alice.user)
    call(hers, "POST", INVITES, {"email": "BOB@example.com", "role": "admin"}, within=team)
    link = call(hers, "POST", INVITES, {"role": "reviewer"}, within=team).json()["link"]
    call(signed_in(bob.user), "POST", ACCEPT, {"token": link.rstrip("/").rpartition("/")[2]})
    assert roles_in(team)[bob.user.email] == Role.REVIEWER

    call(hers, "DELETE", user_in(team, bob.user))

    [other] = Invitation.objects.filter(accepted_at=None)
    assert (other.email, other.revoked_at is None) == ("bob@example.com", False)
    assert not invitations.open_invitations().exists()


def test_what_runs_for_a_removed_member_ends(server: Server, alice: Person) -> None:
    """One answer came with Bob's key, the other from his browser."""
    team = shared_workspace(alice.user)
    bob = person("bob@example.com", team)
    cookies = {"sessionid": signed_in(bob.user).cookies["sessionid"].value, "csrftoken": "t" * 32}
    body = chat_body("[[text: begun]] [[stall]]", stream=True)
    headers = {"x-csrftoken": "t" * 32, "x-workspace-id": format_id(PROJECT, team.pk)}
    with server.client(bob) as by_key, server.client(None, **headers) as browser:
        browser.cookies.update(cookies)
        with (
            by_key.stream("POST", "/chat/completions", json=body) as first,
            browser.stream("POST", "/chat/completions", json=body) as second,
        ):
            answers = [first.iter_text(), second.iter_text()]
            for answer in answers:
                read_until(answer, "begun")
            assert call(signed_in(alice.user), "DELETE", user_in(team, bob.user)).status_code == 200
            ends = ["".join(answer) for answer in answers]
    assert ["invalid_api_key" in ends[0], "session_ended" in ends[1]] == [True, True]


def test_a_reviewers_keys_may_do_nothing(client: Client, alice: Person, team: Workspace) -> None:
    bob = person("bob@example.com", team)
    assert client.get("/v1/conversations", headers=bob.headers).status_code == 200

    call(signed_in(alice.user), "POST", user_in(team, bob.user), {"role": "reviewer"})

    refused = client.get("/v1/conversations", headers=bob.headers)
    assert error_of(refused) == (403, "insufficient_permissions")


# --- who may not ----------------------------------------------------------------------------------------


def test_a_reviewer_and_a_member_change_nothing(alice: Person, bob: Person, charlie: Person) -> None:
    team = shared_workspace(alice.user, member=bob.user, reviewer=charlie.user)
    before = roles_in(team)

    for who, other in ((bob, charlie), (charlie, bob)):
        browser = signed_in(who.user)
        for method, path, body in (
            ("POST", user_in(team, other.user), {"role": "admin"}),
            ("POST", user_in(team, who.user), {"role": "admin"}),
            ("DELETE", user_in(team, other.user), {}),
            ("POST", project(team), {"name": "Mine"}),
            ("DELETE", project(team), {"confirm": "The team"}),
            ("POST", project(team, "/hand_over"), {"user_id": f"user-{who.user.pk}"}),
            ("POST", INVITES, {"role": "member"}),
        ):
            answer = call(browser, method, path, body, within=team)
            assert error_of(answer) == (403, "insufficient_permissions"), (method, path)
    assert roles_in(team) == before
    assert not Invitation.objects.exists()
    assert Workspace.objects.get(pk=team.pk).name == "The team"


def test_nobody_changes_their_own_role(alice: Person, bob: Person, client: Client) -> None:
    team = shared_workspace(alice.user, owner=bob.user)
    charlie = person("charlie@example.com", team)
    Membership.objects.filter(workspace=team, user=charlie.user).update(role="admin")
    _, secret = create_api_key(team, charlie.user, scopes=[Scope.MEMBERS])

    for who in (alice, bob, charlie):
        browser = signed_in(who.user)
        assert error_of(call(browser, "POST", user_in(team, who.user), {"role": "member"}))[1] == "own_role"
        assert error_of(call(browser, "DELETE", user_in(team, who.user)))[1] == "own_role"
    by_key = client.post(
        user_in(team, charlie.user),
        {"role": "member"},
        "application/json",
        headers={"authorization": f"Bearer {secret}"},
    )
    assert error_of(by_key) == (403, "own_role")
    assert set(roles_in(team).values()) == {"owner", "admin"}


def test_an_admin_makes_and_unmakes_no_owner(alice: Person, bob: Person, charlie: Person) -> None:
    team = shared_workspace(alice.user, admin=bob.user, member=charlie.user)
    browser = signed_in(bob.user)

    for method, who, body in (
        ("POST", charlie, {"role": "owner"}),
        ("POST", alice, {"role": "member"}),
        ("DELETE", alice, {}),
    ):
        answer = call(browser, method, user_in(team, who.user), body)
        assert error_of(answer) == (403, "insufficient_permissions")
    invited = call(browser, "POST", INVITES, {"role": "owner"}, within=team)
    assert error_of(invited) == (403, "insufficient_permissions")

    assert call(browser, "POST", user_in(team, charlie.user), {"role": "admin"}).status_code == 200
    assert call(browser, "DELETE", user_in(team, charlie.user)).status_code == 200


def test_a_key_manages_members_but_no_owners(client: Client, alice: Person, bob: Person) -> None:
    team = shared_workspace(alice.user, member=bob.user)
    _, secret = create_api_key(team, alice.user, scopes=[Scope.MEMBERS])
    headers = {"authorization": f"Bearer {secret}"}

    def change(role: str) -> Any:
        return client.post(user_in(team, bob.user), {"role": role}, "application/json", headers=headers)

    assert change("admin").json()["role"] == "admin"
    assert error_of(change("owner")) == (403, "session_required")
    for path in (project(team, "/leave"), project(team, "/hand_over"), PROJECTS):
        answer = client.post(path, {}, "application/json", headers=headers)
        assert error_of(answer) == (403, "session_required")
    assert client.delete(user_in(team, bob.user), headers=headers).status_code == 200


def test_who_was_demoted_meanwhile_may_no_longer(alice: Person, bob: Person, charlie: Person) -> None:
    """Bob's request was let in while he was an admin."""
    team = shared_workspace(alice.user, admin=bob.user, member=charlie.user)
    admin = principal_in(team, bob.user)
    Membership.objects.filter(workspace=team, user=bob.user).update(role="member")

    with pytest.raises(ApiError) as refused:
        memberships.remove_member(team.pk, charlie.user.pk, admin)
    assert refused.value.code == "insufficient_permissions"
    Membership.objects.filter(workspace=team, user=bob.user).delete()
    with pytest.raises(ApiError) as refused:
        services.rename(team.pk, "Bob's", admin)
    assert refused.value.status == 404


def test_owners_are_made_demoted_and_removed_by_who_has_proved_lately_who_they_are(
    alice: Person, bob: Person, charlie: Person
) -> None:
    team = shared_workspace(alice.user, owner=bob.user, member=charlie.user)
    before = roles_in(team)
    long_ago, lately = signed_in(alice.user, seconds_ago=3600), signed_in(alice.user)
    of_owners = [
        ("POST", charlie, {"role": "owner"}),
        ("POST", bob, {"role": "admin"}),
        ("DELETE", bob, {}),
    ]

    for method, who, body in of_owners:
        for path in (user_in(team, who.user), f"{USERS}/user-{who.user.pk}"):
            refused = call(long_ago, method, path, body, within=team)
            assert error_of(refused) == (403, "reauthentication_required"), (method, path)
    assert roles_in(team) == before
    assert call(long_ago, "POST", user_in(team, charlie.user), {"role": "admin"}).status_code == 200
    for method, who, body in of_owners:
        assert call(lately, method, user_in(team, who.user), body).status_code == 200
    assert roles_in(team) == {"alice@example.com": "owner", "charlie@example.com": "owner"}


# --- an owner stays -------------------------------------------------------------------------------------


def test_the_last_owner_stays(alice: Person, bob: Person) -> None:
    team = shared_workspace(alice.user, admin=bob.user)
    browser = signed_in(alice.user)
    assert error_of(call(browser, "POST", project(team, "/leave"))) == (409, "last_owner")

    call(browser, "POST", user_in(team, bob.user), {"role": "owner"})
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    assert error_of(call(browser, "POST", project(team, "/leave"))) == (409, "last_owner")
    User.objects.filter(pk=bob.user.pk).update(is_active=True)

    assert call(browser, "POST", project(team, "/leave")).status_code == 200
    assert roles_in(team) == {"bob@example.com": "owner"}


def test_an_owner_makes_another_one_a_member(alice: Person, bob: Person) -> None:
    team = shared_workspace(alice.user, owner=bob.user)
    browser = signed_in(alice.user)
    assert call(browser, "POST", user_in(team, bob.user), {"role": "member"}).status_code == 200
    assert call(browser, "DELETE", user_in(team, bob.user)).status_code == 200
    assert roles_in(team) == {"alice@example.com": "owner"}


def test_an_owner_hands_over(alice: Person, bob: Person, charlie: Person) -> None:
    team = shared_workspace(alice.user, member=bob.user)
    to_bob = {"user_id": f"user-{bob.user.pk}"}
    long_ago = signed_in(alice.user, seconds_ago=3600)
    browser = signed_in(alice.user)

    refused = call(long_ago, "POST", project(team, "/hand_over"), to_bob)
    assert error_of(refused) == (403, "reauthentication_required")
    for named in (charlie.user.pk, 10**17, "x"):
        answer = call(browser, "POST", project(team, "/hand_over"), {"user_id": f"user-{named}"})
        assert error_of(answer) == (404, "not_found")
    to_herself = {"user_id": f"user-{alice.user.pk}"}
    assert error_of(call(browser, "POST", project(team, "/hand_over"), to_herself))[1] == "own_role"
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    assert error_of(call(browser, "POST", project(team, "/hand_over"), to_bob))[1] == "inactive_member"
    User.objects.filter(pk=bob.user.pk).update(is_active=True)

    assert call(browser, "POST", project(team, "/hand_over"), to_bob).json()["role"] == "admin"

    assert roles_in(team) == {"alice@example.com": "admin", "bob@example.com": "owner"}
    event = SecurityEvent.objects.get(kind="ownership_handed_over")
    assert (event.user, event.by, event.workspace_id) == (bob.user, alice.user, team.pk)
    again = call(browser, "POST", project(team, "/hand_over"), to_bob)
    assert error_of(again) == (403, "insufficient_permissions")


def test_a_personal_workspace_stays_its_persons(alice: Person, bob: Person) -> None:
    own = personal_workspace(alice.user)
    join(own, bob.user, Role.OWNER)
    his, hers = signed_in(bob.user), signed_in(alice.user)

    for browser, method, path, body in (
        (hers, "POST", project(own, "/leave"), {}),
        (hers, "POST", project(own, "/hand_over"), {"user_id": f"user-{bob.user.pk}"}),
        (hers, "DELETE", project(own), {"confirm": own.name}),
        (his, "DELETE", project(own), {"confirm": own.name}),
        (his, "POST", user_in(own, alice.user), {"role": "member"}),
        (his, "DELETE", user_in(own, alice.user), {}),
    ):
        assert error_of(call(browser, method, path, body)) == (409, "personal_workspace"), path
    assert call(his, "POST", project(own, "/leave")).status_code == 200
    assert roles_in(own) == {"alice@example.com": "owner"}


def test_the_only_owner_deletes_the_workspace_before_the_account(alice: Person, team: Workspace) -> None:
    """Also where nobody else is a member: otherwise it would be nobody's."""
    browser = signed_in(alice.user)
    confirmed = {"confirm": "alice@example.com"}
    assert error_of(call(browser, "DELETE", "/v1/me", confirmed)) == (409, "only_owner")

    assert error_of(call(browser, "DELETE", project(team), {"confirm": "the team"}))[0] == 400
    long_ago = signed_in(alice.user, seconds_ago=3600)
    refused = call(long_ago, "DELETE", project(team), {"confirm": "The team"})
    assert error_of(refused) == (403, "reauthentication_required")
    create_exchange(Person(alice.user, team, "", alice.key_id))
    gone = call(browser, "DELETE", project(team), {"confirm": "The team"})

    assert gone.json()["object"] == "organization.project.deleted"
    assert not Workspace.objects.filter(pk=team.pk).exists()
    assert not Conversation.objects.exists()
    assert SecurityEvent.objects.get(kind="workspace_deleted").workspace_id == team.pk
    assert call(browser, "DELETE", "/v1/me", confirmed).status_code == 200


def test_one_person_owns_only_so_many(alice: Person, bob: Person, settings: Settings) -> None:
    settings.CHATAPI_WORKSPACES_PER_USER = 2
    browser = signed_in(alice.user)
    names = ["One", "Two"]
    made = [call(browser, "POST", PROJECTS, {"name": name}).json()["id"] for name in names]

    assert error_of(call(browser, "POST", PROJECTS, {"name": "Three"})) == (409, "too_many_workspaces")
    call(browser, "DELETE", f"{PROJECTS}/{made[0]}", {"confirm": "One"})
    assert call(browser, "POST", PROJECTS, {"name": "Three"}).status_code == 200
    assert call(signed_in(bob.user), "POST", PROJECTS, {"name": "Three"}).status_code == 200


# --- at once --------------------------------------------------------------------------------------------


def test_of_two_owners_who_leave_at_once_one_stays(
    transactional_db: None, alice: Person, bob: Person
) -> None:
    team = shared_workspace(alice.user, owner=bob.user)
    browsers = [signed_in(one.user) for one in (alice, bob)]

    answers = at_once(*(lambda one=one: call(one, "POST", project(team, "/leave")) for one in browsers))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert list(roles_in(team).values()) == ["owner"]


def test_two_owners_who_demote_each_other_at_once_leave_one(
    transactional_db: None, alice: Person, bob: Person
) -> None:
    team = shared_workspace(alice.user, owner=bob.user)
    pairs = [(signed_in(alice.user), bob.user), (signed_in(bob.user), alice.user)]

    answers = at_once(
        *(
            lambda browser=browser, other=other: call(
                browser, "POST", user_in(team, other), {"role": "member"}
            )
            for browser, other in pairs
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 403]
    assert sorted(roles_in(team).values()) == ["member", "owner"]


def test_who_leaves_the_service_while_a_workspace_is_handed_to_them_does_not_leave_it_ownerless(
    transactional_db: None, alice: Person, bob: Person
) -> None:
    team = shared_workspace(alice.user, member=bob.user)
    hers, his = signed_in(alice.user), signed_in(bob.user)

    handed, deleted = at_once(
        lambda: call(hers, "POST", project(team, "/hand_over"), {"user_id": f"user-{bob.user.pk}"}),
        lambda: call(his, "DELETE", "/v1/me", {"confirm": "bob@example.com"}),
    )

    assert (handed.status_code, deleted.status_code) in {(200, 409), (404, 200)}
    assert "owner" in roles_in(team).values()


def test_one_makes_no_more_workspaces_at_once_than_one_may(
    transactional_db: None, alice: Person, settings: Settings
) -> None:
    settings.CHATAPI_WORKSPACES_PER_USER = 1
    browsers = [signed_in(alice.user) for _ in range(3)]

    answers = at_once(*(lambda one=one: call(one, "POST", PROJECTS, {"name": "Another"}) for one in browsers))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


def test_of_two_who_accept_a_link_at_once_one_joins(
    transactional_db: None, alice: Person, bob: Person, charlie: Person
) -> None:
    team = shared_workspace(alice.user)
    _, token = invitations.invite("", alice.user, workspace=team)
    browsers = [signed_in(one.user) for one in (bob, charlie, bob)]

    answers = at_once(*(lambda one=one: call(one, "POST", ACCEPT, {"token": token}) for one in browsers))

    assert {answer.status_code for answer in answers} <= {200, 409, 410}
    assert [answer.status_code for answer in answers].count(200) == 1
    assert len(roles_in(team)) == 2
