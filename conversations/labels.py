"""Labels: by which tags and pairs of metadata conversations and completions are found.

Metadata has any keys and values, and no database searches JSON text alike. A label is a digest of a tag or a
pair in its workspace, so that one short index serves them all, and what others label alike is not read.
"""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Literal
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from conversations.models import Completion, CompletionLabel, Conversation, ConversationLabel
from core.bulk_sql import Row, insert_rows

_encode = msgspec.json.encode


def label_rows(
    owner: Literal["conversation", "completion"],
    id: UUID,
    workspace_id: UUID,
    metadata: Mapping[str, str],
    tags: Collection[str] = (),
) -> list[Row]:
    """Return the rows of an owner's labels."""
    if not metadata and not tags:
        return []
    return [{owner: id, "digest": digest} for digest in _digests(workspace_id, metadata, tags)]


def replace_labels(conversation: Conversation) -> None:
    """Label a conversation by what it holds now. Runs inside the caller's transaction."""
    conversation.labels.all().delete()
    insert_rows(
        ConversationLabel,
        label_rows(
            "conversation",
            conversation.id,
            conversation.workspace_id,
            conversation.metadata,
            conversation.tags,
        ),
    )


def replace_completion_labels(completion: Completion) -> None:
    completion.labels.all().delete()
    rows = label_rows("completion", completion.id, completion.workspace_id, completion.metadata)
    insert_rows(CompletionLabel, rows)


def labelled(
    conversations: QuerySet[Conversation],
    workspace_id: UUID,
    metadata: Mapping[str, str],
    tags: Collection[str],
) -> QuerySet[Conversation]:
    """Select those of a workspace that have all of these pairs and tags."""
    for digest in _digests(workspace_id, metadata, tags):
        having = ConversationLabel.objects.filter(digest=digest)
        conversations = conversations.filter(pk__in=having.values("conversation"))
    return conversations


def labelled_completions(
    completions: QuerySet[Completion], workspace_id: UUID, metadata: Mapping[str, str]
) -> QuerySet[Completion]:
    for digest in _digests(workspace_id, metadata, ()):
        having = CompletionLabel.objects.filter(digest=digest)
        completions = completions.filter(pk__in=having.values("completion"))
    return completions


def _digests(workspace_id: UUID, metadata: Mapping[str, str], tags: Collection[str]) -> list[UUID]:
    labels = [*(["metadata", *pair] for pair in metadata.items()), *(["tag", tag] for tag in tags)]
    return [UUID(bytes=sha256(_encode([workspace_id.hex, *label])).digest()[:16]) for label in labels]
