"""What a conversation shows while answers to one message are made, deleted and fail at the same time."""

import pytest
from django.test import Client

from conversations.models import Completion, Conversation
from core.exceptions import BadRequest
from engines.answers import Failure
from tests.support.history_rows import add_message, conversation_of, create_exchange
from tests.support.item_requests import delete, listed, words_of
from tests.support.people import Person
from tests.support.stored_runs import BareRun, admit, settle

AWAY = Failure("The model is away: 'Hello?'")


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return create_exchange(alice).stored_conversation


def answer_anew(alice: Person, conversation: Conversation) -> BareRun:
    question = conversation.messages.get(role="user")
    return admit(alice, conversation, regenerate=question.public_id)


def shown(client: Client, alice: Person, conversation: Conversation) -> list[str]:
    return words_of(listed(client, alice, conversation))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_new_answers_the_one_that_comes_is_shown(
    order: tuple[int, int], conversation: Conversation, alice: Person, client: Client
) -> None:
    runs = [answer_anew(alice, conversation) for _ in range(2)]

    settle((runs[order[0]], AWAY))
    settle((runs[order[1]], "Better."))

    assert shown(client, alice, conversation) == ["Hello?", "Better."]


@pytest.mark.parametrize("at_once", [True, False])
def test_where_none_of_them_comes_the_old_answer_is_shown(
    at_once: bool, conversation: Conversation, alice: Person, client: Client
) -> None:
    ends = [(answer_anew(alice, conversation), AWAY) for _ in range(2)]

    if at_once:
        settle(*ends)
    else:
        for end in ends:
            settle(end)

    assert shown(client, alice, conversation) == ["Hello?", "Hello."]


def test_a_failure_and_an_answer_that_are_stored_at_once(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    settle((answer_anew(alice, conversation), AWAY), (answer_anew(alice, conversation), "Better."))

    assert shown(client, alice, conversation) == ["Hello?", "Better."]


def test_an_old_answer_deleted_meanwhile_is_not_shown_again(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    run = answer_anew(alice, conversation)
    old = conversation.messages.get(role="assistant")
    delete(client, alice, conversation, old.public_id)

    settle((run, AWAY))

    conversation.refresh_from_db()
    assert conversation.head_id == run.admission.prompt_id
    assert shown(client, alice, conversation) == ["Hello?"]


def test_what_answers_a_deleted_question_keeps_no_word_of_it(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    question = conversation.messages.get(role="user")
    prediction = {"type": "content", "content": "Hello?"}
    run = admit(alice, conversation, regenerate=question.public_id, params={"prediction": prediction, "n": 1})

    delete(client, alice, conversation, question.public_id)
    made = Completion.objects.get(pk=run.id)
    assert (made.state, made.request["params"]) == ("in_progress", {"n": 1})
    settle((run, AWAY))

    made.refresh_from_db()
    assert (made.state, made.error) == ("failed", {"message": "It was not kept.", "status": 502})


def test_an_answer_to_a_deleted_question_is_not_made_anew(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    answer = conversation.messages.get(role="assistant")
    second = add_message(conversation, "user", "And?", after=answer)
    last = add_message(conversation, "assistant", "Yes.", after=second)
    delete(client, alice, conversation, second.public_id)

    with pytest.raises(AssertionError) as refused:
        admit(alice, conversation, regenerate=last.public_id)

    assert isinstance(refused.value.args[0], BadRequest)
    assert "no message before this one" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "Hello?"),
        ({"title": "Mine", "titled_by": "client"}, "Mine"),
        ({"title": "", "titled_by": "client"}, ""),
        ({"title": "A model's", "titled_by": "model"}, "A model's"),
    ],
)
def test_a_title_that_was_chosen_meanwhile_stays(alice: Person, changes: dict[str, str], title: str) -> None:
    conversation = conversation_of(alice)

    def choose() -> None:
        if changes:
            Conversation.objects.update(**changes)

    admit(alice, conversation, "Hello?", meanwhile=choose)

    conversation.refresh_from_db()
    assert (conversation.title, conversation.message_count) == (title, 1)
