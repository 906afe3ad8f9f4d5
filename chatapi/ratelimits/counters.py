"""Counting what is taken of a limit, in Redis where there is one, and never waiting long for it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from limits.errors import StorageError

from chatapi.ratelimits.storages import InMemory, InRedis, Storage
from chatapi.ratelimits.windows import SECONDS, Window

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 1.0
LEFT_ALONE = 5.0
"""Seconds for which a Redis that did not answer is not asked again."""
COMPLAIN_SECONDS = 60.0


class Counters:
    """While Redis does not answer, each process counts for itself: nobody is refused for that, and nobody
    may do without limits."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._memory = InMemory()
        self._redis = InRedis(redis_url, PATIENCE) if redis_url else None
        self._away_until: float | None = None
        self._complained_at = -COMPLAIN_SECONDS

    async def take(self, key: str, limit: int, amount: int) -> tuple[bool, Window]:
        """Whether there was so much left, and what is taken now."""

        async def take(storage: Storage) -> tuple[bool, Window]:
            is_taken = await storage.acquire_sliding_window_entry(key, limit, SECONDS, amount)
            return is_taken, Window(*await storage.get_sliding_window(key, SECONDS))

        return await self._ask(take)

    async def add(self, key: str, amount: int) -> None:
        """Count what was used already, be there so much left or not."""

        async def add(storage: Storage) -> None:
            await storage.get_sliding_window(key, SECONDS)  # a new window begins, where one is due
            _, current = storage.windows_of(key)
            await storage.incr(current, 2 * SECONDS, amount)

        await self._ask(add)

    async def give_back(self, key: str, amount: int, since: float) -> None:
        """Count no more what was taken in the window that ended `since` seconds ago, or is to end."""

        async def give_back(storage: Storage) -> None:
            window = Window(*await storage.get_sliding_window(key, SECONDS))
            previous, current = storage.windows_of(key)
            taken_in, count = (previous, window.previous) if since > 0 else (current, window.current)
            if less := min(amount, count):
                await storage.incr(taken_in, 2 * SECONDS, -less)

        if since < SECONDS:
            await self._ask(give_back)

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()

    async def _ask(self, work: Callable[[Storage], Awaitable[T]]) -> T:
        if self._redis is None or not self._may_ask():
            return await work(self._memory)
        try:
            async with asyncio.timeout(PATIENCE):
                result = await work(self._redis)
        except (StorageError, TimeoutError, OSError) as error:
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
