"""Files that appear whole or not at all, and the deletion of those that a killed process left."""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

ABANDONED_AGE = timedelta(days=1)
"""The age at which what is written once and then renamed or deleted has no owner any more."""


@contextmanager
def whole_file(
    target: Path, draft: Path, *, mode: int | None = None, replace: bool = True
) -> Iterator[BinaryIO]:
    """Open `draft` for writing; when the block ends without an error, it becomes `target`.

    That holds after a full disk, `kill -9` or a power cut, too: `target` has all of its content, is on the
    disk and has the permissions `mode`, or is as it was. Without `replace`, a `target` that is there by then
    stays. Both paths must be in one file system.
    """
    try:
        with draft.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(target)
        else:
            with suppress(FileExistsError):
                os.link(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created in a folder, or renamed into it, survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_abandoned(
    paths: Iterable[Path],
    age: timedelta = ABANDONED_AGE,
    *,
    is_in_use: Callable[[Path], bool] = lambda path: False,
) -> None:
    """Delete those files and folders that were not modified for `age`, unless they are in use.

    Several processes may do so at once. What cannot be examined or deleted is left for the next time, so that
    no write fails because of what another has left.
    """
    cutoff = time.time() - age.total_seconds()
    for path in paths:
        with suppress(OSError):
            facts = path.lstat()
            if facts.st_mtime < cutoff and not is_in_use(path):
                if stat.S_ISDIR(facts.st_mode):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
