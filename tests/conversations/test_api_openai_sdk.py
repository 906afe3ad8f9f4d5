"""OpenAI's own client reads the history."""

from collections.abc import Iterator

import openai
import pytest

from engines.messages import ToolCall
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.openai_in_process import openai_client
from tests.support.people import Person


@pytest.fixture
def sdk(alice: Person) -> Iterator[openai.OpenAI]:
    with openai_client(api_key=alice.key) as client:
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


def test_items_are_what_the_client_declares(sdk: openai.OpenAI, alice: Person) -> None:
    asked = add_message(conversation_of(alice), "user", "Weather?")
    completion = completion_of(alice, asked)
    call = ToolCall("call_1", "weather", "{}")
    add_message(asked.conversation, "assistant", "Wait.", call, after=asked, completion=completion, choice=0)

    page = sdk.conversations.items.list(asked.conversation.public_id)

    strict = openai.types.conversations.ConversationItemList.model_validate_json(
        page.model_dump_json(), strict=True
    )
    assert [item.role for item in strict.data if item.type == "message"] == ["assistant", "user"]
    assert page.model_dump()["data"][0]["tool_calls"][0]["function"]["name"] == "weather"


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
