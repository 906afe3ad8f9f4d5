"""The service's sandbox pools. `memory` is the address space of one worker process, in bytes.

How many jobs run at once are defaults, which the settings may change (`resize_pools`).
"""

from media.processing.sandbox.pool import SandboxPool
from media.processing.sandbox.pool_config import PoolConfig

FILES_MEMORY = 2 * 2**30
"""Several times what the decoders map for a file within the limits; whatever needs more is a bomb."""
FILES_THREADS = 3
"""Two long sounds being transcoded at once must not hold up every picture."""
RECOGNITION_THREADS = 6
"""A recognizer already uses all cores, but takes its work in half-minute steps, so a short sound is
transcribed while an hour-long one is. The model is loaded only once.
"""
RECOGNITION_IDLE = 300.0
"""Seconds. The models hold hundreds of megabytes that others may need."""
SYNTHESIS_THREADS = 4
"""Listeners hear their first words at once, even while long texts are being spoken."""
SYNTHESIS_NICENESS = 0
"""A listener is waiting, and synthesis must keep up with playback while a local model takes every core."""

files = SandboxPool(PoolConfig(name="files", threads=FILES_THREADS, memory=FILES_MEMORY))
recognition = SandboxPool(
    PoolConfig(name="recognition", threads=RECOGNITION_THREADS, idle_seconds=RECOGNITION_IDLE)
)
synthesis = SandboxPool(PoolConfig(name="synthesis", threads=SYNTHESIS_THREADS, niceness=SYNTHESIS_NICENESS))


def resize_pools(*, file_jobs: int, recognition_jobs: int, synthesis_jobs: int) -> None:
    """Set how many jobs each pool runs at once, before it is first used."""
    files.resize(file_jobs)
    recognition.resize(recognition_jobs)
    synthesis.resize(synthesis_jobs)


def close_all() -> None:
    """Stop all worker processes; blocks for milliseconds. A pool that is used again starts again."""
    for sandbox_pool in (files, recognition, synthesis):
        sandbox_pool.close()
