"""`celery -A chatapi worker` on Redis and on RabbitMQ: which tasks it takes, once each, and how it ends."""

import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from django.core.files.storage import default_storage

from core.blob import Blob
from media.models import Asset, Rendition, rendition_id
from media.services import StoredFile
from tests.support.celery_workers import PATIENCE, CeleryCluster, state_of, store_asset
from tests.support.people import Person
from tests.support.processes import is_alive
from tests.support.running_server import wait_until
from tests.support.sounds import wav

pytestmark = pytest.mark.services


def sound_of(who: Person, *kinds: str, data: bytes | None = None) -> Asset:
    data = wav(bytes(64_000)) if data is None else data
    blob = Blob(hashlib.sha256(data).hexdigest(), "audio/wav", len(data))
    return store_asset(who, data, StoredFile(blob, milliseconds=2000, renditions=kinds))


def peaks_of(who: Person, data: bytes | None = None) -> UUID:
    return rendition_id(sound_of(who, "peaks", data=data).id, "peaks")


def ended(rendition: UUID) -> bool:
    return state_of(rendition) != "pending"


def words_of(notes: Path) -> set[str]:
    return set(notes.read_text().split("\n")) - {""} if notes.exists() else set()


def test_a_worker_takes_from_its_own_queues_only(works: CeleryCluster, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for queue in ("billing", "default", "media"):
        works.send("tests.services.tasks.note", str(notes), queue, queue=queue)
    media = works.worker("--pool", "threads", "--concurrency", "2", queues=("media",))
    works.send("tests.services.tasks.note", str(notes), "second")
    wait_until(lambda: "second done" in words_of(notes), PATIENCE)
    assert words_of(notes) == {"media", "media done", "second", "second done"}
    assert media.stop() == 0

    works.worker("--pool", "threads", "--concurrency", "1")
    wait_until(lambda: {"billing done", "default done"} <= words_of(notes), PATIENCE)


def test_a_worker_on_media_also_makes_awaited_renditions(works: CeleryCluster, alice: Person) -> None:
    peaks = peaks_of(alice)
    Rendition.objects.filter(id=peaks).update(priority=Rendition.Priority.AWAITED)
    works.send("media.renditions.tasks.make_awaited", queue="awaited")
    works.worker("--pool", "threads", "--concurrency", "1", queues=("media",))
    wait_until(lambda: state_of(peaks) == "ready", PATIENCE)


def test_a_task_delivered_many_times_does_its_work_once(works: CeleryCluster, alice: Person) -> None:
    peaks = peaks_of(alice)
    for _ in range(6):
        works.make_due()
    works.worker("--pool", "prefork", "--concurrency", "2")
    works.worker("--pool", "threads", "--concurrency", "2")
    wait_until(lambda: ended(peaks), PATIENCE)
    works.make_due()
    made = Rendition.objects.get(id=peaks)
    assert (made.state, made.attempts) == ("ready", 1)
    assert made.content


def test_a_broken_file_fails_at_once_and_a_temporary_failure_is_retried(
    works_on_rabbitmq: CeleryCluster, alice: Person
) -> None:
    works = works_on_rabbitmq
    broken = peaks_of(alice, b"RIFF\x10\0\0\0WAVEnothing of it")
    lost = sound_of(alice, "opus")
    default_storage.delete(lost.storage_name)
    opus = rendition_id(lost.id, "opus")
    works.worker("--pool", "prefork", "--concurrency", "1")
    works.make_due()
    works.make_due()
    wait_until(lambda: ended(broken) and ended(opus), PATIENCE)
    unreadable, given_up = Rendition.objects.get(id=broken), Rendition.objects.get(id=opus)
    assert (unreadable.state, unreadable.attempts) == ("failed", 1)
    assert "sound" in unreadable.error
    assert (given_up.state, given_up.attempts) == ("failed", 5)
    assert given_up.error == "The file could not be processed."


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_asked_to_stop_ends_what_it_has(
    works_on_redis: CeleryCluster, tmp_path: Path, alice: Person, pool: str
) -> None:
    works, notes, peaks = works_on_redis, tmp_path / "notes", peaks_of(alice)
    worker = works.worker("--pool", pool, "--concurrency", "1")
    works.make_due()
    wait_until(lambda: ended(peaks), PATIENCE)
    sandboxes = worker.sandbox_workers
    assert sandboxes
    works.send("tests.services.tasks.note", str(notes), "long", 3)
    wait_until(lambda: "long" in words_of(notes), PATIENCE)
    works.send("tests.services.tasks.note", str(notes), "next")
    assert worker.stop() == 0
    assert words_of(notes) == {"long", "long done"}
    assert not any(is_alive(pid) for pid in sandboxes)


def test_a_worker_answers_when_it_is_asked_whether_it_lives(works: CeleryCluster) -> None:
    works.worker("--pool", "threads", "--concurrency", "1")
    ping = works.start(["inspect", "ping", "--timeout", "10"])
    assert ping.process.wait(PATIENCE) == 0
    assert "pong" in ping.output


def test_a_worker_does_not_start_on_a_database_without_its_tables(
    works_on_redis: CeleryCluster, tmp_path: Path
) -> None:
    (tmp_path / "empty.sqlite3").touch()
    empty = f"sqlite:///{tmp_path}/empty.sqlite3"
    worker = works_on_redis.start(["worker", "--pool", "solo"], DATABASE_URL=empty)
    assert worker.process.wait(PATIENCE) == 1
    assert worker.output.startswith("chatapi: the database lacks ")
    assert worker.output.count("\n") == 1


def test_a_broker_s_password_is_in_no_log(works_on_rabbitmq: CeleryCluster, tmp_path: Path) -> None:
    works = works_on_rabbitmq
    works.broker = works.broker.replace("guest:guest", "guest:open-sesame")
    processes = [
        works.start(["worker", "--pool", "threads", "--concurrency", "1", "--loglevel", "DEBUG"]),
        works.start(["beat", "--schedule", str(tmp_path / "beat"), "--loglevel", "DEBUG"]),
        works.start(["inspect", "ping", "--timeout", "1"]),
    ]
    for process in processes:
        wait_until(lambda process=process: "refused" in process.output.lower(), PATIENCE)  # type: ignore[misc]
        assert "open-sesame" not in process.output
