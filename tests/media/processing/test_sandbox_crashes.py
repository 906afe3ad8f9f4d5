"""Worker processes that crash, hang, use too much memory or lose their parent, and which job is blamed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.child_process import child_command
from media.processing.sandbox import protocol
from media.processing.sandbox.exceptions import JobInterrupted, SandboxError
from media.processing.sandbox.pool import SandboxPool
from media.processing.sandbox.pool_config import PoolConfig
from tests.support import sandbox_jobs as jobs
from tests.support.processes import children, is_alive
from tests.support.running_server import wait_until
from tests.support.sandbox_jobs import Count, Data, Nap, Number, Text

Make = Callable[..., SandboxPool]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SandboxPool] = []

    def sandbox(**settings: Any) -> SandboxPool:
        made.append(SandboxPool(PoolConfig(name="ends", **settings)))
        return made[-1]

    yield sandbox
    for each in made:
        each.close()


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary"
    path.touch()
    return path


def pid_of(sandbox: SandboxPool) -> int:
    return sandbox.run_blocking(jobs.look_around, Text(""), seconds=60).pid


# --- crashes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "how"),
    [
        (jobs.exit_at_once, "exit status 3"),
        (jobs.abort, "signal SIGABRT"),
        (jobs.crash, "signal SIGSEGV"),
        (jobs.be_killed, "signal SIGKILL"),
    ],
)
def test_a_job_that_kills_its_worker_fails_once_and_the_next_gets_a_new_one(
    make: Make, diary: Path, caplog: pytest.LogCaptureFixture, job: Callable[[Nap], Number], how: str
) -> None:
    sandbox = make()
    first = pid_of(sandbox)
    with pytest.raises(SandboxError) as failed:
        sandbox.run_blocking(job, Nap(str(diary)), seconds=60)
    assert failed.value.message == "The file could not be processed."
    assert f"ends[{first}] ended at work on tests.support.sandbox_jobs:{job.__name__}: {how}" in caplog.text
    assert diary.read_text() == "\n", "it ran more than once, though it was alone"
    assert pid_of(sandbox) != first


def test_the_log_of_a_crash_has_the_last_output_and_the_traceback(
    make: Make, diary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = make()
    for job in (jobs.exit_at_once, jobs.crash):
        with pytest.raises(SandboxError):
            sandbox.run_blocking(job, Nap(str(diary)), seconds=60)
    words, place = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert words.endswith("\nthe last words")
    assert "Segmentation fault" in place
    assert "in crash" in place


def test_jobs_beside_a_crash_are_rerun_alone_and_only_the_guilty_one_fails(make: Make, diary: Path) -> None:
    sandbox = make(threads=2)
    with ThreadPoolExecutor(2) as threads:
        nap = Nap(str(diary), 15, "nap")
        innocent = threads.submit(sandbox.run_blocking, jobs.nap_at_first, nap, seconds=60)
        wait_until(lambda: diary.read_text() == "nap\n")
        guilty = threads.submit(sandbox.run_blocking, jobs.abort, Nap(str(diary), 0, "abort"), seconds=60)
        assert innocent.result(60).number > 0
        with pytest.raises(SandboxError):
            guilty.result(60)
    assert diary.read_text() == "nap\nabort\nnap\nabort\n"


async def test_a_stream_that_has_started_is_not_rerun(make: Make, diary: Path, tmp_path: Path) -> None:
    sandbox = make(threads=2)
    pieces = sandbox.stream(jobs.count, Count(str(diary), to=2, pause=30), seconds=60)
    await anext(pieces)
    with pytest.raises(SandboxError):
        await sandbox.run(jobs.abort, Nap(str(tmp_path / "other")), seconds=60)
    with pytest.raises(SandboxError):
        await anext(pieces)
    assert diary.read_text() == "x"


async def test_a_job_run_alone_gets_its_own_worker_beside_the_others(make: Make, diary: Path) -> None:
    sandbox = make(threads=2)
    first = await asyncio.to_thread(pid_of, sandbox)
    long = sandbox.run(jobs.nap_at_first, Nap(str(diary), 15, "nap"), seconds=60)
    async with asyncio.TaskGroup() as group:
        nap = group.create_task(long)
        await asyncio.to_thread(wait_until, lambda: diary.read_text() == "nap\n")
        pieces = sandbox.stream(jobs.count, Count(str(diary), to=2, pause=1), seconds=60, alone=True)
        await anext(pieces)
        assert await asyncio.to_thread(pid_of, sandbox) == first
        with pytest.raises(SandboxError):
            await sandbox.run(jobs.abort, Nap(str(diary), 0, "abort"), seconds=60)
        assert (await anext(pieces)).number == 1, "it was not in that child"
        await pieces.aclose()
        assert (await nap).number != first, "repeated"


# --- time ---------------------------------------------------------------------------------------


def test_a_job_past_its_time_is_killed_and_the_innocent_one_beside_it_is_rerun(
    make: Make, diary: Path, tmp_path: Path
) -> None:
    sandbox = make(threads=2)
    other = tmp_path / "other"
    with ThreadPoolExecutor(2) as threads:
        nap = Nap(str(diary), 15, "nap")
        innocent = threads.submit(sandbox.run_blocking, jobs.nap_at_first, nap, seconds=60)
        wait_until(lambda: diary.read_text() == "nap\n")
        late = threads.submit(sandbox.run_blocking, jobs.hold_the_lock, Nap(str(other), 30), seconds=2)
        with pytest.raises(SandboxError, match="The file took too long to process"):
            late.result(60)
        killed = int(other.read_text())
        assert innocent.result(60).number != killed
    assert diary.read_text() == "nap\nnap\n"
    assert not is_alive(killed)


async def test_a_stream_beside_a_late_job_is_not_blamed(make: Make, tmp_path: Path) -> None:
    sandbox = make(threads=2)
    pieces = sandbox.stream(jobs.count, Count(str(tmp_path / "count"), to=2, pause=30), seconds=60)
    await anext(pieces)
    with pytest.raises(SandboxError, match="took too long") as late:
        await sandbox.run(jobs.nap, Nap(str(tmp_path / "nap"), 30), seconds=0.3)
    assert not isinstance(late.value, JobInterrupted)
    with pytest.raises(JobInterrupted):
        await anext(pieces)


def test_a_job_interrupted_by_closing_the_sandbox_is_not_blamed(make: Make, diary: Path) -> None:
    sandbox = make()
    with ThreadPoolExecutor(1) as threads:
        nap = threads.submit(sandbox.run_blocking, jobs.nap, Nap(str(diary), 30), seconds=60)
        wait_until(lambda: diary.read_text() == "\n")
        sandbox.close()
        with pytest.raises(JobInterrupted):
            nap.result(60)


def test_waiting_for_a_worker_does_not_count_toward_a_jobs_time(make: Make, diary: Path) -> None:
    sandbox = make()
    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(sandbox.run_blocking, jobs.nap, Nap(str(diary), 2), seconds=60)
        wait_until(lambda: diary.read_text() == "\n")
        short = threads.submit(sandbox.run_blocking, jobs.nap, Nap(str(diary)), seconds=1.5)
        assert short.result(60) == long.result(60), "not in the same worker"


async def test_an_abandoned_job_that_keeps_running_is_killed(make: Make, diary: Path) -> None:
    sandbox = make(abandoned_seconds=0.1)
    task = asyncio.create_task(sandbox.run(jobs.nap, Nap(str(diary), 30), seconds=60))
    await asyncio.to_thread(wait_until, lambda: diary.read_text() == "\n")
    task.cancel()
    assert await sandbox.run(jobs.echo, Text("next"), seconds=60) == Text("next")


# --- memory and idle workers --------------------------------------------------------------------


def test_exceeding_the_memory_limit_fails_the_job_and_the_next_gets_a_new_worker(make: Make) -> None:
    sandbox = make(memory=2**30)
    assert sandbox.run_blocking(jobs.allocate, Number(2**28), seconds=60) == Number(2**28)
    before = pid_of(sandbox)
    with pytest.raises(SandboxError):
        sandbox.run_blocking(jobs.allocate, Number(2**30), seconds=60)
    assert pid_of(sandbox) != before


def test_a_job_out_of_memory_is_rerun_alone_and_the_others_are_not_disturbed(make: Make, diary: Path) -> None:
    sandbox = make(memory=2**30, threads=2)
    with ThreadPoolExecutor(2) as threads:
        innocent = threads.submit(sandbox.run_blocking, jobs.nap, Nap(str(diary), 0.5), seconds=60)
        wait_until(lambda: diary.read_text() == "\n")
        with pytest.raises(SandboxError):
            sandbox.run_blocking(jobs.allocate, Number(2**30), seconds=60)
        assert innocent.result(60).number != pid_of(sandbox)
    assert diary.read_text() == "\n"


def test_an_idle_worker_is_stopped_and_restarted_on_demand(make: Make) -> None:
    sandbox = make(idle_seconds=0.05)  # shorter than a start takes
    first = pid_of(sandbox)
    wait_until(lambda: not is_alive(first))
    assert pid_of(sandbox) != first


def test_killing_an_idle_worker_fails_no_job(make: Make) -> None:
    sandbox = make()
    first = pid_of(sandbox)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{first}").exists())
    assert pid_of(sandbox) != first


def test_a_worker_that_cannot_start_fails_its_jobs_and_the_next_job_tries_again(
    make: Make, tmp_path: Path
) -> None:
    ordinary = child_command("media.processing.sandbox.worker")
    python = tmp_path / "python"
    sandbox = make(command=(str(python), *ordinary[1:]))
    with pytest.raises(SandboxError):
        pid_of(sandbox)
    python.symlink_to("/bin/false")
    with pytest.raises(SandboxError):
        pid_of(sandbox)
    python.unlink()
    python.touch(0o700)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    assert pid_of(sandbox) > 0


# --- a compromised worker -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(b"\xff\xff\xff\xff", id="an endless frame"),
        pytest.param(b"\0\0\0\x02{}", id="another language"),
        pytest.param(
            bytes(protocol.pack(protocol.JobDone(10**6, msgspec.Raw(b"\xc0")))), id="a call of nobody's"
        ),
        pytest.param(
            bytes(protocol.pack(protocol.Piece(0, msgspec.Raw(b"\xc0")))) * 100, id="unasked pieces"
        ),
    ],
)
def test_a_worker_that_violates_the_protocol_is_killed(
    make: Make, caplog: pytest.LogCaptureFixture, forged: bytes
) -> None:
    sandbox = make()
    before = pid_of(sandbox)
    with pytest.raises(SandboxError):
        sandbox.run_blocking(jobs.impersonate, Data(forged), seconds=20)
    assert "broke the rules" in caplog.text
    assert not is_alive(before)


# --- parent processes ---------------------------------------------------------------------------


def run_script(script: str, *arguments: str) -> subprocess.Popen[str]:
    preface = (
        "import os, sys, time\n"
        "from media.processing.sandbox.pool import SandboxPool\n"
        "from media.processing.sandbox.pool_config import PoolConfig\n"
        "from tests.support import sandbox_jobs as jobs\n"
        "sandbox = SandboxPool(PoolConfig(name='script'))\n"
        "def about(): return sandbox.run_blocking(jobs.look_around, jobs.Text(''), seconds=20)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", preface + script, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_the_worker_ends_when_its_parent_exits() -> None:
    with run_script("print(about().pid)") as parent:
        out, _ = parent.communicate(timeout=20)
    assert parent.returncode == 0
    wait_until(lambda: not is_alive(int(out)))


def test_a_parent_killed_during_a_job_leaves_no_worker(diary: Path) -> None:
    """Not even a worker too busy to notice, or one whose link a fork keeps open."""
    script = (
        "about()\n"
        "if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "sandbox.run_blocking(jobs.hold_the_lock, jobs.Nap(sys.argv[1], 30), seconds=60)\n"
    )
    with run_script(script, str(diary)) as parent:
        wait_until(lambda: diary.read_text().endswith("\n"))
        worker = int(diary.read_text())
        assert is_alive(worker)
        (fork,) = [pid for pid in children(parent.pid) if pid != worker]
        parent.kill()
        try:
            wait_until(lambda: not is_alive(worker))
        finally:
            os.kill(fork, signal.SIGKILL)


def test_after_a_fork_each_process_has_its_own_workers() -> None:
    script = (
        "from pathlib import Path\n"
        "def sockets():\n"
        "    entries = [entry for entry in Path('/proc/self/fd').iterdir() if entry.is_symlink()]\n"
        "    return sum('socket' in str(entry.readlink()) for entry in entries)\n"
        "first = about()\n"
        "assert sockets() > 0\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    assert sockets() == 0\n"
        "    own = about()\n"
        "    assert own.parent == os.getpid() and own.pid != first.pid\n"
        "    sandbox.close()\n"
        "    os._exit(0)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "assert about().pid == first.pid\n"
    )
    with run_script(script) as parent:
        assert parent.wait(timeout=30) == 0
