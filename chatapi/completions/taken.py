"""What was taken in with a call, and its bytes: stored before rows name them, gone where none does."""

from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async

from engines.messages import Message
from media.freeing import drop
from media.services import StoredFile, store_bytes, store_file


class TakenIn(msgspec.Struct, frozen=True):
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


async def drop_fresh(workspace_id: UUID, taken: TakenIn) -> None:
    """Of a call that was refused after all."""
    await drop_bytes(workspace_id, taken.fresh)


async def drop_bytes(workspace_id: UUID, digests: Collection[str]) -> None:
    if digests:
        await database_sync_to_async(drop, thread_sensitive=False)(workspace_id, digests)


def store(workspace_id: UUID, inline: Mapping[str, bytes], fetched: Mapping[str, Path]) -> None:
    store_bytes(workspace_id, inline)
    for sha256, path in fetched.items():
        store_file(workspace_id, sha256, path)
