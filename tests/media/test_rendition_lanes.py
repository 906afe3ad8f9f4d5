"""The order of work when more renditions are due than can be created at once."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, connection

from chatapi.celery import app as celery_app
from chatapi.serving.embedded_worker import EmbeddedWorker
from core.blob import Blob
from media.models import Rendition, asset_id, lane_of, rendition_id
from media.renditions import due_renditions, tasks, wait
from media.renditions.lanes import CAPACITIES, THREADS, Lane, Lanes, Priority
from media.renditions.makers import RenditionResult
from media.renditions.tasks import RenditionWorker, WorkerNotifier
from media.services import StoredFile, register_files
from tests.support.people import Person
from tests.support.running_server import embedded_worker, wait_until, without_worker

SLOW_SECONDS = 0.5
MANY = 200
KINDS = {Lane.QUICK: "opus", Lane.LONG: "opus", Lane.RECOGNITION: "transcript"}


@pytest.fixture(scope="module", autouse=True)
def no_other_worker() -> Iterator[None]:
    """Keep the worker that stories have started in this process from taking what is due here."""
    with without_worker():
        yield


def file_of(who: Person, name: str, *kinds: str, milliseconds: int = 1000) -> UUID:
    file = StoredFile(Blob(name, "audio/wav", 1), milliseconds=milliseconds, renditions=kinds)
    register_files([(who.workspace.id, file)])
    return asset_id(who.workspace.id, name)


def due(
    who: Person, count: int, lane: Lane = Lane.RECOGNITION, priority: Priority = Priority.BACKGROUND
) -> list[UUID]:
    """Have so many renditions be due; their sources are ready."""
    name, kind = f"{lane} {priority}", KINDS[lane]
    milliseconds = 400_000 if lane == Lane.LONG else 1000
    assets = [file_of(who, f"{name} {n}", kind, milliseconds=milliseconds) for n in range(count)]
    ids = [rendition_id(asset, kind) for asset in assets]
    Rendition.objects.filter(id__in=ids).update(priority=priority)
    Rendition.objects.filter(kind="wav").update(state="ready")
    return ids


def take_all(lanes: Lanes, priorities: Sequence[Priority] = tuple(Priority)) -> list[Rendition]:
    return list(iter(lambda: lanes.take(priorities), None))


def take_one_by_one(lanes: Lanes) -> list[Rendition]:
    order = []
    while rendition := lanes.take():
        order.append(rendition)
        lanes.leave(rendition)
    return order


def ids_of(renditions: Iterable[Rendition]) -> list[UUID]:
    return [rendition.id for rendition in renditions]


def seconds_until_ready(asset: UUID, kind: str, seconds: float = MANY * SLOW_SECONDS) -> float:
    """Wait for a rendition as an answer does."""
    began = time.monotonic()
    rendition = Rendition(id=rendition_id(asset, kind), asset_id=asset, kind=kind)
    async_to_sync(wait.wait_for_renditions)([rendition], seconds=seconds)
    return time.monotonic() - began


# --- the order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", Priority)
def test_workspaces_are_served_alternately(alice: Person, charlie: Person, priority: Priority) -> None:
    hers = due(alice, 4, priority=priority)
    his = due(charlie, 2, priority=priority)
    order = take_one_by_one(Lanes())
    assert {order[0].workspace_id, order[1].workspace_id} == {alice.workspace.id, charlie.workspace.id}
    assert order[0].workspace_id == order[2].workspace_id
    assert [id for id in ids_of(order) if id in hers] == hers, "the oldest first"
    assert [id for id in ids_of(order) if id in his] == his


def test_background_recognition_leaves_room_for_awaited_renditions(alice: Person, bob: Person) -> None:
    lanes, hers = Lanes(), due(alice, 9)
    assert ids_of(take_all(lanes)) == hers[: CAPACITIES[Lane.RECOGNITION].background]
    heard = due(alice, 1, priority=Priority.AWAITED)
    quick = due(bob, 1, Lane.QUICK, Priority.AWAITED)
    assert ids_of(take_all(lanes)) == [*quick, *heard]


def test_freed_room_goes_to_an_awaited_rendition_first(alice: Person, charlie: Person) -> None:
    lanes = Lanes()
    due(alice, 9)
    awaited = due(alice, 3, priority=Priority.AWAITED)
    running = take_all(lanes)
    assert ids_of(running) == awaited
    [late] = due(charlie, 1, priority=Priority.AWAITED)
    for rendition in running:
        lanes.leave(rendition)
    taken = lanes.take()
    assert taken
    assert taken.id == late


def test_a_rendition_goes_first_with_its_source_once_an_answer_waits_for_it(
    transactional_db: None, alice: Person
) -> None:
    due(alice, 9)
    asset = file_of(alice, "late", "transcript")
    with pytest.raises(wait.RenditionTimeout):
        seconds_until_ready(asset, "transcript", seconds=0)
    first, second, *_ = take_one_by_one(Lanes())
    assert ids_of([first, second]) == [rendition_id(asset, kind) for kind in ("wav", "transcript")]


def test_what_waits_for_its_source_holds_up_nobody(alice: Person) -> None:
    [waiting, next_one] = due(alice, 2)
    Rendition.objects.filter(id=waiting).update(due_at=None)
    assert ids_of(take_all(Lanes())) == [next_one]


@pytest.mark.parametrize(
    ("kind", "milliseconds", "lane"),
    [
        ("picture-512", None, Lane.QUICK),
        ("wav", 60_000, Lane.QUICK),
        ("wav", 7_200_000, Lane.LONG),
        ("text", None, Lane.RECOGNITION),
        ("transcript", 1000, Lane.RECOGNITION),
    ],
)
def test_the_lane_depends_on_the_kind_and_the_length(kind: str, milliseconds: int | None, lane: Lane) -> None:
    assert lane_of(kind, milliseconds) == lane


def test_an_embedded_worker_has_more_threads_than_the_lanes_use() -> None:
    assert sum(places.all for places in CAPACITIES.values()) < THREADS


# --- several processes ------------------------------------------------------------------------------


def test_what_one_process_has_no_room_for_another_takes(alice: Person) -> None:
    hers = due(alice, 3)
    busy, idle = Lanes(), Lanes()
    assert ids_of(take_all(busy)) == hers[:2]
    assert ids_of(take_all(idle)) == hers[2:]


def test_processes_that_take_at_once_never_take_the_same(transactional_db: None, alice: Person) -> None:
    hers, taken = due(alice, 40, Lane.QUICK), []

    def process() -> None:
        try:
            taken.extend(take_one_by_one(Lanes()))
        finally:
            connection.close()

    processes = [threading.Thread(target=process) for _ in range(4)]
    for thread in processes:
        thread.start()
    for thread in processes:
        thread.join()
    assert sorted(ids_of(taken)) == sorted(hers)


def test_more_threads_than_connections_never_wait_for_each_other(
    transactional_db: None, alice: Person, charlie: Person
) -> None:
    for who, lane, priority in product((alice, charlie), Lane, Priority):
        due(who, 8, lane, priority)
    worker = RenditionWorker(dict.fromkeys(MAKERS, without_connection), WorkerNotifier(Sent()))
    pending = Rendition.objects.filter(state="pending")
    failures: list[Exception] = []

    def take_messages() -> None:
        try:
            while pending.exists():
                connection.close()
                worker.work(*Priority)
        except DatabaseError as failure:  # no connection in ten seconds
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=take_messages) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# --- messages ---------------------------------------------------------------------------------------


class Sent:
    """A recorder in place of sending messages to the broker."""

    def __init__(self) -> None:
        self.messages: list[tuple[Priority, float]] = []
        self.error: Exception | None = None
        self.tries = 0

    def __call__(self, priority: Priority, seconds: float) -> None:
        self.tries += 1
        if self.error:
            raise self.error
        self.messages.append((priority, seconds))


@pytest.fixture
def sent() -> Sent:
    return Sent()


def at_once(_: Rendition) -> RenditionResult:
    return RenditionResult("image/png", 1)


def slowly(_: Rendition) -> RenditionResult:
    time.sleep(SLOW_SECONDS)
    return RenditionResult(content={"text": "heard"})


def without_connection(_: Rendition) -> RenditionResult:
    """Take a moment, and no connection meanwhile, as the real makers do."""
    connection.close()
    time.sleep(0.002)
    return RenditionResult("image/png", 1)


MAKERS = {"transcript": slowly, "picture": at_once, "wav": at_once, "opus": at_once}


def test_one_message_is_enough_for_all_that_is_due(alice: Person, charlie: Person, sent: Sent) -> None:
    due(alice, 5, Lane.QUICK)
    due(charlie, 3, Lane.LONG)
    RenditionWorker(MAKERS, WorkerNotifier(sent)).work(*Priority)
    assert not Rendition.objects.filter(state="pending").exists()
    assert sent.messages == []


def test_a_worker_that_is_kept_for_answers_does_nothing_else(alice: Person, sent: Sent) -> None:
    background, awaited = due(alice, 1, Lane.QUICK), due(alice, 1, Lane.LONG, Priority.AWAITED)
    RenditionWorker(MAKERS, WorkerNotifier(sent)).work(Priority.AWAITED)
    assert ids_of(Rendition.objects.filter(state="ready")) == awaited
    assert ids_of(Rendition.objects.filter(state="pending")) == background


def test_what_found_no_place_beside_answers_is_asked_for_when_they_are_done(
    alice: Person, sent: Sent
) -> None:
    """Its own message was used up when it came: without another it would wait for the sweep."""
    background, awaited = due(alice, 1, Lane.QUICK), due(alice, 2, Lane.QUICK, Priority.AWAITED)
    lanes = Lanes()
    neighbor = lanes.take([Priority.AWAITED])
    assert neighbor

    def meanwhile(rendition: Rendition) -> RenditionResult:
        threads.work(*Priority)
        return at_once(rendition)

    threads = RenditionWorker({"opus": meanwhile}, WorkerNotifier(sent), lanes)
    threads.work(Priority.AWAITED)
    assert sent.messages == [(Priority.BACKGROUND, 0)]
    threads.work(Priority.AWAITED)
    assert len(sent.messages) == 1, "once is enough"
    assert set(ids_of(Rendition.objects.filter(state="pending"))) == {*background, neighbor.id}
    assert neighbor.id in awaited
    lanes.leave(neighbor)
    threads.work(*Priority)
    assert ids_of(Rendition.objects.filter(state="pending")) == [neighbor.id]


def test_a_transcript_is_asked_for_as_urgently_as_it_has_become(alice: Person, sent: Sent) -> None:
    transcript = rendition_id(file_of(alice, "a", "transcript"), "transcript")
    Rendition.objects.filter(id=transcript).update(due_at=None)

    def meanwhile(rendition: Rendition) -> RenditionResult:
        Rendition.objects.update(priority=Priority.AWAITED)
        return at_once(rendition)

    makers = {"wav": meanwhile, "transcript": at_once}
    RenditionWorker(makers, WorkerNotifier(sent)).work(*Priority)
    assert sent.messages == [(Priority.AWAITED, 0)]


def test_a_message_delivered_again_comes_back_when_a_dead_workers_lease_has_ended(
    alice: Person, sent: Sent
) -> None:
    due(alice, 1)
    assert Lanes().take(), "by a worker that died then"
    worker = RenditionWorker(MAKERS, WorkerNotifier(sent))
    worker.work(*Priority)
    assert sent.messages == []
    worker.work(*Priority, is_redelivered=True)
    assert sent.messages == [(Priority.BACKGROUND, due_renditions.LEASE.total_seconds())]


def test_an_unreachable_broker_is_left_alone_for_a_while(sent: Sent) -> None:
    notify, sent.error = WorkerNotifier(sent), ConnectionRefusedError()
    notify(3)
    notify(3)
    assert sent.tries == 1


def test_a_thousand_renditions_need_only_a_few_messages(sent: Sent) -> None:
    WorkerNotifier(sent)(1000, Priority.AWAITED, seconds=6)
    assert sent.messages == [(Priority.AWAITED, 6)] * tasks.MAX_MESSAGES


# --- with a worker ----------------------------------------------------------------------------------


@pytest.fixture
def worker(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedWorker]:
    """The service's own embedded worker, to which a transcript takes a while and all else nothing."""
    monkeypatch.setattr(tasks, "worker", RenditionWorker(MAKERS))
    with embedded_worker(celery_app.conf.beat_schedule) as worker:
        yield worker


def test_one_workspaces_sounds_delay_neither_pictures_nor_anybody_elses_sounds(
    worker: EmbeddedWorker, alice: Person, charlie: Person
) -> None:
    for number in range(MANY):
        file_of(alice, f"sound {number}", "transcript")
        tasks.notify_workers(2)
    ready = Rendition.objects.filter(kind="transcript", state="ready")
    wait_until(ready.exists)
    pictures = [file_of(who, "a picture", "picture") for who in (charlie, alice)]
    assert max(seconds_until_ready(asset, "picture") for asset in pictures) < 10
    assert seconds_until_ready(file_of(charlie, "a sound", "transcript"), "transcript") < 10
    assert seconds_until_ready(file_of(alice, "another", "transcript"), "transcript") < 10
    unawaited = rendition_id(file_of(charlie, "his other", "transcript"), "transcript")
    tasks.notify_workers(2)
    wait_until(ready.filter(id=unawaited).exists, 10)
    assert ready.count() < MANY, "all of hers were made first"
    Rendition.objects.filter(state="pending").delete()
