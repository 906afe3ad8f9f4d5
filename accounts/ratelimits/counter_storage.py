"""Where the library `limits` keeps its counters: in this process, or in Redis for all processes.

Both use its sliding window of two counters, which takes little space and time however much is taken at once.
Each request here is about several limits at once, since most calls have several.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from accounts.ratelimits.sliding_window import WINDOW_SECONDS, SlidingWindow

CONNECTIONS = 16
PREFIX = "chatapi-limits"


class LimitRequest(NamedTuple):
    """A request for `amount` of a limit of `most` per minute."""

    key: str
    most: int
    amount: int


class LimitResult(NamedTuple):
    """Whether enough was left, and what is taken now."""

    is_taken: bool
    window: SlidingWindow


class CounterStorage(Protocol):
    async def take(self, wanted: Sequence[LimitRequest]) -> list[LimitResult]: ...

    async def windows(self, keys: Sequence[str]) -> list[SlidingWindow]: ...

    async def add(self, amounts: Iterable[tuple[str, int]]) -> None:
        """Add to windows, by their own keys."""

    def window_keys(self, key: str) -> tuple[str, str]:
        """Return the keys of the previous and the current window."""
        ...


class MemoryCounterStorage(MemoryStorage):
    """Counters in memory, swept once per window.

    The library's own storage looks through all counters on every count: 0.9 ms for 10,000.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = time.time()

    async def take(self, wanted: Sequence[LimitRequest]) -> list[LimitResult]:
        taken = []
        for key, most, amount in wanted:
            is_taken = await self.acquire_sliding_window_entry(key, most, WINDOW_SECONDS, amount)
            taken.append(
                LimitResult(is_taken, SlidingWindow(*await self.get_sliding_window(key, WINDOW_SECONDS)))
            )
        return taken

    async def windows(self, keys: Sequence[str]) -> list[SlidingWindow]:
        return [SlidingWindow(*await self.get_sliding_window(key, WINDOW_SECONDS)) for key in keys]

    async def add(self, amounts: Iterable[tuple[str, int]]) -> None:
        for key, amount in amounts:
            await self.incr(key, 2 * WINDOW_SECONDS, amount)

    def window_keys(self, key: str) -> tuple[str, str]:
        return self.sliding_window_keys(key, WINDOW_SECONDS, time.time())

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        self._sweep()
        count = await self.get(key) + amount
        self.storage[key] = count
        self.expirations.setdefault(key, time.time() + expiry)
        return count

    def _sweep(self) -> None:
        now = time.time()
        if now - self._swept_at < WINDOW_SECONDS:
            return
        self._swept_at = now
        for key in [key for key, expires_at in self.expirations.items() if expires_at <= now]:
            del self.storage[key], self.expirations[key]


class _ScriptCall(NamedTuple):
    """A call of one of the library's scripts."""

    script: Any
    keys: Sequence[str]
    arguments: Sequence[int]


class RedisCounterStorage(RedisStorage):
    """Counters in Redis; one round trip runs the library's scripts for all limits.

    Two round trips for each limit took five times the CPU. `patience` is in seconds.
    """

    def __init__(self, url: str, patience: float) -> None:
        # waits for a connection if all are in use, never retries by itself, and does not look up its own
        # version on the disk on each connect
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=patience,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        super().__init__(
            f"async+redis+{url}" if url.startswith("unix:") else f"async+{url}",
            implementation="redispy",
            key_prefix=PREFIX,
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        bridge: Any = self.bridge
        self._client = bridge.storage
        self._acquire, self._read, self._incr = self._scripts = (
            bridge.lua_acquire_sliding_window,
            bridge.lua_sliding_window,
            bridge.lua_incr_expire,
        )

    async def take(self, wanted: Sequence[LimitRequest]) -> list[LimitResult]:
        calls = []
        for key, most, amount in wanted:
            keys = self.window_keys(key)
            calls.append(_ScriptCall(self._acquire, keys, (most, WINDOW_SECONDS, amount)))
            calls.append(_ScriptCall(self._read, keys, (WINDOW_SECONDS,)))
        results = await self._call(calls)
        return [
            LimitResult(bool(acquired), _window(read))
            for acquired, read in zip(results[::2], results[1::2], strict=True)
        ]

    async def windows(self, keys: Sequence[str]) -> list[SlidingWindow]:
        calls = [_ScriptCall(self._read, self.window_keys(key), (WINDOW_SECONDS,)) for key in keys]
        return [_window(read) for read in await self._call(calls)]

    async def add(self, amounts: Iterable[tuple[str, int]]) -> None:
        await self._call(
            [_ScriptCall(self._incr, (key,), (2 * WINDOW_SECONDS, amount)) for key, amount in amounts]
        )

    def window_keys(self, key: str) -> tuple[str, str]:
        prefixed = self.bridge.prefixed_key
        return prefixed(self._previous_window_key(key)), prefixed(self._current_window_key(key))

    async def close(self) -> None:
        await self._pool.disconnect()

    async def _call(self, calls: Sequence[_ScriptCall]) -> list[Any]:
        try:
            return await self._call_loaded(calls)
        except NoScriptError:  # Redis was restarted; it knows all scripts or none
            for script in self._scripts:
                await self._client.script_load(script.script)
            return await self._call_loaded(calls)

    async def _call_loaded(self, calls: Sequence[_ScriptCall]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for script, keys, arguments in calls:
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        results: list[Any] = await pipeline.execute()
        return results


def _window(read: Sequence[Any]) -> SlidingWindow:
    """Return the window for the script's counters and milliseconds."""
    previous, previous_ttl, current, current_ttl = (max(0, int(value or 0)) for value in read)
    return SlidingWindow(previous, previous_ttl / 1000, current, current_ttl / 1000)
