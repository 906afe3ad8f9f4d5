"""A call's attachments and their bytes: stored before rows name them, deleted if none does."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async

from accounts.principal import Principal
from conversations.completion_request import CompletionRequest
from core.blob import Blob
from engines.requests import BlobReader
from media.cleanup import delete_unregistered
from media.models import storage_name
from media.renditions.tasks import notify_workers
from media.services import StoredFile, read_stored, record_copies, store_bytes, store_file


class ResolvedAttachments(msgspec.Struct, frozen=True):
    """The request with every file in its place, and the files to be registered and held.

    `fetched` is the SHA-256 of what was at each URL, `inline` the bytes that came with the call, `paths` the
    places of the files that were fetched now. `new_digests` are those whose bytes no row named before.
    """

    request: CompletionRequest
    files: tuple[StoredFile, ...] = ()
    fetched: dict[str, str] = {}
    inline: dict[str, bytes] = {}
    paths: dict[str, Path] = {}
    new_digests: frozenset[str] = frozenset()


async def drop_bytes(workspace_id: UUID, digests: Collection[str]) -> None:
    """Delete the bytes of a call that was refused."""
    if digests:
        await database_sync_to_async(delete_unregistered, thread_sensitive=False)(workspace_id, digests)


def store(workspace_id: UUID, inline: Mapping[str, bytes], fetched: Mapping[str, Path]) -> None:
    store_bytes(workspace_id, inline)
    for sha256, path in fetched.items():
        store_file(workspace_id, sha256, path)


def finish_attachments(who: Principal, resolved: ResolvedAttachments) -> None:
    """Store the files again now that something holds them, remember fetched copies, and begin renditions."""
    # a refused call or the sweep may have deleted the bytes before rows named them
    store(who.workspace_id, resolved.inline, resolved.paths)
    record_copies(who, resolved.fetched)
    begin_renditions(resolved.files)


def begin_renditions(files: Iterable[StoredFile]) -> None:
    notify_workers(sum(len(file.renditions) for file in files))


def blob_reader(workspace_id: UUID, names: Mapping[str, str]) -> BlobReader:
    """Return a reader of a workspace's blobs. `names` are the storage names of those that are renditions."""

    async def read_blob(blob: Blob) -> bytes:
        name = names.get(blob.sha256) or storage_name(workspace_id, blob.sha256)
        return await asyncio.to_thread(read_stored, name)

    return read_blob
