"""One call of a job, as the parent sees it: whom it answers, and how long it may take."""

import asyncio
import contextlib
import itertools
import math
from concurrent.futures import Future
from typing import Protocol

import msgspec

from media.processing.sandbox.jobs import Job
from media.processing.sandbox.protocol import WINDOW

READER_PATIENCE = 60.0
"""Seconds a full window may stay unread before its job, which holds a thread of a child, is cancelled."""

_numbers = itertools.count(1)


class ResultReceiver(Protocol):
    """Who gets the results. The keeper's thread calls it, so it must never block."""

    def put(self, value: msgspec.Raw) -> None: ...

    def finish(self, value: msgspec.Raw) -> None: ...

    def fail(self, error: Exception) -> None: ...


class SingleResult:
    """A caller that waits for one result."""

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
    """A caller that reads pieces in the running event loop. Bounded by the window, which the keeper minds."""

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
        with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def next(self) -> msgspec.Raw | None:
        """None at the end; raises what the call failed of."""
        item = await self._items.get()
        if isinstance(item, Exception):
            raise item
        return item


class JobCall:
    """Only the keeper's thread touches it once it is handed in.

    `seconds` are the job's own: waiting for a child is not counted, nor waiting for a slow reader.
    """

    def __init__(
        self,
        job: Job,
        work: msgspec.Raw,
        caller: ResultReceiver,
        seconds: float,
        idle_seconds: float = math.inf,
        *,
        is_alone: bool = False,
    ) -> None:
        self.number = next(_numbers)
        self.job = job
        self.work = work
        self.caller = caller
        self.is_alone = is_alone
        """An earlier child of its ended while others worked there too: this time it has one to itself."""
        self.has_delivered = False
        self.abandoned_at: float | None = None
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._ahead = 0
        self._left = seconds
        self._since = 0.0

    def begin(self, now: float) -> None:
        self._left, self._since = self._seconds, now

    @property
    def deadline(self) -> float:
        if self.waits_for_reader:
            return self._since + READER_PATIENCE
        return self._since + min(self._left, self._idle_seconds)

    @property
    def waits_for_reader(self) -> bool:
        return self._ahead >= WINDOW and self.abandoned_at is None

    def count_piece(self, now: float) -> None:
        if self._ahead >= WINDOW:
            raise msgspec.ValidationError("more pieces than the window holds")
        self.has_delivered = True
        self._ahead += 1
        self._left -= now - self._since
        self._since = now

    def count_read(self, pieces: int, now: float) -> None:
        if self.waits_for_reader:
            self._since = now
        self._ahead -= pieces

    def abandon(self, now: float) -> None:
        if self.waits_for_reader:
            self._since = now
        self.abandoned_at = now
