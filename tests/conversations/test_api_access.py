"""Each route as the owner, a teammate, a stranger and an unauthenticated client see it."""

import pytest
from django.test import Client

from conversations.models import Completion
from tests.support.history_rows import create_exchange
from tests.support.people import Person, person

ONE_OBJECT = [
    "/v1/chat/completions/{completion}",
    "/v1/conversations/{conversation}",
    "/v1/conversations/{conversation}/items",
    "/v1/conversations/{conversation}/items/{item}",
]
LISTS = ["/v1/conversations", "/v1/models", "/v1/models/scripted"]


@pytest.fixture
def completion(alice: Person) -> Completion:
    return create_exchange(alice)


def address(route: str, completion: Completion) -> str:
    conversation = completion.stored_conversation
    [item] = completion.answers.all()
    return route.format(
        completion=completion.public_id, conversation=conversation.public_id, item=item.public_id
    )


@pytest.mark.parametrize("route", ONE_OBJECT)
def test_owner_and_teammate_see_it(
    route: str, completion: Completion, alice: Person, bob: Person, client: Client
) -> None:
    for who in (alice, bob):
        assert client.get(address(route, completion), headers=who.headers).status_code == 200


@pytest.mark.parametrize("route", ONE_OBJECT)
def test_a_stranger_does_not_find_it(
    route: str, completion: Completion, charlie: Person, client: Client
) -> None:
    answer = client.get(address(route, completion), headers=charlie.headers)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_lists_hold_only_the_workspaces_own_rows(
    completion: Completion, alice: Person, bob: Person, charlie: Person, client: Client
) -> None:
    def listed(who: Person) -> list[str]:
        return [row["id"] for row in client.get("/v1/conversations", headers=who.headers).json()["data"]]

    assert listed(alice) == listed(bob) == [completion.stored_conversation.public_id]
    assert listed(charlie) == []


@pytest.mark.parametrize("route", ONE_OBJECT + LISTS)
def test_an_unauthenticated_client_is_asked_for_a_key(
    route: str, completion: Completion, client: Client
) -> None:
    answer = client.get(address(route, completion))

    assert answer.status_code == 401
    assert answer["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] is None


@pytest.mark.parametrize("route", ONE_OBJECT + LISTS)
@pytest.mark.parametrize("headers", [{"Authorization": "Bearer sk-wrong"}, {"x-api-key": "sk-wrong-ü"}])
def test_a_wrong_key_is_reported_as_such(
    route: str, headers: dict[str, str], completion: Completion, client: Client
) -> None:
    answer = client.get(address(route, completion), headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "sk-wrong" not in answer.text


@pytest.mark.parametrize("route", ONE_OBJECT)
@pytest.mark.parametrize(
    "id",
    ["x", "conv_", "conv_" + "0" * 32, "conv_" + "z" * 32, "chatcmpl-" + "0" * 32, "é", "%00", "a" * 3000],
)
def test_an_impossible_id_is_not_found(route: str, id: str, alice: Person, client: Client) -> None:
    answer = client.get(route.format(completion=id, conversation=id, item=id), headers=alice.headers)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_browser_session_acts_in_the_personal_workspace(client: Client, alice: Person) -> None:
    dana = person("dana@example.com")
    own = create_exchange(dana)
    create_exchange(alice)
    client.force_login(dana.user)

    rows = client.get("/v1/conversations").json()["data"]

    assert [row["id"] for row in rows] == [own.stored_conversation.public_id]
