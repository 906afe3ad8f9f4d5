"""Rate-limit counters, in memory and while Redis is unavailable. Tests with a real Redis: tests/services."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from accounts.ratelimits.counter_storage import LimitRequest, LimitResult, MemoryCounterStorage
from accounts.ratelimits.fallback_counters import CounterChange, FallbackCounters
from tests.support.clock import Clock, stopped_clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stopped_clock(monkeypatch)


async def take(counters: FallbackCounters, key: str, limit: int, amount: int) -> LimitResult:
    [taken] = await counters.take([LimitRequest(key, limit, amount)])
    return taken


async def used(counters: FallbackCounters, key: str = "k") -> int:
    return (await take(counters, key, 1, 2)).window.used  # more than the limit: nothing is taken


async def test_no_more_than_the_limit_is_taken_until_the_minute_has_passed(clock: Clock) -> None:
    counters = FallbackCounters()
    taken = [await take(counters, "k", 3, 1) for _ in range(5)]
    assert [is_taken for is_taken, _ in taken] == [True, True, True, False, False]
    assert [window.used for _, window in taken] == [1, 2, 3, 3, 3]
    wait = taken[-1][1].seconds_until(2)
    clock.advance(wait - 0.1)
    assert not (await take(counters, "k", 3, 1))[0]
    clock.advance(0.2)
    assert (await take(counters, "k", 3, 1))[0]
    assert (await take(counters, "other", 3, 3))[0]


async def test_what_is_given_back_stops_counting_whichever_window_it_was_taken_in(clock: Clock) -> None:
    counters = FallbackCounters()
    clock.advance(20)
    await take(counters, "k", 100, 100)
    await counters.change([CounterChange("k", -50, -40)])
    assert await used(counters) == 50
    clock.advance(70)  # half of the next window has passed, so half of the previous one counts
    await take(counters, "k", 100, 10)
    assert await used(counters) == 25 + 10
    await counters.change([CounterChange("k", -30, 30)])
    assert await used(counters) == 10 + 10
    clock.advance(60)
    await counters.change([CounterChange("k", -20, 90)])
    assert await used(counters) == 5


async def test_no_more_is_given_back_than_was_taken(clock: Clock) -> None:
    counters = FallbackCounters()
    await take(counters, "k", 100, 10)
    await counters.change([CounterChange("k", -50, -1)])
    assert await used(counters) == 0
    await counters.change([CounterChange("never taken", -50, 1)])
    assert await used(counters, "never taken") == 0


async def test_what_was_used_beyond_the_limit_is_counted(clock: Clock) -> None:
    counters = FallbackCounters()
    await counters.change([CounterChange("k", 500, 90)])
    is_taken, window = await take(counters, "k", 100, 1)
    assert (is_taken, window.used) == (False, 500)
    clock.advance(window.seconds_until(99) + 0.001)
    assert (await take(counters, "k", 100, 1))[0]


async def test_unused_counters_are_forgotten(clock: Clock) -> None:
    kept = MemoryCounterStorage()
    await kept.take([LimitRequest(f"k{number}", 10, 1) for number in range(50)])
    assert len(kept.storage) == 50
    clock.advance(200)
    await kept.take([LimitRequest("k", 10, 1)])
    assert len(kept.storage) == len(kept.expirations) == 1


# --- Redis is unavailable ---------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
async def counters_without_answer(listener: socket.socket) -> AsyncIterator[FallbackCounters]:
    made = FallbackCounters(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", timeout=0.2)
    yield made
    await made.close()


async def test_a_silent_redis_is_not_waited_for_again(
    counters_without_answer: FallbackCounters, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(10):
            taken = await asyncio.gather(*(take(counters_without_answer, "k", 30, 1) for _ in range(50)))
            start = asyncio.get_running_loop().time()
            taken += [await take(counters_without_answer, "k", 30, 1) for _ in range(200)]
    assert sum(is_taken for is_taken, _ in taken) == 30
    assert len(caplog.messages) == 1
    assert "Redis does not answer" in caplog.text
    assert asyncio.get_running_loop().time() - start < 10 * 0.2


async def test_counting_goes_on_without_redis(
    listener: socket.socket, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    counters = FallbackCounters(f"redis://:open-sesame@127.0.0.1:{port}/0")
    with caplog.at_level(logging.WARNING):
        assert [(await take(counters, "k", 1, 1))[0] for _ in range(3)] == [True, False, False]
        await counters.change([CounterChange("k", 1, 0), CounterChange("k", -1, 0)])
    assert len(caplog.messages) == 1
    assert "open-sesame" not in caplog.text
    await counters.close()
