"""The storage of files: a local disk, or the S3 bucket of `media.storage.s3`.

The functions work on either, with names like "workspace/ab/abc…". A file exists under its name completely or
not at all. A failure raises `OSError`, a missing file `FileNotFoundError`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import cast

from django.core.files.base import File
from django.core.files.storage import default_storage

from media.storage.interface import MediaStorage, StoredObject


def _storage() -> MediaStorage:
    return cast("MediaStorage", default_storage)


def save_file(name: str, path: Path) -> None:
    """Store a file from the disk under a name, replacing as a whole any file that has the name."""
    with path.open("rb") as file:
        default_storage.save(name, File(file))


def local_copy(name: str) -> AbstractContextManager[Path]:
    """Provide a read-only path to the file's bytes: the file itself, or a copy that is deleted afterwards."""
    return _storage().local_copy(name)


def open_range(name: str, start: int, length: int) -> Iterator[bytes]:
    """Read exactly `length` bytes from `start` on, in small pieces, beginning at the first `next`.

    Raises `OSError` also if the file is too short. Close the iterator if you leave it early.
    """
    return _storage().open_range(name, start, length) if length else iter(())


def size(name: str) -> int:
    return default_storage.size(name)


def exists(name: str) -> bool:
    return default_storage.exists(name)


def modified_at(name: str) -> datetime:
    """Return when the file was stored, with its time zone."""
    return default_storage.get_modified_time(name)


def delete(name: str) -> None:
    """Delete a file; one that is not there counts as deleted."""
    default_storage.delete(name)


def walk(prefix: str) -> Iterator[StoredObject]:
    """Yield each file in a folder and the folders below it ("" for all). Files may be deleted on the way."""
    return _storage().walk(prefix)


def delete_tree(prefix: str) -> None:
    """Delete a folder and everything below it."""
    if not prefix.strip("/"):
        raise ValueError("All of the storage is never deleted.")
    _storage().delete_tree(prefix)
