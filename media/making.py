"""Making renditions: take one that is due, have a workshop make it, keep what came of it.

May be run twice, at once, or die anywhere: what is taken is taken back when its worker falls silent. Each
taking counts an attempt, and the count tells whose it is: who was silent for too long, and finds it taken
by another, changes nothing of it any more.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from chatapi.engines.values import Value
from media.hearing import patience, transcribed
from media.looking import picture_limits, sound_limits
from media.models import Asset, Rendition, rendition_id, rendition_name, renditions_of
from media.pictures.reading import ReadText, read_text
from media.pictures.rendering import RenderPicture, render_picture
from media.problems import MediaProblem
from media.sound.peaks import SoundPeaks, sound_peaks
from media.sound.transcoding import Transcode, transcode_sound
from media.speech.transcripts import as_content
from media.storage import local_copy, save_file
from media.temporary import temporary_folder
from media.workshop import WorkshopFailed, shops

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
"""How long a worker may be silent before another takes what it had."""
RENEW_SECONDS = 10.0
ATTEMPTS = 5
BACK_OFF_SECONDS = 3
QUEUED = timedelta(seconds=30)
"""How long one that nobody took yet may wait in the broker before it is asked for again."""
LAPSED = timedelta(seconds=5)
"""The same for one whose worker fell silent, or that failed and was put off."""
PICTURE_SECONDS, SOUND_SECONDS, READING_SECONDS = 60, 600, 120
GAVE_UP = "The file could not be processed."

Kind = Rendition.Kind
State = Rendition.State


class Made(Value, frozen=True):
    """What came of it: a file that was stored, or `content`."""

    media_type: str = ""
    size: int = 0
    content: Any = None


class NotYet(Exception):
    """Another rendition, which this one is made of, is not there yet."""


class Next(Value, frozen=True):
    """What is to be made then: `id`, in so many seconds."""

    id: UUID
    seconds: float = 0


def make(id: UUID) -> Next | None:
    """Make a rendition if it is due; gives what is to be made then."""
    rendition = _take(id)
    if rendition is None:
        return _what_waits_for(id)
    if rendition.attempts > ATTEMPTS:
        logger.error("Rendition %s ended each worker that took it", rendition)
        _fail(rendition, GAVE_UP)
        return _what_waits_for(id)
    try:
        with _kept_taken(rendition):
            made = _MAKERS[rendition.kind.partition("-")[0]](rendition)
    except NotYet:
        _taken(rendition).update(due_at=timezone.now(), attempts=F("attempts") - 1)
        return _begin_what_is_needed(rendition)
    except MediaProblem as problem:
        _fail(rendition, problem.message)
    except (WorkshopFailed, OSError, SoftTimeLimitExceeded) as error:
        logger.warning("Rendition %s could not be made: %s", rendition, error)
        return _put_off(rendition)
    except Exception:
        logger.exception("Rendition %s could not be made", rendition)
        return _put_off(rendition)
    else:
        _taken(rendition).update(state=State.READY, **msgspec.structs.asdict(made))
    return _what_waits_for(id)


def next_try(id: UUID) -> Next | None:
    """When a rendition is due that somebody has taken, and may have died with."""
    due_at = _pending(id).values_list("due_at", flat=True).first()
    if due_at is None:
        return None
    return Next(id, max(0.0, (due_at - timezone.now()).total_seconds()))


def overdue(limit: int) -> list[UUID]:
    """Renditions that are due for longer than a message takes, marked as looked at."""
    now = timezone.now()
    lapsed = Q(due_at__lte=now - LAPSED, attempts__gt=0)
    due = Rendition.objects.filter(lapsed | Q(due_at__lte=now - QUEUED), state=State.PENDING)
    ids = list(due.order_by("due_at").values_list("id", flat=True)[:limit])
    # who takes one meanwhile has moved its time ahead, and keeps it
    Rendition.objects.filter(id__in=ids, state=State.PENDING, due_at__lte=now).update(due_at=now)
    return ids


def _begin_what_is_needed(rendition: Rendition) -> Next:
    needed = renditions_of(rendition.asset_id, [rendition.kind])[0]
    Rendition.objects.bulk_create([needed], ignore_conflicts=True)
    return Next(needed.id)


def _what_waits_for(id: UUID) -> Next | None:
    """What is made of this one, once that has come to its end."""
    ended = Rendition.objects.filter(id=id).exclude(state=State.PENDING)
    asset, kind = ended.values_list("asset_id", "kind").first() or (None, "")
    for waiting_kind, made_of in Rendition.MADE_OF.items():
        if asset is not None and made_of == kind:
            waiting = rendition_id(asset, waiting_kind)
            return Next(waiting) if _pending(waiting).exists() else None
    return None


def _pending(id: UUID) -> QuerySet[Rendition]:
    return Rendition.objects.filter(id=id, state=State.PENDING)


def _taken(rendition: Rendition) -> QuerySet[Rendition]:
    """The row, unless another has taken it since."""
    return _pending(rendition.id).filter(attempts=rendition.attempts)


def _take(id: UUID) -> Rendition | None:
    now = timezone.now()
    taken = _pending(id).filter(due_at__lte=now).update(due_at=now + LEASE, attempts=F("attempts") + 1)
    return Rendition.objects.select_related("asset").filter(id=id).first() if taken else None


@contextmanager
def _kept_taken(rendition: Rendition) -> Iterator[None]:
    """Moves `due_at` ahead for as long as the block runs."""
    is_done = threading.Event()

    def renew() -> None:
        try:
            while not is_done.wait(RENEW_SECONDS):
                _renew(rendition)
        finally:
            connection.close()

    renewing = threading.Thread(target=renew, name="rendition-lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        is_done.set()
        renewing.join()


def _renew(rendition: Rendition) -> None:
    try:
        _taken(rendition).update(due_at=timezone.now() + LEASE)
    except DatabaseError as error:
        logger.warning("The lease of rendition %s could not be renewed: %s", rendition, error)
        connection.close()  # the next try shall not meet the broken one


def _put_off(rendition: Rendition) -> Next | None:
    if rendition.attempts >= ATTEMPTS:
        _fail(rendition, GAVE_UP)
        return _what_waits_for(rendition.id)
    seconds = float(BACK_OFF_SECONDS * 2**rendition.attempts)
    _taken(rendition).update(due_at=timezone.now() + timedelta(seconds=seconds))
    return Next(rendition.id, seconds)


def _fail(rendition: Rendition, reason: str) -> None:
    _taken(rendition).update(state=State.FAILED, error=reason[:300])


# --- how each kind is made ------------------------------------------------------------------------


def _picture(rendition: Rendition) -> Made:
    return _rendered(rendition, picture_side(rendition.kind), "model")


def _thumbnail(rendition: Rendition) -> Made:
    return _rendered(rendition, settings.CHATAPI_THUMBNAIL_SIDE, "thumbnail")


def _rendered(rendition: Rendition, side: int, purpose: Literal["model", "thumbnail"]) -> Made:
    with _source_and_target(rendition) as (source, out):
        work = RenderPicture(source, out, side, settings.CHATAPI_PICTURE_BYTES, purpose, picture_limits())
        made = shops.files.ask_blocking(render_picture, work, seconds=PICTURE_SECONDS)
        return _kept(rendition, Path(out), made.media_type)


def _text(rendition: Rendition) -> Made:
    with local_copy(_needed_name(rendition)) as path:
        work = ReadText(str(path), limits=picture_limits())
        found = shops.recognition.ask_blocking(read_text, work, seconds=READING_SECONDS)
    return Made(content={"text": found.text})


def _sound(rendition: Rendition) -> Made:
    with _source_and_target(rendition) as (source, out):
        work = Transcode(source, out, rendition.kind, claim_of(rendition.asset), sound_limits())
        made = shops.files.ask_blocking(transcode_sound, work, seconds=SOUND_SECONDS)
        return _kept(rendition, Path(out), made.media_type)


def _transcript(rendition: Rendition) -> Made:
    with local_copy(_needed_name(rendition)) as path:
        heard = asyncio.run(transcribed(path, seconds=patience((rendition.asset.milliseconds or 0) / 1000)))
    return Made(content=as_content(heard))


def _peaks(rendition: Rendition) -> Made:
    with local_copy(rendition.asset.storage_name) as path:
        work = SoundPeaks(str(path), claim_of(rendition.asset), limits=sound_limits())
        found = shops.files.ask_blocking(sound_peaks, work, seconds=SOUND_SECONDS)
    return Made(content=msgspec.to_builtins(found))


_MAKERS: Mapping[str, Callable[[Rendition], Made]] = {
    Kind.PICTURE: _picture,
    Kind.THUMBNAIL: _thumbnail,
    Kind.TEXT: _text,
    Kind.WAV: _sound,
    Kind.OPUS: _sound,
    Kind.MP3: _sound,
    Kind.TRANSCRIPT: _transcript,
    Kind.PEAKS: _peaks,
}


def _needed_name(rendition: Rendition) -> str:
    """Where that lies which this one is made of."""
    id = rendition_id(rendition.asset_id, Rendition.MADE_OF[Kind(rendition.kind)])
    needed = Rendition.objects.filter(id=id).first()
    if needed is None or needed.state == State.PENDING:
        raise NotYet
    if needed.state == State.FAILED:
        raise MediaProblem(needed.error)
    return rendition_name(rendition.asset.workspace_id, id)


@contextmanager
def _source_and_target(rendition: Rendition) -> Iterator[tuple[str, str]]:
    with local_copy(rendition.asset.storage_name) as source, temporary_folder() as folder:
        yield str(source), f"{folder}/made"


def _kept(rendition: Rendition, out: Path, media_type: str) -> Made:
    save_file(rendition_name(rendition.asset.workspace_id, rendition.id), out)
    return Made(media_type, out.stat().st_size)


def claim_of(asset: Asset) -> str | None:
    """Raw samples have no signature: their type is all that tells."""
    return "pcm16" if asset.media_type.startswith("audio/pcm") else None


def picture_side(kind: str) -> int:
    return int(kind.partition("-")[2] or settings.CHATAPI_PICTURE_SIDE)


def longest_seconds() -> int:
    """What making any rendition may take, as its workshop sees it."""
    return max(
        PICTURE_SECONDS, SOUND_SECONDS, READING_SECONDS, ceil(patience(settings.CHATAPI_SOUND_SECONDS))
    )
