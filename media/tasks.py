"""Background work on files. Each task may run twice or die anywhere."""

import logging
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError

from media import freeing, making

logger = logging.getLogger(__name__)

OVERDUE = timedelta(seconds=20)
AT_ONCE = 200


@shared_task(time_limit=3600)
def make_rendition(rendition: str) -> None:
    then = making.make(UUID(rendition))
    if then is not None:
        enqueue([then.id], seconds=then.seconds)


@shared_task
def make_overdue() -> None:
    """What a crash, or a broker that was away, left behind."""
    enqueue(making.due_since(OVERDUE, AT_ONCE))


@shared_task
def free_media() -> None:
    freeing.free()


@shared_task
def remove_strays() -> None:
    freeing.remove_strays()


def enqueue(renditions: Iterable[UUID], *, seconds: float = 0) -> None:
    """Ask workers to make these. Where the broker is away the sweep will ask again."""
    for id in renditions:
        try:
            make_rendition.apply_async((str(id),), countdown=seconds, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            return
