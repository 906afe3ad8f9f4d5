"""Whose turn it is, where more is asked for than can be made at once."""

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync

from chatapi.celery import app as celery_app
from chatapi.serving.embedded_worker import EmbeddedWorker
from core.values import Blob
from media.models import Rendition, asset_id, rendition_id
from media.renditions import service, tasks, wait
from media.renditions.queue import CAPACITIES, THREADS, Lane, RenditionQueue, RenditionRequest, lane_of
from media.renditions.service import RenditionResult
from media.services import StoredFile, register
from tests.support.people import Person
from tests.support.running_server import embedded_worker, wait_until

ALICE, BOB, CHARLIE = uuid4(), uuid4(), uuid4()
SLOW_SECONDS = 0.5
MANY = 60


def wish(workspace: UUID, lane: Lane = Lane.RECOGNITION, *, is_awaited: bool = False) -> RenditionRequest:
    return RenditionRequest(uuid4(), workspace, lane, is_awaited)


def asked(turns: RenditionQueue, *wishes: RenditionRequest) -> list[RenditionRequest]:
    for one in wishes:
        turns.ask(one)
    return list(wishes)


def taken(turns: RenditionQueue) -> list[RenditionRequest]:
    return list(iter(turns.take, None))


def one_after_another(turns: RenditionQueue) -> list[RenditionRequest]:
    order = []
    while one := turns.take():
        order.append(one)
        turns.done(one)
    return order


# --- turns ------------------------------------------------------------------------------------------


def test_each_workspace_has_its_turn() -> None:
    turns = RenditionQueue()
    hers = asked(turns, *(wish(ALICE) for _ in range(4)))
    [his] = asked(turns, wish(CHARLIE))
    assert one_after_another(turns) == [hers[0], his, *hers[1:]]


def test_recognition_leaves_places_for_what_answers_wait_for() -> None:
    turns = RenditionQueue()
    hers = asked(turns, *(wish(ALICE) for _ in range(9)))
    assert taken(turns) == hers[: CAPACITIES[Lane.RECOGNITION].background]
    awaited = asked(turns, wish(ALICE, is_awaited=True), wish(BOB, Lane.QUICK, is_awaited=True))
    assert taken(turns) == [awaited[1], awaited[0]]


def test_what_ends_makes_room_for_what_an_answer_waits_for_first() -> None:
    turns = RenditionQueue()
    asked(turns, *(wish(ALICE) for _ in range(9)), *(wish(ALICE, is_awaited=True) for _ in range(3)))
    first, *_ = running = taken(turns)
    [late] = asked(turns, wish(CHARLIE, is_awaited=True))
    for one in running:
        turns.done(one)
    assert first.is_awaited
    assert turns.take() == late


def test_what_an_answer_begins_to_wait_for_goes_before_the_rest() -> None:
    turns = RenditionQueue()
    hers = asked(turns, *(wish(ALICE) for _ in range(9)))
    running = taken(turns)
    asked(turns, RenditionRequest(hers[8].id, ALICE, Lane.RECOGNITION, is_awaited=True))
    for one in running:
        assert not turns.done(one)
    assert [one.id for one in one_after_another(turns)] == [hers[8].id, *(one.id for one in hers[2:8])]


def test_what_follows_is_awaited_too_where_an_answer_began_to_wait_meanwhile() -> None:
    turns = RenditionQueue()
    asked(turns, sound := wish(ALICE, Lane.LONG))
    assert taken(turns) == [sound]
    asked(turns, RenditionRequest(sound.id, ALICE, Lane.LONG, is_awaited=True))
    assert turns.done(sound)


def test_what_is_asked_for_twice_is_taken_once() -> None:
    turns = RenditionQueue()
    one = wish(ALICE)
    asked(turns, one, one)
    assert taken(turns) == [one]


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
def test_work_is_told_apart_by_what_it_takes(kind: str, milliseconds: int | None, lane: Lane) -> None:
    assert lane_of(kind, milliseconds) == lane


def test_an_embedded_worker_has_threads_beside_all_places() -> None:
    assert sum(places.all for places in CAPACITIES.values()) < THREADS


# --- the story, with a worker -----------------------------------------------------------------------


@pytest.fixture
def worker(transactional_db: None) -> Iterator[EmbeddedWorker]:
    """The product's own."""
    with embedded_worker(celery_app.conf.beat_schedule) as worker:
        yield worker


@pytest.fixture
def slow_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(_: Rendition) -> RenditionResult:
        time.sleep(SLOW_SECONDS)
        return RenditionResult(content={"text": "heard"})

    def at_once(_: Rendition) -> RenditionResult:
        return RenditionResult("image/png", 1)

    monkeypatch.setattr(service, "MAKERS", {"transcript": slowly, "picture": at_once, "wav": at_once})
    monkeypatch.setattr(tasks, "queue", RenditionQueue())


def file_of(who: Person, name: str, *kinds: str) -> UUID:
    register([(who.workspace.id, StoredFile(Blob(name, "audio/wav", 1), renditions=kinds))])
    return asset_id(who.workspace.id, name)


def seconds_until_made(asset: UUID, kind: str) -> float:
    began = time.monotonic()
    rendition = Rendition(id=rendition_id(asset, kind), asset_id=asset, kind=kind)
    async_to_sync(wait.wait_for_renditions)([rendition], seconds=MANY * SLOW_SECONDS)
    return time.monotonic() - began


@pytest.mark.usefixtures("slow_ears")
def test_sounds_of_one_hold_up_no_picture_and_nobody_elses_sound(
    worker: EmbeddedWorker, alice: Person, charlie: Person
) -> None:
    for number in range(MANY):
        tasks.enqueue([rendition_id(file_of(alice, f"sound {number}", "transcript"), "transcript")])
    ready = Rendition.objects.filter(kind="transcript", state="ready")
    wait_until(ready.exists)
    pictures = [file_of(who, "a picture", "picture") for who in (charlie, alice)]
    assert max(seconds_until_made(asset, "picture") for asset in pictures) < 2
    assert seconds_until_made(file_of(charlie, "a sound", "transcript"), "transcript") < 4
    assert seconds_until_made(file_of(alice, "another", "transcript"), "transcript") < 4
    unawaited = rendition_id(file_of(charlie, "his other", "transcript"), "transcript")
    tasks.enqueue([unawaited])
    wait_until(ready.filter(id=unawaited).exists, 4)
    assert ready.count() < MANY / 2, "hers were made meanwhile"
    Rendition.objects.filter(state="pending").delete()
