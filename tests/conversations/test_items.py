"""What items are: a stored message as OpenAI shows it, with our own members beside."""

from typing import Any

import pytest
from django.test import Client

from conversations.models import Conversation, Message, Score
from core.blob import Blob
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.item_requests import items_path, listed, refusal
from tests.support.people import Person, token_for

BLOB = Blob("ab" * 32, "image/png", 12)
ASSET = {"sha256": "ab" * 32, "media_type": "image/png", "bytes": 12}
SPOKEN = SpokenPart("audio_1", "Hi", BLOB, 1767268800)
AUDIO = {"id": "audio_1", "transcript": "Hi", "expires_at": 1767268800, "asset": ASSET}


def output(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], **more}


@pytest.mark.parametrize(
    ("role", "parts", "shown"),
    [
        ("user", [TextPart("Hi")], [{"type": "input_text", "text": "Hi"}]),
        ("system", [TextPart("Hi")], [{"type": "input_text", "text": "Hi"}]),
        ("assistant", [TextPart("Hi")], [output("Hi")]),
        ("assistant", [RefusalPart("No")], [{"type": "refusal", "refusal": "No"}]),
        ("assistant", [], []),
        ("user", [ImagePart(BLOB)], [{"type": "input_image", "detail": "auto", "asset": ASSET}]),
        (
            "user",
            [ImagePart(url="https://example.com/a.png", detail="low")],
            [
                {
                    "type": "input_image",
                    "detail": "low",
                    "image_url": "https://example.com/a.png",
                    "source_url": "https://example.com/a.png",
                }
            ],
        ),
        (
            "user",
            [AudioPart(BLOB, "wav")],
            [{"type": "input_file", "audio": {"format": "wav", "asset": ASSET}}],
        ),
        (
            "user",
            [FilePart(BLOB, "a.pdf")],
            [{"type": "input_file", "filename": "a.pdf", "asset": ASSET}],
        ),
        ("assistant", [SPOKEN], [output("Hi", audio=AUDIO)]),
        ("assistant", [TextPart("Hello."), SPOKEN], [output("Hello.", audio=AUDIO)]),
        (
            "assistant",
            [TextPart("a"), TextPart("b"), SPOKEN, SPOKEN],
            [output("a", audio=AUDIO), output("b"), output("Hi", audio=AUDIO)],
        ),
    ],
)
def test_the_content_of_a_message(
    role: str, parts: list[Part], shown: list[object], alice: Person, client: Client
) -> None:
    conversation = conversation_of(alice)
    add_message(conversation, role, *parts)

    [item] = listed(client, alice, conversation)

    assert (item["type"], item["role"], item["content"]) == ("message", role, shown)


def test_what_clients_write_has_all_our_members(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    message = add_message(conversation, "user", "Hello?", name="Ann")

    assert listed(client, alice, conversation) == [
        {
            "id": message.public_id,
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello?"}],
            "message_id": message.public_id,
            "parent_id": None,
            "siblings": [message.public_id],
            "completion_id": None,
            "state": None,
            "finish_reason": None,
            "usage": None,
            "cost_usd": None,
            "name": "Ann",
            "feedback": [],
            "created_at": 1767268800,
        }
    ]


def thoughtful(alice: Person) -> tuple[Conversation, Message]:
    """Store a question, and an answer of five items, which used some."""
    conversation = conversation_of(alice)
    asked = add_message(conversation, "user", "Weather?")
    completion = completion_of(alice, asked, prompt_tokens=3, completion_tokens=2, cost=12_000)
    calls = (ToolCall("call_1", "weather", '{"city": "Oslo"}'), ToolCall("call_2", "clock", "{}"))
    parts = (ReasoningPart("Rain"), ReasoningPart("or not"), TextPart("Wait."), *calls)
    made = {"completion": completion, "choice": 0, "finish_reason": "tool_calls"}
    return conversation, add_message(conversation, "assistant", *parts, after=asked, **made)


def test_a_message_is_its_reasoning_its_content_and_each_of_its_calls(alice: Person, client: Client) -> None:
    conversation, message = thoughtful(alice)
    add_message(conversation, "tool", "Rain", after=message, tool_call_id="call_1")

    question, reasoning, content, first, second, result = listed(client, alice, conversation)

    hex = message.id.hex
    ids = [item["id"] for item in (reasoning, content, first, second)]
    assert ids == [f"rs_{hex}", f"msg_{hex}", f"fc_{hex}", f"fc_{hex}_1"]
    assert (reasoning["type"], reasoning["summary"]) == ("reasoning", [])
    assert [part["text"] for part in reasoning["content"]] == ["Rain", "or not"]
    assert content["content"] == [output("Wait.")]
    assert (first["type"], first["call_id"], first["name"]) == ("function_call", "call_1", "weather")
    assert (second["call_id"], second["arguments"]) == ("call_2", "{}")
    assert (result["id"][:4], result["type"]) == ("fco_", "function_call_output")
    assert (result["call_id"], result["output"], result["parent_id"]) == (
        "call_1",
        "Rain",
        message.public_id,
    )
    assert {item["parent_id"] for item in (reasoning, content, first, second)} == {question["id"]}


def test_usage_and_cost_stand_once_for_each_completion(alice: Person, client: Client) -> None:
    conversation, answer = thoughtful(alice)
    other = {"completion": answer.completion, "choice": 1, "finish_reason": "stop"}
    add_message(conversation, "assistant", "Rain.", after=answer.parent, **other)

    rows = listed(client, alice, conversation, "branch=all&order=asc")

    assert [row["cost_usd"] for row in rows] == [None, None, None, None, "0.000012", None]
    [usage] = [row["usage"] for row in rows if row["usage"]]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 2, 5)


def test_who_may_not_see_usage_sees_no_cost(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice, end_user="xavier")
    asked = add_message(conversation, "user", "Weather?")
    completion = completion_of(alice, asked, cost=12_000)
    add_message(conversation, "assistant", "Rain.", after=asked, completion=completion, choice=0)
    token = {"Authorization": f"Bearer {token_for(alice, 'xavier')}"}

    rows = client.get(items_path(conversation), headers=token).json()["data"]

    assert [("cost_usd" in row, row["usage"] is None) for row in rows] == [(False, False), (False, True)]


def test_answers_have_what_was_said_of_them_and_end_users_see_their_own(
    alice: Person, client: Client
) -> None:
    completion = create_exchange(alice)
    conversation = completion.stored_conversation
    Conversation.objects.update(end_user="xavier")
    for source, end_user, said in (
        ("api", "", {"name": "comment", "text": "Well said."}),
        ("end_user", "xavier", {"name": "thumbs", "number": 1}),
    ):
        Score.objects.create(
            workspace=alice.workspace, completion=completion, source=source, end_user=end_user, **said
        )

    [question, answer] = listed(client, alice, conversation)
    token = {"Authorization": f"Bearer {token_for(alice, 'xavier')}"}
    [to_xavier, _] = client.get(items_path(conversation), headers=token).json()["data"]

    assert question["feedback"] == []
    assert [(one["source"], one["thumbs"], one["comment"]) for one in answer["feedback"]] == [
        ("api", None, "Well said."),
        ("end_user", "up", None),
    ]
    assert [one["user"] for one in to_xavier["feedback"]] == ["xavier"]


def test_the_output_of_a_function_is_a_text_or_a_list(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    for parts in (["Rain"], ["Rain", "and wind"], []):
        add_message(conversation, "tool", *parts, tool_call_id="call_1")

    rows = listed(client, alice, conversation, "branch=all&order=asc")

    assert [row["output"] for row in rows] == [
        "Rain",
        [{"type": "input_text", "text": "Rain"}, {"type": "input_text", "text": "and wind"}],
        "",
    ]


@pytest.mark.parametrize(
    ("state", "finish_reason", "status"),
    [
        ("completed", "stop", "completed"),
        ("completed", "length", "incomplete"),
        ("cancelled", "", "incomplete"),
        ("interrupted", "", "incomplete"),
        ("in_progress", "", "in_progress"),
    ],
)
def test_the_status_of_an_item(
    state: str, finish_reason: str, status: str, alice: Person, client: Client
) -> None:
    conversation = conversation_of(alice)
    asked = add_message(conversation, "user", "Tell me")
    completion = completion_of(alice, asked, state)
    made = {"completion": completion, "choice": 0, "finish_reason": finish_reason}
    add_message(conversation, "assistant", "Once", after=asked, **made)

    item = listed(client, alice, conversation)[1]

    assert (item["status"], item["state"]) == (status, state)


def test_an_item_by_its_id(alice: Person, client: Client) -> None:
    conversation, _ = thoughtful(alice)

    for item in listed(client, alice, conversation):
        found = client.get(items_path(conversation, item["id"]), headers=alice.headers)
        assert found.json() == item


@pytest.mark.parametrize("id", ["x", "msg_", "msg_" + "0" * 32, "fc_{hex}_2", "fc_{hex}_x", "fco_{hex}", "é"])
def test_an_id_of_no_item_is_not_found(id: str, alice: Person, client: Client) -> None:
    conversation, message = thoughtful(alice)

    answer = client.get(items_path(conversation, id.format(hex=message.id.hex)), headers=alice.headers)

    assert refusal(answer) == (404, "not_found", "item_id")


def test_an_item_is_not_found_in_another_conversation(alice: Person, client: Client) -> None:
    _, message = thoughtful(alice)

    answer = client.get(items_path(conversation_of(alice), message.public_id), headers=alice.headers)

    assert refusal(answer) == (404, "not_found", "item_id")
