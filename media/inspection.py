"""Finding out from its bytes what a file is; the `files` sandbox pool inspects pictures and sounds."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Literal

from django.conf import settings

from core.blob import Blob
from core.exceptions import ServiceUnavailable
from core.packaged_files import file_digest
from media.processing.exceptions import NoAudio, UnreadableMedia
from media.processing.pictures.file_types import sniff_picture
from media.processing.pictures.inspection import InspectPicture, inspect_picture
from media.processing.pictures.limits import PictureLimits
from media.processing.sandbox import pools
from media.processing.sandbox.exceptions import SandboxBusy, SandboxError
from media.processing.sound.file_types import HEAD_BYTES, sniff_sound
from media.processing.sound.inspection import InspectSound, inspect_sound
from media.processing.sound.limits import SoundLimits
from media.services import PICTURE_RENDITIONS, SOUND_RENDITIONS, StoredFile

ExpectedMedia = Literal["image", "audio"]

INSPECT_SECONDS = 60
_SIGNATURES = {b"%PDF-": "application/pdf", b"PK\x03\x04": "application/zip"}


async def inspect_file(
    path: Path, *, wanted: ExpectedMedia | None = None, claimed: str | None = None, sha256: str | None = None
) -> StoredFile:
    """Inspect a file on the disk; its `claimed` type counts only if the bytes do not tell the type.

    Raises `MediaError` for a file that is damaged, beyond a limit, or not what is `wanted`, and
    `ServiceUnavailable` if it cannot be inspected now.
    """
    head = await asyncio.to_thread(_read_head, path)
    digest = await asyncio.to_thread(file_digest, path) if sha256 is None else sha256
    try:
        if wanted == "image" or (wanted is None and sniff_picture(head)):
            return await _inspect_picture(path, digest)
        if wanted == "audio":
            return await _inspect_sound(path, claimed, digest)
        if wanted is None and sniff_sound(head):
            with suppress(NoAudio):  # then it is like any other file: a film without sound, for example
                return await _inspect_sound(path, claimed, digest)
    except SandboxBusy as error:
        raise ServiceUnavailable("Too many files are being looked at. Try again.", code="busy") from error
    except SandboxError as error:
        raise UnreadableMedia(error.message) from error
    return StoredFile(await _blob(path, document_type(head), digest))


def document_type(head: bytes) -> str:
    """Return the media type of what is neither picture nor sound: never one that a browser would run."""
    for signature, media_type in _SIGNATURES.items():
        if head.startswith(signature):
            return media_type
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return "application/octet-stream"
    return "application/octet-stream" if b"\0" in head else "text/plain"


async def _inspect_picture(path: Path, sha256: str) -> StoredFile:
    work = InspectPicture(str(path), picture_limits())
    facts = await pools.files.run(inspect_picture, work, seconds=INSPECT_SECONDS)
    blob = await _blob(path, facts.media_type, sha256)
    return StoredFile(blob, facts.width, facts.height, renditions=PICTURE_RENDITIONS)


async def _inspect_sound(path: Path, claimed: str | None, sha256: str) -> StoredFile:
    work = InspectSound(str(path), claimed, sound_limits())
    facts = await pools.files.run(inspect_sound, work, seconds=INSPECT_SECONDS)
    blob = await _blob(path, facts.media_type, sha256)
    return StoredFile(blob, milliseconds=facts.milliseconds, renditions=SOUND_RENDITIONS)


def picture_limits() -> PictureLimits:
    return PictureLimits(max_pixels=settings.CHATAPI_PICTURE_PIXELS)


def sound_limits() -> SoundLimits:
    return SoundLimits(bytes=settings.CHATAPI_MAX_UPLOAD_BYTES, seconds=settings.CHATAPI_SOUND_SECONDS)


async def _blob(path: Path, media_type: str, sha256: str) -> Blob:
    return Blob(sha256, media_type, (await asyncio.to_thread(path.stat)).st_size)


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
