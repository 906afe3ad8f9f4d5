"""The files of a workspace that its conversations refer to: rows for each, and the bytes in the storage."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from random import Random
from typing import NamedTuple
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from chatapi.demo.originals import (
    Original,
    draw_pictures,
    synthesize_answers,
    synthesize_questions,
    write_documents,
)
from core.blob import Blob
from engines.messages import AudioPart, FilePart, ImagePart, Part, SpokenPart
from media.models import Asset, Rendition, asset_id, lane_of, rendition_id, rendition_name
from media.services import store_bytes


class Speech(NamedTuple):
    """A spoken answer: its sound, and what is said in it."""

    blob: Blob
    transcript: str


class Library(NamedTuple):
    """What can be attached to a message, and what a model may say."""

    pictures: tuple[Blob, ...] = ()
    sounds: tuple[Blob, ...] = ()
    documents: tuple[tuple[str, Blob], ...] = ()
    speeches: tuple[Speech, ...] = ()

    def attach(self, random: Random) -> tuple[Part, ...]:
        """Draw a file or two to go with a question."""
        chance = random.random()
        if chance < 0.15 and self.sounds:
            return (AudioPart(random.choice(self.sounds), "wav"),)
        if chance < 0.3 and self.documents:
            filename, blob = random.choice(self.documents)
            return (FilePart(blob, filename),)
        count = min(len(self.pictures), 2 if chance > 0.9 else 1)
        return tuple(ImagePart(blob) for blob in random.sample(self.pictures, count))

    def speak(self, random: Random, id: str, expires_at: int) -> SpokenPart | None:
        """Draw a spoken answer under an id of its own; `expires_at` is in seconds."""
        if not self.speeches:
            return None
        speech = random.choice(self.speeches)
        return SpokenPart(id, speech.transcript, speech.blob, expires_at)


def create_libraries(workspaces: Sequence[UUID], at: datetime) -> dict[str, Library]:
    """Store the same files for each workspace; return its library by its id (hex)."""
    pictures, questions = draw_pictures(), synthesize_questions()
    documents, answers = write_documents(), synthesize_answers()
    for workspace_id in workspaces:
        _store(workspace_id, [*pictures, *questions, *documents, *answers], at)
    library = Library(
        pictures=tuple(map(_blob, pictures)),
        sounds=tuple(map(_blob, questions)),
        documents=tuple((document.filename, _blob(document)) for document in documents),
        speeches=tuple(Speech(_blob(answer), answer.words) for answer in answers),
    )
    return {workspace_id.hex: library for workspace_id in workspaces}


def _blob(original: Original) -> Blob:
    return Blob(sha256(original.data).hexdigest(), original.media_type, len(original.data))


def _store(workspace_id: UUID, originals: Iterable[Original], at: datetime) -> None:
    contents = {_blob(original).sha256: original for original in originals}
    store_bytes(workspace_id, {sha256: original.data for sha256, original in contents.items()})
    assets = [_asset(workspace_id, sha256, original, at) for sha256, original in contents.items()]
    Asset.objects.bulk_create(assets)
    Rendition.objects.bulk_create(
        [row for asset in assets for row in _renditions(asset, contents[asset.sha256])]
    )


def _asset(workspace_id: UUID, sha256: str, original: Original, at: datetime) -> Asset:
    return Asset(
        id=asset_id(workspace_id, sha256),
        workspace_id=workspace_id,
        sha256=sha256,
        media_type=original.media_type,
        size=len(original.data),
        width=original.width,
        height=original.height,
        milliseconds=original.milliseconds,
        created_at=at,
    )


def _renditions(asset: Asset, original: Original) -> Iterable[Rendition]:
    """Yield the rows of what was made of a file, and store what has bytes."""
    for kind, made in original.renditions.items():
        id = rendition_id(asset.id, kind)
        if made.data:
            default_storage.save(rendition_name(asset.workspace_id, id), ContentFile(made.data))
        yield Rendition(
            id=id,
            asset=asset,
            kind=kind,
            state=Rendition.State.READY,
            media_type=made.media_type,
            size=len(made.data),
            content=made.content,
            lane=lane_of(kind, asset.milliseconds),
            workspace_id=asset.workspace_id,
        )
