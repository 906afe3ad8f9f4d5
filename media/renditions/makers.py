"""How each kind of rendition is made: a workshop makes it, the storage keeps it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from django.conf import settings
from django.db import connection

from core.values import Value
from media.inspection import picture_limits, sound_limits
from media.models import Asset, Rendition, made_of, rendition_id, rendition_name
from media.processing.exceptions import MediaError
from media.processing.pictures.ocr import ReadText, read_text
from media.processing.pictures.rendering import RenderPicture, render_picture
from media.processing.sandbox import pools
from media.processing.sandbox.pool import SandboxPool
from media.processing.sound.peaks import SoundPeaks, sound_peaks
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.speech.transcripts import as_content
from media.storage.base import local_copy, save_file
from media.temporary_folders import temporary_folder
from media.transcription import patience, transcribed

__all__ = ["MAKERS", "RenditionResult", "SourceNotReady", "longest_seconds"]

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

PICTURE_SECONDS, SOUND_SECONDS, READING_SECONDS = 60, 600, 120

Kind = Rendition.Kind
State = Rendition.State


class RenditionResult(Value, frozen=True):
    """What came of it: a file that was stored, or `content`."""

    media_type: str = ""
    size: int = 0
    content: Any = None


class SourceNotReady(Exception):
    """Another rendition, which this one is made of, is not there yet."""


def _picture(rendition: Rendition) -> RenditionResult:
    return _rendered(rendition, picture_side(rendition.kind), "model")


def _thumbnail(rendition: Rendition) -> RenditionResult:
    return _rendered(rendition, settings.CHATAPI_THUMBNAIL_SIDE, "thumbnail")


def _strip(rendition: Rendition) -> RenditionResult:
    """As it is, but for what makes its short side fit."""
    sides = sorted((rendition.asset.width or 1, rendition.asset.height or 1))
    side = round(sides[1] * min(1.0, settings.CHATAPI_PICTURE_SIDE / sides[0]))
    return _rendered(rendition, side, "model")


def _rendered(rendition: Rendition, side: int, purpose: Literal["model", "thumbnail"]) -> RenditionResult:
    with _source_and_target(rendition) as (source, out):
        work = RenderPicture(source, out, side, settings.CHATAPI_PICTURE_BYTES, purpose, picture_limits())
        made = _asked(pools.files, render_picture, work, seconds=PICTURE_SECONDS)
        return _kept(rendition, Path(out), made.media_type)


def _text(rendition: Rendition) -> RenditionResult:
    with local_copy(needed_name(rendition)) as path:
        work = ReadText(str(path), limits=picture_limits())
        found = _asked(pools.recognition, read_text, work, seconds=READING_SECONDS)
    return RenditionResult(content={"text": found.text} | ({"is_cut": True} if found.is_cut else {}))


def _sound(rendition: Rendition) -> RenditionResult:
    with _source_and_target(rendition) as (source, out):
        work = Transcode(source, out, rendition.kind, claim_of(rendition.asset), sound_limits())
        made = _asked(pools.files, transcode_sound, work, seconds=SOUND_SECONDS)
        return _kept(rendition, Path(out), made.media_type)


def _transcript(rendition: Rendition) -> RenditionResult:
    with local_copy(needed_name(rendition)) as path:
        _release_connection()
        seconds = patience((rendition.asset.milliseconds or 0) / 1000)
        # where it did not come to its end before, so that this time nothing but itself can be to blame
        is_suspect = rendition.attempts > 1
        heard = asyncio.run(transcribed(path, seconds=seconds, alone=is_suspect))
    return RenditionResult(content=as_content(heard))


def _peaks(rendition: Rendition) -> RenditionResult:
    with local_copy(rendition.asset.storage_name) as path:
        work = SoundPeaks(str(path), claim_of(rendition.asset), limits=sound_limits())
        found = _asked(pools.files, sound_peaks, work, seconds=SOUND_SECONDS)
    return RenditionResult(content=msgspec.to_builtins(found))


MAKERS: Mapping[str, Callable[[Rendition], RenditionResult]] = {
    Kind.PICTURE: _picture,
    Kind.STRIP: _strip,
    Kind.THUMBNAIL: _thumbnail,
    Kind.TEXT: _text,
    Kind.WAV: _sound,
    Kind.OPUS: _sound,
    Kind.MP3: _sound,
    Kind.TRANSCRIPT: _transcript,
    Kind.PEAKS: _peaks,
}


def _asked(shop: SandboxPool, job: Callable[[A], R], work: A, *, seconds: float) -> R:
    _release_connection()
    return shop.ask_blocking(job, work, seconds=seconds)


def _release_connection() -> None:
    """There may be fewer than threads, and what comes may take minutes."""
    if not connection.in_atomic_block:
        connection.close()


def needed_name(rendition: Rendition) -> str:
    """Where that lies which this one is made of."""
    id = rendition_id(rendition.asset_id, made_of(rendition.kind, rendition.asset))
    needed = Rendition.objects.filter(id=id).first()
    if needed is None or needed.state == State.PENDING:
        raise SourceNotReady
    if needed.state == State.FAILED:
        raise MediaError(needed.error)
    return rendition_name(rendition.asset.workspace_id, id)


@contextmanager
def _source_and_target(rendition: Rendition) -> Iterator[tuple[str, str]]:
    with local_copy(rendition.asset.storage_name) as source, temporary_folder() as folder:
        yield str(source), f"{folder}/made"


def _kept(rendition: Rendition, out: Path, media_type: str) -> RenditionResult:
    save_file(rendition_name(rendition.asset.workspace_id, rendition.id), out)
    return RenditionResult(media_type, out.stat().st_size)


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
