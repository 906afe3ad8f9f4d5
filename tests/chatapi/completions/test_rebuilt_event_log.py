"""What a repeated call is given of an answer that another process makes, or has made."""

import pytest

from accounts.keys.validation import principal_of_secret
from chatapi.completions.runs.rebuilt_event_log import replay
from conversations.emptying import empty_messages
from conversations.exceptions import NotStored
from conversations.models import Completion
from core.exceptions import NotFound
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange, prompt_of
from tests.support.people import Person


def test_what_is_not_stored_is_waited_for_and_then_gone(alice: Person) -> None:
    who = principal_of_secret(alice.key)
    asked = add_message(conversation_of(alice), "user", "Tell me")
    completion = completion_of(alice, asked, "in_progress", api_key_id=alice.key_id)
    Completion.objects.update(conversation=None, prompt=None, first_answer=None)

    assert replay(who, completion.pk) is None
    Completion.objects.update(state="completed")
    with pytest.raises(NotStored):
        replay(who, completion.pk)


@pytest.mark.parametrize("choice", [0, 1])
def test_of_deleted_answers_nothing_is_given_again(alice: Person, choice: int) -> None:
    who, completion = principal_of_secret(alice.key), create_exchange(alice)
    question = prompt_of(completion)
    add_message(question.conversation, "assistant", "Hi.", after=question, completion=completion, choice=1)
    assert replay(who, completion.pk) is not None

    empty_messages(question.conversation, [completion.answers.get(choice=choice)])

    with pytest.raises(NotStored):
        replay(who, completion.pk)


def test_an_answer_is_given_again_though_its_question_was_deleted(alice: Person) -> None:
    completion = create_exchange(alice)
    question = prompt_of(completion)

    empty_messages(question.conversation, [question])

    assert replay(principal_of_secret(alice.key), completion.pk) is not None


def test_a_strangers_is_not_there(alice: Person, charlie: Person) -> None:
    completion = create_exchange(charlie)
    with pytest.raises(NotFound):
        replay(principal_of_secret(alice.key), completion.pk)
