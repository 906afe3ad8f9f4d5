"""The settings of a sandbox pool."""

import msgspec

from core.child_process import child_command

NICENESS = 5
"""Whoever is waiting for the web process comes first."""

QUEUE_LIMIT = 256
"""How many calls may wait for a worker process."""


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one pool: at most `processes` worker processes, each running `threads` jobs at once."""

    name: str
    threads: int = 1
    processes: int = 1
    memory: int | None = None
    """The address space of each process, in bytes."""
    idle_seconds: float | None = None
    """A process is stopped after this time without work."""
    preload: tuple[str, ...] = ()
    """The modules that a process imports at its start."""
    niceness: int = NICENESS
    """Added to that of this process."""
    queue_limit: int = QUEUE_LIMIT
    reader_seconds: float = 60.0
    """How long a full window may stay unread before its job, which occupies a thread, is canceled."""
    abandoned_seconds: float = 5.0
    """How long a process may go on with jobs that nobody waits for any more."""
    command: tuple[str, ...] = child_command(f"{__package__}.worker")
