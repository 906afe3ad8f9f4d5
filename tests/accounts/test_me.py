"""`GET /v1/me`: who somebody is, as each kind of caller sees it."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, User, Workspace
from accounts.services import personal_workspace
from core.ids import PROJECT, format_id
from tests.support.people import Person, signed_in

EVERYBODY = ["completions", "audio", "files", "history", "usage", "billing"]


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
        "permissions": [*EVERYBODY, "exports", "delete_account"],
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
    own, shared = me["workspaces"]
    assert (own["id"], own["personal"], own["current"], own["role"]) == (
        format_id(PROJECT, personal_workspace(bob.user).pk),
        True,
        False,
        "owner",
    )
    assert (shared["id"], shared["personal"], shared["current"], shared["role"]) == (
        format_id(PROJECT, alice.workspace.pk),
        False,
        True,
        "member",
    )
    assert me["authentication"] == {
        "method": "api_key",
        "key": {"id": f"key_{key.pk.hex}", "prefix": key.prefix, "name": ""},
    }
    assert me["permissions"] == EVERYBODY
    assert bob.key not in str(me)


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
