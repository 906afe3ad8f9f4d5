"""Stored files as the history and the admin show them, with what was made of each: many in two queries."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, F, QuerySet, When

from core.model_fields import CompactJSONField
from core.values import Blob
from media.models import Asset, Rendition
from media.signed_urls import media_url

Kind = Rendition.Kind
State = Rendition.State

WITH_WORDS = (Kind.TEXT, Kind.TRANSCRIPT)
PLAYED = (Kind.OPUS, Kind.MP3, Kind.WAV)
"""What browsers play, the best first."""


class Playable(NamedTuple):
    url: str
    media_type: str


class ShownFile:
    """A stored file. Renditions that were not read are as if they were not there."""

    def __init__(self, asset: Asset, renditions: Mapping[str, Rendition]) -> None:
        self.asset = asset
        self.renditions = renditions

    @property
    def is_picture(self) -> bool:
        return self.asset.media_type.startswith("image/")

    @property
    def is_sound(self) -> bool:
        return self.asset.media_type.startswith("audio/")

    @property
    def url(self) -> str:
        """Of the bytes as they were sent, with whatever they tell of their sender."""
        return media_url(self.asset.workspace_id, self.asset.sha256)

    @property
    def seconds(self) -> float | None:
        milliseconds = self.asset.milliseconds
        if milliseconds is None:  # of a spoken answer in a format that only its peaks have measured
            milliseconds = (self._content_of(Kind.PEAKS) or {}).get("milliseconds")
        return None if milliseconds is None else milliseconds / 1000

    @property
    def thumbnail_url(self) -> str | None:
        return self._url_of(Kind.THUMBNAIL)

    @property
    def picture_url(self) -> str | None:
        """Of the picture as models see it: the largest that was made."""
        kinds = [kind for kind in self.renditions if kind.partition("-")[0] == Kind.PICTURE]
        by_size = sorted(kinds, key=lambda kind: self.renditions[kind].size, reverse=True)
        return next((url for kind in by_size if (url := self._url_of(kind))), None)

    @property
    def played(self) -> list[Playable]:
        """What an `<audio>` may try, in this order; the file itself only where nothing was made of it."""
        made = [
            Playable(url, self.renditions[kind].media_type) for kind in PLAYED if (url := self._url_of(kind))
        ]
        return made or ([Playable(self.url, self.asset.media_type)] if self.is_sound else [])

    @property
    def transcript(self) -> str | None:
        return self._words(Kind.TRANSCRIPT)

    @property
    def text(self) -> str | None:
        return self._words(Kind.TEXT)

    def _url_of(self, kind: str) -> str | None:
        made = self.renditions.get(kind)
        if made is None or made.state != State.READY or not made.media_type:
            return None
        return media_url(self.asset.workspace_id, self.asset.sha256, kind)

    def _words(self, kind: str) -> str | None:
        content = self._content_of(kind)
        return content["text"] if content else None

    def _content_of(self, kind: str) -> Any:
        made = self.renditions.get(kind)
        return made.content if made is not None and made.state == State.READY else None


def shown_files(
    workspace_id: UUID,
    blobs: Iterable[Blob],
    *,
    kinds: Collection[str] | None = None,
    with_content: Collection[str] = WITH_WORDS,
) -> dict[str, ShownFile]:
    """Those of a workspace's files that are still kept, by SHA-256.

    Only renditions of these `kinds` are read (None: all), and the content of those `with_content`.
    """
    digests = {blob.sha256 for blob in blobs}
    if not digests:
        return {}
    assets = Asset.objects.filter(workspace_id=workspace_id, sha256__in=digests)
    return {file.asset.sha256: file for file in _shown(list(assets), kinds, with_content)}


def shown_asset(asset: Asset) -> ShownFile:
    return _shown([asset], None, WITH_WORDS)[0]


def _shown(
    assets: list[Asset], kinds: Collection[str] | None, with_content: Collection[str]
) -> list[ShownFile]:
    by_id = {asset.id: asset for asset in assets}
    found: dict[UUID, dict[str, Rendition]] = {id: {} for id in by_id}
    for rendition in _renditions(list(by_id), kinds, with_content):
        rendition.asset = by_id[rendition.asset_id]
        rendition.content = _content_of(rendition)
        found[rendition.asset_id][rendition.kind] = rendition
    return [ShownFile(asset, found[asset.id]) for asset in assets]


def _renditions(
    assets: list[UUID], kinds: Collection[str] | None, with_content: Collection[str]
) -> QuerySet[Rendition]:
    if not assets:
        return Rendition.objects.none()
    rows = Rendition.objects.filter(asset__in=assets).order_by("kind").defer("content")
    wanted = Case(When(kind__in=with_content, then=F("content")), output_field=CompactJSONField())
    return (rows if kinds is None else rows.filter(kind__in=kinds)).annotate(_content=wanted)


def _content_of(rendition: Rendition) -> Any:
    return getattr(rendition, "_content")  # noqa: B009 (an annotation)
