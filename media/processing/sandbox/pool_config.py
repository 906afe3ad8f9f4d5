"""What a workshop is made of."""

import msgspec


class PoolConfig(msgspec.Struct, frozen=True):
    """`memory` is in bytes of address space a child, `idle_seconds` those after which it is ended.

    `niceness` is what its children are nicer by than this process.
    """

    name: str
    threads: int
    processes: int
    memory: int | None
    idle_seconds: float | None
    preload: tuple[str, ...]
    niceness: int
