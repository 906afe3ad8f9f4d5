import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.models import Conversation
from core.blob import Blob
from engines.messages import (
    AudioPart,
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.people import Person

AUTHENTICATION = 1
BLOB = Blob("ab" * 32, "image/png", 12)
ASSET = {"sha256": "ab" * 32, "media_type": "image/png", "bytes": 12}


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=-1", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        ("limit=many", "limit", "invalid_type"),
        ("limit=", "limit", "invalid_type"),
        ("limit=٣", "limit", "invalid_type"),
        ("limit=" + "9" * 5000, "limit", "invalid_type"),
        ("order=up", "order", "invalid_value"),
        ("after=x", "after", "invalid_value"),
        ("after=conv_" + "0" * 32, "after", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, param: str, code: str, alice: Person, client: Client) -> None:
    conversation = create_exchange(alice).stored_conversation.public_id
    for route in ("/v1/conversations", f"/v1/conversations/{conversation}/items"):
        answer = client.get(f"{route}?{query}", headers=alice.headers)

        assert answer.status_code == 400
        assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


def test_the_first_page_of_items_does_not_load_the_tree(
    alice: Person, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    conversation = conversation_of(alice)
    message = None
    for number in range(50):
        message = add_message(conversation, "user", str(number), after=message)

    with django_assert_num_queries(AUTHENTICATION + 2) as queries:
        page = client.get(
            f"/v1/conversations/{conversation.public_id}/items?limit=3", headers=alice.headers
        ).json()

    assert [row["content"][0]["text"] for row in page["data"]] == ["49", "48", "47"]
    assert page["has_more"]
    assert "LIMIT 4" in queries.captured_queries[-1]["sql"]


@pytest.mark.parametrize(
    ("role", "part", "shown"),
    [
        ("user", TextPart("Hi"), {"type": "input_text", "text": "Hi"}),
        ("system", TextPart("Hi"), {"type": "input_text", "text": "Hi"}),
        ("assistant", TextPart("Hi"), {"type": "output_text", "text": "Hi", "annotations": []}),
        ("assistant", RefusalPart("No"), {"type": "refusal", "refusal": "No"}),
        ("assistant", ReasoningPart("Hm"), {"type": "reasoning_text", "text": "Hm"}),
        ("user", ImagePart(BLOB), {"type": "input_image", "detail": "auto", "asset": ASSET}),
        (
            "user",
            ImagePart(url="https://example.com/a.png", detail="low"),
            {"type": "input_image", "detail": "low", "image_url": "https://example.com/a.png"},
        ),
        ("user", AudioPart(BLOB, "wav"), {"type": "input_audio", "format": "wav", "asset": ASSET}),
        (
            "assistant",
            SpokenPart("audio_1", "Hi", BLOB, 1767268800),
            {
                "type": "output_audio",
                "id": "audio_1",
                "transcript": "Hi",
                "expires_at": 1767268800,
                "asset": ASSET,
            },
        ),
    ],
)
def test_a_part_of_an_item(
    role: str, part: Part, shown: dict[str, object], alice: Person, client: Client
) -> None:
    conversation = conversation_of(alice)
    add_message(conversation, role, part)

    assert items(conversation, alice, client)[0]["content"] == [shown]


def test_tool_calls_and_their_results(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice)
    asked = add_message(conversation, "user", "Weather?")
    completion = completion_of(alice, asked)
    call = add_message(
        conversation,
        "assistant",
        ToolCall("call_1", "weather", '{"city": "Oslo"}'),
        after=asked,
        completion=completion,
        choice=0,
        finish_reason="tool_calls",
    )
    add_message(conversation, "tool", "Rain", after=call, tool_call_id="call_1")

    result, called, question = items(conversation, alice, client)

    assert called["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
        }
    ]
    assert (called["status"], called["finish_reason"]) == ("completed", "tool_calls")
    assert called["completion_id"] == completion.public_id
    assert called["parent_id"] == question["id"]
    assert result["tool_call_id"] == "call_1"
    assert "tool_calls" not in result
    assert "tool_call_id" not in question
    assert question["parent_id"] is None


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
    add_message(
        conversation,
        "assistant",
        "Once",
        after=asked,
        completion=completion,
        choice=0,
        finish_reason=finish_reason,
    )

    assert items(conversation, alice, client)[0]["status"] == status


def items(conversation: Conversation, who: Person, client: Client) -> list[dict[str, object]]:
    answer = client.get(f"/v1/conversations/{conversation.public_id}/items", headers=who.headers)
    rows: list[dict[str, object]] = answer.json()["data"]
    return rows
