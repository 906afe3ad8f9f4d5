"""What all storages of files share: an interface beyond Django's own, and reading in small pieces."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

CHUNK_BYTES = 2**16


class StoredObject(NamedTuple):
    name: str
    size: int
    modified_at: datetime


class MediaStorage(Protocol):
    """What a storage does in addition to Django's own interface."""

    def local_copy(self, name: str) -> AbstractContextManager[Path]: ...
    def open_range(self, name: str, start: int, length: int) -> Iterator[bytes]: ...
    def walk(self, prefix: str) -> Iterator[StoredObject]: ...
    def delete_tree(self, prefix: str) -> None: ...


def read_exactly(read: Callable[[int], bytes], length: int) -> Iterator[bytes]:
    while length > 0:
        piece = read(min(length, CHUNK_BYTES))
        if not piece:
            raise OSError("The file ends before the range that was asked for.")
        length -= len(piece)
        yield piece
