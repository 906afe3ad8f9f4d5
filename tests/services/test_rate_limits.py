"""Rate limits across processes: each minute is counted in Redis, open streams in the database."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
import redis

from accounts.models import Workspace
from accounts.ratelimits.counter_storage import LimitRequest, LimitResult, RedisCounterStorage
from accounts.ratelimits.fallback_counters import CounterChange, FallbackCounters
from conversations.models import Completion
from tests.services.conftest import REDIS
from tests.support.broker_gateway import Gateway, Mode, gateway
from tests.support.celery_workers import service_url
from tests.support.clock import Clock, stopped_clock
from tests.support.people import Person, person
from tests.support.run_command import Run, running
from tests.support.running_server import PATHS, chat_body, database_url, serving, wait_until

pytestmark = pytest.mark.services


@pytest.fixture
async def two() -> AsyncIterator[tuple[FallbackCounters, FallbackCounters]]:
    """Counters as two processes have them, but more patient, because this machine may be busy."""
    made = FallbackCounters(service_url(REDIS), timeout=30), FallbackCounters(service_url(REDIS), timeout=30)
    yield made
    for counters in made:
        await counters.close()


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stopped_clock(monkeypatch)


@pytest.fixture
def door() -> Iterator[Gateway]:
    with gateway(service_url(REDIS)) as made:
        yield made


async def take(counters: FallbackCounters, key: str, most: int, amount: int = 1) -> LimitResult:
    [taken] = await counters.take([LimitRequest(key, most, amount)])
    return taken


async def test_many_requests_at_once_over_two_processes_share_one_limit(
    two: tuple[FallbackCounters, FallbackCounters], key: str
) -> None:
    taken = await asyncio.gather(*(take(two[i % 2], key, 70) for i in range(200)))
    assert sum(each.is_taken for each in taken) == 70
    assert max(each.window.used for each in taken) == 70
    assert 0 < taken[-1].window.seconds_until(69) <= 120


async def test_one_process_may_correct_what_another_took(
    two: tuple[FallbackCounters, FallbackCounters], key: str
) -> None:
    one, other = two
    first = await take(one, key, 1000, 600)
    assert (first.is_taken, first.window.used) == (True, 600)
    assert not (await take(other, key, 1000, 600)).is_taken
    await other.change([CounterChange(key, -500, -first.window.remainder)])
    assert (await take(other, key, 1000, 600)).window.used == 700
    await one.change([CounterChange(key, 900, -30), CounterChange(f"{key}-new", 10, -30)])
    assert (await take(one, key, 1000)).window.used == 1600
    assert (await take(one, f"{key}-new", 20)).window.used == 11
    await one.change([CounterChange(key, -5000, -30), CounterChange(f"{key}-unknown", -5, -30)])
    assert (await take(one, key, 1000)).window.used == 1


async def test_the_previous_window_counts_less_and_less(
    two: tuple[FallbackCounters, FallbackCounters], key: str
) -> None:
    one, other = two
    await take(one, key, 100, 60)
    storage = RedisCounterStorage(service_url(REDIS), patience=30)
    _, current = storage.window_keys(key)
    await storage.close()
    with redis.Redis.from_url(service_url(REDIS)) as client:
        client.pexpire(current, 30_000)  # as if 90 seconds had passed: half of the next window
        taken = await take(other, key, 100)
        assert 25 <= taken.window.used <= 31
        assert taken.window.previous == 60
        assert 0 < taken.window.remainder <= 30
        await other.change([CounterChange(key, -60, 1)])
        assert (await take(other, key, 100)).window.used == 2


async def test_a_restarted_redis_is_sent_the_scripts_again(
    two: tuple[FallbackCounters, FallbackCounters], key: str
) -> None:
    assert (await take(two[0], key, 10)).is_taken
    with redis.Redis.from_url(service_url(REDIS)) as client:
        client.script_flush()
    assert (await take(two[0], key, 10)).window.used == 2


@pytest.mark.parametrize("mode", ["refusing", "silent"])
async def test_while_redis_is_away_each_process_counts_for_itself(
    mode: Mode,
    door: Gateway,
    two: tuple[FallbackCounters, FallbackCounters],
    key: str,
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
) -> None:
    assert (await take(two[0], key, 10, 9)).is_taken
    counters = FallbackCounters(door.url, pause=0.3)
    with caplog.at_level(logging.WARNING):
        await asyncio.to_thread(door.set_mode, mode)
        async with asyncio.timeout(10):
            taken = await asyncio.gather(*(take(counters, key, 10) for _ in range(40)))
        assert sum(each.is_taken for each in taken) == 10
        await asyncio.to_thread(door.set_mode, "open")
        async with asyncio.timeout(30):
            while caplog.messages[-1] != "Redis answers again":
                await asyncio.sleep(0.1)
                await take(counters, f"{key}-other", 1)
        assert (await take(counters, key, 10)).window.used == 10
    assert [message.split(",")[0] for message in caplog.messages] == [
        "Redis does not answer",
        "Redis answers again",
    ]
    await counters.close()


def test_a_server_asks_redis_without_blocking_its_loop(transactional_db: None, alice: Person) -> None:
    Workspace.objects.update(requests_per_minute=2, tokens_per_minute=1000)
    statuses = []
    for _ in range(2):  # the second server finds what the first has counted
        counters = FallbackCounters(service_url(REDIS), timeout=30)
        with serving(counters=counters) as server, server.client(alice) as client:
            for _ in range(2):
                answer = client.post(PATHS["openai"], json=chat_body("Hello"))
                statuses.append((answer.status_code, answer.headers["x-ratelimit-remaining-requests"]))
            server.until_idle()
    assert statuses == [(200, "1"), (200, "0"), (429, "0"), (429, "0")]


# --- two processes ----------------------------------------------------------------------------------


@pytest.fixture
def processes(transactional_db: None, tmp_path: Path) -> Iterator[tuple[Run, Run, Person]]:
    """Two servers, and Alice, whose rows must be committed before they start."""
    alice = person("alice@example.com")
    environment = {
        "DATABASE_URL": database_url(),
        "REDIS_URL": service_url(REDIS),
        "CHATAPI_EMBEDDED_WORKER": "0",
        "CHATAPI_REQUESTS_PER_MINUTE": "100",
        "CHATAPI_CONCURRENT_STREAMS": "7",
    }
    with running(tmp_path, **environment) as one, running(tmp_path, **environment) as other:
        assert one.url != other.url
        yield one, other, alice


def test_two_processes_hold_a_workspace_to_one_limit(processes: tuple[Run, Run, Person]) -> None:
    one, other, alice = processes
    assert os.getpid() not in {one.process.pid, other.process.pid}

    async def ask_all() -> list[int]:
        """Open streams that do not end while the others are refused."""
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    httpx2.AsyncClient(base_url=run.url, headers=alice.headers, timeout=60)
                )
                for run in (one, other)
            ]
            body = chat_body("[[text: begun]] [[stall]]", stream=True)
            asked = [
                stack.enter_async_context(clients[i % 2].stream("POST", PATHS["openai"], json=body))
                for i in range(40)
            ]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    statuses = asyncio.run(ask_all())
    assert sorted(statuses) == [200] * 7 + [429] * 33
    wait_until(lambda: not Completion.objects.filter(state="in_progress").exists(), 30)
    assert Completion.objects.count() == 7
    left = []
    for run in (one, other):
        with run.client(alice.key) as client:
            answer = client.post(PATHS["openai"], json=chat_body("Hello"))
            left.append(answer.headers["x-ratelimit-remaining-requests"])
    assert left == ["59", "58"]
