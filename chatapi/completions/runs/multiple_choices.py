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

    If one of them is not counted, there is no sum: it would be wrong, however much the others counted. Then,
    and if the answers break off, what was counted is reported. None is asked any further once one fails.
    """
    single = replace(request, n=1)
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    usages: dict[int, Usage] = {}  # the last of each, which may be told more than once
    slots = asyncio.Semaphore(CONCURRENT_CHOICES)

    async def ask(choice: int) -> None:
        async with slots, contextlib.aclosing(stream(single)) as events:
            async for event in events:
                if isinstance(event, Usage):
                    usages[choice] = event
                else:
                    queue.put_nowait(replace(event, choice=choice))

    tasks = [asyncio.create_task(ask(choice)) for choice in range(request.n)]
    gathered = asyncio.gather(*tasks)
    gathered.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await gathered
        if len(usages) == request.n:
            counted = sum(usages.values(), Usage())
            usages.clear()
            yield counted
    finally:
        for usage in usages.values():
            request.report_usage(usage)
        for task in tasks:  # one that failed has ended the gathering, but not the others
            task.cancel()
        await asyncio.gather(gathered, *tasks, return_exceptions=True)
