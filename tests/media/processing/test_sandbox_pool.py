"""Jobs run in a sandbox from event loops and threads; streams, the queue and refusals."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from media.processing.exceptions import MediaError, MediaTooLarge
from media.processing.sandbox.exceptions import SandboxBusy, SandboxError
from media.processing.sandbox.job_functions import NotAJob, find_job_function
from media.processing.sandbox.pool import SandboxPool
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.protocol import WINDOW, FrameTooLarge
from tests.support import sandbox_jobs as jobs
from tests.support.running_server import wait_until
from tests.support.sandbox_jobs import Count, Data, Nap, Text


@pytest.fixture(scope="module")
def pair() -> Iterator[SandboxPool]:
    """A pool whose worker process runs two jobs at once."""
    sandbox = SandboxPool(PoolConfig(name="pair", threads=2))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def single() -> Iterator[SandboxPool]:
    sandbox = SandboxPool(PoolConfig(name="single"))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def impatient() -> Iterator[SandboxPool]:
    """A pool with a short queue, which waits only for quick readers."""
    sandbox = SandboxPool(PoolConfig(name="impatient", queue_limit=2, reader_seconds=0.2))
    yield sandbox
    sandbox.close()


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary"
    path.touch()
    return path


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that jobs wait for. Touch it to let them go on."""
    return tmp_path / "gate"


@pytest.fixture(autouse=True)
def _loop_is_never_blocked() -> Iterator[None]:
    with blockbuster_ctx(scanned_modules=["media"]):
        yield


async def until_written(diary: Path, text: str) -> None:
    await asyncio.to_thread(wait_until, lambda: diary.read_text() == text, 60)


# --- running jobs -------------------------------------------------------------------------------


async def test_a_job_can_be_run_from_a_loop_and_from_a_thread(pair: SandboxPool) -> None:
    assert await pair.run(jobs.echo, Text("Hej"), seconds=60) == Text("Hej")
    assert await asyncio.to_thread(pair.run_blocking, jobs.echo, Text("då"), seconds=60) == Text("då")


async def test_a_resized_pool_runs_more_jobs_at_once(tmp_path: Path) -> None:
    sandbox = SandboxPool(PoolConfig(name="resized"))
    sandbox.resize(3)
    try:
        await sandbox.warm_up()
        long_nap = Nap(str(tmp_path / "diary"), 60)
        naps = [asyncio.create_task(sandbox.run(jobs.nap, long_nap, seconds=90)) for _ in range(2)]
        assert await sandbox.run(jobs.echo, Text("Hej"), seconds=60) == Text("Hej")
        assert not any(nap.done() for nap in naps)
        for nap in naps:
            nap.cancel()
    finally:
        await asyncio.to_thread(sandbox.close)


def test_two_loops_and_four_threads_run_jobs_at_once(pair: SandboxPool) -> None:
    async def run_many(name: str) -> list[Text]:
        texts = [Text(f"{name}{number}") for number in range(50)]
        answers = await asyncio.gather(*(pair.run(jobs.echo, text, seconds=60) for text in texts))
        return [text for text, answer in zip(texts, answers, strict=True) if text == answer]

    def run_one_by_one(name: str) -> list[Text]:
        texts = [Text(f"{name}{number}") for number in range(50)]
        return [text for text in texts if pair.run_blocking(jobs.echo, text, seconds=60) == text]

    with ThreadPoolExecutor(6) as threads:
        loops = [threads.submit(asyncio.run, run_many(name)) for name in "ab"]
        others = [threads.submit(run_one_by_one, name) for name in "cdef"]
        assert [len(future.result(60)) for future in [*loops, *others]] == [50] * 6


async def test_twenty_megabytes_make_a_round_trip_without_blocking_the_loop(pair: SandboxPool) -> None:
    data = Data(os.urandom(20 * 2**20))
    assert await pair.run(jobs.mirror, data, seconds=20) == data


async def test_work_over_the_frame_limit_is_refused_before_it_is_sent(pair: SandboxPool) -> None:
    with pytest.raises(FrameTooLarge):
        await pair.run(jobs.mirror, Data(bytes(64 * 2**20)), seconds=60)


async def test_a_media_error_arrives_as_it_was_raised(pair: SandboxPool) -> None:
    with pytest.raises(MediaTooLarge) as large:
        await pair.run(jobs.refuse, Text("too wide"), seconds=60)
    assert (large.value.message, large.value.code) == ("The picture is too wide.", "media_too_large")

    with pytest.raises(jobs.TooOld) as old:
        await pair.run(jobs.refuse_specially, Text("wax"), seconds=60)
    assert isinstance(old.value, MediaError)
    assert (old.value.message, old.value.code) == ("The wax cylinder is too old.", "wax")


async def test_a_bug_fails_its_own_job_and_nothing_else(
    pair: SandboxPool, caplog: pytest.LogCaptureFixture
) -> None:
    before = await pair.run(jobs.look_around, Text(""), seconds=60)
    with pytest.raises(SandboxError) as failed:
        await pair.run(jobs.stumble, Text("unicorns"), seconds=60)
    assert failed.value.message == "The file could not be processed."
    assert "LookupError: no such thing as unicorns" in caplog.text
    assert (await pair.run(jobs.look_around, Text(""), seconds=60)).pid == before.pid


async def test_a_result_not_of_the_annotated_type_is_a_bug(pair: SandboxPool) -> None:
    with pytest.raises(SandboxError):
        await pair.run(jobs.return_wrong_type, Text(""), seconds=60)


async def test_only_functions_written_as_jobs_are_accepted(pair: SandboxPool) -> None:
    def local(work: Text) -> Text:
        return work

    for job in (local, os.system, Path.read_bytes, wait_until, jobs.annotated_wrongly, jobs.Text):
        with pytest.raises(NotAJob):
            await pair.run(job, Text("true"), seconds=60)  # type: ignore[arg-type]
    with pytest.raises(NotAJob):
        await pair.run(jobs.count, Count("", 1), seconds=60)  # type: ignore[type-var]
    with pytest.raises(NotAJob):
        await anext(pair.stream(jobs.echo, Text(""), seconds=60))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        "shutil:rmtree",
        "tests.support.running_server:wait_until",
        "media_impostor:echo",
        "tests.support.sandbox_jobs:Path",
        "tests.support.sandbox_jobs:MediaError",
        "tests.support.sandbox_jobs:nothing_there",
        "tests.media.processing.test_sandbox_pool:wait_until",
        "",
    ],
)
def test_a_worker_finds_only_functions_defined_in_the_job_packages(address: str) -> None:
    with pytest.raises(NotAJob):
        find_job_function(address)


# --- the queue ----------------------------------------------------------------------------------


async def test_jobs_run_in_order_and_a_caller_that_gives_up_leaves_the_queue(
    single: SandboxPool, diary: Path, gate: Path
) -> None:
    def begin(name: str) -> asyncio.Task[jobs.Number]:
        work = Nap(str(diary), name=name, gate=str(gate))
        return asyncio.create_task(single.run(jobs.nap, work, seconds=60))

    first = begin("a")
    await until_written(diary, "a\n")
    tasks = {name: begin(name) for name in "bcdef"}
    await asyncio.sleep(0)
    tasks["c"].cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await tasks["e"]
    gate.touch()
    await asyncio.gather(first, *(tasks[name] for name in "bdf"))
    assert diary.read_text() == "a\nb\nd\nf\n"


async def test_a_full_queue_refuses_jobs(impatient: SandboxPool, diary: Path, gate: Path) -> None:
    running = asyncio.create_task(impatient.run(jobs.nap, Nap(str(diary), gate=str(gate)), seconds=60))
    await until_written(diary, "\n")
    queued = [asyncio.create_task(impatient.run(jobs.echo, Text(name), seconds=60)) for name in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(SandboxBusy) as busy:
        await impatient.run(jobs.echo, Text("c"), seconds=60)
    assert busy.value.message == "Too many files are being processed just now. Try again later."
    gate.touch()
    await running
    assert await asyncio.gather(*queued) == [Text("a"), Text("b")]


async def test_a_pool_uses_as_many_workers_as_it_may(diary: Path, gate: Path) -> None:
    pool = SandboxPool(PoolConfig(name="pool", processes=2))
    work = Nap(str(diary), gate=str(gate))
    try:
        naps = [asyncio.create_task(pool.run(jobs.nap, work, seconds=60)) for _ in range(4)]
        await until_written(diary, "\n\n")
        gate.touch()
        pids = [answer.number for answer in await asyncio.gather(*naps)]
    finally:
        await asyncio.to_thread(pool.close)
    assert len(set(pids)) == 2


# --- streams ------------------------------------------------------------------------------------


async def test_a_stream_delivers_each_piece_as_it_is_made(
    single: SandboxPool, diary: Path, gate: Path
) -> None:
    pieces = single.stream(jobs.count, Count(str(diary), to=3, gate=str(gate)), seconds=60)
    assert (await anext(pieces)).number == 0
    assert diary.read_text() == "x"
    gate.touch()
    assert [piece.number async for piece in pieces] == [1, 2]


async def test_a_long_stream_arrives_complete(single: SandboxPool, diary: Path) -> None:
    numbers = [
        piece.number async for piece in single.stream(jobs.count, Count(str(diary), to=500), seconds=60)
    ]
    assert numbers == list(range(500))


async def test_a_stream_that_fails_midway_raises_after_its_pieces(single: SandboxPool) -> None:
    pieces = single.stream(jobs.stumble_after_one, Text("first"), seconds=60)
    assert await anext(pieces) == Text("first")
    with pytest.raises(SandboxError):
        await anext(pieces)


async def test_closing_a_stream_ends_its_job(single: SandboxPool, diary: Path) -> None:
    async with aclosing(single.stream(jobs.count, Count(str(diary), to=10**9), seconds=60)) as pieces:
        await anext(pieces)
    await asyncio.to_thread(wait_until, lambda: diary.read_text().endswith("x."))
    assert await single.run(jobs.echo, Text("next"), seconds=60) == Text("next")


async def test_a_job_waits_for_its_slow_reader_and_holds_up_no_other(pair: SandboxPool, diary: Path) -> None:
    work = Count(str(diary), to=WINDOW + 16, size=2**10)  # little work for its second
    async with aclosing(pair.stream(jobs.count, work, seconds=1.0)) as pieces:
        await anext(pieces)
        produced = "x" * (WINDOW + 1)  # the last piece waits for room in the window
        await until_written(diary, produced)
        for _ in range(20):
            assert await pair.run(jobs.echo, Text("quick"), seconds=60) == Text("quick")
        await asyncio.sleep(1.1)
        assert diary.read_text() == produced
        rest = [piece.number async for piece in pieces]
    assert rest == list(range(1, WINDOW + 16)), "the reader's time was taken for the job's"


async def test_a_reader_that_stops_forever_loses_its_place(impatient: SandboxPool, diary: Path) -> None:
    pieces = impatient.stream(jobs.count, Count(str(diary), to=10**9), seconds=60)
    await anext(pieces)
    assert await impatient.run(jobs.echo, Text("next"), seconds=60) == Text("next")
    with pytest.raises(SandboxError, match="not read in time"):
        [piece async for piece in pieces]


async def test_a_stalled_stream_is_stopped(single: SandboxPool, diary: Path) -> None:
    await single.run(jobs.echo, Text("started"), seconds=60)  # only the second piece is to be late
    pieces = single.stream(jobs.count, Count(str(diary), to=2, pause=30), seconds=60, idle_seconds=1)
    await anext(pieces)
    with pytest.raises(SandboxError, match="took too long"):
        await anext(pieces)


def test_a_stream_whose_loop_is_gone_is_stopped(single: SandboxPool, diary: Path) -> None:
    async def take_one() -> AsyncIterator[jobs.Numbered]:
        pieces = single.stream(jobs.count, Count(str(diary), to=10**9), seconds=60)
        await anext(pieces)
        return pieces

    asyncio.run(take_one())
    wait_until(lambda: diary.read_text().endswith("."))
    assert single.run_blocking(jobs.echo, Text("next"), seconds=60) == Text("next")


# --- closing ------------------------------------------------------------------------------------


async def test_closing_fails_waiting_jobs_and_the_pool_can_start_again(diary: Path) -> None:
    sandbox = SandboxPool(PoolConfig(name="closing"))
    waiting = [asyncio.create_task(sandbox.run(jobs.nap, Nap(str(diary), 30), seconds=60)) for _ in range(2)]
    await until_written(diary, "\n")
    await asyncio.to_thread(sandbox.close)
    for task in waiting:
        with pytest.raises(SandboxError, match="being stopped"):
            await task
    assert "sandbox-closing" not in {thread.name for thread in threading.enumerate()}
    await sandbox.warm_up()
    assert await sandbox.run(jobs.echo, Text("again"), seconds=60) == Text("again")
    await asyncio.to_thread(sandbox.close)
