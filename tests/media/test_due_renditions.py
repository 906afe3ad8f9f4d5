"""Renditions are created once, by the worker that takes them, and always reach an end."""

import hashlib
import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError
from django.utils import timezone

from core.blob import Blob
from media.models import Asset, Rendition, asset_id, rendition_id
from media.processing.exceptions import UnreadableMedia
from media.processing.sandbox.exceptions import JobInterrupted, SandboxError
from media.renditions import due_renditions, tasks
from media.renditions.due_renditions import NextRendition, RenditionResult
from media.renditions.makers import source_name
from media.services import StoredFile, register_files, store_bytes
from tests.support.people import Person
from tests.support.running_server import wait_until

Maker = Callable[[Rendition], RenditionResult]
Makers = Callable[..., None]


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> Makers:
    """Replace the functions that create renditions: these tests are about when, not how."""

    def replace(**new: Maker) -> None:
        monkeypatch.setattr(due_renditions, "MAKERS", {**due_renditions.MAKERS, **new})

    return replace


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
    rendition = row(id)
    Rendition.objects.filter(id=id).update(due_at=rendition.due_at - timedelta(**time))


def says(text: str) -> Maker:
    return lambda _: RenditionResult("audio/ogg", 1, {"text": text})


def fails(error: Exception) -> Maker:
    def make(_: Rendition) -> RenditionResult:
        raise error

    return make


# --- once -------------------------------------------------------------------------------------------


def test_a_ready_rendition_is_not_created_again(alice: Person, makers: Makers) -> None:
    opus = pending(alice)
    makers(opus=says("first"))
    assert due_renditions.make_if_due(opus) is None
    makers(opus=says("second"))
    assert due_renditions.make_if_due(opus) is None
    assert (row(opus).state, row(opus).content, row(opus).attempts) == ("ready", {"text": "first"}, 1)


def test_a_rendition_that_one_worker_has_taken_no_other_takes(alice: Person, makers: Makers) -> None:
    opus = pending(alice)
    seen = []

    def make(_: Rendition) -> RenditionResult:
        seen.append(due_renditions.make_if_due(opus))
        return RenditionResult("audio/ogg", 1)

    makers(opus=make)
    due_renditions.make_if_due(opus)
    assert seen == [None]
    assert row(opus).attempts == 1


def test_a_rendition_whose_worker_died_is_taken_after_its_lease_has_ended(
    alice: Person, makers: Makers
) -> None:
    opus = pending(alice)
    makers(opus=fails_like_a_kill)
    with pytest.raises(KeyboardInterrupt):
        due_renditions.make_if_due(opus)
    makers(opus=says("second"))
    assert due_renditions.make_if_due(opus) is None
    assert row(opus).state == "pending"

    pass_time(opus, seconds=due_renditions.LEASE.total_seconds())
    due_renditions.make_if_due(opus)
    assert (row(opus).state, row(opus).attempts) == ("ready", 2)


def fails_like_a_kill(_: Rendition) -> RenditionResult:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "late",
    [
        says("late"),
        fails(UnreadableMedia("It is damaged.")),
        fails(SandboxError()),
        fails(due_renditions.SourceNotReady()),
    ],
)
def test_a_worker_that_lost_its_lease_changes_nothing_that_another_has_taken(
    alice: Person, makers: Makers, late: Maker
) -> None:
    opus = pending(alice)

    def slow(rendition: Rendition) -> RenditionResult:
        pass_time(opus, hours=1)
        assert due_renditions._take(opus)
        return late(rendition)

    makers(opus=slow)
    due_renditions.make_if_due(opus)
    left = row(opus)
    assert (left.state, left.attempts, left.content) == ("pending", 2, None)
    assert left.due_at > timezone.now() + due_renditions.LEASE / 2


def test_a_worker_whose_lost_lease_nobody_took_keeps_its_result(alice: Person, makers: Makers) -> None:
    opus = pending(alice)

    def slow(_: Rendition) -> RenditionResult:
        pass_time(opus, hours=1)
        return RenditionResult("audio/ogg", 1)

    makers(opus=slow)
    due_renditions.make_if_due(opus)
    assert row(opus).state == "ready"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_renditions, "RENEW_SECONDS", 0.02)


@pytest.mark.usefixtures("hasty")
def test_the_lease_is_renewed_for_as_long_as_the_work_takes(
    transactional_db: None, alice: Person, makers: Makers
) -> None:
    opus = pending(alice)

    def slow(rendition: Rendition) -> RenditionResult:
        for _ in range(2):
            pass_time(opus, hours=1)
            wait_until(lambda: row(opus).due_at > timezone.now() + due_renditions.LEASE / 2)
        return RenditionResult("audio/ogg", 1)

    makers(opus=slow)
    due_renditions.make_if_due(opus)
    assert row(opus).state == "ready"
    assert not [thread for thread in threading.enumerate() if thread.name == "rendition-lease"]


@pytest.mark.usefixtures("hasty")
def test_the_lease_survives_a_short_database_outage(
    transactional_db: None,
    alice: Person,
    makers: Makers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opus, tries = pending(alice), []

    def away(rendition: Rendition) -> None:
        tries.append(rendition)
        raise DatabaseError("away")

    def slow(_: Rendition) -> RenditionResult:
        with monkeypatch.context() as patched:
            patched.setattr(due_renditions, "_owned_row", away)
            wait_until(lambda: len(tries) > 1)
        return RenditionResult("audio/ogg", 1)

    makers(opus=slow)
    with caplog.at_level(logging.WARNING, "media.renditions.due_renditions"):
        due_renditions.make_if_due(opus)
    assert "could not be renewed: away" in caplog.text
    assert row(opus).state == "ready"


def test_a_rendition_deleted_meanwhile_is_dropped(alice: Person, makers: Makers) -> None:
    opus = pending(alice)

    def make(rendition: Rendition) -> RenditionResult:
        rendition.asset.delete()
        return RenditionResult("audio/ogg", 1)

    makers(opus=make)
    assert due_renditions.make_if_due(opus) is None
    assert not Rendition.objects.exists()
    assert due_renditions.make_if_due(opus) is None


# --- failures ---------------------------------------------------------------------------------------


def test_an_unreadable_file_fails_at_once(alice: Person, makers: Makers) -> None:
    opus = pending(alice)
    makers(opus=fails(UnreadableMedia("The sound is cut off.")))
    assert due_renditions.make_if_due(opus) is None
    assert (row(opus).state, row(opus).error) == ("failed", "The sound is cut off.")


@pytest.mark.parametrize(
    "error", [SandboxError(), OSError("no room"), SoftTimeLimitExceeded(), ZeroDivisionError()]
)
def test_a_temporary_failure_is_retried_later_and_later_until_it_is_given_up(
    alice: Person, makers: Makers, error: Exception
) -> None:
    opus = pending(alice)
    makers(opus=fails(error))
    seconds = []
    while (then := due_renditions.make_if_due(opus)) is not None:
        assert then.id == opus
        seconds.append(then.seconds)
        assert due_renditions.make_if_due(opus) is None, "not before its time"
        pass_time(opus, seconds=then.seconds)
    assert seconds == [6, 12, 24, 48]
    assert (row(opus).state, row(opus).attempts) == ("failed", due_renditions.ATTEMPTS)
    assert row(opus).error == "The file could not be processed."


def test_a_rendition_that_kills_every_worker_is_given_up(alice: Person, makers: Makers) -> None:
    opus = pending(alice)
    makers(opus=fails_like_a_kill)
    for _ in range(due_renditions.ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            due_renditions.make_if_due(opus)
        pass_time(opus, minutes=1)
    assert due_renditions.make_if_due(opus) is None
    assert row(opus).state == "failed"


# --- renditions made from another -------------------------------------------------------------------


def test_a_transcript_waits_for_the_sound_that_it_is_made_from(alice: Person, makers: Makers) -> None:
    asset = sound(alice, "transcript")
    wav, transcript = (rendition_id(asset.id, kind) for kind in ("wav", "transcript"))
    Rendition.objects.filter(id=wav).delete()
    makers(wav=says(""), transcript=needs_wav)

    assert due_renditions.make_if_due(transcript) == NextRendition(wav)
    assert row(transcript).attempts == 0, "to wait is no attempt"
    assert due_renditions.make_if_due(wav) == NextRendition(transcript)
    assert due_renditions.make_if_due(transcript) is None
    assert row(transcript).state == "ready"


def needs_wav(rendition: Rendition) -> RenditionResult:
    source_name(rendition)
    return RenditionResult(content={"text": "heard"})


def test_a_sound_that_cannot_be_created_fails_its_transcript_with_the_same_error(
    alice: Person, makers: Makers
) -> None:
    asset = sound(alice, "transcript")
    wav, transcript = (rendition_id(asset.id, kind) for kind in ("wav", "transcript"))
    makers(wav=fails(UnreadableMedia("The sound is cut off.")), transcript=needs_wav)
    assert due_renditions.make_if_due(wav) == NextRendition(transcript)
    assert due_renditions.make_if_due(transcript) is None
    assert (row(transcript).state, row(transcript).error) == ("failed", "The sound is cut off.")


def test_a_sound_that_is_given_up_is_followed_by_its_transcript_too(alice: Person, makers: Makers) -> None:
    asset = sound(alice, "transcript")
    wav, transcript = (rendition_id(asset.id, kind) for kind in ("wav", "transcript"))
    Rendition.objects.filter(id=wav).update(attempts=due_renditions.ATTEMPTS - 1)
    makers(wav=fails(SandboxError()), transcript=needs_wav)
    assert due_renditions.make_if_due(wav) == NextRendition(transcript)


def test_a_transcript_does_not_wait_in_vain_for_a_sound_that_became_ready_meanwhile(
    alice: Person, makers: Makers
) -> None:
    """The transcript is still taken when its sound is done, so the message for it has no effect."""
    asset = sound(alice, "transcript")
    wav, transcript = (rendition_id(asset.id, kind) for kind in ("wav", "transcript"))

    def in_between(_: Rendition) -> RenditionResult:
        assert due_renditions.make_if_due(wav) == NextRendition(transcript)
        assert due_renditions.make_if_due(transcript) is None
        raise due_renditions.SourceNotReady

    makers(wav=says(""), transcript=in_between)
    then = due_renditions.make_if_due(transcript)
    assert then == NextRendition(wav)
    assert due_renditions.make_if_due(then.id) == NextRendition(transcript)


def test_a_pending_sound_is_taken_before_its_transcript(alice: Person, makers: Makers) -> None:
    asset = sound(alice, "transcript")
    wav, transcript = (rendition_id(asset.id, kind) for kind in ("wav", "transcript"))
    assert due_renditions.source_or_self(transcript) == row(wav)
    makers(wav=says(""))
    due_renditions.make_if_due(wav)
    assert due_renditions.source_or_self(transcript) == row(transcript)
    assert due_renditions.source_or_self(wav) == row(wav)


def test_text_in_a_long_picture_is_read_from_all_of_it(alice: Person, makers: Makers) -> None:
    asset = sound(alice, "text")
    text, strip, picture = (rendition_id(asset.id, kind) for kind in ("text", "strip", "picture"))
    Asset.objects.update(width=1000, height=16_000)

    def needs_source(rendition: Rendition) -> RenditionResult:
        source_name(rendition)
        return RenditionResult(content={"text": ""})

    makers(text=needs_source, strip=says(""), picture=says(""))
    assert due_renditions.make_if_due(text) == NextRendition(strip)
    assert due_renditions.make_if_due(picture) is None
    assert due_renditions.make_if_due(strip) == NextRendition(text)
    due_renditions.make_if_due(text)
    assert row(text).state == "ready"


# --- interruptions and crashes ----------------------------------------------------------------------


def test_an_interrupted_rendition_is_created_in_the_end_however_often_it_was_interrupted(
    alice: Person, makers: Makers
) -> None:
    opus = pending(alice)
    makers(opus=fails(JobInterrupted()))
    for _ in range(2 * due_renditions.ATTEMPTS):
        assert due_renditions.make_if_due(opus) == NextRendition(opus, due_renditions.BACK_OFF_SECONDS)
        assert due_renditions.make_if_due(opus) is None, "not again at once"
        pass_time(opus, minutes=1)
    makers(opus=says("at last"))
    due_renditions.make_if_due(opus)
    assert (row(opus).state, row(opus).attempts) == ("ready", 1)


def test_a_sound_whose_transcription_crashed_is_transcribed_alone_next_time(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker process crashes with several sounds, nobody can tell which one caused it."""
    asset = sound(alice, "transcript")
    transcript, wav = (rendition_id(asset.id, kind) for kind in ("transcript", "wav"))
    Rendition.objects.filter(id=wav).update(state="ready")
    was_alone = []

    async def crashing(*_: object, alone: bool, **__: object) -> None:
        was_alone.append(alone)
        raise SandboxError

    monkeypatch.setattr("media.renditions.makers.transcribe_file", crashing)
    monkeypatch.setattr("media.renditions.makers.local_copy", nullcontext)
    for _ in range(due_renditions.ATTEMPTS):
        due_renditions.make_if_due(transcript)
        pass_time(transcript, hours=1)
    assert was_alone == [False, True, True, True, True]
    assert row(transcript).state == "failed"


# --- the sweep and the broker -----------------------------------------------------------------------


def test_the_sweep_finds_renditions_that_nobody_took_in_time(alice: Person) -> None:
    opus = pending(alice)
    assert due_renditions.take_overdue(10) == []
    pass_time(opus, seconds=due_renditions.QUEUED_GRACE.total_seconds())
    assert due_renditions.take_overdue(10) == [opus]
    assert due_renditions.take_overdue(10) == [], "not again at once"


def test_the_sweep_finds_a_lapsed_lease_sooner_than_a_waiting_rendition(
    alice: Person, makers: Makers
) -> None:
    opus = pending(alice)
    makers(opus=fails_like_a_kill)
    with pytest.raises(KeyboardInterrupt):
        due_renditions.make_if_due(opus)
    pass_time(opus, seconds=due_renditions.LEASE.total_seconds())
    assert due_renditions.take_overdue(10) == []
    pass_time(opus, seconds=due_renditions.LAPSED_GRACE.total_seconds())
    assert due_renditions.take_overdue(10) == [opus]


def test_the_sweep_returns_the_oldest_first_and_not_all_at_once(alice: Person) -> None:
    asset = sound(alice, "opus", "mp3", "peaks")
    for minutes, kind in enumerate(("mp3", "opus", "peaks"), 1):
        pass_time(rendition_id(asset.id, kind), minutes=minutes)
    assert due_renditions.take_overdue(2) == [rendition_id(asset.id, kind) for kind in ("peaks", "opus")]
    assert due_renditions.take_overdue(2) == [rendition_id(asset.id, "mp3")]


def test_the_sweep_skips_finished_renditions(alice: Person, makers: Makers) -> None:
    opus = pending(alice)
    makers(opus=says("first"))
    due_renditions.make_if_due(opus)
    pass_time(opus, days=1)
    assert due_renditions.take_overdue(10) == []


class Sent:
    """A recorder in place of sending tasks to the broker."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, float]] = []
        self.error: Exception | None = None
        self.tries = 0

    def __call__(self, arguments: tuple[str], countdown: float, retry: bool) -> None:
        assert not retry
        self.tries += 1
        if self.error:
            raise self.error
        self.tasks.append((arguments[0], countdown))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    recorder = Sent()
    monkeypatch.setattr(tasks.make_rendition, "apply_async", recorder)
    monkeypatch.setattr(tasks, "broker", tasks.BrokerState())
    return recorder


def test_a_redelivered_task_comes_back_when_its_lease_ends(alice: Person, makers: Makers, sent: Sent) -> None:
    opus = pending(alice)
    due_renditions._take(opus)
    deliver(opus, redelivered=False)
    assert sent.tasks == []
    deliver(opus, redelivered=True)
    [(id, seconds)] = sent.tasks
    assert id == str(opus)
    assert due_renditions.LEASE.total_seconds() - 5 < seconds <= due_renditions.LEASE.total_seconds()


def deliver(rendition: UUID, *, redelivered: bool) -> None:
    task = tasks.make_rendition
    task.push_request(delivery_info={"redelivered": redelivered})  # type: ignore[call-arg]
    try:
        task.run(str(rendition))
    finally:
        task.pop_request()


def test_an_unreachable_broker_is_tried_once_in_a_while(
    alice: Person, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = sound(alice, "opus", "mp3", "peaks")
    ids = [rendition_id(asset.id, kind) for kind in ("opus", "mp3", "peaks")]
    sent.error = ConnectionRefusedError()
    tasks.enqueue(ids)
    tasks.enqueue(ids)
    assert sent.tries == 1
    sent.error = None
    monkeypatch.setattr(tasks, "broker", tasks.BrokerState())
    tasks.enqueue(ids)
    assert [id for id, _ in sent.tasks] == [str(id) for id in ids]
