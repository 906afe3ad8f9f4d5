"""Which child does what, and how many there have to be.

A call that works alone (see the package's docstring) has a child beside those of the plan, so that nobody
waits for it; one at a time, since a child may hold much memory.
"""

from collections.abc import Collection

from media.processing.sandbox.child_process import ChildProcess
from media.processing.sandbox.job_calls import JobCall
from media.processing.sandbox.pool_config import PoolConfig


def child_for(call: JobCall, children: Collection[ChildProcess]) -> ChildProcess | None:
    if call.is_alone and _one_is_alone(children):
        return None
    able = [
        child for child in children if child.is_ready and child.places and not (call.is_alone and child.calls)
    ]
    return min(able, key=lambda child: len(child.calls), default=None)


def more_children(plan: PoolConfig, children: Collection[ChildProcess], queue: Collection[JobCall]) -> int:
    """How many to start for those that wait."""
    waiting = sum(not call.is_alone for call in queue)
    staff = [child for child in children if not child.is_retiring and not child.is_given_to_one]
    free = sum(child.places for child in staff)
    needed = -(-max(0, waiting - free) // plan.threads)
    for_all = min(needed, max(0, plan.processes - len(staff)))
    wants_own = waiting < len(queue) and not _one_is_alone(children)
    return for_all + (wants_own and all(child.calls for child in staff))


def _one_is_alone(children: Collection[ChildProcess]) -> bool:
    return any(child.is_given_to_one for child in children)
