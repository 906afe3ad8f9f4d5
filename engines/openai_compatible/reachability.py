"""Whether an upstream can be reached at all, checked by connecting to it now and then."""

import asyncio
import contextlib

from yarl import URL

PERIOD = 10.0
PERIOD_WHILE_DOWN = 1.0


class Reachability:
    def __init__(self, url: URL, connect_timeout: float) -> None:
        self._url = url
        self._connect_timeout = connect_timeout
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the upstream could not be reached at the last attempt."""

    def start(self) -> None:
        if self._task is None or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(PERIOD_WHILE_DOWN if self.problem else PERIOD)

    async def check(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, writer = await asyncio.open_connection(self._url.host, self._url.port)
        except OSError as error:  # TimeoutError and failed name lookups are OSErrors
            self.problem = f"the upstream cannot be reached: {error.strerror or type(error).__name__}"
            return
        self.problem = None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
