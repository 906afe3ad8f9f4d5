"""Background work on renditions. Each task may run twice or die anywhere."""

import logging
import time
from collections.abc import Iterable, Iterator
from uuid import UUID

from celery import Task, shared_task
from celery.worker import state
from kombu.exceptions import OperationalError

from media.renditions import makers, service
from media.renditions.queue import RenditionQueue, RenditionRequest, lane_of

logger = logging.getLogger(__name__)

AT_ONCE = 50
"""Few enough that a long queue does not fill with repetitions of what waits in it anyway."""
MAKING_SECONDS = makers.longest_seconds() + 60
"""The workshops end what takes too long. This is for what hangs around them."""
IN_ONE_GO_SECONDS = 60
"""How long a thread goes on with what waits, on one message: brokers do not like one to be kept for long."""
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
queue = RenditionQueue()


@shared_task(bind=True, soft_time_limit=MAKING_SECONDS, time_limit=MAKING_SECONDS + 60)
def make_rendition(task: "Task[[str], None]", rendition: str) -> None:
    """Bring it in, and make what is next in turn."""
    _work(task, UUID(rendition), is_awaited=False)


@shared_task(bind=True, soft_time_limit=MAKING_SECONDS, time_limit=MAKING_SECONDS + 60)
def make_awaited(task: "Task[[str], None]", rendition: str) -> None:
    """The same where an answer waits for it: in a queue of its own, which is never long."""
    _work(task, UUID(rendition), is_awaited=True)


def _work(task: "Task[[str], None]", id: UUID, *, is_awaited: bool) -> None:
    wish = _request_for(id, is_awaited=is_awaited)
    if wish is None:
        return
    queue.ask(wish)
    for taken in _taken_in_turn():
        then = None
        try:
            then = service.make(taken.id)
        finally:
            is_awaited = queue.done(taken)
        if then is None and taken.id == id and (task.request.delivery_info or {}).get("redelivered"):
            then = service.next_try(id)  # its worker may be dead: whoever comes then finds out
        if then is not None:
            enqueue([then.id], seconds=then.seconds, is_awaited=is_awaited)


def _request_for(id: UUID, *, is_awaited: bool) -> RenditionRequest | None:
    first = service.first_to_make(id)
    if first is None:
        return None
    lane = lane_of(first.kind, first.asset.milliseconds)
    return RenditionRequest(first.id, first.asset.workspace_id, lane, is_awaited)


def _taken_in_turn() -> Iterator[RenditionRequest]:
    """What waits, for as long as a message may be kept: then another one goes on with it."""
    latest = time.monotonic() + IN_ONE_GO_SECONDS
    while (wish := queue.take()) is not None:
        yield wish
        if _is_stopping():
            return  # the sweep finds the rest
        if time.monotonic() > latest:
            if (rest := queue.next()) is not None:
                enqueue([rest.id], is_awaited=rest.is_awaited)
            return


def _is_stopping() -> bool:
    number: int | bool | None = vars(state)["should_stop"]  # the exit status to be
    return number is not None and number is not False


@shared_task(acks_late=False)
def make_overdue() -> None:
    """What a crash, or a broker that was away, left behind."""
    enqueue(service.overdue(AT_ONCE))


def enqueue(renditions: Iterable[UUID], *, seconds: float = 0, is_awaited: bool = False) -> None:
    """Ask workers to make these, before others where an answer waits for them. Where the broker is away the
    sweep will ask again.

    Blocks, for seconds where the broker is silent.
    """
    task = make_awaited if is_awaited else make_rendition
    for id in renditions:
        if broker.is_left_alone:
            return
        try:
            task.apply_async((str(id),), countdown=seconds, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            broker.leave_alone()
