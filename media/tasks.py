"""Background work on files. Each task may run twice or die anywhere."""

import logging
import time
from collections.abc import Iterable
from uuid import UUID

from celery import Task, shared_task
from kombu.exceptions import OperationalError

from media import freeing, making

logger = logging.getLogger(__name__)

AT_ONCE = 50
"""Few enough that a long queue does not fill with repetitions of what waits in it anyway."""
MAKING_SECONDS = making.longest_seconds() + 60
"""The workshops end what takes too long. This is for what hangs around them."""
SWEEPING_SECONDS = 1500
RESPITE_SECONDS = 5.0
"""How long a broker that did not answer is not asked again: each try may hold up a thread for seconds."""


class Broker:
    """Whether it is worth asking."""

    def __init__(self) -> None:
        self._asked_again_at = 0.0

    @property
    def is_left_alone(self) -> bool:
        return time.monotonic() < self._asked_again_at

    def leave_alone(self) -> None:
        self._asked_again_at = time.monotonic() + RESPITE_SECONDS


broker = Broker()


@shared_task(bind=True, soft_time_limit=MAKING_SECONDS, time_limit=MAKING_SECONDS + 60)
def make_rendition(task: "Task[[str], None]", rendition: str) -> None:
    then = making.make(UUID(rendition))
    if then is None and (task.request.delivery_info or {}).get("redelivered"):
        then = making.next_try(UUID(rendition))  # its worker may be dead: whoever comes then finds out
    if then is not None:
        enqueue([then.id], seconds=then.seconds)


# What follows comes again by itself, so that a message that was lost is no loss.


@shared_task(acks_late=False)
def make_overdue() -> None:
    """What a crash, or a broker that was away, left behind."""
    enqueue(making.overdue(AT_ONCE))


@shared_task(acks_late=False, soft_time_limit=SWEEPING_SECONDS, time_limit=SWEEPING_SECONDS + 60)
def free_media() -> None:
    freeing.free()


@shared_task(acks_late=False, soft_time_limit=SWEEPING_SECONDS, time_limit=SWEEPING_SECONDS + 60)
def remove_strays() -> None:
    freeing.remove_strays()


def enqueue(renditions: Iterable[UUID], *, seconds: float = 0) -> None:
    """Ask workers to make these. Where the broker is away the sweep will ask again.

    Blocks, for seconds where the broker is silent.
    """
    for id in renditions:
        if broker.is_left_alone:
            return
        try:
            make_rendition.apply_async((str(id),), countdown=seconds, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            broker.leave_alone()
