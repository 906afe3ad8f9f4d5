"""The workshops there are. `memory` is in bytes, a child's address space."""

from media.processing.sandbox.pool import SandboxPool

FILES_MEMORY = 2 * 2**30
"""Several times what the decoders map for a file within the limits; what wants more is a bomb."""
FILES_THREADS = 3
"""Long sounds that are transcoded, two at once, must not hold up every picture."""
RECOGNITION_THREADS = 6
"""A recogniser uses all cores already, but takes its work by half minutes: so a short sound is heard while
an hour is. The model is there once."""
RECOGNITION_IDLE = 300.0
"""Seconds. Its models hold hundreds of megabytes that others may need."""
SYNTHESIS_THREADS = 4
"""So that listeners hear their first words at once, also beside texts that take long."""
SYNTHESIS_NICENESS = 0
"""A listener waits for it, and it must keep up with a voice while a local model takes every core."""

files = SandboxPool("files", threads=FILES_THREADS, memory=FILES_MEMORY)
recognition = SandboxPool("recognition", threads=RECOGNITION_THREADS, idle_seconds=RECOGNITION_IDLE)
synthesis = SandboxPool("synthesis", threads=SYNTHESIS_THREADS, niceness=SYNTHESIS_NICENESS)


def close_all() -> None:
    """End all children; blocks for milliseconds. A workshop that is asked again starts again."""
    for workshop in (files, recognition, synthesis):
        workshop.close()
