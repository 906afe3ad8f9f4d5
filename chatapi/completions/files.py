"""What belongs to the files of a call once it is admitted, and to the sound of its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from uuid import UUID

from django.conf import settings

from chatapi.completions.requests import CompletionRequest
from chatapi.completions.speaker import Manner
from chatapi.completions.taken import TakenIn
from core.values import Blob
from media.models import storage_name
from media.services import StoredFile, read_name, remember_copies, rendition_ids
from media.tasks import enqueue

DEFAULT_VOICE = "joe"


def settle_in(workspace_id: UUID, taken: TakenIn) -> None:
    """From now on something holds these files."""
    taken.store_again(workspace_id)
    remember_copies(workspace_id, taken.fetched)
    begin_renditions(workspace_id, taken.files)


def begin_renditions(workspace_id: UUID, files: Iterable[StoredFile]) -> None:
    enqueue(id for file in files for id in rendition_ids(workspace_id, file))


def blob_reader(workspace_id: UUID, names: Mapping[str, str]) -> Callable[[Blob], Awaitable[bytes]]:
    """Reads blobs of a workspace; `names` are the storage names of those that are renditions."""

    async def read_blob(blob: Blob) -> bytes:
        name = names.get(blob.sha256) or storage_name(workspace_id, blob.sha256)
        return await asyncio.to_thread(read_name, name)

    return read_blob


def manner_of(request: CompletionRequest) -> Manner | None:
    """How the answer is to be spoken; None where it is not."""
    if "audio" not in request.modalities:
        return None
    return Manner(
        voice=(request.audio and request.audio.voice) or DEFAULT_VOICE,
        kept_seconds=settings.CHATAPI_SPEECH_KEPT_SECONDS,
        whole_format=None if request.stream else request.sound_format,
        voices_folder=settings.CHATAPI_VOICES_FOLDER,
    )
