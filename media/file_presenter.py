"""Stored files and their renditions as the history and the admin show them; many files take two queries."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, F, QuerySet, When

from core.blob import Blob
from core.compact_json_field import CompactJSONField
from media.models import Asset, Rendition
from media.signed_urls import media_url

RenditionKind = Rendition.Kind
RenditionState = Rendition.State

TEXT_KINDS = (RenditionKind.TEXT, RenditionKind.TRANSCRIPT)
PLAYABLE_KINDS = (RenditionKind.OPUS, RenditionKind.MP3, RenditionKind.WAV)
"""The kinds that browsers can play, best first."""


class AudioSource(NamedTuple):
    url: str
    media_type: str


class FilePresenter:
    """A stored file with its renditions; those that were not read count as missing.

    Its URLs open as long as the row `holder` holds the file, or anything if it is None.
    """

    def __init__(self, asset: Asset, renditions: Mapping[str, Rendition], holder: UUID | None) -> None:
        self.asset = asset
        self.renditions = renditions
        self.holder = holder

    @property
    def is_picture(self) -> bool:
        return self.asset.media_type.startswith("image/")

    @property
    def is_sound(self) -> bool:
        return self.asset.media_type.startswith("audio/")

    @property
    def url(self) -> str:
        """The URL of the bytes as they were sent, including whatever they reveal about the sender."""
        return media_url(self.asset.workspace_id, self.asset.sha256, holder=self.holder)

    @property
    def seconds(self) -> float | None:
        milliseconds = self.asset.milliseconds
        if milliseconds is None:  # a spoken answer whose length only its peaks tell
            milliseconds = (self._content_of(RenditionKind.PEAKS) or {}).get("milliseconds")
        return None if milliseconds is None else milliseconds / 1000

    @property
    def thumbnail_url(self) -> str | None:
        return self._url_of(RenditionKind.THUMBNAIL)

    @property
    def picture_url(self) -> str | None:
        """The URL of the picture as models see it: its largest rendition."""
        kinds = [kind for kind in self.renditions if kind.partition("-")[0] == RenditionKind.PICTURE]
        by_size = sorted(kinds, key=lambda kind: self.renditions[kind].size, reverse=True)
        return next((url for kind in by_size if (url := self._url_of(kind))), None)

    @property
    def audio_sources(self) -> list[AudioSource]:
        """Sources for an `<audio>` element, best first; the file itself only if no rendition is ready."""
        made = [
            AudioSource(url, self.renditions[kind].media_type)
            for kind in PLAYABLE_KINDS
            if (url := self._url_of(kind))
        ]
        return made or ([AudioSource(self.url, self.asset.media_type)] if self.is_sound else [])

    @property
    def transcript(self) -> str | None:
        return self._text(RenditionKind.TRANSCRIPT)

    @property
    def text(self) -> str | None:
        return self._text(RenditionKind.TEXT)

    def _url_of(self, kind: str) -> str | None:
        made = self.renditions.get(kind)
        if made is None or made.state != RenditionState.READY or not made.media_type:
            return None
        return media_url(self.asset.workspace_id, self.asset.sha256, kind, holder=self.holder)

    def _text(self, kind: str) -> str | None:
        content = self._content_of(kind)
        return content["text"] if content else None

    def _content_of(self, kind: str) -> Any:
        made = self.renditions.get(kind)
        return made.content if made is not None and made.state == RenditionState.READY else None


def present_files(
    workspace_id: UUID,
    blobs: Iterable[Blob],
    holder_of: Callable[[UUID], UUID],
    *,
    kinds: Collection[str] | None = None,
    with_content: Collection[str] = TEXT_KINDS,
) -> dict[str, FilePresenter]:
    """Return those of a workspace's files that are still stored, by SHA-256.

    `holder_of` returns the id of the row that holds an asset, the reason why it is shown.
    Only renditions of the given `kinds` are read (None: all), and content only for the kinds in
    `with_content`.
    """
    digests = {blob.sha256 for blob in blobs}
    if not digests:
        return {}
    assets = Asset.objects.filter(workspace_id=workspace_id, sha256__in=digests)
    return {
        asset.sha256: FilePresenter(asset, renditions, holder_of(asset.id))
        for asset, renditions in _with_renditions(list(assets), kinds, with_content)
    }


def present_asset(asset: Asset, holder: UUID | None = None) -> FilePresenter:
    [(_, renditions)] = _with_renditions([asset], None, TEXT_KINDS)
    return FilePresenter(asset, renditions, holder)


def _with_renditions(
    assets: list[Asset], kinds: Collection[str] | None, with_content: Collection[str]
) -> list[tuple[Asset, dict[str, Rendition]]]:
    by_id = {asset.id: asset for asset in assets}
    found: dict[UUID, dict[str, Rendition]] = {id: {} for id in by_id}
    for rendition in _renditions(list(by_id), kinds, with_content):
        rendition.asset = by_id[rendition.asset_id]
        rendition.content = _content_of(rendition)
        found[rendition.asset_id][rendition.kind] = rendition
    return [(asset, found[asset.id]) for asset in assets]


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
