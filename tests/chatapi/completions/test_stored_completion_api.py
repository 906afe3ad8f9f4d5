from base64 import b64decode
from hashlib import sha256

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.models import Completion
from core.blob import Blob
from engines.messages import SpokenPart
from media.services import store_bytes
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.people import Person


def fetch(completion: Completion, who: Person, client: Client) -> dict[str, object]:
    answer = client.get(f"/v1/chat/completions/{completion.public_id}", headers=who.headers)
    assert answer.status_code == 200
    shown: dict[str, object] = answer.json()
    return shown


def test_a_completion_reads_as_it_was_answered(
    alice: Person, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    completion = create_exchange(alice, answer="Good day.")
    completion.request, completion.metadata = {"params": {"service_tier": "flex"}}, {"a": "b"}
    completion.save()

    with django_assert_max_num_queries(4):
        shown = fetch(completion, alice, client)

    assert shown["id"] == completion.public_id
    assert shown["object"] == "chat.completion"
    assert shown["created"] == 1767268800
    assert shown["model"] == "scripted"
    assert shown["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Good day.", "refusal": None, "annotations": []},
        }
    ]
    usage = shown["usage"]
    assert isinstance(usage, dict)
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 2, 5)
    assert shown["service_tier"] == "flex"
    assert shown["metadata"] == {"a": "b"}
    assert shown["state"] == "completed"
    assert shown["conversation_id"] == completion.stored_conversation.public_id
    assert "error" not in shown


def test_choices_come_in_their_order(alice: Person, client: Client) -> None:
    question = add_message(conversation_of(alice), "user", "Pick")
    completion = completion_of(alice, question)
    for choice, text in [(1, "second"), (0, "first")]:
        add_message(
            question.conversation,
            "assistant",
            text,
            after=question,
            completion=completion,
            choice=choice,
            finish_reason="stop",
        )

    choices = fetch(completion, alice, client)["choices"]

    assert isinstance(choices, list)
    assert [choice["message"]["content"] for choice in choices] == ["first", "second"]


def test_a_running_completion_has_no_choices_yet(alice: Person, client: Client) -> None:
    question = add_message(conversation_of(alice), "user", "Tell me")

    shown = fetch(completion_of(alice, question, "in_progress"), alice, client)

    assert (shown["state"], shown["choices"]) == ("in_progress", [])
    assert "usage" not in shown


@pytest.mark.parametrize("state", ["cancelled", "interrupted"])
def test_a_completion_that_broke_off_shows_how_far_it_got(state: str, alice: Person, client: Client) -> None:
    question = add_message(conversation_of(alice), "user", "Tell me")
    completion = completion_of(alice, question, state)
    add_message(
        question.conversation, "assistant", "Once upon", after=question, completion=completion, choice=0
    )

    shown = fetch(completion, alice, client)

    assert shown["state"] == state
    choices = shown["choices"]
    assert isinstance(choices, list)
    assert (choices[0]["message"]["content"], choices[0]["finish_reason"]) == ("Once upon", None)


def test_a_failed_completion_says_why(alice: Person, client: Client) -> None:
    question = add_message(conversation_of(alice), "user", "Tell me")
    error = {"message": "The upstream is overloaded.", "code": "upstream_error", "status": 502}

    shown = fetch(completion_of(alice, question, "failed", error=error), alice, client)

    assert shown["state"] == "failed"
    assert shown["error"] == {
        "message": "The upstream is overloaded.",
        "type": "server_error",
        "param": None,
        "code": "upstream_error",
    }


def test_a_spoken_answer_has_its_sound(alice: Person, client: Client) -> None:
    sound = b"\x00\x01" * 60
    digest = sha256(sound).hexdigest()
    store_bytes(alice.workspace.id, {digest: sound})
    question = add_message(conversation_of(alice), "user", "Say hello")
    completion = completion_of(alice, question)
    spoken = SpokenPart("audio_1", "Hello", Blob(digest, "audio/wav", len(sound)), 1767268800)
    lost = SpokenPart("audio_2", "Bye", Blob("0" * 64, "audio/wav", 4))
    for choice, part in enumerate((spoken, lost)):
        add_message(
            question.conversation,
            "assistant",
            part,
            after=question,
            completion=completion,
            choice=choice,
            finish_reason="stop",
        )

    choices = fetch(completion, alice, client)["choices"]

    assert isinstance(choices, list)
    heard, gone = (choice["message"]["audio"] for choice in choices)
    assert (b64decode(heard["data"]), heard["transcript"]) == (sound, "Hello")
    assert (gone["data"], gone["transcript"]) == ("", "Bye")
