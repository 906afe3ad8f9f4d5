"""A list of few completions goes through their conversations, not through all of the workspace."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.keys.validation import principal_of_secret
from accounts.principal import Principal
from conversations.completion_selectors import CompletionFilter, completion_page
from conversations.lists import ConversationFilters, conversation_page, running_completions
from conversations.models import Conversation
from conversations.unstored_answers import unstored_answers
from core.pagination import PageRequest
from tests.support.history_rows import create_exchange
from tests.support.people import Person, token_for
from tests.support.query_plans import explained, sent_queries


@pytest.fixture
def of_xavier(alice: Person) -> Conversation:
    """A conversation of xavier's among others."""
    for _ in range(60):
        create_exchange(alice)
    conversation = create_exchange(alice).stored_conversation
    Conversation.objects.filter(pk=conversation.pk).update(end_user="xavier")
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("ANALYZE")
        else:  # or it plans by whatever rows were there when it counted them by itself
            cursor.execute("ANALYZE conversations_conversation, conversations_completion")
            cursor.execute("SET LOCAL enable_seqscan = off")
    return conversation


def plan_of(who: Principal, **wanted: Any) -> str:
    """Return how the database finds the page, which has one completion."""
    with sent_queries() as sent:
        page = completion_page(who, CompletionFilter(**wanted), PageRequest())
    assert len(page.items) == 1
    return "\n".join(explained(one) for one in sent)


def test_an_end_users_own_are_found_by_their_conversations(alice: Person, of_xavier: Conversation) -> None:
    with_token, with_key = principal_of_secret(token_for(alice, "xavier")), principal_of_secret(alice.key)
    for plan in (plan_of(with_token), plan_of(with_token, user="xavier"), plan_of(with_key, user="xavier")):
        assert "conversation_of_end_user" in plan, plan
        assert "completion_of_conversation" in plan, plan
        assert "completion_page" not in plan, plan


def test_those_of_a_conversation_are_found_by_it(alice: Person, of_xavier: Conversation) -> None:
    for secret in (alice.key, token_for(alice, "xavier")):
        plan = plan_of(principal_of_secret(secret), conversation_id=of_xavier.public_id)
        assert "completion_of_conversation" in plan, plan
        assert "completion_page" not in plan, plan


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"model": "rare"}, "completion_of_model"),
        *(({"state": state}, f"completion_{state}") for state in ("failed", "cancelled", "interrupted")),
    ],
)
def test_rare_ones_are_found_by_what_is_rare(
    alice: Person, of_xavier: Conversation, wanted: dict[str, Any], index: str
) -> None:
    """Among a million messages, to find that there are none took a sixth of a second."""
    of_xavier.completions.update(**wanted)
    who = principal_of_secret(alice.key)

    plan = plan_of(who, **wanted)
    assert index in plan, plan

    with sent_queries() as sent:
        page = conversation_page(who, PageRequest(), ConversationFilters(**wanted))
    assert [one.pk for one in page.items] == [of_xavier.pk]
    assert index in explained(sent[0])


@pytest.mark.parametrize(
    "find", [unstored_answers, lambda conversation: running_completions([conversation])], ids=["one", "many"]
)
def test_answers_being_made_are_found_among_those_alone(
    find: Callable[[Conversation], object], alice: Person
) -> None:
    """Among a million messages, reading all completions of the workspace took half a second."""
    conversation = create_exchange(alice).stored_conversation
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    with sent_queries() as sent:
        find(conversation)
    plan = explained(sent[0])
    assert "completion_page" not in plan, plan
    assert "completion_in_progress" in plan or "completion_of_conversation" in plan, plan
