"""Deleting a message: no word of it stays, what follows it does, and the conversation shows what is left."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from conversations.emptying import empty_messages
from conversations.models import Completion, Conversation, Message, Score, SpokenAnswer, spoken_answer_id
from engines.messages import ImagePart, Part, SpokenPart
from media.cleanup import delete_unused
from media.models import Asset, storage_name
from tests.support.history_rows import (
    add_message,
    completion_of,
    conversation_of,
    create_exchange,
    store_held_file,
)
from tests.support.item_requests import (
    answered,
    append,
    delete,
    edit,
    item_page,
    items_path,
    listed,
    refusal,
    words_of,
)
from tests.support.people import Person

LATER = timedelta(hours=2)


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return conversation_of(alice)


def everything_stored() -> str:
    """Return all columns of all rows of all tables."""
    return "\n".join(str(row) for model in apps.get_models() for row in model._default_manager.values())


def test_no_word_of_a_deleted_message_stays(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    asked = add_message(conversation, "user", "Xanadu question", name="Xanadu")
    request = {"params": {"prediction": {"type": "content", "content": "Xanadu"}, "seed": 1}, "n": 2}
    error = {"message": "cannot say Xanadu", "type": "server_error"}
    completion = completion_of(alice, asked, request=request, error=error)
    made = {"completion": completion, "choice": 0, "logprobs": {"content": [{"token": "Xanadu"}]}}
    parts: list[Part | str] = ["Xanadu answer", SpokenPart("audio_1", "Xanadu", None, 1)]
    answer = add_message(conversation, "assistant", *parts, after=asked, **made)
    SpokenAnswer.objects.create(
        id=spoken_answer_id(alice.workspace.pk, "audio_1"), message=answer, expires_at=timezone.now()
    )
    said = {"workspace": alice.workspace, "completion": completion, "source": "api", "text": "Xanadu"}
    Score.objects.create(name="comment", **said)
    Score.objects.create(name="other", **{**said, "text": "stays", "choice": 1})
    Conversation.objects.update(title="Xanadu", titled_by="model", preview="Xanadu")
    assert everything_stored().count("Xanadu") == 10

    for message in (asked, answer):
        assert delete(client, alice, conversation, message.public_id).status_code == 200

    assert "Xanadu" not in everything_stored()
    assert Completion.objects.get().request == {"params": {"seed": 1}, "n": 2}
    assert [score.text for score in Score.objects.all()] == ["stays"]
    assert listed(client, alice, conversation) == []


def test_the_conversation_is_returned_as_it_is_without_the_message(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    rows = append(client, alice, conversation, "Q", answered("A"), "Q2", answered("A2")).json()["data"]

    left = delete(client, alice, conversation, rows[3]["id"]).json()
    again = delete(client, alice, conversation, rows[0]["id"]).json()

    assert (left["id"], left["object"]) == (conversation.public_id, "conversation")
    assert (left["title"], again["title"]) == ("Q", "Q2")
    assert again["updated_at"] >= left["updated_at"]
    conversation.refresh_from_db()
    assert (conversation.message_count, conversation.preview) == (2, "A")
    assert words_of(listed(client, alice, conversation)) == ["A", "Q2"]


def test_a_title_that_a_client_chose_stays(alice: Person, client: Client) -> None:
    conversation = conversation_of(alice, title="Mine", titled_by="client")
    [item] = append(client, alice, conversation, "Q").json()["data"]

    assert delete(client, alice, conversation, item["id"]).json()["title"] == "Mine"


def test_a_message_is_deleted_with_all_its_items_and_only_once(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    rows = append(client, alice, conversation, "Q", answered("Wait."), call).json()["data"]

    assert delete(client, alice, conversation, rows[2]["id"]).status_code == 200

    for gone in rows[1:]:
        assert refusal(delete(client, alice, conversation, gone["id"])) == (404, "not_found", "item_id")
        assert client.get(items_path(conversation, gone["id"]), headers=alice.headers).status_code == 404
        assert edit(client, alice, conversation, gone["id"], "x").status_code == 404
    assert words_of(listed(client, alice, conversation)) == ["Q"]


def test_the_head_moves_up_to_what_is_still_there(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    first, second, third = append(client, alice, conversation, "1", "2", "3").json()["data"]
    shown = []
    for item in (second, third, first):
        head = delete(client, alice, conversation, item["id"]).json()["head_id"]
        shown.append((head, words_of(listed(client, alice, conversation))))

    assert shown == [(third["id"], ["1", "3"]), (first["id"], ["1"]), (None, [])]
    [row] = append(client, alice, conversation, "anew").json()["data"]
    assert row["parent_id"] is None


def test_the_head_goes_to_another_branch_where_its_own_is_gone(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    append(client, alice, conversation, "1", answered("2"))
    [other] = append(client, alice, conversation, "other", parent_id=None).json()["data"]

    delete(client, alice, conversation, other["id"])

    assert words_of(listed(client, alice, conversation)) == ["1", "2"]


def test_the_digests_stay_so_that_the_history_goes_on(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    first, second, _ = append(client, alice, conversation, "1", answered("2"), "3").json()["data"]
    digests = list(Message.objects.order_by("id").values_list("digest", flat=True))

    delete(client, alice, conversation, second["id"])
    [added] = append(client, alice, conversation, answered("4")).json()["data"]

    assert list(Message.objects.order_by("id").values_list("digest", flat=True))[:3] == digests
    assert words_of(listed(client, alice, conversation)) == ["1", "3", "4"]
    assert listed(client, alice, conversation)[1]["parent_id"] == first["id"]
    assert added["parent_id"] != second["id"]


def test_a_deleted_answer_is_no_sibling_and_leaves_its_place_to_others(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    question, first = append(client, alice, conversation, "Q", answered("A")).json()["data"]
    [second] = append(client, alice, conversation, answered("B"), parent_id=question["id"]).json()["data"]

    delete(client, alice, conversation, first["id"])

    assert listed(client, alice, conversation)[-1]["siblings"] == [second["id"]]
    [third] = append(client, alice, conversation, answered("A"), parent_id=question["id"]).json()["data"]
    assert third["siblings"] == [second["id"], third["id"]], "what is said again is stored again"


def test_files_that_no_other_message_has_are_released(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    only = store_held_file(conversation, b"only here", "image/png")
    both = store_held_file(conversation, b"in both", "image/png")
    elsewhere = store_held_file(conversation, b"elsewhere", "image/png")
    store_held_file(conversation_of(alice), b"elsewhere", "image/png")
    message = add_message(conversation, "user", ImagePart(only), ImagePart(both), ImagePart(elsewhere))
    add_message(conversation, "user", ImagePart(both), after=message)

    delete(client, alice, conversation, message.public_id)
    delete_unused(timezone.now() + LATER)

    assert set(Asset.objects.values_list("sha256", flat=True)) == {both.sha256, elsewhere.sha256}
    assert not default_storage.exists(storage_name(alice.workspace.pk, only.sha256))
    assert {hold.asset.sha256 for hold in conversation.media.all()} == {both.sha256}


def test_several_are_emptied_at_once_and_those_of_others_stay(alice: Person) -> None:
    conversation, other = (create_exchange(alice).stored_conversation for _ in range(2))
    mine, theirs = (list(one.messages.order_by("id")) for one in (conversation, other))

    empty_messages(conversation, [*mine, *theirs])
    emptied_at = Message.objects.get(pk=mine[0].pk).emptied_at
    empty_messages(conversation, mine)

    assert [message.parts for message in other.messages.order_by("id")] == [one.parts for one in theirs]
    assert Message.objects.get(pk=mine[0].pk).emptied_at == emptied_at
    assert (conversation.message_count, conversation.preview, conversation.head) == (0, "", None)
    assert Conversation.objects.get(pk=other.pk).message_count == 2


@pytest.mark.parametrize("messages", [1, 20])
def test_a_page_between_two_deletions_skips_nothing(
    messages: int, conversation: Conversation, alice: Person, client: Client
) -> None:
    rows: list[Any] = append(client, alice, conversation, *map(str, range(messages))).json()["data"]
    page = item_page(client, alice, conversation, "order=asc&limit=1")

    for row in rows[1:]:
        delete(client, alice, conversation, row["id"])

    rest = item_page(client, alice, conversation, f"order=asc&limit=1&after={page['last_id']}")
    assert (rest["data"], rest["has_more"]) == ([], False)


@pytest.mark.parametrize("answers", [2, 20])
def test_a_question_takes_as_many_queries_however_often_it_was_answered(
    answers: int, conversation: Conversation, alice: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    asked = add_message(conversation, "user", "Q")
    request: dict[str, Any] = {"params": {"prediction": {}}}
    for _ in range(answers):
        completion_of(alice, asked, "failed", request=request, error={"message": "Q", "status": 503})

    with django_assert_num_queries(15):
        empty_messages(conversation, [asked])

    left = {"request": {"params": {}}, "error": {"message": "It was not kept.", "status": 503}}
    assert list(Completion.objects.values("request", "error")) == [left] * answers
