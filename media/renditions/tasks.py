"""Background tasks for renditions. Each may run twice or die anywhere."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from celery import Task, shared_task
from celery.worker import state
from kombu.exceptions import OperationalError

from media.models import Rendition
from media.renditions import due_renditions
from media.renditions.due_renditions import NextRendition
from media.renditions.lanes import Lanes
from media.renditions.makers import MAKERS, Maker, longest_seconds

logger = logging.getLogger(__name__)

MAX_MESSAGES = 20
"""More than there are threads that could be idle: a thread goes on for as long as anything is due."""
TASK_SECONDS = longest_seconds() + 60
"""A limit for whatever hangs around the sandbox pools; they stop what takes too long themselves."""
MAX_MESSAGE_SECONDS = 60
"""How long a thread keeps working on one message: brokers do not like one to be held for long."""
BROKER_PAUSE_SECONDS = 5.0
"""How long to leave alone a broker that did not answer: each try may hold up a thread for seconds."""

Priority = Rendition.Priority


def _send(priority: Priority, seconds: float) -> None:
    task = make_awaited if priority == Priority.AWAITED else make_due
    task.apply_async(countdown=seconds, retry=False)


class WorkerNotifier:
    """Asks workers to look for what is due. A broker that did not answer is left alone for a while."""

    def __init__(self, send: Callable[[Priority, float], None] = _send) -> None:
        self._send = send
        self._paused_until = 0.0

    def __call__(self, count: int, priority: Priority = Priority.BACKGROUND, *, seconds: float = 0) -> None:
        """Ask for `count` renditions, in `seconds`.

        If the broker is unreachable, the sweep will ask again. Blocks, for seconds if the broker does not
        respond.
        """
        for _ in range(min(count, MAX_MESSAGES)):
            if time.monotonic() < self._paused_until:
                return
            try:
                self._send(priority, seconds)
            except (OperationalError, OSError) as error:
                logger.warning("The task broker cannot be reached: %s", error)
                self._paused_until = time.monotonic() + BROKER_PAUSE_SECONDS


notify_workers = WorkerNotifier()


class RenditionWorker:
    """What the threads of a process share to create renditions."""

    def __init__(
        self,
        makers: Mapping[str, Maker] = MAKERS,
        notify: Callable[..., None] = notify_workers,
        lanes: Lanes | None = None,
    ) -> None:
        self._makers = makers
        self._notify = notify
        self._lanes = lanes or Lanes()

    def work(self, *priorities: Priority, is_redelivered: bool = False) -> None:
        """Create what is due, one after the other, for as long as a message may be held.

        A message that is delivered again may be a dead worker's, and what that had is due when its lease has
        ended.
        """
        if is_redelivered:
            self._notify(1, priorities[-1], seconds=due_renditions.LEASE.total_seconds())
        deadline = time.monotonic() + MAX_MESSAGE_SECONDS
        while self._make_next(priorities):
            if _is_stopping():
                return  # the sweep finds the rest
            if time.monotonic() > deadline:
                self._notify(1, priorities[-1])
                return
        if Priority.BACKGROUND not in priorities and self._lanes.pop_turned_away():
            self._notify(1, Priority.BACKGROUND)

    def _make_next(self, priorities: Sequence[Priority]) -> bool:
        """Create the next rendition; tell whether there was one."""
        rendition = self._lanes.take(priorities)
        if rendition is None:
            return False
        try:
            follow_up = due_renditions.make(rendition, self._makers)
        finally:
            self._lanes.leave(rendition)
        if follow_up is not None:
            self._announce(follow_up)
        return True

    def _announce(self, following: NextRendition) -> None:
        rows = Rendition.objects.filter(id=following.id)
        for priority in rows.values_list("priority", flat=True):  # an answer may wait for it only since
            self._notify(1, Priority(priority), seconds=following.seconds)


worker = RenditionWorker()


@shared_task(bind=True, soft_time_limit=TASK_SECONDS, time_limit=TASK_SECONDS + 60)
def make_due(task: "Task[[], None]") -> None:
    """Create renditions that are due."""
    worker.work(*Priority, is_redelivered=_is_redelivered(task))


@shared_task(bind=True, soft_time_limit=TASK_SECONDS, time_limit=TASK_SECONDS + 60)
def make_awaited(task: "Task[[], None]") -> None:
    """Create only what an answer waits for. This has a queue of its own, for which a worker can be kept."""
    worker.work(Priority.AWAITED, is_redelivered=_is_redelivered(task))


def _is_redelivered(task: "Task[[], None]") -> bool:
    return bool((task.request.delivery_info or {}).get("redelivered"))


def _is_stopping() -> bool:
    exit_status: int | bool | None = vars(state)["should_stop"]  # the future exit status
    return exit_status is not None and exit_status is not False


@shared_task(acks_late=False)
def make_overdue() -> None:
    """Ask for what a crash or an unreachable broker left behind, and what no process had room for."""
    for priority, count in Counter(due_renditions.overdue_priorities(MAX_MESSAGES)).items():
        notify_workers(count, Priority(priority))
