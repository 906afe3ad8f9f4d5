"""The settings of a sandbox pool."""

import msgspec


class PoolConfig(msgspec.Struct, frozen=True):
    """The settings of one pool, as its supervisor needs them.

    `memory` is each worker process's address space in bytes. A process is stopped after `idle_seconds`
    without work. `niceness` is added to that of this process.
    """

    name: str
    threads: int
    processes: int
    memory: int | None
    idle_seconds: float | None
    preload: tuple[str, ...]
    niceness: int
