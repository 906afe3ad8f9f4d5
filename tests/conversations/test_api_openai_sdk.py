"""OpenAI's own client reads the history."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.conversations import Message

from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    ToolCall,
)
from tests.support.history_rows import (
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    store_held_file,
)
from tests.support.openai_in_process import openai_client
from tests.support.people import Person


@pytest.fixture
def sdk(alice: Person) -> Iterator[openai.OpenAI]:
    with openai_client(api_key=alice.key, _strict_response_validation=True) as client:
        yield client


def test_a_conversation_and_all_its_pages_of_items(sdk: openai.OpenAI, alice: Person) -> None:
    conversation = conversation_of(alice, metadata={"topic": "numbers"})
    message = None
    for number in range(7):
        message = add_message(conversation, "user", str(number), after=message)

    found = sdk.conversations.retrieve(conversation.public_id)
    items = list(sdk.conversations.items.list(conversation.public_id, limit=3, order="asc"))

    assert (found.id, found.metadata) == (conversation.public_id, {"topic": "numbers"})
    assert [item.content[0].text for item in items if item.type == "message"] == list("0123456")  # type: ignore[union-attr]


def test_every_kind_of_item_is_what_the_client_declares(sdk: openai.OpenAI, alice: Person) -> None:
    conversation = conversation_of(alice)
    picture = store_held_file(conversation, b"picture", "image/png", "thumbnail")
    sound = store_held_file(conversation, b"sound", "audio/wav", "opus")
    seen = ImagePart(picture, "https://example.com/a.png", "low")
    asked = add_message(
        conversation, "user", "See?", seen, AudioPart(sound, "wav"), FilePart(picture, "a.pdf")
    )
    completion = completion_of(alice, asked, prompt_tokens=1, cost=1)
    parts = (ReasoningPart("Hm"), "Wait.", RefusalPart("No"), SpokenPart("audio_1", "Wait.", sound, 1))
    made = {"completion": completion, "choice": 0, "finish_reason": "tool_calls"}
    call = add_message(conversation, "assistant", *parts, ToolCall("c", "f", "{}"), after=asked, **made)
    result = add_message(conversation, "tool", "Rain", "Wind", after=call, tool_call_id="c")
    add_message(conversation, "tool", after=result, tool_call_id="c")

    items = list(sdk.conversations.items.list(conversation.public_id, order="asc", limit=2))

    assert [type(item).__name__ for item in items] == [
        "Message",
        "ResponseReasoningItem",
        "Message",
        "ResponseFunctionToolCallItem",
        "ResponseFunctionToolCallOutputItem",
        "ResponseFunctionToolCallOutputItem",
    ]
    kinds = [part.type for item in items if item.type == "message" for part in item.content]
    assert kinds == ["input_text", "input_image", "input_file", "input_file", "output_text", "refusal"]
    assert items[3].cost_usd == "0.000000001"  # type: ignore[union-attr]


def test_items_are_created_retrieved_and_deleted(sdk: openai.OpenAI, alice: Person) -> None:
    id, items = conversation_of(alice).public_id, sdk.conversations.items
    question: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Why?"}]}
    thought: Any = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]}
    answer: Any = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Because.", "annotations": []}],
    }

    created = items.create(id, items=[question, thought, answer], include=["reasoning.encrypted_content"])
    retrieved = items.retrieve(created.first_id, conversation_id=id, include=[])
    again = items.create(id, items=[item.to_dict() for item in created.data])  # type: ignore[misc]
    left = items.delete(created.first_id, conversation_id=id)

    assert [item.type for item in created.data] == ["message", "reasoning", "message"]
    assert retrieved == created.data[0]
    assert len(again.data) == 3
    assert left.id == id
    assert len(list(items.list(id))) == 5


def test_an_item_is_edited_beside_the_clients_own_methods(sdk: openai.OpenAI, alice: Person) -> None:
    id = conversation_of(alice).public_id
    created = sdk.conversations.items.create(id, items=[{"role": "user", "content": "Cats?"}])
    path = f"/conversations/{id}/items/{created.first_id}"

    edited = sdk.post(path, body={"content": "Dogs?"}, cast_to=Message)

    assert edited.content[0].text == "Dogs?"  # type: ignore[union-attr]
    assert [item.id for item in sdk.conversations.items.list(id)] == [edited.id]


def test_a_stored_completion(sdk: openai.OpenAI, alice: Person) -> None:
    completion = create_exchange(alice, answer="Good day.")

    found = sdk.chat.completions.retrieve(completion.public_id)

    assert found.choices[0].message.content == "Good day."
    assert found.usage
    assert found.usage.total_tokens == 5
    openai.types.chat.ChatCompletion.model_validate_json(found.model_dump_json(), strict=True)


def test_models(sdk: openai.OpenAI) -> None:
    ids = [model.id for model in sdk.models.list()]
    assert ids[:3] == ["scripted", "text-only", "house/with-a-slash"]
    assert sdk.models.retrieve("house/with-a-slash").owned_by == "chatapi"


def test_refusals_are_the_clients_exceptions(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.conversations.retrieve("conv_nothing")
    with pytest.raises(openai.BadRequestError) as wrong:
        sdk.get("/conversations?limit=0", cast_to=object)
    with pytest.raises(openai.AuthenticationError) as stranger:
        sdk.with_options(api_key="sk-wrong").models.list()

    assert missing.value.code == "not_found"
    assert wrong.value.param == "limit"
    assert stranger.value.code == "invalid_api_key"
