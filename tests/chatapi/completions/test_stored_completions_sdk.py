"""OpenAI's own client lists, changes and deletes stored completions, and checks every type it reads."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionStoreMessage

from conversations.models import Completion
from engines.messages import ToolCall
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.openai_in_process import openai_client
from tests.support.people import Person


@pytest.fixture
def sdk(alice: Person) -> Iterator[openai.OpenAI]:
    with openai_client(api_key=alice.key, _strict_response_validation=True) as client:
        yield client


def test_it_pages_to_the_end(sdk: openai.OpenAI, alice: Person) -> None:
    made = [create_exchange(alice).public_id for _ in range(5)]

    assert [one.id for one in sdk.chat.completions.list(limit=2)] == made
    assert [one.id for one in sdk.chat.completions.list(limit=2, order="desc")] == made[::-1]
    assert [one.id for one in sdk.chat.completions.list(after=made[2])] == made[3:]


def test_it_filters_what_it_has_labelled(sdk: openai.OpenAI, alice: Person) -> None:
    first, second = create_exchange(alice), create_exchange(alice)
    Completion.objects.filter(pk=second.pk).update(model="other")

    changed = sdk.chat.completions.update(first.public_id, metadata={"topic": "numbers", "a b": "c"})

    assert changed.metadata == {"topic": "numbers", "a b": "c"}
    assert sdk.chat.completions.retrieve(first.public_id).metadata == changed.metadata
    found = sdk.chat.completions.list(metadata={"topic": "numbers", "a b": "c"})
    assert [one.id for one in found] == [first.public_id]
    assert [one.id for one in sdk.chat.completions.list(model="other")] == [second.public_id]
    assert sdk.chat.completions.update(first.public_id, metadata=None).metadata == {}


def test_it_reads_answers_of_all_kinds(sdk: openai.OpenAI, alice: Person) -> None:
    asked = add_message(conversation_of(alice), "user", "Weather?")
    completion = completion_of(alice, asked)
    call = ToolCall("call_1", "weather", "{}")
    add_message(
        *(asked.conversation, "assistant", "Wait.", call),
        after=asked,
        completion=completion,
        choice=0,
        finish_reason="tool_calls",
    )

    [found] = sdk.chat.completions.list()

    assert found.choices[0].finish_reason == "tool_calls"
    assert found.choices[0].message.tool_calls
    assert found == sdk.chat.completions.retrieve(completion.public_id)


def test_it_deletes(sdk: openai.OpenAI, alice: Person) -> None:
    completion = create_exchange(alice)

    deleted = sdk.chat.completions.delete(completion.public_id)

    assert (deleted.id, deleted.deleted) == (completion.public_id, True)
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.retrieve(completion.public_id)
    assert list(sdk.chat.completions.list()) == []


def test_it_reads_the_messages_that_were_answered(alice: Person) -> None:
    """Its strict client would refuse them: it declares each role as `assistant`, though OpenAI's own
    documentation shows a `user`. All else is checked strictly."""
    conversation, message = conversation_of(alice), None
    for number in range(5):
        role = "assistant" if number % 2 else "user"
        message = add_message(conversation, role, f"Message {number}", after=message)
    assert message
    completion = completion_of(alice, message)

    with openai_client(api_key=alice.key) as sdk:
        found = list(sdk.chat.completions.messages.list(completion.public_id, limit=2))

    assert [one.content for one in found] == [f"Message {number}" for number in range(5)]
    assert [str(one.role) for one in found[:2]] == ["user", "assistant"]
    for one in found:
        body = {**one.model_dump(), "role": "assistant"}
        ChatCompletionStoreMessage.model_validate(body, strict=True)


def test_its_strict_client_reads_the_messages_that_are_all_answers(sdk: openai.OpenAI, alice: Person) -> None:
    """What is answered can begin with an answer, such as a greeting that the client wrote."""
    greeting = add_message(conversation_of(alice), "assistant", "Welcome!")
    completion = completion_of(alice, greeting)

    [found] = sdk.chat.completions.messages.list(completion.public_id)

    assert (found.id, found.content, found.content_parts) == (greeting.public_id, "Welcome!", None)
