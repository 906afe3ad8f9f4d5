"""Alice removes Bob from her workspace: from then on, his keys for it are rejected."""

import dataclasses

import pytest

from accounts.keys.services import roll_api_key
from accounts.models import ApiKey, Membership
from accounts.workspaces import memberships
from conversations.models import Completion
from tests.support.people import Person, person, token_for
from tests.support.running_server import PATHS, Server, chat_body
from tests.support.workspaces import principal_in


def remove_member(who: Person) -> None:
    memberships.leave(who.workspace.pk, principal_in(who.workspace, who.user))


def assert_wrong_key(status: int, code: str | None) -> None:
    assert (status, code) == (401, "invalid_api_key")


@pytest.mark.parametrize("dialect", PATHS)
def test_a_removed_member_can_no_longer_ask(server: Server, alice: Person, bob: Person, dialect: str) -> None:
    body = chat_body("Hi", stream=False)
    with server.client(bob) as client:
        assert client.post(PATHS[dialect], json=body).status_code == 200
        remove_member(bob)
        refused = client.post(PATHS[dialect], json=body)  # at once, although the key is still cached
    assert_wrong_key(refused.status_code, refused.json()["error"]["code"])
    assert Completion.objects.count() == 1
    with server.client(alice) as client:
        assert client.post(PATHS[dialect], json=body).status_code == 200


def test_a_removed_member_can_no_longer_read_or_cancel(server: Server, alice: Person, bob: Person) -> None:
    with server.client(bob) as client:
        answered = client.post(PATHS["openai"], json=chat_body("Hi"))
        completion = f"/v1/chat/completions/{answered.json()['id']}"
        conversation = f"/v1/conversations/{answered.headers['x-conversation-id']}"
        reads = ["/v1/conversations", conversation, f"{conversation}/items", completion, "/v1/models"]
        assert {client.get(route).status_code for route in reads} == {200}
        remove_member(bob)
        for refused in (*map(client.get, reads), client.post(f"{completion}/cancel")):
            assert_wrong_key(refused.status_code, refused.json()["error"]["code"])
    with server.client(alice) as client:
        assert {client.get(route).status_code for route in reads} == {200}


def test_a_removed_members_own_workspace_stays_theirs(server: Server, bob: Person) -> None:
    own = person("bob@example.com")
    remove_member(bob)
    with server.client(own) as client:
        assert client.post(PATHS["openai"], json=chat_body("Hi")).status_code == 200


def test_a_member_who_comes_back_needs_a_new_secret(server: Server, bob: Person) -> None:
    token = token_for(bob, "xavier")
    remove_member(bob)
    Membership.objects.create(user=bob.user, workspace=bob.workspace)
    for old in (bob, dataclasses.replace(bob, key=token)):
        with server.client(old) as client:
            assert client.post(PATHS["openai"], json=chat_body("Hi")).status_code == 401

    secret = roll_api_key(ApiKey.objects.get(pk=bob.key_id), bob.user)
    rolled = dataclasses.replace(bob, key=secret)
    with server.client(rolled) as client:
        assert client.post(PATHS["openai"], json=chat_body("Hi")).status_code == 200
