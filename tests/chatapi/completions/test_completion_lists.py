"""Lists of stored completions: what is in them, in which order, and what is refused."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.labels import replace_completion_labels
from conversations.models import Completion, Conversation
from conversations.stored_run import OWNER_SEPARATOR
from core.blob import Blob
from core.ids import new_id
from engines.messages import SpokenPart
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.people import Person, signed_in, token_for

LIST = "/v1/chat/completions"


def listed(client: Client, who: Person, query: str = "") -> list[str]:
    answer = client.get(f"{LIST}?{query}", headers=who.headers)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["data"]]


def with_metadata(who: Person, **metadata: str) -> Completion:
    completion = create_exchange(who)
    completion.metadata = metadata
    completion.save()
    replace_completion_labels(completion)
    return completion


def running(who: Person, state: str = "in_progress", **fields: Any) -> Completion:
    asked = add_message(conversation_of(who), "user", "Tell me")
    return completion_of(who, asked, state, **fields)


def test_all_pages_in_both_orders(alice: Person, client: Client) -> None:
    made = [create_exchange(alice).public_id for _ in range(5)]

    for query, expected in (("", made), ("order=desc", made[::-1])):
        seen: list[str] = []
        after = ""
        while True:
            page = client.get(f"{LIST}?limit=2&{query}{after}", headers=alice.headers).json()
            seen += [one["id"] for one in page["data"]]
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], seen[-1])
            if not page["has_more"]:
                break
            after = f"&after={seen[-1]}"
        assert seen == expected


@pytest.mark.parametrize("number", [2, 50])
def test_a_page_costs_the_same_however_long_it_is(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries, number: int
) -> None:
    for _ in range(number):
        create_exchange(alice)
    with django_assert_num_queries(4):  # the key, the page, its answers, their feedback
        page = client.get(f"{LIST}?limit=100", headers=alice.headers).json()
    assert len(page["data"]) == number
    assert page["data"][0]["choices"][0]["message"]["content"] == "Hello."


def test_what_is_completed_is_listed_and_the_rest_on_request(alice: Person, client: Client) -> None:
    done = create_exchange(alice)
    busy, failed = running(alice), running(alice, "failed", error={"message": "Oh", "status": 502})

    assert listed(client, alice) == [done.public_id]
    assert listed(client, alice, "state=in_progress") == [busy.public_id]
    assert listed(client, alice, "state=any") == [one.public_id for one in (done, busy, failed)]


def test_by_model_conversation_and_end_user(alice: Person, client: Client) -> None:
    first, second = create_exchange(alice), create_exchange(alice)
    Completion.objects.filter(pk=second.pk).update(model="other")
    Conversation.objects.filter(pk=second.stored_conversation.pk).update(end_user="xavier")

    assert listed(client, alice, "model=other") == [second.public_id]
    assert listed(client, alice, "user=xavier") == [second.public_id]
    conversation = first.stored_conversation.public_id
    assert listed(client, alice, f"conversation_id={conversation}") == [first.public_id]
    assert listed(client, alice, "conversation_id=conv_never") == []


def test_by_all_of_the_pairs_of_metadata(alice: Person, client: Client) -> None:
    both = with_metadata(alice, topic="numbers", **{"a b]": "ü&="})
    one = with_metadata(alice, topic="numbers")

    assert listed(client, alice, "metadata[topic]=numbers") == [both.public_id, one.public_id]
    assert listed(client, alice, "metadata[topic]=numbers&metadata[a%20b%5D]=%C3%BC%26%3D") == [
        both.public_id
    ]
    assert listed(client, alice, "metadata[topic]=letters") == []


def test_a_call_is_found_by_the_key_it_was_sent_with(alice: Person, bob: Person, client: Client) -> None:
    theirs = running(alice, idempotency_key=f"order-1{OWNER_SEPARATOR}token for xavier")
    own = running(alice, idempotency_key="order-1")

    assert listed(client, alice, "idempotency_key=order-1") == [own.public_id]
    assert listed(client, alice, "idempotency_key=order-1&state=completed") == []
    assert listed(client, bob, "idempotency_key=order-1") == [own.public_id]  # keys of one workspace
    assert theirs.public_id not in listed(client, alice, "idempotency_key=order-2")


def test_nobody_sees_what_is_anothers(alice: Person, charlie: Person, client: Client) -> None:
    create_exchange(charlie)
    for_xavier = create_exchange(alice)
    for_xavier.stored_conversation.__class__.objects.update(end_user="xavier")
    hidden = create_exchange(alice)

    assert listed(client, alice) == [for_xavier.public_id, hidden.public_id]
    for end_user, expected in (("xavier", [for_xavier.public_id]), ("yvonne", [])):
        headers = {"Authorization": f"Bearer {token_for(alice, end_user)}"}
        assert [one["id"] for one in client.get(LIST, headers=headers).json()["data"]] == expected
    cursor = Completion.objects.exclude(workspace=alice.workspace).get().public_id
    answer = client.get(f"{LIST}?after={cursor}", headers=alice.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")


def test_what_is_not_stored_or_was_deleted_is_in_no_list(alice: Person, client: Client) -> None:
    create_exchange(alice)
    Completion.objects.update(conversation=None, prompt=None, first_answer=None)

    assert listed(client, alice, "state=any") == []
    assert signed_in(alice.user).get(f"{LIST}?state=any").json()["data"] == []


def test_a_sound_is_named_but_not_read(alice: Person, client: Client) -> None:
    question = add_message(conversation_of(alice), "user", "Say hello")
    completion = completion_of(alice, question)
    spoken = SpokenPart("audio_1", "Hello", Blob("0" * 64, "audio/wav", 4), 1767268800)
    add_message(
        question.conversation,
        "assistant",
        spoken,
        after=question,
        completion=completion,
        choice=0,
        finish_reason="stop",
    )

    [shown] = client.get(LIST, headers=alice.headers).json()["data"]

    expected = {"id": "audio_1", "transcript": "Hello", "expires_at": 1767268800, "data": ""}
    assert shown["choices"][0]["message"]["audio"] == expected


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("q=hello", "q"),
        ("metadata=a", "metadata"),
        ("metadata[a=1", "metadata[a"),
        ("metadata[a]=1&metadata[a]=2", "metadata[a]"),
        ("&".join(f"metadata[{n}]=1" for n in range(17)), "metadata"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("order=newest", "order"),
        ("state=done", "state"),
        ("after=chatcmpl-never", "after"),
        ("after=%00", "after"),
        ("model=%00", "model"),
        ("user=%00", "user"),
        ("conversation_id=%00", "conversation_id"),
        ("idempotency_key=%00", "idempotency_key"),
        ("idempotency_key=" + "k" * 256, "idempotency_key"),
        ("metadata[" + "k" * 65 + "]=1", "metadata"),
        ("metadata[k]=" + "v" * 513, "metadata[k]"),
    ],
)
def test_a_wrong_parameter_is_named(alice: Person, client: Client, query: str, param: str) -> None:
    answer = client.get(f"{LIST}?{query}", headers=alice.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_strange_texts_match_nothing(alice: Person, client: Client) -> None:
    create_exchange(alice)
    for text in ("%ED%A0%80", "%FF", "%F0%9F%98%80", "%00"):
        assert listed(client, alice, f"metadata[{text}]={text}") == []
    assert listed(client, alice, "model=" + "x" * 100_000) == []
    assert listed(client, alice, f"idempotency_key={new_id()}") == []
