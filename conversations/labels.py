"""Labels: by which tags and pairs of metadata conversations and completions are found.

Metadata has any keys and values, and no database searches JSON text alike. A label is a digest of a tag or a
pair, so that one short index serves them all.
"""

from collections.abc import Collection, Iterable, Mapping
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
    metadata: Mapping[str, str],
    tags: Collection[str] = (),
) -> list[Row]:
    """Return the rows of an owner's labels."""
    if not metadata and not tags:
        return []
    digests = [*map(_pair_digest, metadata.items()), *map(_tag_digest, tags)]
    return [{owner: id, "digest": digest} for digest in digests]


def replace_labels(conversation: Conversation) -> None:
    """Label a conversation by what it holds now. Runs inside the caller's transaction."""
    conversation.labels.all().delete()
    insert_rows(
        ConversationLabel,
        label_rows("conversation", conversation.id, conversation.metadata, conversation.tags),
    )


def replace_completion_labels(completion: Completion) -> None:
    completion.labels.all().delete()
    insert_rows(CompletionLabel, label_rows("completion", completion.id, completion.metadata))


def labelled(
    conversations: QuerySet[Conversation], metadata: Mapping[str, str], tags: Iterable[str]
) -> QuerySet[Conversation]:
    """Select those that have all of these pairs and tags."""
    for digest in (*map(_pair_digest, metadata.items()), *map(_tag_digest, tags)):
        having = ConversationLabel.objects.filter(digest=digest)
        conversations = conversations.filter(pk__in=having.values("conversation"))
    return conversations


def labelled_completions(
    completions: QuerySet[Completion], metadata: Mapping[str, str]
) -> QuerySet[Completion]:
    for digest in map(_pair_digest, metadata.items()):
        having = CompletionLabel.objects.filter(digest=digest)
        completions = completions.filter(pk__in=having.values("completion"))
    return completions


def _pair_digest(pair: tuple[str, str]) -> UUID:
    return _digest(["metadata", *pair])


def _tag_digest(tag: str) -> UUID:
    return _digest(["tag", tag])


def _digest(words: list[str]) -> UUID:
    return UUID(bytes=sha256(_encode(words)).digest()[:16])
