"""Counting what is taken of limits, in Redis where there is one, and never waiting long for it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from redis.exceptions import RedisError

from accounts.ratelimits.counter_storage import (
    CounterStorage,
    LimitRequest,
    LimitResult,
    MemoryCounterStorage,
    RedisCounterStorage,
)
from accounts.ratelimits.sliding_window import SECONDS

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 1.0
LEFT_ALONE = 5.0
"""Seconds for which a Redis that did not answer is not asked again."""
COMPLAIN_SECONDS = 60.0


class CounterChange(NamedTuple):
    """So much more is counted of a limit, or less, where `amount` is negative: less of what was taken in the
    window that ended `since` seconds ago, or is to end."""

    key: str
    amount: int
    since: float


class Counters:
    """While Redis does not answer, each process counts for itself: nobody is refused for that, and nobody
    may do without limits."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._memory = MemoryCounterStorage()
        self._redis = RedisCounterStorage(redis_url, PATIENCE) if redis_url else None
        self._away_until: float | None = None
        self._complained_at = -COMPLAIN_SECONDS

    async def take(self, wanted: Sequence[LimitRequest]) -> list[LimitResult]:
        """Of each limit for itself, as far as there is so much left."""
        return await self._ask(lambda storage: storage.take(wanted)) if wanted else []

    async def change(self, changes: Sequence[CounterChange]) -> None:
        """Count what was used already, be there so much left or not; or what was taken and not used no more,
        as far as it counts still."""
        due = [change for change in changes if change.amount > 0 or change.since < SECONDS]
        if due:
            await self._ask(lambda storage: _change(storage, due))

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()

    async def _ask(self, work: Callable[[CounterStorage], Awaitable[T]]) -> T:
        if self._redis is None or not self._may_ask():
            return await work(self._memory)
        try:
            async with asyncio.timeout(PATIENCE):
                result = await work(self._redis)
        except (RedisError, TimeoutError, OSError) as error:
            self._leave_alone(error)
            return await work(self._memory)
        if self._away_until is not None:
            self._away_until = None
            logger.warning("Redis answers again")
        return result

    def _leave_alone(self, error: Exception) -> None:
        now = time.monotonic()
        self._away_until = now + LEFT_ALONE
        if now - self._complained_at > COMPLAIN_SECONDS:
            self._complained_at = now
            logger.warning("Redis does not answer, so each process counts calls for itself: %r", error)

    def _may_ask(self) -> bool:
        if self._away_until is None:
            return True
        now = time.monotonic()
        if now < self._away_until:
            return False
        self._away_until = now + PATIENCE  # one call finds out, and the others do not wait with it
        return True


async def _change(storage: CounterStorage, changes: Sequence[CounterChange]) -> None:
    amounts = []
    # to read a window begins the next one where that is due
    windows = await storage.windows([change.key for change in changes])
    for (key, amount, since), window in zip(changes, windows, strict=True):
        previous, current = storage.keys_of_windows(key)
        if amount > 0:
            amounts.append((current, amount))
            continue
        taken_in, count = (previous, window.previous) if since > 0 else (current, window.current)
        amounts.append((taken_in, max(amount, -count)))
    await storage.add([(key, amount) for key, amount in amounts if amount])
