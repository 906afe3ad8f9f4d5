"""Items that clients add and edit: what is stored, what the conversation shows of it, and what is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from conversations.models import Conversation, Message
from tests.support.history_rows import NOON, add_message, completion_of, conversation_of, create_exchange
from tests.support.item_requests import answered, append, edit, items_path, listed, refusal, words_of
from tests.support.people import Person, token_for

CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "Rain"}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm"}],
}


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return conversation_of(alice)


def stored(conversation: Conversation) -> list[tuple[str, list[str]]]:
    """Return the roles of the stored messages, and the types of their parts."""
    rows = Message.objects.filter(conversation=conversation).order_by("id")
    return [(row.role, [type(part).__name__ for part in row.parts]) for row in rows]


# --- what is added ----------------------------------------------------------------------------------


def test_items_are_appended_at_the_end_of_the_shown_branch(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    first = append(client, alice, conversation, "Hello?", answered("Hello."))
    second = append(client, alice, conversation, "More")

    rows = listed(client, alice, conversation)
    assert words_of(rows) == ["Hello?", "Hello.", "More"]
    assert first.json()["data"] + second.json()["data"] == rows
    assert {key: first.json()[key] for key in ("object", "first_id", "last_id", "has_more")} == {
        "object": "list",
        "first_id": rows[0]["id"],
        "last_id": rows[1]["id"],
        "has_more": False,
    }
    assert [row["parent_id"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]


def test_the_conversation_shows_what_was_added(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    added = append(client, alice, conversation, "Hello?\n  You?", answered("Hello."), "More").json()

    conversation.refresh_from_db()
    assert (conversation.title, conversation.preview, conversation.message_count) == (
        "Hello? You?",
        "Hello.",
        3,
    )
    assert conversation.updated_at > NOON
    assert conversation.head
    assert conversation.head.public_id == added["last_id"]


def test_a_title_that_there_is_stays(alice: Person, client: Client) -> None:
    titles = {"titled": {"title": "Mine"}, "untitled": {"titled_by": "client"}}
    for fields in titles.values():
        append(client, alice, conversation_of(alice, **fields), "Hello?")

    assert list(Conversation.objects.order_by("id").values_list("title", flat=True)) == ["Mine", ""]


def test_items_follow_the_message_that_is_named_or_begin_anew(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    [question, _] = append(client, alice, conversation, "Q", answered("A")).json()["data"]

    append(client, alice, conversation, answered("B"), parent_id=question["id"])
    beside = words_of(listed(client, alice, conversation))
    append(client, alice, conversation, "P", parent_id=None)

    assert beside == ["Q", "B"]
    assert words_of(listed(client, alice, conversation)) == ["P"]
    assert words_of(listed(client, alice, conversation, "branch=all&order=asc")) == ["Q", "A", "B", "P"]


def test_reasoning_an_answer_and_its_calls_are_one_message(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    items = [
        "Q",
        THOUGHT,
        answered("Wait."),
        CALL,
        {**CALL, "call_id": "call_2"},
        RESULT,
        answered("It rains."),
    ]
    rows = append(client, alice, conversation, *items).json()["data"]

    assert stored(conversation) == [
        ("user", ["TextPart"]),
        ("assistant", ["ReasoningPart", "TextPart", "ToolCall", "ToolCall"]),
        ("tool", ["TextPart"]),
        ("assistant", ["TextPart"]),
    ]
    kinds = ["message", "reasoning", "message", "function_call", "function_call"]
    assert [row["type"] for row in rows] == [*kinds, "function_call_output", "message"]


@pytest.mark.parametrize(
    ("items", "messages"),
    [
        ([answered("a"), answered("b")], [["TextPart"], ["TextPart"]]),
        ([THOUGHT, answered("a"), THOUGHT, answered("b")], [["ReasoningPart", "TextPart"]] * 2),
        ([THOUGHT, CALL, THOUGHT, CALL], [["ReasoningPart", "ReasoningPart", "ToolCall", "ToolCall"]]),
        ([CALL, answered("a")], [["TextPart", "ToolCall"]]),
        ([answered("a"), THOUGHT], [["ReasoningPart", "TextPart"]]),
        ([THOUGHT], [["ReasoningPart"]]),
        ([{"type": "reasoning", "summary": []}, answered("a")], [["TextPart"]]),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}], [["ReasoningPart"]]),
        ([{"role": "assistant", "content": []}], [[]]),
        ([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}], [["RefusalPart"]]),
    ],
)
def test_what_becomes_of_an_assistants_items(
    items: list[Any], messages: list[list[str]], conversation: Conversation, alice: Person, client: Client
) -> None:
    assert append(client, alice, conversation, *items).status_code == 200

    assert stored(conversation) == [("assistant", parts) for parts in messages]


def test_items_can_be_sent_as_they_were_listed(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    first = {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}], "name": "boss"}
    append(client, alice, conversation, first, "Q", THOUGHT, answered("Wait."), CALL, RESULT, answered("A"))
    other = conversation_of(alice)

    rows = listed(client, alice, conversation)
    again = append(client, alice, other, *rows)

    assert again.status_code == 200, again.text
    ours = {"id", "message_id", "parent_id", "siblings"}

    def said(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: row[name] for name in row.keys() - ours - {"created_at"}} for row in rows]

    assert said(again.json()["data"]) == said(rows)
    assert rows[0]["role"] == "system"


# --- what is edited ---------------------------------------------------------------------------------


def test_an_edit_is_another_version_beside_the_message(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    first = {"role": "user", "content": "Cats?", "name": "Ann"}
    [cats, _] = append(client, alice, conversation, first, answered("Cats.")).json()["data"]

    dogs = edit(client, alice, conversation, cats["id"], "Dogs?").json()

    assert (dogs["content"][0]["text"], dogs["role"], dogs["name"]) == ("Dogs?", "user", "Ann")
    assert dogs["siblings"] == [cats["id"], dogs["id"]]
    assert words_of(listed(client, alice, conversation)) == ["Dogs?"]
    assert words_of(listed(client, alice, conversation, f"branch={cats['id']}&order=asc")) == [
        "Cats?",
        "Cats.",
    ]
    conversation.refresh_from_db()
    assert (conversation.message_count, conversation.preview) == (3, "Cats.")


def test_an_edit_to_words_that_are_there_shows_these_and_adds_nothing(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    [cats, _] = append(client, alice, conversation, "Cats?", answered("Cats.")).json()["data"]
    dogs = edit(client, alice, conversation, cats["id"], "Dogs?").json()

    same = edit(client, alice, conversation, dogs["id"], [{"type": "input_text", "text": "Dogs?"}]).json()
    back = edit(client, alice, conversation, dogs["id"], "Cats?").json()

    assert (same, back["id"]) == (dogs, cats["id"])
    assert words_of(listed(client, alice, conversation)) == ["Cats?"]
    assert Message.objects.count() == 3


def test_answers_and_outputs_of_functions_can_be_edited(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    *_, answer, _, result = append(client, alice, conversation, "Q", answered("A"), CALL, RESULT).json()[
        "data"
    ]

    other = edit(client, alice, conversation, result["id"], "Snow").json()
    better = edit(client, alice, conversation, answer["id"], [{"type": "output_text", "text": "B"}]).json()

    assert (other["type"], other["output"], other["call_id"]) == ("function_call_output", "Snow", "call_1")
    assert (better["role"], better["content"][0]["text"], better["completion_id"]) == ("assistant", "B", None)
    conversation.refresh_from_db()
    assert conversation.preview == "B"


def test_an_edited_answer_keeps_its_reasoning_and_its_calls(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    items = ["Q", THOUGHT, answered("A"), CALL]
    _, thought, answer, call = append(client, alice, conversation, *items).json()["data"]

    better = edit(client, alice, conversation, answer["id"], "B").json()

    rows = listed(client, alice, conversation)
    assert words_of(rows) == ["Q", "reasoning", "B", "function_call"]
    assert (rows[1]["content"], rows[2], rows[3]["call_id"]) == (thought["content"], better, call["call_id"])
    assert append(client, alice, conversation, RESULT).status_code == 200, "its call can be answered"


def test_reasoning_and_calls_cannot_be_edited(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    for item in append(client, alice, conversation, THOUGHT, CALL).json()["data"]:
        answer = edit(client, alice, conversation, item["id"], "x")
        assert refusal(answer) == (400, "invalid_value", "item_id")


# --- what is refused --------------------------------------------------------------------------------


def part(**fields: Any) -> dict[str, Any]:
    return {"items": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "items"),
        ({"items": []}, "empty_array", "items"),
        ({"items": {"role": "user"}}, "invalid_type", "items"),
        ({"items": ["x"]}, "invalid_type", "items[0]"),
        ({"items": ["x"] * 21}, "array_above_max_length", "items"),
        ({"items": [{"role": "user", "content": "x"}], "parent": None}, "unsupported_parameter", "parent"),
        ({"items": [{"role": "user", "content": "x"}], "parent_id": 7}, "invalid_type", "parent_id"),
        ({"items": [{"content": "x"}]}, "missing_required_parameter", "items[0].role"),
        ({"items": [{"role": "tool", "content": "x"}]}, "invalid_value", "items[0].role"),
        ({"items": [{"role": ["user"], "content": "x"}]}, "invalid_type", "items[0].role"),
        ({"items": [{"role": "user"}]}, "missing_required_parameter", "items[0].content"),
        ({"items": [{"role": "user", "content": []}]}, "empty_array", "items[0].content"),
        ({"items": [{"type": "web_search_call", "id": "x"}]}, "invalid_value", "items[0].type"),
        ({"items": [{"type": None}]}, "invalid_type", "items[0].type"),
        ({"items": [{"type": "reasoning"}]}, "invalid_value", "items"),
        ({"items": [{**CALL, "arguments": {}}]}, "invalid_type", "items[0].arguments"),
        ({"items": [answered("a"), RESULT]}, "invalid_value", "items[1].call_id"),
        (part(type="output_text", text="x"), "invalid_value", "items[0].content[0].type"),
        (part(type="input_text", text=None), "invalid_type", "items[0].content[0].text"),
        (part(type="input_image"), "invalid_value", "items[0].content[0]"),
        (part(type="input_file", file_url="https://example.com"), "invalid_value", "items[0].content[0]"),
        (
            part(type="input_image", image_url="x", file_id="y"),
            "invalid_value",
            "items[0].content[0].image_url",
        ),
        (part(type="input_image", image_url="ftp://x"), "invalid_value", "items[0].content[0].image_url"),
        (part(type="input_file", file_data="%"), "invalid_value", "items[0].content[0].file_data"),
        (
            {"items": [{"role": "system", "content": [{"type": "input_image", "file_id": "x"}]}]},
            "invalid_value",
            "items[0].content[0].type",
        ),
    ],
)
def test_what_is_no_item_is_refused_where_it_is_wrong(
    body: Any, code: str, param: str, conversation: Conversation, alice: Person, client: Client
) -> None:
    answer = client.post(items_path(conversation), body, "application/json", headers=alice.headers)

    assert refusal(answer) == (400, code, param)
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"items": "\\u0000"}', b'{"items": [{"role": "\\ud800"}]}', b"\xff"]
)
def test_what_is_no_object_of_texts_is_refused(
    raw: bytes, conversation: Conversation, alice: Person, client: Client
) -> None:
    answer = client.post(items_path(conversation), raw, "application/json", headers=alice.headers)

    assert answer.status_code == 400


def test_a_parent_is_a_message_of_the_conversation_that_was_not_deleted(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    other = create_exchange(alice).stored_conversation
    [deleted] = append(client, alice, conversation, "Hello?").json()["data"]
    Message.objects.filter(conversation=conversation).update(emptied_at=datetime.now(UTC))

    for id in (f"msg_{other.head_id.hex}", deleted["id"], "msg_" + "0" * 32, "head", "", "x" * 10_000):  # type: ignore[union-attr]
        answer = append(client, alice, conversation, "More", parent_id=id)
        assert refusal(answer) == (404, "not_found", "parent_id"), id


def test_an_answer_that_is_still_being_made_is_no_parent_yet(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    completion_of(alice, add_message(conversation, "user", "Tell me"), "in_progress")
    being_made, _ = listed(client, alice, conversation, "branch=all")
    assert being_made["state"] == "in_progress"

    refused = append(client, alice, conversation, "More", parent_id=being_made["id"])

    assert refusal(refused) == (409, "in_progress", "parent_id")


def test_a_result_may_follow_a_call_that_is_stored(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    [call] = append(client, alice, conversation, CALL).json()["data"]

    assert append(client, alice, conversation, RESULT).status_code == 200
    assert refusal(append(client, alice, conversation, RESULT, parent_id=None))[0] == 400
    assert append(client, alice, conversation, RESULT, parent_id=call["id"]).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"content": None}, {"content": []}, {"content": [{"type": "x"}]}, {"text": 1}]
)
def test_an_edit_without_a_content_is_refused(
    body: Any, conversation: Conversation, alice: Person, client: Client
) -> None:
    [item] = append(client, alice, conversation, "Hello?").json()["data"]

    answer = client.post(
        items_path(conversation, item["id"]), body, "application/json", headers=alice.headers
    )

    assert answer.status_code == 400
    assert Message.objects.count() == 1


def test_nobody_else_adds_edits_or_deletes(
    conversation: Conversation, alice: Person, charlie: Person, client: Client
) -> None:
    Conversation.objects.update(end_user="xavier")
    [item] = append(client, alice, conversation, "Hello?").json()["data"]
    strangers = [charlie.headers, {"Authorization": f"Bearer {token_for(alice, 'yvonne')}"}]

    for headers in strangers:
        for method, path, body in (
            ("POST", items_path(conversation), {"items": [{"role": "user", "content": "x"}]}),
            ("GET", items_path(conversation, item["id"]), None),
            ("POST", items_path(conversation, item["id"]), {"content": "x"}),
            ("DELETE", items_path(conversation, item["id"]), None),
        ):
            answer = client.generic(method, path, json.dumps(body), "application/json", headers=headers)
            assert refusal(answer) == (404, "not_found", "conversation_id")
    assert words_of(listed(client, alice, conversation)) == ["Hello?"]
