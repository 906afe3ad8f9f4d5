"""What conversations show once a process that answered in them is dead."""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from chatapi.completions.recovery import settle_interrupted
from conversations.models import Completion, Conversation, Message, ServerProcess
from core.ids import new_id
from tests.support.history_rows import NOON, add_message, completion_of, create_exchange, prompt_of
from tests.support.people import Person


def answered_anew(who: Person, **fields: Any) -> Message:
    """Return a question with an answer, to which a dead process was making another one."""
    question = prompt_of(create_exchange(who))
    completion_of(who, question, "in_progress", **fields)
    Conversation.objects.filter(pk=question.conversation_id).update(head=question)
    return question


def shown(question: Message) -> Message | None:
    return Conversation.objects.get(pk=question.conversation_id).head


def test_the_newest_answer_that_is_there_is_shown_again(alice: Person) -> None:
    question = answered_anew(alice)
    first = question.children.get()
    said: dict[str, Any] = {"conversation": question.conversation, "parent": question, "parts": ()}
    made = {"role": "assistant", "completion": completion_of(alice, question), **said}
    Message.objects.create(choice=0, emptied_at=NOON, **made)
    Message.objects.create(choice=1, **made)
    Message.objects.create(role="user", **said)

    assert settle_interrupted() == 1

    assert shown(question) == first


def test_an_answer_that_a_client_wrote_is_one(alice: Person) -> None:
    question = answered_anew(alice)
    written = add_message(question.conversation, "assistant", "Mine", after=question)
    Conversation.objects.update(head=question)

    settle_interrupted()

    assert shown(question) == written


def test_what_a_living_process_still_answers_waits_for_it(alice: Person) -> None:
    question = answered_anew(alice)
    alive = ServerProcess.objects.create(id=new_id(), host="elsewhere", pid=1)
    completion_of(alice, question, "in_progress", process=alive.pk)

    assert settle_interrupted() == 1

    assert shown(question) == question


@pytest.mark.parametrize("is_head", [True, False])
def test_the_conversation_has_changed(alice: Person, is_head: bool) -> None:
    question = answered_anew(alice)
    if not is_head:
        add_message(question.conversation, "user", "Another", after=None)
    start = timezone.now()

    settle_interrupted()

    assert Conversation.objects.get().updated_at >= start


def test_many_take_as_many_queries_as_few(
    alice: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    questions = [answered_anew(alice) for _ in range(20)]

    with django_assert_max_num_queries(18):
        assert settle_interrupted() == 20

    assert [shown(question) for question in questions] == [one.children.get() for one in questions]
    assert not Completion.objects.filter(state="in_progress").exists()
