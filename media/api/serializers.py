"""Serializers of files and their renditions."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.ownership import Visibility
from core.http.serializers import (
    ConstantField,
    DeletedField,
    OptionalTextField,
    PublicIdField,
    TimestampField,
)
from core.ids import FILE
from core.validation.fields import EnumField, StrictSerializer
from media.api.examples import FILE_CHANGES, FILE_DELETED, SHOWN_FILE, SHOWN_RENDITION
from media.file_library import PURPOSES
from media.models import File, Rendition
from media.signed_urls import media_url


@extend_schema_serializer(examples=[FILE_CHANGES])
class FileChangesSerializer(StrictSerializer):
    """Who sees a file."""

    visibility = EnumField(
        Visibility.values, help_text="`workspace`: all members see it; `private`: as before it was shared."
    )


@extend_schema_serializer(examples=[SHOWN_FILE])
class FileSerializer(serializers.Serializer[File]):
    """An uploaded file. Messages name it by its id."""

    id = PublicIdField(FILE)
    object = ConstantField("file")
    bytes = serializers.IntegerField(source="asset.size", help_text="Its size in bytes.")
    created_at = TimestampField(help_text="When it was uploaded, in seconds since the epoch.")
    expires_at = TimestampField(
        allow_null=True, help_text="When it is deleted, in seconds since the epoch; null: never by itself."
    )
    filename = serializers.CharField(help_text="Its name, as it was uploaded.")
    purpose = serializers.ChoiceField(
        PURPOSES, help_text="What it was uploaded for, as it was sent. It changes nothing here."
    )
    user = OptionalTextField(
        source="end_user", help_text="The end user whom it is for; null if it was uploaded for none."
    )
    visibility = serializers.ChoiceField(Visibility.values, help_text="`workspace`: all members see it.")
    status = ConstantField("processed")
    media_type = serializers.CharField(
        source="asset.media_type",
        help_text="What it is, as its bytes tell it, such as `image/jpeg`. Its name counts for nothing.",
    )
    width = serializers.IntegerField(
        source="asset.width",
        allow_null=True,
        help_text="Of pictures: the width in pixels. Null for other files.",
    )
    height = serializers.IntegerField(
        source="asset.height",
        allow_null=True,
        help_text="Of pictures: the height in pixels. Null for other files.",
    )
    seconds = serializers.SerializerMethodField(
        help_text="Of sounds: the length in seconds. Null for other files."
    )
    url = serializers.SerializerMethodField(
        help_text="A path that opens it without a key, for `<img>` and `<audio>`. It expires: read the file "
        "again for a new one."
    )

    @extend_schema_field({"type": "number", "nullable": True})
    def get_seconds(self, file: File) -> float | None:
        milliseconds = file.asset.milliseconds
        return None if milliseconds is None else milliseconds / 1000

    def get_url(self, file: File) -> str:
        return media_url(file.workspace_id, file.asset.sha256, holder=file.id)


@extend_schema_serializer(examples=[FILE_DELETED])
class FileDeletedSerializer(serializers.Serializer[File]):
    """A file that was deleted."""

    id = PublicIdField(FILE)
    object = ConstantField("file")
    deleted = DeletedField()


@extend_schema_serializer(examples=[SHOWN_RENDITION])
class RenditionSerializer(serializers.Serializer[Rendition]):
    """What was made of a file in the background: another format, a thumbnail, or what was found in it."""

    # the context holds `holder`, the id of the row that holds the file

    object = ConstantField("rendition")
    kind = serializers.CharField(
        help_text="What it is: `opus` and `mp3` to play, `peaks` to draw, `thumbnail`, `transcript`, `text` "
        "read in a picture; `picture`, `strip` and `wav` are for models."
    )
    state = serializers.ChoiceField(
        Rendition.State.choices, help_text="`pending` until it is made, then `ready`, or `failed` for good."
    )
    error = serializers.SerializerMethodField(help_text="Why it failed; null if it did not.")
    media_type = serializers.SerializerMethodField(
        help_text="Of one that is a file, once it is ready, such as `audio/ogg`. Null else."
    )
    bytes = serializers.SerializerMethodField(
        help_text="The size in bytes of one that is a file, once it is ready. Null else."
    )
    url = serializers.SerializerMethodField(
        help_text="A path that opens one that is a file without a key, once it is ready. It expires. Null "
        "else."
    )
    content = serializers.JSONField(
        help_text="Of one that is no file, once it is ready: a transcript, text, or peaks. Null else."
    )

    def get_error(self, rendition: Rendition) -> str | None:
        return rendition.error or None

    def get_media_type(self, rendition: Rendition) -> str | None:
        return rendition.media_type or None

    @extend_schema_field({"type": "integer", "nullable": True})
    def get_bytes(self, rendition: Rendition) -> int | None:
        return rendition.size if _is_file(rendition) else None

    def get_url(self, rendition: Rendition) -> str | None:
        if not _is_file(rendition):
            return None
        asset, holder = rendition.asset, self.context["holder"]
        return media_url(asset.workspace_id, asset.sha256, rendition.kind, holder=holder)


def _is_file(rendition: Rendition) -> bool:
    return rendition.state == Rendition.State.READY and bool(rendition.media_type)
