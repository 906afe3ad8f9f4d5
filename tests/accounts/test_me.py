"""`GET /v1/me`: who somebody is, as each kind of caller sees it."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, User, Workspace
from accounts.permissions import Permission, Scope
from accounts.roles import Role
from core.ids import PROJECT, format_id
from tests.support.keys import Caller, program
from tests.support.people import Person, set_role, signed_in

OF_MEMBERS = ["completions", "history.read", "history.write", "files", "usage"]


def test_alice_sees_herself_in_her_session(alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(first_name="Alice 🦊", last_name="Liddell")

    answer = signed_in(alice.user, enforce_csrf_checks=True).get("/v1/me")
    me = answer.json()

    assert answer.status_code == 200
    assert answer["cache-control"] == "no-store"
    assert me.pop("csrf_token")
    assert me == {
        "id": f"user-{alice.user.pk}",
        "object": "user",
        "email": "alice@example.com",
        "first_name": "Alice 🦊",
        "last_name": "Liddell",
        "created_at": int(alice.user.date_joined.timestamp()),
        "is_staff": False,
        "workspaces": [
            {
                "id": format_id(PROJECT, alice.workspace.pk),
                "object": "workspace",
                "name": "alice@example.com's workspace",
                "role": "owner",
                "personal": True,
                "current": True,
            }
        ],
        "permissions": [name for name in Permission if name != "end_user_tokens"],
        "authentication": {"method": "session", "key": None},
    }


def test_the_csrf_token_is_one_that_the_service_takes(alice: Person) -> None:
    browser = signed_in(alice.user, enforce_csrf_checks=True)
    token = browser.get("/v1/me").json()["csrf_token"]

    assert browser.delete("/v1/me", {}, "application/json").json()["error"]["code"] == "csrf_failed"
    taken = browser.delete("/v1/me", {}, "application/json", headers={"X-CSRFToken": token})
    assert (taken.status_code, taken.json()["error"]["param"]) == (400, "confirm")


def test_bobs_key_tells_of_bob_and_of_the_workspace_it_acts_in(
    client: Client, alice: Person, bob: Person
) -> None:
    key = bob.user.api_keys.get()

    me = client.get("/v1/me", headers=bob.headers).json()

    assert (me["id"], me["email"], me["csrf_token"]) == (f"user-{bob.user.pk}", "bob@example.com", None)
    [shared] = me["workspaces"]
    assert (shared["id"], shared["personal"], shared["current"], shared["role"]) == (
        format_id(PROJECT, alice.workspace.pk),
        False,
        True,
        "member",
    )
    assert me["authentication"] == {
        "method": "api_key",
        "key": {
            "id": f"key_{key.pk.hex}",
            "prefix": key.prefix,
            "name": "",
            "scopes": [*OF_MEMBERS],
            "expires_at": None,
        },
    }
    assert me["permissions"] == [*OF_MEMBERS, "end_user_tokens"]
    assert bob.key not in str(me)


def test_a_members_permissions_in_a_session_are_those_of_the_role(alice: Person, bob: Person) -> None:
    shared = {"X-Workspace-Id": format_id(PROJECT, alice.workspace.pk)}

    def permissions() -> list[str]:
        return list(signed_in(bob.user).get("/v1/me", headers=shared).json()["permissions"])

    assert permissions() == [*OF_MEMBERS, "members.read", "account"]
    set_role(bob, Role.REVIEWER)
    assert permissions() == ["history.read", "usage", "members.read", "account"]


def test_an_end_users_token_tells_of_the_end_user_alone(alice: Person) -> None:
    shop = program(alice, Scope.HISTORY_READ, Scope.COMPLETIONS, Scope.USAGE, name="the shop")
    made = shop.send("POST", "/v1/end_user_tokens", {"user": "dave", "spending_limit_usd": "0.5"}).json()

    answer = Caller(made["token"]).send("GET", "/v1/me")

    assert answer["cache-control"] == "no-store"
    assert answer.json() == {
        "id": "dave",
        "object": "end_user",
        "permissions": ["completions", "history.read"],
        "authentication": {
            "method": "end_user_token",
            "id": made["id"],
            "scopes": ["completions", "history.read"],
            "expires_at": made["expires_at"],
            "spending_limit_usd": "0.50",
            "spent_usd": "0.00",
        },
    }
    for secret in ("alice", "shop", alice.workspace.pk.hex, made["token"]):
        assert secret not in answer.text
    assert Caller(made["token"]).send("DELETE", "/v1/me").status_code == 403


def test_charlie_sees_nothing_of_alice(client: Client, alice: Person, charlie: Person) -> None:
    answer = client.get("/v1/me", headers=charlie.headers)

    assert answer.json()["email"] == "charlie@example.com"
    assert "alice" not in answer.text


@pytest.mark.parametrize(("headers", "code"), [({}, None), ({"x-api-key": "sk-wrong"}, "invalid_api_key")])
def test_nobody_is_told_that_nobody_is_signed_in(
    db: None, client: Client, headers: dict[str, str], code: str | None
) -> None:
    answer = client.get("/v1/me", headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


def test_staff_may_open_the_admin_in_a_session_only(client: Client, alice: Person) -> None:
    User.objects.filter(pk=alice.user.pk).update(is_staff=True)

    def permissions(answer: Any) -> list[str]:
        return list(answer.json()["permissions"])

    assert "admin_site" in permissions(signed_in(alice.user, enforce_csrf_checks=True).get("/v1/me"))
    assert "admin_site" not in permissions(client.get("/v1/me", headers=alice.headers))


def test_workspaces_are_sorted_by_name_after_ones_own(alice: Person) -> None:
    for name in ("Zebra", "Ant"):
        workspace = Workspace.objects.create(name=name)
        Membership.objects.create(workspace=workspace, user=alice.user)

    names = [
        one["name"]
        for one in signed_in(alice.user, enforce_csrf_checks=True).get("/v1/me").json()["workspaces"]
    ]

    assert names == ["alice@example.com's workspace", "Ant", "Zebra"]
