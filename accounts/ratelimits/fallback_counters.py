"""Counting what is taken from limits, in Redis if there is one, and never waiting long for it."""

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
from accounts.ratelimits.sliding_window import WINDOW_SECONDS

logger = logging.getLogger(__name__)
T = TypeVar("T")

TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 5.0
WARN_EVERY_SECONDS = 60.0


class CounterChange(NamedTuple):
    """A change of what is counted against a limit: more, or less if `amount` is negative.

    Less is counted in the window that ended `since` seconds ago, or is yet to end if `since` is negative: the
    one in which it was taken.
    """

    key: str
    amount: int
    since: float


class FallbackCounters:
    """Counters of limits. While Redis does not answer, each process counts for itself.

    So nobody is refused because of that, and nobody escapes the limits. Redis may take `timeout` seconds to
    answer, and is left alone for `pause` seconds if it did not.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self._memory = MemoryCounterStorage()
        self._redis = RedisCounterStorage(redis_url, timeout) if redis_url else None
        self._timeout = timeout
        self._pause_seconds = pause
        self._paused_until: float | None = None
        self._warned_at = -WARN_EVERY_SECONDS

    async def take(self, wanted: Sequence[LimitRequest]) -> list[LimitResult]:
        """Take from each limit on its own, where enough is left."""
        return await self._ask(lambda storage: storage.take(wanted)) if wanted else []

    async def change(self, changes: Sequence[CounterChange]) -> None:
        """Count what was already used, even if not enough is left, or give back what was taken but not used.

        What no longer counts is not given back.
        """
        due = [change for change in changes if change.amount > 0 or change.since < WINDOW_SECONDS]
        if due:
            await self._ask(lambda storage: _change(storage, due))

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()

    async def _ask(self, work: Callable[[CounterStorage], Awaitable[T]]) -> T:
        if self._redis is None or not self._may_ask():
            return await work(self._memory)
        try:
            async with asyncio.timeout(self._timeout):
                result = await work(self._redis)
        except (RedisError, TimeoutError, OSError) as error:
            self._pause(error)
            return await work(self._memory)
        if self._paused_until is not None:
            self._paused_until = None
            logger.warning("Redis answers again")
        return result

    def _pause(self, error: Exception) -> None:
        now = time.monotonic()
        self._paused_until = now + self._pause_seconds
        if now - self._warned_at > WARN_EVERY_SECONDS:
            self._warned_at = now
            logger.warning("Redis does not answer, so each process counts calls for itself: %r", error)

    def _may_ask(self) -> bool:
        if self._paused_until is None:
            return True
        now = time.monotonic()
        if now < self._paused_until:
            return False
        self._paused_until = now + self._timeout  # one call finds out, without the others waiting for it
        return True


async def _change(storage: CounterStorage, changes: Sequence[CounterChange]) -> None:
    amounts = []
    # reading a window begins the next one if that is due
    windows = await storage.windows([change.key for change in changes])
    for (key, amount, since), window in zip(changes, windows, strict=True):
        previous, current = storage.window_keys(key)
        if amount > 0:
            amounts.append((current, amount))
            continue
        window_key, count = (previous, window.previous) if since > 0 else (current, window.current)
        amounts.append((window_key, max(amount, -count)))
    await storage.add([(key, amount) for key, amount in amounts if amount])
