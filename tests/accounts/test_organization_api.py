"""OpenAI's own client manages workspaces, members and invitations."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.keys.services import create_api_key
from accounts.models import Membership, Workspace
from accounts.permissions import Scope
from accounts.roles import Role
from core.ids import PROJECT, format_id
from tests.support.openai_in_process import openai_client
from tests.support.people import Person, person, signed_in
from tests.support.workspaces import (
    INVITES,
    PROJECTS,
    USERS,
    call,
    error_of,
    project,
    shared_workspace,
    user_in,
)


@pytest.fixture
def team(alice: Person) -> Workspace:
    return shared_workspace(alice.user)


@pytest.fixture
def bob(alice: Person, team: Workspace) -> Person:
    return person("bob@example.com", team)


@pytest.fixture
def sdk(alice: Person, team: Workspace) -> Iterator[Any]:
    _, secret = create_api_key(team, alice.user, scopes=[Scope.MEMBERS])
    with openai_client(admin_api_key=secret, _strict_response_validation=True) as client:
        yield client.admin.organization


# --- OpenAI's client ------------------------------------------------------------------------------------


def test_users(sdk: Any, alice: Person, bob: Person, team: Workspace) -> None:
    listed = list(sdk.users.list(limit=1))
    assert [(one.email, one.role) for one in listed] == [
        ("bob@example.com", "member"),
        ("alice@example.com", "owner"),
    ]
    [his] = sdk.users.list(emails=["BOB@example.com", "nobody@example.com"])
    assert sdk.users.retrieve(his.id) == his
    assert his.added_at == int(Membership.objects.get(user=bob.user, workspace=team).created_at.timestamp())

    assert sdk.users.update(his.id, role="reviewer").role == "reviewer"
    assert sdk.users.update(his.id, role="reader").role == "member"
    gone = sdk.users.delete(his.id)
    assert (gone.id, gone.deleted, gone.object) == (his.id, True, "organization.user.deleted")
    with pytest.raises(openai.NotFoundError):
        sdk.users.retrieve(his.id)


def test_invites(sdk: Any, team: Workspace) -> None:
    made = sdk.invites.create(
        email="bob@example.com",
        role="reader",
        projects=[{"id": format_id(PROJECT, team.pk), "role": "member"}],
    )
    assert (made.role, made.status, made.email) == ("reader", "pending", "bob@example.com")
    assert made.link.startswith("http://localhost/accounts/invitations/")
    assert [one.id for one in sdk.invites.list()] == [made.id]
    assert sdk.invites.delete(made.id).deleted
    assert sdk.invites.retrieve(made.id).status == "expired"
    with pytest.raises(openai.PermissionDeniedError):
        sdk.invites.create(email="bob@example.com", role="owner")


def test_projects(sdk: Any, alice: Person, bob: Person, team: Workspace) -> None:
    [one] = sdk.projects.list(include_archived=True)
    assert (one.id, one.name, one.status, one.role) == (
        format_id(PROJECT, team.pk),
        "The team",
        "active",
        "owner",
    )
    assert sdk.projects.update(one.id, name=" New name ").name == "New name"
    assert sdk.projects.retrieve(one.id).name == "New name"
    with pytest.raises(openai.NotFoundError):
        sdk.projects.retrieve(format_id(PROJECT, alice.workspace.pk))
    with pytest.raises(openai.PermissionDeniedError, match="Sign in"):
        sdk.projects.create(name="Another")

    users = sdk.projects.users
    his = next(iter(users.list(one.id, limit=1)))
    assert (his.email, his.object) == ("bob@example.com", "organization.project.user")
    assert users.update(his.id, project_id=one.id, role="admin").role == "admin"
    assert users.retrieve(his.id, project_id=one.id).role == "admin"
    with pytest.raises(openai.BadRequestError, match="Invite them"):
        users.create(one.id, role="member", user_id=his.id)
    assert users.delete(his.id, project_id=one.id).object == "organization.project.user.deleted"


def test_a_person_lists_all_their_workspaces(alice: Person, team: Workspace, charlie: Person) -> None:
    shared_workspace(charlie.user, "Charlie's", reviewer=alice.user)
    browser = signed_in(alice.user)

    first = call(browser, "GET", f"{PROJECTS}?limit=2").json()
    rest = call(browser, "GET", f"{PROJECTS}?after={first['last_id']}").json()

    shown = [(one["name"], one["role"], one["personal"]) for one in first["data"] + rest["data"]]
    assert shown == [
        ("Charlie's", "reviewer", False),
        ("The team", "owner", False),
        ("alice@example.com's workspace", "owner", True),
    ]


# --- who sees what --------------------------------------------------------------------------------------


def test_every_member_sees_the_members(alice: Person, team: Workspace) -> None:
    for role in Role:
        who = person(f"{role}@example.com", team)
        Membership.objects.filter(user=who.user, workspace=team).update(role=role)
        listed = call(signed_in(who.user), "GET", USERS, within=team)
        assert listed.status_code == 200
        assert "alice@example.com" in [one["email"] for one in listed.json()["data"]]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("page", ["", "/users", "/users/{user}", "/leave", "/hand_over"])
def test_strangers_find_no_workspace(
    alice: Person, team: Workspace, charlie: Person, client: Client, method: str, page: str
) -> None:
    """What is a stranger's is not found in the same words, by the same queries, as what never was."""
    page = page.format(user=f"user-{alice.user.pk}")
    paths = [project(team, page), f"{PROJECTS}/proj_{'0' * 32}{page}"]
    his = signed_in(charlie.user)

    answers, queries = [], []
    for path in paths:
        with CaptureQueriesContext(connection) as made:
            answers.append(call(his, method, path, {}))
        queries.append(len(made))
        by_key = client.generic(method, path, "{}", "application/json", headers=charlie.headers)
        assert by_key.status_code in {404, 405}
    assert answers[0].status_code in {404, 405}
    assert answers[0].content == answers[1].content
    assert queries[0] == queries[1]
    assert Membership.objects.filter(workspace=team).count() == 1


def test_who_is_no_member_is_not_found(alice: Person, team: Workspace, charlie: Person) -> None:
    browser = signed_in(alice.user)
    for method, body in (("GET", None), ("POST", {"role": "member"}), ("DELETE", None)):
        answers, queries = [], []
        for user in (f"user-{charlie.user.pk}", f"user-{10**17}"):
            with CaptureQueriesContext(connection) as made:
                answers.append(call(browser, method, f"{USERS}/{user}", body, within=team))
            queries.append(len(made))
        assert {(one.status_code, one.content) for one in answers} == {(404, answers[0].content)}
        assert queries[0] == queries[1]
    for user in ("x", "user-x", "user-", f"user-{'9' * 40}", "user-٣", "%00", "user-1%00"):
        assert call(browser, "GET", f"{USERS}/{user}", within=team).status_code == 404


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 201},
        {"name": 7},
        {"name": None},
        {"name": "two\nlines"},
        {"name": "turned \u202e around"},
        {"name": "a\x00b"},
        b'{"name": "\\udc00"}',
    ],
)
def test_what_is_no_name_is_refused(alice: Person, team: Workspace, body: Any) -> None:
    browser = signed_in(alice.user)
    for path in (PROJECTS, project(team)):
        answer = call(browser, "POST", path, body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


def test_unknown_members_of_a_body_are_refused(alice: Person, bob: Person, team: Workspace) -> None:
    browser = signed_in(alice.user)
    for method, path, body in (
        ("POST", PROJECTS, {"name": "x"}),
        ("POST", project(team), {"name": "x"}),
        ("DELETE", project(team), {"confirm": "The team"}),
        ("POST", user_in(team, bob.user), {"role": "member"}),
        ("POST", project(team, "/leave"), {}),
        ("POST", project(team, "/hand_over"), {"user_id": "x"}),
        ("POST", "/v1/invitations/accept", {"token": "x"}),
        ("POST", INVITES, {"role": "member"}),
    ):
        answer = call(browser, method, path, {**body, "evil": 1}, within=team)
        assert error_of(answer) == (400, "unsupported_parameter"), path
        assert answer.json()["error"]["param"] == "evil"
    assert Workspace.objects.get(pk=team.pk).name == "The team"


@pytest.mark.parametrize("body", [{}, {"role": "god"}, {"role": 1}, {"role": None}, b"[", b"7"])
def test_what_is_no_role_is_refused(alice: Person, bob: Person, team: Workspace, body: Any) -> None:
    assert call(signed_in(alice.user), "POST", user_in(team, bob.user), body).status_code == 400


def test_query_parameters_are_checked(alice: Person, team: Workspace) -> None:
    browser = signed_in(alice.user)
    for path in (USERS, PROJECTS, project(team, "/users")):
        for query in ("limit=0", "limit=x", "after=x", "after=%00", "limit=999"):
            assert call(browser, "GET", f"{path}?{query}", within=team).status_code == 400
    assert call(browser, "GET", f"{USERS}?emails[]=%00", within=team).status_code == 400
    assert call(browser, "GET", f"{PROJECTS}?include_archived=x").status_code == 400
