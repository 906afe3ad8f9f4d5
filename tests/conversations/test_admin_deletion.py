"""Deleting whole conversations in the admin, however long, without touching others."""

import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from conversations.models import Completion, Conversation, Message
from core.ids import new_id
from tests.support.history_rows import add_message, completion_of, conversation_of, create_exchange
from tests.support.people import Person

LONG = 1201
NOTHING: Any = ()


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root@example.com", "a good password"))
    return client


def deletion_url(conversation: Conversation) -> str:
    return f"/admin/conversations/conversation/{conversation.pk}/delete/"


def long_conversation(person: Person, length: int = LONG) -> Conversation:
    """Store a chain of messages with a completion for every second one."""
    conversation = conversation_of(person)
    ids = [new_id() for _ in range(length)]
    Message.objects.bulk_create(
        Message(id=id, conversation=conversation, parent_id=parent, role="user", parts=NOTHING, digest="d")
        for id, parent in zip(ids, [None, *ids[:-1]], strict=True)
    )
    Completion.objects.bulk_create(
        Completion(workspace=person.workspace, conversation=conversation, prompt_id=id) for id in ids[::2]
    )
    conversation.head_id = ids[-1]
    conversation.save()
    return conversation


def test_a_long_conversation_is_deleted_after_its_size_was_shown(
    operator: Client, alice: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    conversation, other = long_conversation(alice), create_exchange(alice)

    page = operator.get(deletion_url(conversation)).text
    with django_assert_max_num_queries(28):
        assert operator.post(deletion_url(conversation), {"post": "yes"}).status_code == 302

    assert re.findall(r"<li>(\w+): (\d+)</li>", page) == [
        ("Conversations", "1"),
        ("Messages", str(LONG)),
        ("Completions", str(LONG // 2 + 1)),
    ]
    assert list(Conversation.objects.all()) == [other.conversation]
    assert Message.objects.count() == 2
    assert list(Completion.objects.all()) == [other]


def test_branches_and_answers_are_deleted_too(operator: Client, alice: Person) -> None:
    completion = create_exchange(alice)
    conversation = completion.stored_conversation
    branch = add_message(conversation, "user", "Another way", after=completion.prompt)
    second = completion_of(alice, branch)
    for choice in range(2):
        add_message(conversation, "assistant", "So", after=branch, completion=second, choice=choice)

    assert operator.post(deletion_url(conversation), {"post": "yes"}).status_code == 302

    assert [model.objects.count() for model in (Conversation, Message, Completion)] == [0, 0, 0]


def test_a_deletion_needs_confirmation(operator: Client, alice: Person) -> None:
    conversation = create_exchange(alice).stored_conversation

    assert "Are you sure" in operator.get(deletion_url(conversation)).text

    assert Conversation.objects.filter(pk=conversation.pk).exists()
    assert Message.objects.count() == 2


def test_the_title_does_not_become_markup(operator: Client, alice: Person) -> None:
    conversation = conversation_of(alice, title="<script>alert(1)</script>")

    page = operator.get(deletion_url(conversation)).text

    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
