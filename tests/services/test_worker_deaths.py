"""Workers that are killed and tasks that hang: the work is still done, once, and no process is left."""

import signal
from typing import Any
from uuid import UUID

import pytest

from media.models import Rendition
from tests.services.test_workers import ended, peaks_of
from tests.support.celery_workers import PATIENCE, CeleryCluster, Process
from tests.support.people import Person
from tests.support.processes import is_alive, kill
from tests.support.running_server import wait_until
from tests.support.sounds import wav

pytestmark = pytest.mark.services

ONE_CHILD = ("--pool", "prefork", "--concurrency", "1")
ONE_THREAD = ("--pool", "threads", "--concurrency", "1")


def until_gone(*pids: int) -> None:
    wait_until(lambda: not any(is_alive(pid) for pid in pids), PATIENCE)


def kill_outright(worker: Process) -> None:
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()


def hang(works: CeleryCluster, worker: Process, who: Person, **limits: Any) -> tuple[UUID, int]:
    """Have the worker take a rendition that hangs. Return its id, and that of the process working on it."""
    first = peaks_of(who, wav(bytes(2_000)))
    works.make_due()
    wait_until(lambda: ended(first), PATIENCE)
    [sandbox_worker] = worker.sandbox_workers
    kill(sandbox_worker, signal.SIGSTOP)
    hanging = peaks_of(who)
    works.make_due(**limits)
    wait_until(lambda: Rendition.objects.get(id=hanging).attempts, PATIENCE)
    return hanging, sandbox_worker


def assert_made_by_the_second(rendition: UUID) -> None:
    wait_until(lambda: ended(rendition), PATIENCE)
    assert Rendition.objects.values_list("state", "attempts").get(id=rendition) == ("ready", 2)


@pytest.mark.parametrize("pool", [ONE_CHILD, ONE_THREAD], ids=["prefork", "threads"])
def test_a_killed_workers_task_is_delivered_to_another_at_once(
    works_on_rabbitmq: CeleryCluster, alice: Person, pool: tuple[str, ...]
) -> None:
    works = works_on_rabbitmq
    first = works.worker(*pool)
    peaks, sandbox_worker = hang(works, first, alice)
    children = first.pool
    kill_outright(first)
    until_gone(sandbox_worker, *children)
    works.worker(*ONE_THREAD)
    assert_made_by_the_second(peaks)


def test_the_sweep_finds_a_killed_workers_task_where_the_broker_waits_for_an_hour(
    works_on_redis: CeleryCluster, alice: Person
) -> None:
    works = works_on_redis
    first = works.worker(*ONE_CHILD)
    peaks, sandbox_worker = hang(works, first, alice)
    children = first.pool
    kill_outright(first)
    until_gone(sandbox_worker, *children)
    works.worker(*ONE_THREAD)
    works.start(["beat", "--schedule", str(works.folder / "beat")])
    assert_made_by_the_second(peaks)


def test_a_killed_childs_task_is_delivered_again_at_once(works: CeleryCluster, alice: Person) -> None:
    worker = works.worker(*ONE_CHILD)
    peaks, sandbox_worker = hang(works, worker, alice)
    [child] = worker.pool
    kill(child)
    until_gone(sandbox_worker, child)
    assert_made_by_the_second(peaks)


def test_a_task_that_kills_each_worker_is_given_up(works_on_rabbitmq: CeleryCluster, alice: Person) -> None:
    works = works_on_rabbitmq
    worker = works.worker(*ONE_CHILD)
    peaks, _ = hang(works, worker, alice)
    Rendition.objects.filter(id=peaks).update(attempts=5)
    [child] = worker.pool
    kill(child)
    wait_until(lambda: ended(peaks), PATIENCE)
    given_up = Rendition.objects.get(id=peaks)
    assert (given_up.state, given_up.error) == ("failed", "The file could not be processed.")


def test_a_task_that_hangs_is_told_to_stop_and_its_work_is_tried_again(
    works_on_redis: CeleryCluster, alice: Person
) -> None:
    works = works_on_redis
    worker = works.worker(*ONE_CHILD, CHATAPI_TEST_BACK_OFF="4")  # longer than its child has to end
    peaks, sandbox_worker = hang(works, worker, alice, soft_time_limit=2, time_limit=60)
    pool = worker.pool
    until_gone(sandbox_worker)
    assert_made_by_the_second(peaks)
    assert worker.pool == pool


def test_a_child_that_does_not_listen_is_killed_and_its_work_done_by_the_next(
    works_on_redis: CeleryCluster, alice: Person
) -> None:
    works = works_on_redis
    worker = works.worker(*ONE_CHILD)
    peaks, sandbox_worker = hang(works, worker, alice, soft_time_limit=5, time_limit=8)
    [child] = worker.pool
    kill(child, signal.SIGSTOP)
    until_gone(sandbox_worker, child)
    works.start(["beat", "--schedule", str(works.folder / "beat")])
    assert_made_by_the_second(peaks)
