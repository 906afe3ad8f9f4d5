"""Several choices from an engine that makes one at a time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from msgspec.structs import replace

from engines.events import Event, Usage
from engines.requests import EngineRequest

CONCURRENT_CHOICES = 4


async def request_choices(
    stream: Callable[[EngineRequest], AsyncGenerator[Event, None]], request: EngineRequest
) -> AsyncGenerator[Event, None]:
    """Ask `request.n` times, a few at once, number the choices, and add up their usages.

    If one of them is not counted, there is no sum: it would be wrong, however much the others counted.
    """
    single = replace(request, n=1)
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    slots = asyncio.Semaphore(CONCURRENT_CHOICES)

    async def ask(choice: int) -> None:
        async with slots, contextlib.aclosing(stream(single)) as events:
            async for event in events:
                queue.put_nowait(event if isinstance(event, Usage) else replace(event, choice=choice))

    gathered = asyncio.gather(*(ask(choice) for choice in range(request.n)))
    gathered.add_done_callback(lambda _: queue.put_nowait(None))
    usages: list[Usage] = []
    try:
        while (event := await queue.get()) is not None:
            if isinstance(event, Usage):
                usages.append(event)
            else:
                yield event
        await gathered
        if len(usages) == request.n:
            yield sum(usages, Usage())
    finally:
        gathered.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await gathered
