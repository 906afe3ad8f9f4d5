"""The files of a conversation, which are held for as long as it, or one of its messages, exists."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from conversations.models import ConversationAsset
from core.ids import derive_id
from media.models import asset_id
from media.services import StoredFile, register_files


def hold_id(conversation_id: UUID, asset: UUID) -> UUID:
    """Return the id of a conversation's hold on an asset."""
    return derive_id(conversation_id, asset.hex)


def hold_files(held: Sequence[tuple[UUID, UUID, StoredFile]]) -> None:
    """Register files and hold them, each given with its workspace and conversation.

    Runs inside the caller's transaction.
    """
    if not held:
        return
    register_files((workspace_id, file) for workspace_id, _, file in held)
    assets = {(conversation, asset_id(workspace, file.blob.sha256)) for workspace, conversation, file in held}
    ConversationAsset.objects.bulk_create(
        [
            ConversationAsset(id=hold_id(conversation, asset), conversation_id=conversation, asset_id=asset)
            for conversation, asset in sorted(assets)
        ],
        ignore_conflicts=True,
    )


def release_files(workspace_id: UUID, conversation_id: UUID, digests: Iterable[str]) -> None:
    """Hold these files, by their SHA-256, no longer for a conversation."""
    ids = [hold_id(conversation_id, asset_id(workspace_id, digest)) for digest in digests]
    if ids:
        ConversationAsset.objects.filter(id__in=ids).delete()
