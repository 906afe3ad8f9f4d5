"""Locks on files (flock), which the kernel releases when their holder ends, however it ends.

Not the library `filelock`: it takes no shared lock on an open file, so it cannot tell whether a journal is in
use without keeping its owner out; it asks again and again instead of waiting; and its import would add 16 ms
to the start of every child process.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def try_lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Lock an open file until it is closed. Return False if another holds a lock that excludes this one.

    Raises OSError where the file system has no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: IO[Any]) -> None:
    """Unlock a file at once. Closing it would not do while its descriptor is mapped or was inherited."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let one process at a time run the block. `path` is created, and is never deleted.

    `on_wait` is called before waiting for another process. Raises OSError.
    """
    with path.open("ab") as file:  # NFS locks only what is open for writing, so no folder
        if not try_lock(file):
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
