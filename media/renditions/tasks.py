"""Background tasks for renditions. Each may run twice or die anywhere."""

import logging
import time
from collections.abc import Iterable, Iterator
from uuid import UUID

from celery import Task, shared_task
from celery.worker import state
from kombu.exceptions import OperationalError

from media.renditions import due_renditions, makers
from media.renditions.fair_queue import RenditionQueue, RenditionRequest, lane_of

logger = logging.getLogger(__name__)

MAX_OVERDUE = 50
"""Few enough that a long queue does not fill up with repeats of what already waits in it."""
TASK_SECONDS = makers.longest_seconds() + 60
"""A limit for whatever hangs around the sandbox pools; they stop what takes too long themselves."""
MAX_MESSAGE_SECONDS = 60
"""How long a thread keeps working on one message: brokers do not like one to be held for long."""
BROKER_PAUSE_SECONDS = 5.0
"""How long to leave alone a broker that did not answer: each try may hold up a thread for seconds."""


class BrokerState:
    """Whether the broker is worth asking: not for a while after it did not answer."""

    def __init__(self) -> None:
        self._paused_until = 0.0

    @property
    def is_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def pause(self) -> None:
        self._paused_until = time.monotonic() + BROKER_PAUSE_SECONDS


broker = BrokerState()
queue = RenditionQueue()


@shared_task(bind=True, soft_time_limit=TASK_SECONDS, time_limit=TASK_SECONDS + 60)
def make_rendition(task: "Task[[str], None]", rendition: str) -> None:
    """Add a rendition to the queue, then create what is next in it."""
    _process(task, UUID(rendition), is_awaited=False)


@shared_task(bind=True, soft_time_limit=TASK_SECONDS, time_limit=TASK_SECONDS + 60)
def make_awaited(task: "Task[[str], None]", rendition: str) -> None:
    """Do the same for a rendition that an answer waits for, in a separate queue that is never long."""
    _process(task, UUID(rendition), is_awaited=True)


def _process(task: "Task[[str], None]", id: UUID, *, is_awaited: bool) -> None:
    rendition_request = _request_for(id, is_awaited=is_awaited)
    if rendition_request is None:
        return
    queue.add(rendition_request)
    for current in _take_requests():
        follow_up = None
        try:
            follow_up = due_renditions.make_if_due(current.id)
        finally:
            is_awaited = queue.finish(current)
        if follow_up is None and current.id == id and (task.request.delivery_info or {}).get("redelivered"):
            follow_up = due_renditions.next_try(id)  # its worker may be dead: the next one finds out
        if follow_up is not None:
            enqueue([follow_up.id], seconds=follow_up.seconds, is_awaited=is_awaited)


def _request_for(id: UUID, *, is_awaited: bool) -> RenditionRequest | None:
    first = due_renditions.source_or_self(id)
    if first is None:
        return None
    lane = lane_of(first.kind, first.asset.milliseconds)
    return RenditionRequest(first.id, first.asset.workspace_id, lane, is_awaited)


def _take_requests() -> Iterator[RenditionRequest]:
    """Yield what waits, for as long as a message may be held; then leave the rest to another message."""
    deadline = time.monotonic() + MAX_MESSAGE_SECONDS
    while (rendition_request := queue.take()) is not None:
        yield rendition_request
        if _is_stopping():
            return  # the sweep finds the rest
        if time.monotonic() > deadline:
            if (remaining := queue.peek()) is not None:
                enqueue([remaining.id], is_awaited=remaining.is_awaited)
            return


def _is_stopping() -> bool:
    exit_status: int | bool | None = vars(state)["should_stop"]  # the future exit status
    return exit_status is not None and exit_status is not False


@shared_task(acks_late=False)
def make_overdue() -> None:
    """Request what a crash or an unreachable broker left behind."""
    enqueue(due_renditions.take_overdue(MAX_OVERDUE))


def enqueue(renditions: Iterable[UUID], *, seconds: float = 0, is_awaited: bool = False) -> None:
    """Ask workers to create these renditions, before others if an answer waits for them.

    If the broker is unreachable, the sweep will ask again. Blocks, for seconds if the broker does not
    respond.
    """
    task = make_awaited if is_awaited else make_rendition
    for id in renditions:
        if broker.is_paused:
            return
        try:
            task.apply_async((str(id),), countdown=seconds, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            broker.pause()
