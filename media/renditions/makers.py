"""How each kind of rendition is created: a sandbox pool creates it, the storage keeps it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from django.conf import settings
from django.db import connection

from core.value import Value
from media.inspection import picture_limits, sound_limits
from media.models import Asset, Rendition, rendition_id, rendition_name, source_kind
from media.processing.exceptions import MediaError
from media.processing.pictures.ocr import ReadText, read_text
from media.processing.pictures.rendering import RenderPicture, render_picture
from media.processing.sandbox import pools
from media.processing.sandbox.pool import SandboxPool
from media.processing.sound.output_formats import recognition_seconds
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.sound.waveform_peaks import SoundPeaks, sound_peaks
from media.processing.speech.transcripts import round_up_seconds, transcript_content
from media.renditions.transcript_billing import check_transcript_affordable
from media.storage.operations import local_copy, save_file
from media.temporary_folders import temporary_folder
from media.transcription import transcribe_file, transcription_timeout

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

PICTURE_SECONDS, SOUND_SECONDS, READING_SECONDS = 60, 600, 120

RenditionKind = Rendition.Kind
RenditionState = Rendition.State


class RenditionResult(Value, frozen=True):
    """What was created: a file that was stored, or `content`. `seconds` were recognized, and are billed."""

    media_type: str = ""
    size: int = 0
    content: Any = None
    seconds: int = 0


class SourceNotReady(Exception):
    """The rendition that this one is created from is not there yet."""


def _make_picture(rendition: Rendition) -> RenditionResult:
    return _render(rendition, picture_side(rendition.kind), "model")


def _make_thumbnail(rendition: Rendition) -> RenditionResult:
    return _render(rendition, settings.CHATAPI_THUMBNAIL_SIDE, "thumbnail")


def _make_strip(rendition: Rendition) -> RenditionResult:
    """Keep the size; shrink only so the short side fits."""
    sides = sorted((rendition.asset.width or 1, rendition.asset.height or 1))
    side = round(sides[1] * min(1.0, settings.CHATAPI_PICTURE_SIDE / sides[0]))
    return _render(rendition, side, "model")


def _render(rendition: Rendition, side: int, purpose: Literal["model", "thumbnail"]) -> RenditionResult:
    with _source_and_target(rendition) as (source, out):
        work = RenderPicture(source, out, side, settings.CHATAPI_PICTURE_BYTES, purpose, picture_limits())
        result = _run_job(pools.files, render_picture, work, seconds=PICTURE_SECONDS)
        return _save_result(rendition, Path(out), result.media_type)


def _make_text(rendition: Rendition) -> RenditionResult:
    with local_copy(source_name(rendition)) as path:
        work = ReadText(str(path), limits=picture_limits())
        found = _run_job(pools.recognition, read_text, work, seconds=READING_SECONDS)
    return RenditionResult(content={"text": found.text} | ({"is_cut": True} if found.is_cut else {}))


def _make_sound(rendition: Rendition) -> RenditionResult:
    with _source_and_target(rendition) as (source, out):
        work = Transcode(source, out, rendition.kind, claimed_format(rendition.asset), sound_limits())
        result = _run_job(pools.files, transcode_sound, work, seconds=SOUND_SECONDS)
        return _save_result(rendition, Path(out), result.media_type)


def _make_transcript(rendition: Rendition) -> RenditionResult:
    wav = find_source(rendition)
    check_transcript_affordable(rendition, round_up_seconds(recognition_seconds(wav.size)))
    with local_copy(rendition_name(wav.workspace_id, wav.id)) as path:
        _release_connection()
        seconds = transcription_timeout((rendition.asset.milliseconds or 0) / 1000)
        # it did not finish before: run it alone, so that nothing else can be to blame this time
        is_suspect = rendition.attempts > 1
        transcript = asyncio.run(transcribe_file(path, seconds=seconds, alone=is_suspect))
    return RenditionResult(
        content=transcript_content(transcript), seconds=round_up_seconds(transcript.duration)
    )


def _make_peaks(rendition: Rendition) -> RenditionResult:
    with local_copy(rendition.asset.storage_name) as path:
        work = SoundPeaks(str(path), claimed_format(rendition.asset), limits=sound_limits())
        found = _run_job(pools.files, sound_peaks, work, seconds=SOUND_SECONDS)
    return RenditionResult(content=msgspec.to_builtins(found))


Maker = Callable[[Rendition], RenditionResult]

MAKERS: Mapping[str, Maker] = {
    RenditionKind.PICTURE: _make_picture,
    RenditionKind.STRIP: _make_strip,
    RenditionKind.THUMBNAIL: _make_thumbnail,
    RenditionKind.TEXT: _make_text,
    RenditionKind.WAV: _make_sound,
    RenditionKind.OPUS: _make_sound,
    RenditionKind.MP3: _make_sound,
    RenditionKind.TRANSCRIPT: _make_transcript,
    RenditionKind.PEAKS: _make_peaks,
}


def _run_job(sandbox_pool: SandboxPool, job: Callable[[A], R], work: A, *, seconds: float) -> R:
    _release_connection()
    return sandbox_pool.run_blocking(job, work, seconds=seconds)


def _release_connection() -> None:
    """Close the connection: there may be fewer than threads, and what follows may take minutes."""
    if not connection.in_atomic_block:
        connection.close()


def source_name(rendition: Rendition) -> str:
    """Return the storage name of the rendition that this one is created from."""
    source = find_source(rendition)
    return rendition_name(source.workspace_id, source.id)


def find_source(rendition: Rendition) -> Rendition:
    """Return the rendition that this one is created from.

    Raises `SourceNotReady`, and `MediaError` if it cannot be created.
    """
    id = rendition_id(rendition.asset_id, source_kind(rendition.kind, rendition.asset))
    needed = Rendition.objects.filter(id=id).first()
    if needed is None or needed.state == RenditionState.PENDING:
        raise SourceNotReady
    if needed.state == RenditionState.FAILED:
        raise MediaError(needed.error, code=needed.error_code)
    return needed


@contextmanager
def _source_and_target(rendition: Rendition) -> Iterator[tuple[str, str]]:
    with local_copy(rendition.asset.storage_name) as source, temporary_folder() as folder:
        yield str(source), f"{folder}/made"


def _save_result(rendition: Rendition, out: Path, media_type: str) -> RenditionResult:
    save_file(rendition_name(rendition.asset.workspace_id, rendition.id), out)
    return RenditionResult(media_type, out.stat().st_size)


def claimed_format(asset: Asset) -> str | None:
    """Return the claimed format of raw samples: they have no signature, so only their type tells it."""
    return "pcm16" if asset.media_type.startswith("audio/pcm") else None


def picture_side(kind: str) -> int:
    return int(kind.partition("-")[2] or settings.CHATAPI_PICTURE_SIDE)


def longest_seconds() -> int:
    """Return the longest time that a sandbox pool allows for any rendition."""
    return max(
        PICTURE_SECONDS,
        SOUND_SECONDS,
        READING_SECONDS,
        ceil(transcription_timeout(settings.CHATAPI_SOUND_SECONDS)),
    )
