"""OpenAI's own client, in its strict form, makes, reads, changes, lists and deletes conversations."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.pagination import SyncConversationCursorPage
from openai.types.conversations import Conversation

from tests.support.history_rows import conversation_of
from tests.support.openai_in_process import openai_client
from tests.support.people import Person


@pytest.fixture
def sdk(alice: Person) -> Iterator[openai.OpenAI]:
    with openai_client(api_key=alice.key, _strict_response_validation=True) as client:
        yield client


def test_a_conversation_from_its_making_to_its_end(sdk: openai.OpenAI) -> None:
    made = sdk.conversations.create(metadata={"topic": "demo"}, extra_body={"title": "Demo", "tags": ["a"]})
    changed = sdk.conversations.update(made.id, metadata={"topic": "other"}, extra_body={"pinned": True})
    read = sdk.conversations.retrieve(made.id)
    deleted = sdk.conversations.delete(made.id)

    assert (made.object, made.metadata, changed.metadata) == (
        "conversation",
        {"topic": "demo"},
        {"topic": "other"},
    )
    assert read == changed
    shown: Any = read
    assert (shown.title, shown.tags, shown.pinned, shown.running_completion_id) == ("Demo", ["a"], True, None)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        sdk.conversations.retrieve(made.id)
    restored = sdk.post(f"/conversations/{made.id}/restore", cast_to=Conversation)
    assert restored.id == made.id


def test_its_pages_and_cursors(sdk: openai.OpenAI, alice: Person) -> None:
    ids = [conversation_of(alice, pinned=number == 3).public_id for number in range(5)]

    page_of = SyncConversationCursorPage[Conversation]
    pages = sdk.get_api_list(
        "/conversations", page=page_of, model=Conversation, options={"params": {"limit": 2}}
    )
    assert [row.id for row in pages] == ids[::-1]

    seen, after = [], None
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        body: Any = sdk.get("/conversations", cast_to=object, options={"params": query})
        seen += [row["id"] for row in body["data"]]
        after = body["next_cursor"]
        if after is None:
            break
    assert seen == ids[::-1]
    pinned: Any = sdk.get("/conversations", cast_to=object, options={"params": {"pinned": True}})
    assert [row["id"] for row in pinned["data"]] == [ids[3]]


def test_refusals_name_their_parameter(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as unknown:
        sdk.get("/conversations", cast_to=object, options={"params": {"q": "x"}})
    with pytest.raises(openai.BadRequestError) as long:
        sdk.conversations.create(extra_body={"title": "x" * 201})

    assert (unknown.value.param, unknown.value.code) == ("q", "unsupported_parameter")
    assert long.value.param == "title"
