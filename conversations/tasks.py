"""Background work on conversations. Each task may run twice or die anywhere: the rows tell what is due."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from conversations import deletion, titles
from conversations.search import indexing

logger = logging.getLogger(__name__)

CONCURRENT_TITLES = 2
MAX_MESSAGE_SECONDS = 60
"""How long a thread goes on with titles that wait before it leaves them to another message."""
MAX_WAITING = 1000
MAX_INDEXING_SECONDS = 20.0
BROKER_PAUSE_SECONDS = 5.0
"""How long to leave alone a broker that did not answer: each try may hold up a thread for seconds."""


class TitleRequests:
    """Asks workers for titles. What a broker that is away is not asked for, the sweep finds."""

    def __init__(self, send: Callable[[UUID], None]) -> None:
        self._send = send
        self._paused_until = 0.0

    def __call__(self, conversation_id: UUID) -> None:
        """Ask for the title of a conversation. Blocks, for seconds if the broker does not respond."""
        if time.monotonic() < self._paused_until:
            return
        try:
            self._send(conversation_id)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            self._paused_until = time.monotonic() + BROKER_PAUSE_SECONDS


class TitleWorker:
    """Makes titles, few at once in a process: all other tasks would wait for models.

    What comes while as many are made waits in memory, for whoever makes them; after a crash, for the sweep.
    """

    def __init__(self, make: Callable[[UUID], object], request: Callable[[UUID], None]) -> None:
        self._make, self._request = make, request
        self._lock = threading.Lock()
        self._waiting: deque[UUID] = deque(maxlen=MAX_WAITING)
        self._active = 0

    def work(self, conversation_id: UUID) -> None:
        """Make this title, and then those that wait."""
        with self._lock:
            self._waiting.append(conversation_id)
            if self._active == CONCURRENT_TITLES:
                return
            self._active += 1
        deadline = time.monotonic() + MAX_MESSAGE_SECONDS
        while (next_id := self._take()) is not None:
            if time.monotonic() > deadline:
                self._leave()
                self._request(next_id)
                return
            try:
                self._make(next_id)
            except BaseException:
                self._leave()
                raise

    def _take(self) -> UUID | None:
        """Return the next one, or None, and then this thread is no longer one of those that make them."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._active -= 1
            return None

    def _leave(self) -> None:
        with self._lock:
            self._active -= 1


def _send(conversation_id: UUID) -> None:
    make_title.apply_async((conversation_id.hex,), retry=False)


request_title = TitleRequests(_send)
_indexing = threading.Lock()
title_worker = TitleWorker(titles.make_title, request_title)


@shared_task(acks_late=False)
def make_title(conversation_id: str) -> None:
    title_worker.work(UUID(hex=conversation_id))


@shared_task(acks_late=False)
def make_overdue_titles() -> None:
    """Ask for the titles that a crash or an unreachable broker left behind."""
    for conversation_id in titles.overdue_titles(timezone.now()):
        request_title(conversation_id)


@shared_task(acks_late=False)
def index_marked() -> None:
    """Index for the search what was stored since. The task that comes next goes on with what is left."""
    # one thread of a process: with a backlog, another would come to it each second
    if _indexing.acquire(blocking=False):
        try:
            indexing.index_marked(MAX_INDEXING_SECONDS)
        finally:
            _indexing.release()


@shared_task(acks_late=False)
def purge_deleted_conversations() -> None:
    """Delete for good what was deleted long ago."""
    deletion.purge_deleted(timezone.now())
