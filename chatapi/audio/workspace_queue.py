"""A limit on how many requests of one workspace run at once, so others never wait for all of them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from core.exceptions import RateLimited
from core.http.body import ClientDisconnected


class WorkspaceQueue:
    """A queue per workspace: `at_once` requests run, in order of arrival; `most` includes those waiting."""

    def __init__(self, at_once: int, most: int) -> None:
        self._at_once = at_once
        self._most = most
        self._queues: dict[UUID, _Queue] = {}

    @asynccontextmanager
    async def slot(self, workspace_id: UUID, is_gone: asyncio.Event) -> AsyncIterator[None]:
        """Wait for a place, run the block. Raises `ClientDisconnected`, or `RateLimited` if too many wait."""
        queue = self._queues.setdefault(workspace_id, _Queue(self._at_once))
        if queue.length >= self._most:
            raise RateLimited(f"Send at most {self._most} such requests at once.", retry_after=1)
        queue.length += 1
        try:
            await queue.enter(is_gone)
            try:
                yield
            finally:
                queue.leave()
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[workspace_id]


class _Queue:
    """One workspace's queue.

    A place passes to whoever has waited longest, even from a request whose client left just as it got it.
    """

    def __init__(self, free: int) -> None:
        self.length = 0
        self._free = free
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, is_gone: asyncio.Event) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        leaving = asyncio.ensure_future(is_gone.wait())
        try:
            await asyncio.wait({turn, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if is_gone.is_set():
                raise ClientDisconnected
        except BaseException:
            if turn.done():
                self.leave()
            turn.cancel()
            raise
        finally:
            leaving.cancel()

    def leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
