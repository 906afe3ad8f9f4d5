"""A worker process's environment, files, limits and output."""

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from media.processing.sandbox import pools
from media.processing.sandbox.job_functions import Nothing, do_nothing
from media.processing.sandbox.pool import SandboxPool
from media.processing.sandbox.pool_config import PoolConfig
from tests.support import sandbox_jobs as jobs
from tests.support.sandbox_jobs import Surroundings, Text

MEMORY = 2**31


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxPool]:
    made = SandboxPool(
        PoolConfig(name="surroundings", memory=MEMORY, preload=("tests.support.nothing_there", "colorsys"))
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATABASE_URL", "SECRET_KEY", "OPENAI_API_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD"):
            patch.setenv(name, "hunter2")
        patch.setenv("LC_TIME", "C.UTF-8")
        patch.setenv("OMP_NUM_THREADS", "3")
        inherited = os.open(__file__, os.O_RDONLY)
        os.set_inheritable(inherited, True)
        yield made
        os.close(inherited)
        made.close()


@pytest.fixture
def seen(sandbox: SandboxPool) -> Surroundings:
    return sandbox.run_blocking(jobs.look_around, Text(""), seconds=20)


def test_a_workers_environment_holds_no_secret(seen: Surroundings) -> None:
    assert "hunter2" not in seen.environment.values()
    assert seen.environment["OMP_WAIT_POLICY"] == "passive"
    assert seen.environment["OMP_NUM_THREADS"] == "3"
    assert seen.environment["LC_TIME"] == "C.UTF-8"


def test_a_worker_leaves_no_telemetry_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    sandbox = SandboxPool(PoolConfig(name="quiet"))
    try:
        sandbox.run_blocking(jobs.open_onnx_model, Text(""), seconds=60)
    finally:
        sandbox.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_worker_has_only_its_own_files_open(seen: Surroundings) -> None:
    files = {number: name.split(":")[0] for number, name in seen.files.items() if "/proc/" not in name}
    assert sorted(files.values()) == ["/dev/null", "pipe", "pipe", "socket"]
    assert files[0] == "/dev/null"


def test_a_worker_has_limits_a_low_priority_and_its_own_session(seen: Surroundings) -> None:
    assert (seen.memory, seen.core) == (MEMORY, 0)
    assert seen.niceness >= min(19, os.nice(0) + 5)
    assert seen.session == seen.pid
    assert seen.parent == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel lets others change a group now and then only")
def test_a_workers_session_has_a_low_priority_too(seen: Surroundings) -> None:
    assert seen.session_niceness in (None, seen.niceness)


async def test_synthesis_has_the_same_priority_as_the_service() -> None:
    sandbox = SandboxPool(PoolConfig(name="test", niceness=pools.SYNTHESIS_NICENESS))
    try:
        assert (await sandbox.run(jobs.look_around, Text(""), seconds=20)).niceness == os.nice(0)
    finally:
        await asyncio.to_thread(sandbox.close)


def test_a_worker_preloads_what_it_can_but_no_django_and_no_settings(seen: Surroundings) -> None:
    assert "colorsys" in seen.modules
    assert not {name for name in seen.modules if name.split(".")[0] in ("django", "chatapi", "celery")}


def test_a_workers_output_goes_to_the_log_and_never_into_its_results(
    sandbox: SandboxPool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "media.processing.sandbox"):
        assert sandbox.run_blocking(jobs.chatter, Text("hello"), seconds=20) == Text("")
        sandbox.close()
    assert "hello by Python" in caplog.text
    assert "hello by a library" in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 600


async def test_the_three_pools_open_on_demand_and_close_together() -> None:
    for sandbox in (pools.files, pools.recognition, pools.synthesis):
        await sandbox.warm_up()
        assert await sandbox.run(do_nothing, Nothing(), seconds=20) == Nothing()
    await asyncio.to_thread(pools.close_all)
