"""One call of a job as the parent sees it: who receives the results, and how long it may take."""

import asyncio
import contextlib
import itertools
from concurrent.futures import Future
from typing import Protocol

import msgspec

from media.processing.sandbox.job_functions import Job
from media.processing.sandbox.protocol import WINDOW

_numbers = itertools.count(1)


class ResultReceiver(Protocol):
    """Receives the results. The supervisor's thread calls it, so it must never block."""

    def put(self, value: msgspec.Raw) -> None: ...

    def finish(self, value: msgspec.Raw) -> None: ...

    def fail(self, error: Exception) -> None: ...


class SingleResult:
    """A receiver that waits for one result."""

    def __init__(self) -> None:
        self.future: Future[msgspec.Raw] = Future()

    def put(self, value: msgspec.Raw) -> None:
        raise msgspec.ValidationError("a piece for a call that is no stream")

    def finish(self, value: msgspec.Raw) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(value)

    def fail(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class ResultStream:
    """A receiver that reads pieces in the running event loop. The window bounds its queue."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[msgspec.Raw | Exception | None] = asyncio.Queue()

    def put(self, value: msgspec.Raw) -> None:
        self._post(value)

    def finish(self, value: msgspec.Raw) -> None:
        self._post(None)

    def fail(self, error: Exception) -> None:
        self._post(error)

    def _post(self, item: msgspec.Raw | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody is waiting
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def next(self) -> msgspec.Raw | None:
        """Return the next piece, or None at the end. Raises the error that the call failed with."""
        item = await self._items.get()
        if isinstance(item, Exception):
            raise item
        return item


class JobCall:
    """One call of a job. Once it is submitted, only the supervisor's thread touches it.

    `seconds` limits the job's own time: waiting for a worker process or for a slow reader does not count. The
    reader may leave a full window unread for `reader_seconds`.
    """

    def __init__(
        self,
        job: Job,
        work: msgspec.Raw,
        receiver: ResultReceiver,
        seconds: float,
        idle_seconds: float,
        *,
        reader_seconds: float,
        is_alone: bool,
    ) -> None:
        self.number = next(_numbers)
        self.job = job
        self.work = work
        self.receiver = receiver
        self.is_alone = is_alone
        """It gets a worker process to itself: on request, or because one it shared with others ended."""
        self.has_delivered = False
        self.abandoned_at: float | None = None
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._reader_seconds = reader_seconds
        self._unread = 0
        self._seconds_left = seconds
        self._counted_since = 0.0

    def begin(self, now: float) -> None:
        self._seconds_left, self._counted_since = self._seconds, now

    @property
    def deadline(self) -> float:
        if self.is_waiting_for_reader:
            return self._counted_since + self._reader_seconds
        return self._counted_since + min(self._seconds_left, self._idle_seconds)

    @property
    def is_waiting_for_reader(self) -> bool:
        return self._unread >= WINDOW and self.abandoned_at is None

    def count_piece(self, now: float) -> None:
        if self._unread >= WINDOW:
            raise msgspec.ValidationError("more pieces than the window holds")
        self.has_delivered = True
        self._unread += 1
        self._seconds_left -= now - self._counted_since
        self._counted_since = now

    def count_read(self, pieces: int, now: float) -> None:
        if self.is_waiting_for_reader:
            self._counted_since = now
        self._unread -= pieces

    def abandon(self, now: float) -> None:
        if self.is_waiting_for_reader:
            self._counted_since = now
        self.abandoned_at = now
