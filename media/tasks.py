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
    again_in = making.make(UUID(rendition))
    if again_in is not None:
        make_rendition.apply_async((rendition,), countdown=again_in)


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


def enqueue(renditions: Iterable[UUID]) -> None:
    """Ask workers to make these. Where the broker is away the sweep will ask again."""
    for id in renditions:
        try:
            make_rendition.apply_async((str(id),), retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            return
