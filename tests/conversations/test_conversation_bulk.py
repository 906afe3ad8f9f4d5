"""Many conversations at once: all of them, or none."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.models import Completion, Conversation, Message
from tests.support.history_rows import NOON, completion_of, conversation_of, create_exchange, prompt_of
from tests.support.people import Person, signed_in

PATH = "/v1/conversations/bulk"


def bulk(who: Person, ids: list[Any], action: str, **more: Any) -> Any:
    body = {"ids": ids, "action": action, **more}
    return Client().post(PATH, body, content_type="application/json", headers=who.headers)


def refusal(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json()["error"]["param"]


@pytest.fixture
def three(alice: Person) -> list[Conversation]:
    return [create_exchange(alice).stored_conversation for _ in range(3)]


def test_pinned_archived_and_back(three: list[Conversation], alice: Person) -> None:
    ids = [row.public_id for row in three[:2]]
    for action, column, value in (
        ("pin", "pinned", True),
        ("archive", "archived", True),
        ("unpin", "pinned", False),
        ("unarchive", "archived", False),
    ):
        answer = bulk(alice, [ids[1], ids[0], ids[1]], action).json()
        assert [(row["id"], row[column]) for row in answer["data"]] == [(ids[1], value), (ids[0], value)]
        assert answer["object"] == "list"
        for row in answer["data"]:
            path = f"/v1/conversations/{row['id']}"
            assert Client().get(path, headers=alice.headers).json() == row
        assert Conversation.objects.filter(**{column: True}).count() == 2 * value
    assert Conversation.objects.filter(updated_at=NOON).get() == three[2]


def test_deleted_restored_and_deleted_for_good(three: list[Conversation], alice: Person) -> None:
    ids = [row.public_id for row in three[:2]]

    deleted = bulk(alice, ids, "delete").json()["data"]
    assert deleted == [{"id": id, "object": "conversation.deleted", "deleted": True} for id in ids]
    assert Conversation.objects.filter(deleted_at=None).count() == 1
    assert refusal(bulk(alice, ids, "pin")) == (404, "ids[0]")

    restored = bulk(alice, [*ids, three[2].public_id], "restore").json()["data"]
    assert [(row["id"], row["deleted_at"]) for row in restored] == [(row.public_id, None) for row in three]

    assert bulk(alice, ids[:1], "delete").status_code == 200
    assert bulk(alice, ids, "delete", permanently=True).json()["data"] == deleted
    assert list(Conversation.objects.all()) == [three[2]]
    assert Message.objects.count() == 2


@pytest.mark.parametrize("action", ["pin", "delete", "restore"])
def test_what_is_not_the_callers_is_named_and_nothing_happens(
    action: str, three: list[Conversation], alice: Person, charlie: Person
) -> None:
    ids = [row.public_id for row in three]
    strange = create_exchange(charlie).stored_conversation.public_id
    for wrong in (strange, "conv_" + "0" * 32, "conv_", "x" * 5000, "é", ""):
        for more in ({"permanently": True} if action == "delete" else {}, {}):
            answer = bulk(alice, [*ids, wrong], action, **more)
            assert refusal(answer) == (404, "ids[3]")
    assert Conversation.objects.filter(pinned=False, deleted_at=None).count() == 4


def test_what_is_only_shared_with_the_caller_is_named(alice: Person, bob: Person) -> None:
    own = conversation_of(alice, api_key_id=None, user=alice.user)
    shared = conversation_of(alice, api_key_id=None, user=bob.user, visibility="workspace")
    body = {"ids": [own.public_id, shared.public_id], "action": "archive"}

    answer = signed_in(alice.user).post(PATH, body, content_type="application/json")

    assert (*refusal(answer), answer.json()["error"]["code"]) == (403, "ids[1]", "not_yours")
    assert not Conversation.objects.filter(archived=True).exists()


def test_nothing_is_deleted_for_good_while_an_answer_is_made(
    three: list[Conversation], alice: Person
) -> None:
    running = completion_of(alice, prompt_of(Completion.objects.filter(conversation=three[1]).get()))
    Completion.objects.filter(pk=running.pk).update(state="in_progress")
    ids = [row.public_id for row in three]

    refused = bulk(alice, ids, "delete", permanently=True)

    assert (*refusal(refused), refused.json()["error"]["code"]) == (409, "ids[1]", "in_progress")
    assert Conversation.objects.count() == 3
    assert bulk(alice, ids, "delete").status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "ids"),
        ({"ids": []}, "action"),
        ({"ids": [], "action": "pin"}, "ids"),
        ({"ids": ["conv_"] * 101, "action": "pin"}, "ids"),
        ({"ids": "conv_", "action": "pin"}, "ids"),
        ({"ids": [1], "action": "pin"}, "ids[0]"),
        ({"ids": [None], "action": "pin"}, "ids[0]"),
        ({"ids": ["conv_"], "action": "purge"}, "action"),
        ({"ids": ["conv_"], "action": ["pin"]}, "action"),
        ({"ids": ["conv_"], "action": "pin", "permanently": True}, "permanently"),
        ({"ids": ["conv_"], "action": "delete", "permanently": 1}, "permanently"),
        ({"ids": ["conv_"], "action": "pin", "dry_run": True}, "dry_run"),
    ],
)
def test_a_wrong_body_is_named(body: Any, param: str, alice: Person, client: Client) -> None:
    answer = client.post(PATH, body, content_type="application/json", headers=alice.headers)

    assert refusal(answer) == (400, param)


def test_it_costs_the_same_for_two_and_for_fifty(
    alice: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (2, 50):
        ids = [create_exchange(alice).stored_conversation.public_id for _ in range(count)]
        with django_assert_num_queries(6):
            assert bulk(alice, ids, "archive").status_code == 200
        with django_assert_num_queries(5):
            assert bulk(alice, ids, "delete").status_code == 200
        with django_assert_num_queries(6):
            assert bulk(alice, ids, "restore").status_code == 200
