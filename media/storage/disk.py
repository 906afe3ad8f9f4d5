"""File storage on a disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from core.files import delete_abandoned, sync_folder, whole_file
from media.storage.interface import StoredObject, read_exactly

DRAFTS = ".drafts"


class WholeFileStorage(FileSystemStorage):
    """A storage where a file exists under its name completely or not at all.

    That holds after a full disk, `kill -9` or a power cut, too. A file is written as a draft, flushed and
    then renamed, replacing any file that has the name. A draft that a killed process left is deleted by a
    write a day later.
    """

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        return not (max_length and len(name) > max_length)

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        final, drafts = Path(self.path(name)), Path(self.path(DRAFTS))
        _make_folder(drafts)
        _make_folder(final.parent)
        delete_abandoned(drafts.iterdir())
        with whole_file(final, drafts / uuid4().hex, mode=self.file_permissions_mode) as file:
            for chunk in content.chunks():
                file.write(chunk)
        return name

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        path = Path(self.path(name))
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        yield path

    def open_range(self, name: str, start: int, length: int) -> Iterator[bytes]:
        with Path(self.path(name)).open("rb") as file:
            file.seek(start)
            yield from read_exactly(file.read, length)

    def walk(self, prefix: str) -> Iterator[StoredObject]:
        root = Path(self.path(""))
        for folder, folders, files in os.walk(self.path(prefix), onerror=_raise_unless_missing):
            if Path(folder) == root and DRAFTS in folders:
                folders.remove(DRAFTS)
            for path in (Path(folder, file) for file in files):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    facts = path.stat()
                    modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)
                    yield StoredObject(path.relative_to(root).as_posix(), facts.st_size, modified_at)

    def delete_tree(self, prefix: str) -> None:
        tree = os.walk(self.path(prefix), topdown=False, onerror=_raise_unless_missing)
        for folder, _, files in tree:
            for file in files:
                Path(folder, file).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                Path(folder).rmdir()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
