"""The order of queued renditions when more are requested than can be created at once."""

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync

from chatapi.celery import app as celery_app
from chatapi.serving.embedded_worker import EmbeddedWorker
from core.blob import Blob
from media.models import Rendition, asset_id, rendition_id
from media.renditions import due_renditions, tasks, wait
from media.renditions.due_renditions import RenditionResult
from media.renditions.fair_queue import CAPACITIES, THREADS, Lane, RenditionQueue, RenditionRequest, lane_of
from media.services import StoredFile, register_files
from tests.support.people import Person
from tests.support.running_server import embedded_worker, wait_until

ALICE, BOB, CHARLIE = uuid4(), uuid4(), uuid4()
SLOW_SECONDS = 0.5
MANY = 60


def new_request(
    workspace: UUID, lane: Lane = Lane.RECOGNITION, *, is_awaited: bool = False
) -> RenditionRequest:
    return RenditionRequest(uuid4(), workspace, lane, is_awaited)


def ask_all(rendition_queue: RenditionQueue, *requests: RenditionRequest) -> list[RenditionRequest]:
    for request in requests:
        rendition_queue.add(request)
    return list(requests)


def take_all(rendition_queue: RenditionQueue) -> list[RenditionRequest]:
    return list(iter(rendition_queue.take, None))


def take_one_by_one(rendition_queue: RenditionQueue) -> list[RenditionRequest]:
    order = []
    while request := rendition_queue.take():
        order.append(request)
        rendition_queue.finish(request)
    return order


# --- the order --------------------------------------------------------------------------------------


def test_workspaces_are_served_alternately() -> None:
    rendition_queue = RenditionQueue()
    hers = ask_all(rendition_queue, *(new_request(ALICE) for _ in range(4)))
    [his] = ask_all(rendition_queue, new_request(CHARLIE))
    assert take_one_by_one(rendition_queue) == [hers[0], his, *hers[1:]]


def test_background_recognition_leaves_room_for_awaited_renditions() -> None:
    rendition_queue = RenditionQueue()
    hers = ask_all(rendition_queue, *(new_request(ALICE) for _ in range(9)))
    assert take_all(rendition_queue) == hers[: CAPACITIES[Lane.RECOGNITION].background]
    awaited = ask_all(
        rendition_queue, new_request(ALICE, is_awaited=True), new_request(BOB, Lane.QUICK, is_awaited=True)
    )
    assert take_all(rendition_queue) == [awaited[1], awaited[0]]


def test_freed_room_goes_to_an_awaited_rendition_first() -> None:
    rendition_queue = RenditionQueue()
    ask_all(
        rendition_queue,
        *(new_request(ALICE) for _ in range(9)),
        *(new_request(ALICE, is_awaited=True) for _ in range(3)),
    )
    first, *_ = running = take_all(rendition_queue)
    [late] = ask_all(rendition_queue, new_request(CHARLIE, is_awaited=True))
    for request in running:
        rendition_queue.finish(request)
    assert first.is_awaited
    assert rendition_queue.take() == late


def test_a_queued_rendition_goes_first_once_an_answer_waits_for_it() -> None:
    rendition_queue = RenditionQueue()
    hers = ask_all(rendition_queue, *(new_request(ALICE) for _ in range(9)))
    running = take_all(rendition_queue)
    ask_all(rendition_queue, RenditionRequest(hers[8].id, ALICE, Lane.RECOGNITION, is_awaited=True))
    for request in running:
        assert not rendition_queue.finish(request)
    assert [request.id for request in take_one_by_one(rendition_queue)] == [
        hers[8].id,
        *(request.id for request in hers[2:8]),
    ]


def test_a_running_rendition_becomes_awaited_when_an_answer_starts_to_wait() -> None:
    rendition_queue = RenditionQueue()
    ask_all(rendition_queue, sound := new_request(ALICE, Lane.LONG))
    assert take_all(rendition_queue) == [sound]
    ask_all(rendition_queue, RenditionRequest(sound.id, ALICE, Lane.LONG, is_awaited=True))
    assert rendition_queue.finish(sound)


def test_a_rendition_requested_twice_is_taken_once() -> None:
    rendition_queue = RenditionQueue()
    request = new_request(ALICE)
    ask_all(rendition_queue, request, request)
    assert take_all(rendition_queue) == [request]


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


def test_an_embedded_worker_has_more_threads_than_the_queue_uses() -> None:
    assert sum(places.all for places in CAPACITIES.values()) < THREADS


# --- with a worker ----------------------------------------------------------------------------------


@pytest.fixture
def worker(transactional_db: None) -> Iterator[EmbeddedWorker]:
    """The service's own embedded worker."""
    with embedded_worker(celery_app.conf.beat_schedule) as worker:
        yield worker


@pytest.fixture
def slow_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(_: Rendition) -> RenditionResult:
        time.sleep(SLOW_SECONDS)
        return RenditionResult(content={"text": "heard"})

    def at_once(_: Rendition) -> RenditionResult:
        return RenditionResult("image/png", 1)

    monkeypatch.setattr(due_renditions, "MAKERS", {"transcript": slowly, "picture": at_once, "wav": at_once})
    monkeypatch.setattr(tasks, "queue", RenditionQueue())


def file_of(who: Person, name: str, *kinds: str) -> UUID:
    register_files([(who.workspace.id, StoredFile(Blob(name, "audio/wav", 1), renditions=kinds))])
    return asset_id(who.workspace.id, name)


def seconds_until_ready(asset: UUID, kind: str) -> float:
    began = time.monotonic()
    rendition = Rendition(id=rendition_id(asset, kind), asset_id=asset, kind=kind)
    async_to_sync(wait.wait_for_renditions)([rendition], seconds=MANY * SLOW_SECONDS)
    return time.monotonic() - began


@pytest.mark.usefixtures("slow_ears")
def test_one_workspaces_sounds_delay_neither_pictures_nor_anybody_elses_sounds(
    worker: EmbeddedWorker, alice: Person, charlie: Person
) -> None:
    for number in range(MANY):
        tasks.enqueue([rendition_id(file_of(alice, f"sound {number}", "transcript"), "transcript")])
    ready = Rendition.objects.filter(kind="transcript", state="ready")
    wait_until(ready.exists)
    pictures = [file_of(who, "a picture", "picture") for who in (charlie, alice)]
    assert max(seconds_until_ready(asset, "picture") for asset in pictures) < 2
    assert seconds_until_ready(file_of(charlie, "a sound", "transcript"), "transcript") < 4
    assert seconds_until_ready(file_of(alice, "another", "transcript"), "transcript") < 4
    unawaited = rendition_id(file_of(charlie, "his other", "transcript"), "transcript")
    tasks.enqueue([unawaited])
    wait_until(ready.filter(id=unawaited).exists, 4)
    assert ready.count() < MANY / 2, "hers were made meanwhile"
    Rendition.objects.filter(state="pending").delete()
