"""Workers that are killed, and tasks that hang: the work is done in the end, once, and no process is left."""

import signal

import pytest

from media.models import Rendition
from tests.people import Person
from tests.services.processes import kill, lives
from tests.services.test_workers import ended, peaks_of
from tests.services.workers import PATIENCE, Plant, Process
from tests.serving import wait_until

pytestmark = pytest.mark.services

ONE_CHILD = ("--pool", "prefork", "--concurrency", "1")
ONE_THREAD = ("--pool", "threads", "--concurrency", "1")


def until_gone(*pids: int) -> None:
    wait_until(lambda: not any(lives(pid) for pid in pids), PATIENCE)


def kill_outright(worker: Process) -> None:
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()


@pytest.mark.parametrize("pool", [ONE_CHILD, ONE_THREAD], ids=["prefork", "threads"])
def test_what_a_killed_worker_had_is_delivered_to_another_at_once(
    works_on_rabbitmq: Plant, alice: Person, pool: tuple[str, ...]
) -> None:
    works, peaks = works_on_rabbitmq, peaks_of(alice)
    first = works.worker(*pool)
    works.make(peaks)
    hanging, children = first.hang_workshop(), first.pool
    kill_outright(first)
    until_gone(hanging, *children)
    works.worker(*ONE_THREAD)
    wait_until(lambda: ended(peaks), PATIENCE)
    assert Rendition.objects.values_list("state", "attempts").get(id=peaks) == ("ready", 2)


def test_what_a_killed_worker_had_is_found_by_the_sweep_where_the_broker_waits_for_an_hour(
    works_on_redis: Plant, alice: Person
) -> None:
    works, peaks = works_on_redis, peaks_of(alice)
    first = works.worker(*ONE_CHILD)
    works.make(peaks)
    hanging, children = first.hang_workshop(), first.pool
    kill_outright(first)
    until_gone(hanging, *children)
    works.worker(*ONE_THREAD)
    works.start(["beat", "--schedule", str(works.folder / "beat")])
    wait_until(lambda: ended(peaks), PATIENCE)
    assert Rendition.objects.values_list("state", "attempts").get(id=peaks) == ("ready", 2)


def test_what_a_killed_child_had_is_delivered_again_at_once(works: Plant, alice: Person) -> None:
    peaks = peaks_of(alice)
    worker = works.worker(*ONE_CHILD)
    works.make(peaks)
    hanging = worker.hang_workshop()
    [child] = worker.pool
    kill(child)
    until_gone(hanging, child)
    wait_until(lambda: ended(peaks), PATIENCE)
    assert Rendition.objects.values_list("state", "attempts").get(id=peaks) == ("ready", 2)


def test_what_kills_each_worker_that_takes_it_is_given_up(works_on_rabbitmq: Plant, alice: Person) -> None:
    works, peaks = works_on_rabbitmq, peaks_of(alice)
    Rendition.objects.filter(id=peaks).update(attempts=4)
    worker = works.worker(*ONE_CHILD)
    works.make(peaks)
    worker.hang_workshop()
    [child] = worker.pool
    kill(child)
    wait_until(lambda: ended(peaks), PATIENCE)
    given_up = Rendition.objects.get(id=peaks)
    assert (given_up.state, given_up.error) == ("failed", "The file could not be processed.")


def test_a_task_that_hangs_is_told_to_stop_and_its_work_is_tried_again(
    works_on_redis: Plant, alice: Person
) -> None:
    works, peaks = works_on_redis, peaks_of(alice)
    worker = works.worker(*ONE_CHILD)
    works.make(peaks, soft_time_limit=3, time_limit=60)
    hanging, pool = worker.hang_workshop(), worker.pool
    until_gone(hanging)
    wait_until(lambda: ended(peaks), PATIENCE)
    assert Rendition.objects.values_list("state", "attempts").get(id=peaks) == ("ready", 2)
    assert worker.pool == pool


def test_a_child_that_does_not_listen_is_killed_and_its_work_done_by_the_next(
    works_on_redis: Plant, alice: Person
) -> None:
    works, peaks = works_on_redis, peaks_of(alice)
    worker = works.worker(*ONE_CHILD)
    works.make(peaks, soft_time_limit=2, time_limit=4)
    hanging, [child] = worker.hang_workshop(), worker.pool
    kill(child, signal.SIGSTOP)
    until_gone(hanging, child)
    works.start(["beat", "--schedule", str(works.folder / "beat")])
    wait_until(lambda: ended(peaks), PATIENCE)
    assert Rendition.objects.values_list("state", "attempts").get(id=peaks) == ("ready", 2)
