"""Renditions are created once, by the worker that takes them, and always reach an end."""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone

from accounts.deletion import delete_workspace
from core.blob import Blob
from media.cleanup import delete_dependent_rows
from media.models import Asset, Rendition, asset_id, rendition_id
from media.processing.exceptions import UnreadableMedia
from media.processing.sandbox.exceptions import JobInterrupted, SandboxError
from media.renditions import due_renditions
from media.renditions.due_renditions import NextRendition, keep_lease, make
from media.renditions.lanes import Lanes
from media.renditions.makers import MAKERS, Maker, RenditionResult, SourceNotReady, source_name
from media.services import StoredFile, register_files, store_bytes
from tests.support.people import Person
from tests.support.running_server import wait_until, without_worker

hasty_lease = partial(keep_lease, seconds=0.02)


@pytest.fixture(scope="module", autouse=True)
def no_other_worker() -> Iterator[None]:
    """Keep the worker that stories have started in this process from taking what is due here."""
    with without_worker():
        yield


def make_next(**makers: Maker) -> NextRendition | None:
    """Create what is due next, as a worker does, by these makers: the tests are about when, not how."""
    rendition = Lanes().take()
    return make(rendition, {**MAKERS, **makers}) if rendition else None


def sound(who: Person, *kinds: str) -> Asset:
    data = b"a sound"
    blob = Blob(hashlib.sha256(data).hexdigest(), "audio/wav", len(data))
    store_bytes(who.workspace.id, {blob.sha256: data})
    register_files([(who.workspace.id, StoredFile(blob, renditions=kinds))])
    return Asset.objects.get(id=asset_id(who.workspace.id, blob.sha256))


def pending(who: Person, kind: str = "opus") -> UUID:
    return rendition_id(sound(who, kind).id, kind)


def row(id: UUID) -> Rendition:
    return Rendition.objects.get(id=id)


def pass_time(id: UUID, **time: float) -> None:
    Rendition.objects.filter(id=id).update(due_at=F("due_at") - timedelta(**time))


def says(text: str) -> Maker:
    return lambda _: RenditionResult("audio/ogg", 1, {"text": text})


def fails(error: Exception) -> Maker:
    def make(_: Rendition) -> RenditionResult:
        raise error

    return make


# --- once -------------------------------------------------------------------------------------------


def test_a_ready_rendition_is_not_created_again(alice: Person) -> None:
    opus = pending(alice)
    make_next(opus=says("first"))
    make_next(opus=says("second"))
    assert (row(opus).state, row(opus).content, row(opus).attempts) == ("ready", {"text": "first"}, 1)


def test_a_rendition_that_one_worker_has_taken_no_other_takes(alice: Person) -> None:
    opus = pending(alice)
    seen = []

    def make_slowly(_: Rendition) -> RenditionResult:
        seen.append(Lanes().take())
        return RenditionResult("audio/ogg", 1)

    make_next(opus=make_slowly)
    assert seen == [None]
    assert row(opus).attempts == 1


def test_a_rendition_whose_worker_died_is_taken_after_its_lease_has_ended(alice: Person) -> None:
    opus = pending(alice)
    with pytest.raises(KeyboardInterrupt):
        make_next(opus=fails_like_a_kill)
    make_next(opus=says("second"))
    assert row(opus).state == "pending"

    pass_time(opus, seconds=due_renditions.LEASE.total_seconds())
    make_next(opus=says("second"))
    assert (row(opus).state, row(opus).attempts) == ("ready", 2)


def fails_like_a_kill(_: Rendition) -> RenditionResult:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "late",
    [
        says("late"),
        fails(UnreadableMedia("It is damaged.")),
        fails(SandboxError()),
        fails(SourceNotReady()),
    ],
)
def test_a_worker_that_lost_its_lease_changes_nothing_that_another_has_taken(
    alice: Person, late: Maker
) -> None:
    opus = pending(alice)

    def slow(rendition: Rendition) -> RenditionResult:
        pass_time(opus, hours=1)
        assert Lanes().take() == rendition
        return late(rendition)

    make_next(opus=slow)
    left = row(opus)
    assert (left.state, left.attempts, left.content) == ("pending", 2, None)
    assert left.due_at
    assert left.due_at > timezone.now() + due_renditions.LEASE / 2


def test_a_worker_whose_lost_lease_nobody_took_keeps_its_result(alice: Person) -> None:
    opus = pending(alice)

    def slow(_: Rendition) -> RenditionResult:
        pass_time(opus, hours=1)
        return RenditionResult("audio/ogg", 1)

    make_next(opus=slow)
    assert row(opus).state == "ready"


def test_the_lease_is_renewed_for_as_long_as_the_work_takes(transactional_db: None, alice: Person) -> None:
    opus = pending(alice)
    taken = Lanes().take()
    assert taken
    with hasty_lease(taken):
        for _ in range(2):
            pass_time(opus, hours=1)
            wait_until(lambda: (row(opus).due_at or timezone.now()) > timezone.now() + timedelta(seconds=20))
    assert not [thread for thread in threading.enumerate() if thread.name == "rendition-lease"]


def test_the_lease_survives_a_short_database_outage(
    transactional_db: None, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    opus, tries = pending(alice), []

    def away(rendition: Rendition) -> None:
        tries.append(rendition)
        raise DatabaseError("away")

    def slow(_: Rendition) -> RenditionResult:
        wait_until(lambda: len(tries) > 1)
        return RenditionResult("audio/ogg", 1)

    taken = Lanes().take()
    assert taken
    with caplog.at_level(logging.WARNING, "media.renditions.due_renditions"):
        make(taken, {"opus": slow}, partial(hasty_lease, renew=away))
    assert "could not be renewed: away" in caplog.text
    assert row(opus).state == "ready"


def test_a_rendition_deleted_meanwhile_is_dropped(alice: Person) -> None:
    pending(alice)

    def make_late(rendition: Rendition) -> RenditionResult:
        rendition.asset.delete()
        return RenditionResult("audio/ogg", 1)

    assert make_next(opus=make_late) is None
    assert not Rendition.objects.exists()


# --- failures ---------------------------------------------------------------------------------------


def test_an_unreadable_file_fails_at_once(alice: Person) -> None:
    opus = pending(alice)
    assert make_next(opus=fails(UnreadableMedia("The sound is cut off."))) is None
    assert (row(opus).state, row(opus).error) == ("failed", "The sound is cut off.")


@pytest.mark.parametrize(
    "error", [SandboxError(), OSError("no room"), SoftTimeLimitExceeded(), ZeroDivisionError()]
)
def test_a_temporary_failure_is_retried_later_and_later_until_it_is_given_up(
    alice: Person, error: Exception
) -> None:
    opus = pending(alice)
    seconds = []
    while (then := make_next(opus=fails(error))) is not None:
        assert then.id == opus
        seconds.append(then.seconds)
        assert Lanes().take() is None, "not before its time"
        pass_time(opus, seconds=then.seconds)
    assert seconds == [6, 12, 24, 48]
    assert (row(opus).state, row(opus).attempts) == ("failed", due_renditions.ATTEMPTS)
    assert row(opus).error == "The file could not be processed."


def test_a_rendition_that_kills_every_worker_is_given_up(alice: Person) -> None:
    opus = pending(alice)
    for _ in range(due_renditions.ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            make_next(opus=fails_like_a_kill)
        pass_time(opus, minutes=1)
    assert make_next(opus=fails_like_a_kill) is None
    assert row(opus).state == "failed"


# --- renditions made from another -------------------------------------------------------------------


def sound_and_transcript(who: Person) -> tuple[UUID, UUID]:
    asset = sound(who, "transcript")
    return rendition_id(asset.id, "wav"), rendition_id(asset.id, "transcript")


def needs_source(rendition: Rendition) -> RenditionResult:
    source_name(rendition)
    return RenditionResult(content={"text": "heard"})


def test_a_transcript_waits_for_the_sound_that_it_is_made_from(alice: Person) -> None:
    wav, transcript = sound_and_transcript(alice)
    Rendition.objects.filter(id=wav).delete()
    Rendition.objects.filter(id=transcript).update(priority=Rendition.Priority.AWAITED)

    assert make_next(transcript=needs_source) == NextRendition(wav)
    assert row(transcript).attempts == 0, "to wait is no attempt"
    assert row(wav).priority == Rendition.Priority.AWAITED, "an answer waits for this too"
    assert make_next(wav=says("")) == NextRendition(transcript)
    assert make_next(transcript=needs_source) is None
    assert row(transcript).state == "ready"


def test_nobody_takes_a_transcript_while_its_sound_is_pending(alice: Person) -> None:
    wav, transcript = sound_and_transcript(alice)
    lanes = Lanes()
    made = [lanes.take(), lanes.take()]
    assert [taken.id for taken in made if taken] == [wav, transcript]
    assert made[1]
    assert make(made[1], {"transcript": needs_source}) == NextRendition(wav)
    assert Lanes().take() is None
    assert made[0]
    assert make(made[0], {"wav": says("")}) == NextRendition(transcript)
    assert Lanes().take() == row(transcript)


def test_a_sound_that_cannot_be_created_fails_its_transcript_with_the_same_error(alice: Person) -> None:
    _, transcript = sound_and_transcript(alice)
    make_next(wav=fails(UnreadableMedia("The sound is cut off.")))
    assert make_next(transcript=needs_source) is None
    assert (row(transcript).state, row(transcript).error) == ("failed", "The sound is cut off.")


def test_a_sound_that_is_given_up_is_followed_by_its_transcript_too(alice: Person) -> None:
    wav, transcript = sound_and_transcript(alice)
    Rendition.objects.filter(id=wav).update(attempts=due_renditions.ATTEMPTS - 1)
    Rendition.objects.filter(id=transcript).update(due_at=None)
    assert make_next(wav=fails(SandboxError())) == NextRendition(transcript)


def test_a_transcript_does_not_wait_in_vain_for_a_sound_that_became_ready_meanwhile(alice: Person) -> None:
    wav, transcript = sound_and_transcript(alice)
    pass_time(wav, hours=-1)

    def in_between(_: Rendition) -> RenditionResult:
        pass_time(wav, hours=1)
        assert make_next(wav=says("")) is None, "the transcript is not waiting yet"
        raise SourceNotReady

    assert make_next(transcript=in_between) == NextRendition(transcript)
    assert make_next(transcript=needs_source) is None
    assert row(transcript).state == "ready"


def cleanup_deletes(asset: Asset) -> None:
    assert delete_dependent_rows(asset.id) is not None


def workspace_is_deleted(asset: Asset) -> None:
    delete_workspace(asset.workspace)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer, which locks no rows")
@pytest.mark.parametrize("change", [cleanup_deletes, workspace_is_deleted])
def test_who_changes_all_renditions_waits_for_a_worker_that_is_finishing_some(
    transactional_db: None, alice: Person, change: Callable[[Asset], None]
) -> None:
    wav, transcript = sound_and_transcript(alice)
    source = row(wav)
    asset = source.asset
    Rendition.objects.filter(id=wav).delete()
    source.save(force_insert=True)  # so that it lies behind the transcript in the table

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():  # as a worker does: first the sound, then the transcript that waits for it
            Rendition.objects.filter(id=wav).update(state="ready")
            changed = thread.submit(in_its_own_connection, change, asset)
            wait_until(is_somebody_waiting_for_us)
            Rendition.objects.filter(id=transcript).update(due_at=timezone.now())
        changed.result(timeout=10)
    assert not Rendition.objects.exists()


def in_its_own_connection(change: Callable[[Asset], None], asset: Asset) -> None:
    try:
        change(asset)
    finally:
        connection.close()


def is_somebody_waiting_for_us() -> bool:
    with connection.cursor() as cursor:
        # pg_stat_activity would show one transaction the same connections for ever: not those that come later
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return cursor.fetchone() is not None


def test_text_in_a_long_picture_is_read_from_all_of_it(alice: Person) -> None:
    blob = Blob("b" * 64, "image/png", 1)
    register_files([(alice.workspace.id, StoredFile(blob, 1000, 16_000, renditions=("text",)))])
    makers = {"text": needs_source, "strip": says("")}
    make_next(**makers)
    make_next(**makers)
    assert dict(Rendition.objects.values_list("kind", "state")) == {"strip": "ready", "text": "ready"}


# --- interruptions and crashes ----------------------------------------------------------------------


def test_an_interrupted_rendition_is_created_in_the_end_however_often_it_was_interrupted(
    alice: Person,
) -> None:
    opus = pending(alice)
    for _ in range(2 * due_renditions.ATTEMPTS):
        interrupted = make_next(opus=fails(JobInterrupted()))
        assert interrupted == NextRendition(opus, due_renditions.BACK_OFF_SECONDS)
        assert Lanes().take() is None, "not again at once"
        pass_time(opus, minutes=1)
    make_next(opus=says("at last"))
    assert (row(opus).state, row(opus).attempts) == ("ready", 1)


def test_a_sound_whose_transcription_crashed_is_transcribed_alone_next_time(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker process crashes with several sounds, nobody can tell which one caused it."""
    wav, transcript = sound_and_transcript(alice)
    Rendition.objects.filter(id=wav).update(state="ready")
    was_alone = []

    async def crashing(*_: object, alone: bool, **__: object) -> None:
        was_alone.append(alone)
        raise SandboxError

    monkeypatch.setattr("media.renditions.makers.transcribe_file", crashing)
    monkeypatch.setattr("media.renditions.makers.local_copy", nullcontext)
    for _ in range(due_renditions.ATTEMPTS):
        make_next()
        pass_time(transcript, hours=1)
    assert was_alone == [False, True, True, True, True]
    assert row(transcript).state == "failed"


# --- the sweep --------------------------------------------------------------------------------------


def test_the_sweep_asks_for_what_nobody_took_in_time_and_first_for_what_answers_wait_for(
    alice: Person,
) -> None:
    asset = sound(alice, "opus", "mp3", "peaks")
    ids = [rendition_id(asset.id, kind) for kind in ("opus", "mp3", "peaks")]
    Rendition.objects.filter(id=ids[2]).update(priority=Rendition.Priority.AWAITED)
    assert due_renditions.overdue_priorities(10) == []
    for id in ids:
        pass_time(id, seconds=due_renditions.OVERDUE_GRACE.total_seconds())
    assert due_renditions.overdue_priorities(10) == [0, 1, 1]
    assert due_renditions.overdue_priorities(2) == [0, 1]


def test_the_sweep_leaves_alone_what_a_worker_has_until_its_lease_has_ended(alice: Person) -> None:
    opus = pending(alice)
    with pytest.raises(KeyboardInterrupt):
        make_next(opus=fails_like_a_kill)
    pass_time(opus, seconds=due_renditions.LEASE.total_seconds())
    assert due_renditions.overdue_priorities(10) == []
    pass_time(opus, seconds=due_renditions.OVERDUE_GRACE.total_seconds())
    assert due_renditions.overdue_priorities(10) == [1]


def test_the_sweep_skips_finished_renditions(alice: Person) -> None:
    opus = pending(alice)
    make_next(opus=says("first"))
    pass_time(opus, days=1)
    assert due_renditions.overdue_priorities(10) == []
