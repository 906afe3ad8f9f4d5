"""Deletion of history: whole conversations, in as many statements for a long one as for a short one.

Django's own deletion reads every row first, and holds SQLite's only lock meanwhile.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from conversations.models import (
    Completion,
    CompletionLabel,
    Conversation,
    ConversationAsset,
    ConversationLabel,
    Message,
    Score,
    SpokenAnswer,
)


def delete_conversations(conversations: QuerySet[Conversation]) -> None:
    """Delete these with their messages and completions. An answer in progress is not stored.

    Each statement reads `conversations` again. A settlement being stored holds its completion and wants
    its conversation, so completions are deleted before conversations are locked; after that, calls can no
    longer be admitted to these, and whatever came in between is deleted too.
    """
    ids = conversations.order_by().values("pk")
    _delete_history(conversations, Completion.objects.filter(conversation__in=ids))


def _delete_history(conversations: QuerySet[Conversation], completions: QuerySet[Completion]) -> None:
    ids = conversations.order_by().values("pk")
    messages = Message.objects.filter(conversation__in=ids)
    spoken = SpokenAnswer.objects.filter(message__in=messages.order_by().values("pk"))
    media = ConversationAsset.objects.filter(conversation__in=ids)
    labels = ConversationLabel.objects.filter(conversation__in=ids)
    of_completions: list[QuerySet[Any]] = [
        rows.filter(completion__in=completions.order_by().values("pk"))
        for rows in (CompletionLabel.objects, Score.objects)
    ]
    with transaction.atomic():
        for first in (*of_completions, completions):
            _delete(first)
        list(conversations.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
        for rows in (*of_completions, completions, spoken, messages, media, labels, conversations.order_by()):
            _delete(rows)


def history_counts(conversations: QuerySet[Conversation]) -> dict[str, int]:
    """Count what would be deleted with these conversations, by the plural of its name."""
    ids = conversations.order_by().values("pk")
    messages = Message.objects.filter(conversation__in=ids)
    completions = Completion.objects.filter(conversation__in=ids)
    return {
        "conversations": conversations.count(),
        "messages": messages.count(),
        "completions": completions.count(),
    }


def delete_history_of_workspace(workspace_id: UUID) -> None:
    """Delete a workspace's conversations, and the completions of which nothing is stored."""
    _delete_history(
        Conversation.objects.filter(workspace_id=workspace_id),
        Completion.objects.filter(workspace_id=workspace_id),
    )


def history_counts_of_workspaces(workspace_ids: Collection[UUID]) -> dict[str, int]:
    return history_counts(Conversation.objects.filter(workspace__in=workspace_ids))


def _delete(rows: QuerySet[Any]) -> None:
    """Delete directly: foreign keys to these rows come from rows deleted too, and are checked last."""
    rows._raw_delete(rows.db)
