"""Decides which worker process runs which call, and how many processes there must be.

A call that runs alone (see the package's docstring) gets a process beyond the configured number, so that
nobody has to wait for it. Only one such call runs at a time, because a process may hold a lot of memory.
"""

from collections.abc import Collection

from media.processing.sandbox.pending_calls import JobCall
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.worker_process import WorkerProcess


def choose_worker(call: JobCall, workers: Collection[WorkerProcess]) -> WorkerProcess | None:
    if call.is_alone and _has_exclusive_worker(workers):
        return None
    candidates = [
        worker
        for worker in workers
        if worker.is_ready and worker.free_slots and not (call.is_alone and worker.calls)
    ]
    return min(candidates, key=lambda worker: len(worker.calls), default=None)


def count_workers_to_start(
    config: PoolConfig, workers: Collection[WorkerProcess], queue: Collection[JobCall]
) -> int:
    """Return how many processes to start for the waiting calls."""
    waiting = sum(not call.is_alone for call in queue)
    shared = [worker for worker in workers if not worker.is_retiring and not worker.is_exclusive]
    free = sum(worker.free_slots for worker in shared)
    needed = -(-max(0, waiting - free) // config.threads)
    for_shared = min(needed, max(0, config.processes - len(shared)))
    needs_exclusive = waiting < len(queue) and not _has_exclusive_worker(workers)
    return for_shared + (needs_exclusive and all(worker.calls for worker in shared))


def _has_exclusive_worker(workers: Collection[WorkerProcess]) -> bool:
    return any(worker.is_exclusive for worker in workers)
