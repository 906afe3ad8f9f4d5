"""A completion's event log in memory, and the viewers that read it.

The pump appends; any number of viewers read from the first entry on, each at its own pace. The last
entry is `Ended`.
"""

import asyncio
from collections.abc import Sequence

from engines.answers import Ended
from engines.events import Event

Entry = Event | Ended


class EventLog:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ended: Ended | None = None
        self.viewers: set[Viewer] = set()

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)
        for viewer in self.viewers:
            viewer.wake()

    def end(self, ended: Ended) -> None:
        self.ended = ended
        self.append(ended)


class Viewer:
    """One reader of a log: an HTTP response, a WebSocket, a resumed stream.

    `keep_alive` is the time in seconds after which a wait without news ends all the same. Leave
    the context to stop reading; the log goes on without it.
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
        self.log.viewers.discard(self)
        if self._timer:
            self._timer.cancel()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def leave(self) -> None:
        """The client is gone: whatever waits here stops waiting."""
        self.is_gone = True
        self.wake()

    async def read(self) -> Sequence[Entry]:
        """The entries since the last read; empty when the client is gone or a keep-alive is due."""
        if self._cursor == len(self.log.entries) and not self.is_gone:
            await self._wait()
        news = self.log.entries[self._cursor :]
        self._cursor += len(news)
        return news

    async def until_ended(self) -> Ended | None:
        """How the answer ended; None when the client left before."""
        while self.log.ended is None and not self.is_gone:
            await self.read()
        return self.log.ended

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if self._timer is None:
            # one timer at a time, not one a chunk: some keep-alives go out that need not
            self._timer = loop.call_later(self._keep_alive, self._ring)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _ring(self) -> None:
        self._timer = None
        self.wake()
