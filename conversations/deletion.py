"""Deletion of history: whole conversations, in as many statements for a long one as for a short one.

Django's own deletion reads every row first, and holds SQLite's only lock meanwhile.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
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
    SearchDocument,
    SearchMark,
    SpokenAnswer,
)

PURGE_BATCH = 100
MAX_PURGES = 100
"""How many batches one run of the purge deletes at most; the next run goes on."""


def can_be_restored() -> bool:
    """Tell whether deleted conversations are kept for a while: however they are deleted, this decides."""
    return settings.CHATAPI_DELETED_KEPT_DAYS > 0


def delete_conversations(conversations: QuerySet[Conversation]) -> None:
    """Delete these with their messages and completions. An answer in progress is not stored.

    Each statement reads `conversations` again. Everybody locks completions before their conversations, as the
    settlement does. Once the conversations are locked, calls can no longer be admitted to them, and what came
    in between is deleted too.
    """
    ids = conversations.order_by().values("pk")
    _delete_history(conversations, Completion.objects.filter(conversation__in=ids))


def _delete_history(conversations: QuerySet[Conversation], completions: QuerySet[Completion]) -> None:
    ids = conversations.order_by().values("pk")
    messages = Message.objects.filter(conversation__in=ids)
    spoken = SpokenAnswer.objects.filter(message__in=messages.order_by().values("pk"))
    media = ConversationAsset.objects.filter(conversation__in=ids)
    labels = ConversationLabel.objects.filter(conversation__in=ids)
    # the marks first: whoever indexes them has them locked, and then there is what to delete
    marks = SearchMark.objects.filter(conversation__in=ids)
    indexed = SearchDocument.objects.filter(message__in=messages.order_by().values("pk"))
    titles = SearchDocument.objects.filter(message=None, conversation__in=ids)
    of_completions: list[QuerySet[Any]] = [
        rows.filter(completion__in=completions.order_by().values("pk"))
        for rows in (CompletionLabel.objects, Score.objects)
    ]
    with transaction.atomic():
        _lock(completions)  # or somebody could label or rate one meanwhile
        _lock(conversations)
        _lock(completions)
        of_conversations = (spoken, marks, indexed, titles, messages, media, labels)
        for rows in (*of_completions, completions, *of_conversations, conversations.order_by()):
            _delete(rows)


def purge_deleted(now: datetime) -> int:
    """Delete for good what was deleted longer ago than it is kept; return how many conversations.

    It may run twice, and die anywhere. A restored one is spared: whoever comes second waits for the first.
    """
    before = now - timedelta(days=settings.CHATAPI_DELETED_KEPT_DAYS)
    expired = Conversation.objects.filter(deleted_at__lt=before)
    purged = 0
    for _ in range(MAX_PURGES):
        ids = list(expired.order_by("deleted_at").values_list("pk", flat=True)[:PURGE_BATCH])
        if not ids:
            break
        with transaction.atomic():
            # in the order in which settlements lock, which hold a completion and want its conversation
            _lock(Completion.objects.filter(conversation__in=ids))
            still = _lock(expired.filter(pk__in=ids))
            delete_conversations(Conversation.objects.filter(pk__in=still))
        purged += len(still)
    return purged


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
    counts = history_counts(Conversation.objects.filter(workspace__in=workspace_ids))
    unstored = Completion.objects.filter(workspace__in=workspace_ids, conversation=None)
    return {**counts, "completions": counts["completions"] + unstored.count()}


def _lock(rows: QuerySet[Any]) -> list[UUID]:
    """Lock rows that are to be deleted, so that nothing is added to them, and return which there are."""
    return list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))


def _delete(rows: QuerySet[Any]) -> None:
    """Delete directly: foreign keys to these rows come from rows deleted too, and are checked last."""
    rows._raw_delete(rows.db)
