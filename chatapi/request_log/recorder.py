"""The recorder: it takes the records of ended calls, and has a thread write many of them at once.

To append one costs a call a microsecond. What does not fit is counted: no call waits for its record.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar
from uuid import UUID

from django.db import Error, connection

from core.http.call_record import CallRecord

logger = logging.getLogger(__name__)

T = TypeVar("T")

WAITING_CALLS = 10_000
"""How many records may wait to be written."""
UNIDENTIFIED_CALLS = 1_000
"""How many records may wait whose secret nobody has looked up: a flood of those loses no others."""
DELAY_SECONDS = 1.0
"""How long the first of them waits for others: a transaction costs as much as 50 records."""
IDLE_SECONDS = 2.0
"""How long the thread keeps a connection that it does not use: to open SQLite's takes 2 ms of CPU."""


class Batch(NamedTuple):
    """What is written at once: records, those whose principal is to be looked up, and mere counts."""

    calls: list[CallRecord]
    unidentified: list[CallRecord]
    unauthenticated: int
    lost: int


class Recorder:
    """The records of one process. `store` runs in the recorder's thread, and writes what is given to it."""

    def __init__(
        self,
        store: Callable[[Batch], None],
        *,
        waiting: int = WAITING_CALLS,
        unidentified: int = UNIDENTIFIED_CALLS,
        delay: float = DELAY_SECONDS,
    ) -> None:
        self._store = store
        self._waiting, self._waiting_unidentified, self._delay = waiting, unidentified, delay
        self._calls: deque[CallRecord] = deque()
        self._unidentified: deque[CallRecord] = deque()
        self._being_written: tuple[CallRecord, ...] = ()
        self._flushes: deque[threading.Event] = deque()
        # the loop adds to these, and the thread remembers how much of them it has stored
        self._unauthenticated = self._lost = 0
        self._stored_unauthenticated = self._stored_lost = 0
        self._is_awake = False
        self._has_work, self._is_hurried = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_failed = False

    def append(self, call: CallRecord) -> None:
        """Take the record of an ended call. Only the event loop calls this."""
        if call.principal is not None:
            if len(self._calls) < self._waiting:
                self._calls.append(call)
            else:
                self._lost += 1
        elif call.secret_digest is None:
            self._unauthenticated += 1
        elif len(self._unidentified) < self._waiting_unidentified:
            self._unidentified.append(call)
        else:
            self._lost += 1
        if not self._is_awake:
            self._wake()

    def has(self, id: UUID) -> bool:
        """Tell whether the record of this call waits, or is being written."""
        return any(call.id == id for call in (*self._calls, *self._unidentified, *self._being_written))

    def flush(self, timeout: float) -> bool:
        """Write what waits; return whether that was done within so many seconds. It may have failed."""
        flushed = threading.Event()
        self._flushes.append(flushed)
        self._is_hurried.set()
        self._wake()
        return flushed.wait(timeout)

    def _wake(self) -> None:
        self._is_awake = True
        if not self._is_running:
            with self._lock:
                if not self._is_running:
                    self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
                    self._thread.start()
        self._has_work.set()

    @property
    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # --- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            if not self._has_work.wait(IDLE_SECONDS):
                connection.close()
                self._has_work.wait()
            self._is_hurried.wait(self._delay)
            for event in (self._has_work, self._is_hurried):
                event.clear()
            self._is_awake = False
            flushed = _take(self._flushes)
            self._write()
            if flushed:  # at the end above all, when nothing may follow
                connection.close()
            for event in flushed:
                event.set()

    def _write(self) -> None:
        """Write what waits. What cannot be written is lost, and counted; of failures the first is logged."""
        unauthenticated, lost = self._unauthenticated, self._lost
        self._being_written = (*self._calls, *self._unidentified)
        batch = Batch(
            _take(self._calls),
            _take(self._unidentified),
            unauthenticated - self._stored_unauthenticated,
            lost - self._stored_lost,
        )
        if not any(batch):
            return
        try:
            self._store(batch)
        except Exception as error:
            self._stored_lost -= len(batch.calls) + len(batch.unidentified)
            connection.close()
            if not self._has_failed:
                is_known = isinstance(error, Error)
                logger.warning("What became of calls cannot be stored now: %s", error, exc_info=not is_known)
            self._has_failed = True
        else:
            self._stored_unauthenticated, self._stored_lost = unauthenticated, lost
            self._has_failed = False
        finally:
            self._being_written = ()


def _take(items: deque[T]) -> list[T]:
    """Take all that wait, while others may append."""
    return [items.popleft() for _ in range(len(items))]
