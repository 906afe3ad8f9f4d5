"""A completion's event log in memory, and the viewers that read it.

The pump appends; any number of viewers read from the first entry on, each at its own pace. The last
entry is `AnswerEnd`.
"""

import asyncio
from collections.abc import Callable, Sequence

from engines.answers import AnswerEnd, AnswerHead
from engines.events import Event

Entry = Event | AnswerEnd


class EventLog:
    """The log of one completion, with what its viewers must know of it.

    `stored_ids` are the public ids of the conversation and of the answer's message; none of what is not
    stored. `on_abandoned` is called when the last viewer's client is gone before the end.
    """

    def __init__(
        self,
        head: AnswerHead,
        stored_ids: tuple[str, str] | None,
        on_abandoned: Callable[[], None] | None = None,
    ) -> None:
        self.head = head
        self.stored_ids = stored_ids
        self._on_abandoned = on_abandoned
        self.entries: list[Entry] = []
        self.ended: AnswerEnd | None = None
        self.viewers: set[Viewer] = set()

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)
        for viewer in self.viewers:
            viewer.wake()

    def end(self, ended: AnswerEnd) -> None:
        self.ended = ended
        self._on_abandoned = None  # it holds the pump, which holds this log
        self.append(ended)

    def drop(self, viewer: "Viewer") -> None:
        """Forget a viewer that stops reading."""
        self.viewers.discard(viewer)
        if viewer.is_gone and not self.viewers and self._on_abandoned:
            self._on_abandoned()


class Viewer:
    """One reader of a log, such as an HTTP response.

    `keep_alive` is how many seconds a read waits before it returns without news. Exit the context to stop
    reading; the log goes on without it.
    """

    def __init__(self, log: EventLog, keep_alive: float) -> None:
        self.log = log
        self.is_gone = False
        self._keep_alive = keep_alive
        self._cursor = 0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Viewer":
        self.log.viewers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
        self.log.drop(self)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def leave(self) -> None:
        """Mark the client as gone and wake whatever is waiting."""
        self.is_gone = True
        self.wake()

    async def read(self) -> Sequence[Entry]:
        """Return the entries since the last read; none if the client is gone or a keep-alive is due."""
        if self._cursor == len(self.log.entries) and not self.is_gone:
            await self._wait()
        new_entries = self.log.entries[self._cursor :]
        self._cursor += len(new_entries)
        return new_entries

    async def wait_until_ended(self) -> AnswerEnd | None:
        """Wait until the run has ended and return its end; None if the client leaves before."""
        while self.log.ended is None and not self.is_gone:
            await self.read()
        return self.log.ended

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if self._timer is None:
            # one timer at a time, not one per chunk: some keep-alives are sent without need
            self._timer = loop.call_later(self._keep_alive, self._on_timer)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()
