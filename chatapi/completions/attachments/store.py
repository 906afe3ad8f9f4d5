"""What was taken in with a call, and its bytes: stored before rows name them, gone where none does."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async

from core.values import Blob
from engines.messages import Message
from media.cleanup import drop
from media.models import storage_name
from media.renditions.tasks import enqueue
from media.services import StoredFile, read_name, remember_copies, rendition_ids, store_bytes, store_file


class ResolvedAttachments(msgspec.Struct, frozen=True):
    """The call's messages with every file in its place, and the files to be registered and held.

    `fetched` tells the SHA-256 of what lay at each address, `inline` the bytes that came with the call,
    `paths` where those lie that were fetched now. `fresh` are those whose bytes no row named before.
    """

    messages: tuple[Message, ...]
    files: tuple[StoredFile, ...] = ()
    fetched: dict[str, str] = {}
    inline: dict[str, bytes] = {}
    paths: dict[str, Path] = {}
    fresh: frozenset[str] = frozenset()

    def store_again(self, workspace_id: UUID) -> None:
        """Once rows name them: until then a call that was refused, or the sweep, freed the same bytes."""
        store(workspace_id, self.inline, self.paths)


async def drop_fresh(workspace_id: UUID, taken: ResolvedAttachments) -> None:
    """Of a call that was refused after all."""
    await drop_bytes(workspace_id, taken.fresh)


async def drop_bytes(workspace_id: UUID, digests: Collection[str]) -> None:
    if digests:
        await database_sync_to_async(drop, thread_sensitive=False)(workspace_id, digests)


def store(workspace_id: UUID, inline: Mapping[str, bytes], fetched: Mapping[str, Path]) -> None:
    store_bytes(workspace_id, inline)
    for sha256, path in fetched.items():
        store_file(workspace_id, sha256, path)


def settle_in(workspace_id: UUID, taken: ResolvedAttachments) -> None:
    """From now on something holds these files."""
    taken.store_again(workspace_id)
    remember_copies(workspace_id, taken.fetched)
    begin_renditions(workspace_id, taken.files)


def begin_renditions(workspace_id: UUID, files: Iterable[StoredFile]) -> None:
    enqueue(id for file in files for id in rendition_ids(workspace_id, file))


def blob_reader(workspace_id: UUID, names: Mapping[str, str]) -> Callable[[Blob], Awaitable[bytes]]:
    """Reads blobs of a workspace; `names` are the storage names of those that are renditions."""

    async def read_blob(blob: Blob) -> bytes:
        name = names.get(blob.sha256) or storage_name(workspace_id, blob.sha256)
        return await asyncio.to_thread(read_name, name)

    return read_blob
