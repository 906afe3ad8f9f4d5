"""Uploaded and generated files: a row for each here, the bytes in the storage."""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Workspace
from accounts.ownership import OwnedModel
from accounts.principal import Principal
from core.compact_json_field import CompactJSONField
from core.ids import FILE, derive_id, format_id
from media.processing.pictures.limits import LONG_RATIO


class Asset(models.Model):
    """A file of a workspace, addressed by its content: its id is derived from both.

    `width` and `height` (pixels) are known for pictures, `milliseconds` for sounds.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="assets", db_index=False)
    sha256 = models.CharField(max_length=64, editable=False)
    media_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    milliseconds = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "sha256"], name="one_asset_a_content"),
        ]

    def __str__(self) -> str:
        return f"{self.media_type} {self.sha256[:12]}"

    @property
    def storage_name(self) -> str:
        return storage_name(self.workspace_id, self.sha256)


def asset_id(workspace_id: UUID, sha256: str) -> UUID:
    """Return an asset's id, which is known before its row exists: referring to an asset needs no lookup."""
    return derive_id(workspace_id, sha256)


def storage_name(workspace_id: UUID, sha256: str) -> str:
    return f"{workspace_id.hex}/{sha256[:2]}/{sha256}"


class Requester(NamedTuple):
    """Who has renditions created, and pays for what has a price: a user, and their key and token."""

    user_id: int | None = None
    key_id: UUID | None = None
    token_id: UUID | None = None

    @classmethod
    def of(cls, who: Principal) -> "Requester":
        return cls(who.user_id, who.key_id, who.token_id)


NOBODY = Requester()


class Rendition(models.Model):
    """A derivative of an asset: the same sound or picture in another format, or what can be read from it.

    A worker takes a pending one whose `due_at` has come, and moves that ahead while it works, so that another
    worker takes over if the first is dead. It is null while the rendition waits for its source. Workers order
    what is due by `priority`, `lane` and `workspace_id` (the asset's, repeated here for the index). `content`
    holds what has no file: a transcript, text, or peaks. `user_id`, `key_id` and `token_id` are its
    `Requester`.
    """

    class Kind(models.TextChoices):
        PICTURE = "picture", "picture for models"
        STRIP = "strip", "long picture for OCR"
        THUMBNAIL = "thumbnail"
        TEXT = "text", "text in the picture"
        WAV = "wav", "sound for models"
        TRANSCRIPT = "transcript"
        OPUS = "opus"
        MP3 = "mp3"
        PEAKS = "peaks"

    class State(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"

    class Lane(models.TextChoices):
        """A class of work that takes similar resources."""

        QUICK = "quick"
        LONG = "long"
        RECOGNITION = "recognition"

    class Priority(models.IntegerChoices):
        AWAITED = 0, "an answer waits"
        BACKGROUND = 1

    WITHOUT_FILE: ClassVar = frozenset({Kind.TEXT, Kind.TRANSCRIPT, Kind.PEAKS})
    SOURCE_KINDS: ClassVar[dict[str, str]] = {Kind.TRANSCRIPT: Kind.WAV, Kind.TEXT: Kind.PICTURE}
    """The kinds that others are created from: models never see the bytes that somebody sent, only these."""
    UNPAID_CODES: ClassVar = frozenset({"insufficient_quota", "model_unpriced"})
    """The codes of what was not created since nobody could pay; it is, for the next who needs it and can."""

    id = models.UUIDField(primary_key=True, editable=False)
    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="renditions")
    kind = models.CharField(max_length=12)
    state = models.CharField(max_length=7, choices=State, default=State.PENDING)
    media_type = models.CharField(max_length=100, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    content = CompactJSONField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, null=True, blank=True)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.BACKGROUND)
    lane = models.CharField(max_length=11, choices=Lane)
    workspace_id = models.UUIDField(editable=False)
    user_id = models.BigIntegerField(null=True, editable=False)
    key_id = models.UUIDField(null=True, editable=False)
    token_id = models.UUIDField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["priority", "lane", "workspace_id", "due_at"],
                name="rendition_queue",
                condition=Q(state="pending", due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.asset_id}"

    @property
    def requester(self) -> Requester:
        return Requester(self.user_id, self.key_id, self.token_id)

    @property
    def is_unpaid(self) -> bool:
        return self.state == self.State.FAILED and self.error_code in self.UNPAID_CODES


def rendition_id(asset: UUID, kind: str) -> UUID:
    """Return the id of an asset's only rendition of this kind; it is derived from both."""
    return derive_id(asset, kind)


def source_kind(kind: str, asset: Asset) -> str:
    """Return the kind that this kind is created from for that asset.

    Text in a long picture is read from a `STRIP`: in a `PICTURE` the letters are too small.
    """
    sides = sorted((asset.width or 1, asset.height or 1))
    is_long = sides[1] > settings.CHATAPI_PICTURE_SIDE and sides[1] >= LONG_RATIO * sides[0]
    if is_long and kind == Rendition.Kind.TEXT:
        return Rendition.Kind.STRIP
    return Rendition.SOURCE_KINDS.get(kind, kind)


LONG_MILLISECONDS = 300_000
"""The length of a sound that takes seconds to transcode."""


def lane_of(kind: str, milliseconds: int | None) -> Rendition.Lane:
    if kind in {Rendition.Kind.TEXT, Rendition.Kind.TRANSCRIPT}:
        return Rendition.Lane.RECOGNITION
    return Rendition.Lane.LONG if (milliseconds or 0) > LONG_MILLISECONDS else Rendition.Lane.QUICK


def planned_renditions(
    asset: Asset,
    kinds: Iterable[str],
    priority: Rendition.Priority = Rendition.Priority.BACKGROUND,
    requester: Requester = NOBODY,
) -> list[Rendition]:
    """Return unsaved rows for these kinds, after those for the kinds that they are created from."""
    wanted = dict.fromkeys(kinds)
    needed = {source_kind(kind, asset): None for kind in wanted if kind in Rendition.SOURCE_KINDS}
    return [
        Rendition(
            id=rendition_id(asset.id, kind),
            asset_id=asset.id,
            kind=kind,
            priority=priority,
            lane=lane_of(kind, asset.milliseconds),
            workspace_id=asset.workspace_id,
            **requester._asdict(),
        )
        for kind in needed | wanted
    ]


def rendition_name(workspace_id: UUID, rendition: UUID) -> str:
    return f"{workspace_id.hex}/renditions/{rendition.hex}"


class UnexpiredFiles(models.Manager["File"]):
    def get_queryset(self) -> models.QuerySet["File"]:
        return super().get_queryset().exclude(expires_at__lte=timezone.now())


class File(OwnedModel):
    """An upload under its own name; several may share an asset."""

    asset = models.ForeignKey(Asset, on_delete=models.RESTRICT, related_name="files")
    filename = models.CharField(max_length=255)
    purpose = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = models.Manager()
    showing = UnexpiredFiles()

    class Meta(OwnedModel.Meta):
        indexes: ClassVar[list[models.Index]] = [
            *OwnedModel.Meta.indexes,
            models.Index(fields=["workspace", "-id"], name="file_page"),
            models.Index(fields=["expires_at"], name="file_expiry", condition=Q(expires_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def public_id(self) -> str:
        return format_id(FILE, self.id)


class RemoteCopy(models.Model):
    """What was last fetched from a URL, so that a history that is sent again is not fetched again."""

    id = models.UUIDField(primary_key=True, editable=False)
    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="copies_of")
    fetched_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)


def remote_copy_id(who: Principal, url: str) -> UUID:
    """Return the id of a caller's last copy: who may have it need not be let in at that URL any more."""
    return derive_id(who.workspace_id, f"{who.owner_name}\n{url}" if who.owner_name else url)
