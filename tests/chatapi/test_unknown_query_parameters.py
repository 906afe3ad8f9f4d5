"""A list refuses a query parameter that it does not know: it would show what a filter was to leave out."""

from typing import Any

import pytest

from core.ids import KEY, PROJECT, format_id
from tests.support.history_rows import create_exchange, uploaded
from tests.support.people import Person, person, signed_in

USAGE = "start_time=1767225600"


@pytest.fixture
def alice(db: None) -> Person:
    return person("alice@example.com")


def lists(alice: Person) -> dict[str, str]:
    """Return the paths of all lists, with parameters that clients send to them."""
    project = f"/v1/organization/projects/{format_id(PROJECT, alice.workspace.pk)}"
    file = uploaded(alice.workspace, b"Hello.", user=alice.user)
    items = f"/v1/conversations/{create_exchange(alice).stored_conversation.public_id}/items"
    return {
        "/v1/conversations": "limit=2&order=asc",
        items: "limit=2&order=asc",
        "/v1/search": "q=sea&limit=2&tag=a&tag[]=b&metadata[k]=v",
        "/v1/files": "limit=2&order=asc&purpose=vision&user=x",
        f"/v1/files/{file.public_id}/renditions": "",
        "/v1/organization/users": "limit=2&emails=a@example.com&emails[]=b@example.com",
        "/v1/organization/invites": "limit=2",
        "/v1/organization/projects": "limit=2&include_archived=true",
        f"{project}/users": "limit=2&emails[]=b@example.com",
        f"{project}/api_keys": "limit=2&owner_project_access=any",
        f"{project}/api_keys/{format_id(KEY, alice.key_id)}/end_user_tokens": "limit=2&user=x",
        "/v1/organization/admin_api_keys": "limit=2&order=asc",
        "/v1/billing/transactions": "limit=2&kind=top_up&kind[]=top_up",
        "/v1/billing/statements": "limit=2",
        "/v1/organization/usage/completions": f"{USAGE}&group_by[]=model&models=a&batch=false",
        "/v1/organization/costs": f"{USAGE}&group_by=line_item&line_items[]=a&bucket_width=1d&page=",
        "/v1/me/exports": "",
    }


def test_each_list_names_what_it_does_not_know_and_takes_what_clients_send(alice: Person) -> None:
    browser = signed_in(alice.user)
    for path, known in lists(alice).items():
        taken = browser.get(f"{path}?{known}").json()
        assert "error" not in taken or taken["error"]["param"] == "page", (path, taken)
        for unknown in ("words", "limits", "limit[]", "metadata", "ordér", "\x00"):
            refused = browser.get(path, {unknown: "1"})
            error: Any = refused.json()["error"]
            assert (refused.status_code, error["param"], error["code"]) == (
                400,
                unknown,
                "unsupported_parameter",
            ), path


def test_what_shows_one_thing_takes_no_parameters(alice: Person, client: Any) -> None:
    completion = create_exchange(alice)
    shown = f"/v1/chat/completions/{completion.public_id}"
    conversation = f"/v1/conversations/{completion.stored_conversation.public_id}"
    for path in (conversation, shown, f"{shown}/feedback"):
        assert client.get(path, headers=alice.headers).status_code == 200
        error = client.get(f"{path}?limit=2", headers=alice.headers).json()["error"]
        assert (error["param"], error["code"]) == ("limit", "unsupported_parameter"), path


def test_what_has_one_value_is_not_sent_twice(alice: Person, client: Any) -> None:
    for path, param in (
        ("/v1/conversations?pinned=true&pinned=false", "pinned"),
        ("/v1/conversations?limit=2&limit=2", "limit"),
        ("/v1/chat/completions?model=a&model=b", "model"),
    ):
        refused = client.get(path, headers=alice.headers)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), path
    assert client.get("/v1/conversations?tag=a&tag=b", headers=alice.headers).status_code == 200


def test_end_user_tokens_are_listed_by_a_key(alice: Person, client: Any) -> None:
    assert client.get("/v1/end_user_tokens?user=x&limit=1", headers=alice.headers).status_code == 200
    refused = client.get("/v1/end_user_tokens?end_user=x", headers=alice.headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "end_user")


def test_a_long_name_is_cut_short(alice: Person, client: Any) -> None:
    error = client.get(f"/v1/files?{'x' * 5000}=1", headers=alice.headers).json()["error"]

    assert error["param"] == "x" * 100
