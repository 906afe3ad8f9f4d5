"""A fresh worker process of a sandbox, to be measured."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.processes import children
from media.processing.sandbox.pool import SandboxPool


@contextmanager
def fresh_worker(target: SandboxPool) -> Iterator[int]:
    """Run the pool with one new worker process, which ends with the block. Yield its process id."""
    target.close()
    before = children()
    asyncio.run(target.warm_up())
    (worker,) = children() - before
    try:
        yield worker
    finally:
        target.close()
