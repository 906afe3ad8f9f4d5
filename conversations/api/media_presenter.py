"""Pictures, sounds and files of the history: where their bytes are, and what was made of them."""

from collections.abc import Callable, Mapping
from typing import Any

from rest_framework import serializers

from core.blob import Blob
from engines.messages import AudioPart, FilePart, ImagePart, SpokenPart
from media.api.serializers import RenditionSerializer
from media.file_presenter import FilePresenter
from media.services import SPEECH_RENDITIONS

Files = Mapping[str, FilePresenter]
"""Files by SHA-256."""
Address = Callable[[str], str]
"""What makes the address of a path that opens a file."""


class AssetReferenceSerializer(serializers.Serializer[Blob]):
    """A stored file. `url` is there while it is kept: an address that needs no key, and expires."""

    sha256 = serializers.CharField(help_text="Of its bytes: the name of its content.")
    media_type = serializers.CharField(help_text="As its bytes tell it.")
    bytes = serializers.IntegerField(source="size", help_text="Its size.")
    url = serializers.CharField(required=False, help_text="Opens it without a key, until it expires.")
    width = serializers.IntegerField(required=False, help_text="Pixels; of pictures.")
    height = serializers.IntegerField(required=False, help_text="Pixels; of pictures.")
    seconds = serializers.FloatField(required=False, help_text="Of sounds.")


def same_path(path: str) -> str:
    return path


def asset_reference(
    blob: Blob | None, file: FilePresenter | None, address: Address = same_path
) -> dict[str, Any] | None:
    if blob is None:
        return None
    reference = {"sha256": blob.sha256, "media_type": blob.media_type, "bytes": blob.size}
    if file is None:
        return reference
    width, height = file.asset.width, file.asset.height
    facts = {"url": address(file.url), "width": width, "height": height, "seconds": file.seconds}
    return reference | without_nulls(facts)


def stored_sound(part: SpokenPart | AudioPart, files: Files, address: Address = same_path) -> dict[str, Any]:
    """Show where a sound can be heard: the original, and the renditions players want, as far as planned."""
    file = file_of(part, files)
    return without_nulls(
        {
            "asset": asset_reference(part.blob, file, address),
            "renditions": (file and _renditions(file, address)) or None,
        }
    )


def file_of(part: ImagePart | AudioPart | FilePart | SpokenPart, files: Files) -> FilePresenter | None:
    return files.get(part.blob.sha256) if part.blob else None


def without_nulls(shown: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shown.items() if value is not None}


def _renditions(file: FilePresenter, address: Address) -> list[dict[str, Any]]:
    show = RenditionSerializer(context={"holder": file.holder}).to_representation
    made = [show(file.renditions[kind]) for kind in SPEECH_RENDITIONS if kind in file.renditions]
    return [{**one, "url": one["url"] and address(one["url"])} for one in made]
