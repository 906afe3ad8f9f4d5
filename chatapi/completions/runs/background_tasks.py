"""Background tasks beside answers. Nothing waits for them but the service when it stops."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from channels.db import database_sync_to_async

logger = logging.getLogger(__name__)


class BackgroundTasks:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start_follow_up(
        self, work: Callable[..., None], *arguments: object, folders: AsyncExitStack | None = None
    ) -> None:
        """Start what a sweep would do later; it may fail without harm. Closes `folders` when it is done."""

        async def do() -> None:
            async with folders or AsyncExitStack():
                try:
                    # not a bare thread, which would keep its database connection for as long as it lives
                    await database_sync_to_async(work, thread_sensitive=False)(*arguments)
                except Exception:
                    logger.exception("What follows on a call was left to the sweep")

        self.start(do())

    async def wait(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
