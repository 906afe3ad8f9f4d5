"""A stored completion gets other metadata, or is deleted; the messages that it answered are read back."""

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.keys.validation import principal_of_secret
from accounts.models import ApiKey
from conversations.feedback import give_feedback
from conversations.models import Completion, CompletionLabel, Conversation, Message, Score
from core.ids import PROJECT, format_id
from engines.messages import ImagePart, ReasoningPart, TextPart, ToolCall
from tests.support.history_rows import (
    NOON,
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    prompt_of,
    store_held_file,
)
from tests.support.people import Person, signed_in

LIST = "/v1/chat/completions"


def path_of(completion: Completion) -> str:
    return f"{LIST}/{completion.public_id}"


def post(client: Client, who: Person, path: str, body: Any) -> Any:
    return client.post(path, json.dumps(body), "application/json", headers=who.headers)


# --- metadata -------------------------------------------------------------------------------------


def test_metadata_is_replaced_and_found_by(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)

    for metadata in ({"topic": "numbers", "n": "1"}, {"topic": "letters"}):
        shown = post(client, alice, path_of(completion), {"metadata": metadata}).json()
        assert shown["metadata"] == metadata
    assert shown["choices"][0]["message"]["content"] == "Hello."

    found = {
        topic: client.get(f"{LIST}?metadata[topic]={topic}", headers=alice.headers).json()["data"]
        for topic in ("numbers", "letters")
    }
    assert (len(found["numbers"]), len(found["letters"])) == (0, 1)


def test_null_empties_it(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    post(client, alice, path_of(completion), {"metadata": {"topic": "numbers"}})

    assert post(client, alice, path_of(completion), {"metadata": None}).json()["metadata"] == {}
    assert not CompletionLabel.objects.exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"a": None}}, "metadata.a"),
        ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 65),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": "v" * 1_000_000}}, "metadata.k"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": "\0"}}, "metadata.k"),
        ({"metadata": {"k": "\ud800"}}, "metadata.k"),
        ({"metadata": {}, "model": "other"}, "model"),
        ([], None),
    ],
)
def test_metadata_beyond_its_limits_is_refused(
    alice: Person, client: Client, body: Any, param: str | None
) -> None:
    answer = post(client, alice, path_of(create_exchange(alice)), body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_who_may_not_read_gets_no_words_back(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    give_feedback(principal_of_secret(alice.key), completion, {"comment": "Good"})
    ApiKey.objects.filter(pk=alice.key_id).update(scopes="history.write")

    shown = post(client, alice, path_of(completion), {"metadata": {}}).json()

    assert (shown["choices"], shown["feedback"]) == ([], [])


# --- deletion -------------------------------------------------------------------------------------


def dump() -> str:
    """Return all that the history's tables hold."""
    tables = (Completion, CompletionLabel, Message, Score, Conversation)
    return "\n".join(str(row) for table in tables for row in table.objects.values())


def test_a_deleted_completion_is_one_that_was_never_stored(alice: Person, client: Client) -> None:
    completion = create_exchange(alice, "Marmalade?", "Tangerine.")
    Completion.objects.update(
        request={"params": {"stop": "Kumquat"}}, error={"message": "Clementine", "code": "c", "status": 429}
    )
    post(client, alice, path_of(completion), {"metadata": {"topic": "Mandarin"}})
    give_feedback(principal_of_secret(alice.key), completion, {"comment": "Grapefruit", "thumbs": "up"})
    Conversation.objects.update(preview="Tangerine.", title="")

    answer = client.delete(path_of(completion), headers=alice.headers)

    assert answer.json() == {
        "object": "chat.completion.deleted",
        "id": completion.public_id,
        "deleted": True,
    }
    left = dump()
    for word in ("Tangerine", "Kumquat", "Clementine", "Mandarin", "Grapefruit"):
        assert word not in left
    completion.refresh_from_db()
    assert (completion.prompt_tokens, completion.completion_tokens) == (3, 2)
    assert (completion.conversation, completion.error) == (
        None,
        {"message": "It was not kept.", "status": 429},
    )
    assert client.get(path_of(completion), headers=alice.headers).status_code == 404
    assert client.delete(path_of(completion), headers=alice.headers).status_code == 404
    assert client.get(f"{LIST}?state=any", headers=alice.headers).json()["data"] == []


def test_a_conversation_that_was_nothing_else_is_deleted_with_it(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    conversation = completion.stored_conversation.public_id

    client.delete(path_of(completion), headers=alice.headers)

    assert client.get(f"/v1/conversations/{conversation}", headers=alice.headers).status_code == 404
    assert Conversation.objects.get().deleted_at is not None  # it can be restored


def test_where_none_can_be_restored_it_is_gone_for_good(alice: Person, client: Client, settings: Any) -> None:
    settings.CHATAPI_DELETED_KEPT_DAYS = 0
    completion = create_exchange(alice)

    assert client.delete(path_of(completion), headers=alice.headers).status_code == 200

    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert Completion.objects.get().prompt_tokens == 3  # what it used is still billed


def test_a_conversation_that_went_on_stays(alice: Person, client: Client) -> None:
    first = create_exchange(alice)
    answered = Message.objects.get(completion=first)
    asked = add_message(answered.conversation, "user", "And then?", after=answered)
    second = completion_of(alice, asked)
    later = NOON.replace(hour=13)
    for row in (asked, second):
        type(row)._default_manager.filter(pk=row.pk).update(created_at=later)

    client.delete(path_of(second), headers=alice.headers)

    conversation = Conversation.objects.get()
    assert (conversation.deleted_at, conversation.last_completion_id) == (None, first.pk)
    client.delete(path_of(first), headers=alice.headers)
    conversation.refresh_from_db()
    assert (conversation.deleted_at, conversation.last_completion_id) == (None, None)
    assert prompt_of(first).parts
    assert Message.objects.get(pk=answered.pk).emptied_at is not None


def test_what_is_being_written_cannot_be_deleted(alice: Person, client: Client) -> None:
    asked = add_message(conversation_of(alice), "user", "Tell me")
    completion = completion_of(alice, asked, "in_progress")

    answer = client.delete(path_of(completion), headers=alice.headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "in_progress")
    assert Completion.objects.get().prompt_id == asked.pk


def test_who_sees_it_shared_may_not_delete_it(alice: Person, bob: Person) -> None:
    completion = create_exchange(alice)
    Conversation.objects.update(api_key_id=None, user=alice.user, visibility="workspace")

    workspace = format_id(PROJECT, alice.workspace.pk)
    answer = signed_in(bob.user).delete(path_of(completion), headers={"X-Workspace-Id": workspace})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_yours")


# --- the messages that were answered --------------------------------------------------------------


def messages_of(client: Client, who: Person, completion: Completion, query: str = "") -> Any:
    answer = client.get(f"{path_of(completion)}/messages?{query}", headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_messages_that_were_answered_root_first(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    rules = add_message(conversation, "system", "Be brief.")
    asked = add_message(conversation, "user", "Weather?", after=rules, name="anna")
    beside = add_message(conversation, "assistant", "Another branch", after=asked)
    call = ToolCall("call_1", "weather", '{"city": "Oslo"}')
    called = add_message(conversation, "assistant", ReasoningPart("Hm."), call, after=asked)
    result = add_message(conversation, "tool", "Rain", after=called, tool_call_id="call_1")
    completion = completion_of(alice, result)

    page = messages_of(client, alice, completion)

    assert [one["id"] for one in page["data"]] == [m.public_id for m in (rules, asked, called, result)]
    assert beside.public_id not in str(page)
    assert [one["role"] for one in page["data"]] == ["system", "user", "assistant", "tool"]
    assert [one["content"] for one in page["data"]] == ["Be brief.", "Weather?", None, "Rain"]
    assert [one["name"] for one in page["data"]] == [None, "anna", None, None]
    assert page["data"][2]["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert page["data"][3]["tool_call_id"] == "call_1"
    assert {one["content_parts"] for one in page["data"]} == {None}


def test_texts_and_pictures_are_parts(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    blob = store_held_file(conversation, b"a picture", "image/png")
    parts = (TextPart("Compare"), ImagePart(blob, None, "low"), ImagePart(None, "https://a.example/b.png"))
    completion = completion_of(alice, add_message(conversation, "user", *parts))

    [shown] = messages_of(client, alice, completion)["data"]

    kept, fetched = (part["image_url"] for part in shown["content_parts"][1:])
    assert shown["content"] == "Compare"
    assert shown["content_parts"][0] == {"type": "text", "text": "Compare"}
    assert kept["url"].startswith("http://testserver/media/")
    assert kept["detail"] == "low"
    assert fetched == {"url": "https://a.example/b.png", "detail": "auto"}


@pytest.mark.parametrize("number", [2, 50])
def test_pages_of_them_cost_the_same(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries, number: int
) -> None:
    message = add_message(conversation_of(alice), "user", "0")
    for text in range(1, number):
        message = add_message(message.conversation, "user", str(text), after=message)
    completion = completion_of(alice, message)

    with django_assert_num_queries(3):  # the key, the completion, the messages; the path is not counted
        whole = messages_of(client, alice, completion, "limit=100")
    page = messages_of(client, alice, completion, "limit=20&order=desc")
    seen = page["data"]
    while page["has_more"]:
        page = messages_of(client, alice, completion, f"limit=20&order=desc&after={page['last_id']}")
        seen += page["data"]
    assert seen == whole["data"][::-1]
    assert len(seen) == number


@pytest.mark.parametrize(
    "query", ["after=msg_never", "after=%00", "limit=0", "order=up", "q=1", "metadata[a]=1"]
)
def test_wrong_pages_of_them_are_refused(alice: Person, client: Client, query: str) -> None:
    path = f"{path_of(create_exchange(alice))}/messages?{query}"
    answer = client.get(path, headers=alice.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])
