"""Serializers of files and their renditions."""

from drf_spectacular.utils import extend_schema_field
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
from media.file_library import PURPOSES
from media.models import File, Rendition
from media.signed_urls import media_url


class FileChangesSerializer(StrictSerializer):
    visibility = EnumField(Visibility.values)


class FileSerializer(serializers.Serializer[File]):
    id = PublicIdField(FILE)
    object = ConstantField("file")
    bytes = serializers.IntegerField(source="asset.size")
    created_at = TimestampField()
    expires_at = TimestampField(allow_null=True)
    filename = serializers.CharField()
    purpose = serializers.ChoiceField(PURPOSES)
    user = OptionalTextField(source="end_user", help_text="The end user whom it is for.")
    visibility = serializers.ChoiceField(Visibility.values, help_text="`workspace`: all members see it.")
    status = ConstantField("processed")
    media_type = serializers.CharField(source="asset.media_type", help_text="As its bytes tell it.")
    width = serializers.IntegerField(source="asset.width", allow_null=True, help_text="Pixels; of pictures.")
    height = serializers.IntegerField(source="asset.height", allow_null=True)
    seconds = serializers.SerializerMethodField(help_text="Of sounds.")
    url = serializers.SerializerMethodField(
        help_text="A path that needs no key, for `<img>` and `<audio>`; it expires."
    )

    @extend_schema_field({"type": "number", "nullable": True})
    def get_seconds(self, file: File) -> float | None:
        milliseconds = file.asset.milliseconds
        return None if milliseconds is None else milliseconds / 1000

    def get_url(self, file: File) -> str:
        return media_url(file.workspace_id, file.asset.sha256, holder=file.id)


class FileDeletedSerializer(serializers.Serializer[File]):
    id = PublicIdField(FILE)
    object = ConstantField("file")
    deleted = DeletedField()


class RenditionSerializer(serializers.Serializer[Rendition]):
    # the context holds `holder`, the id of the row that holds the file

    object = ConstantField("rendition")
    kind = serializers.CharField(help_text="Such as `opus`, `thumbnail`, `peaks`.")
    state = serializers.ChoiceField(Rendition.State.choices, help_text="How far it is.")
    error = serializers.SerializerMethodField(help_text="Why it failed.")
    media_type = serializers.SerializerMethodField(help_text="Of one that is a file, once it is ready.")
    bytes = serializers.SerializerMethodField(help_text="The size of one that is a file, once it is ready.")
    url = serializers.SerializerMethodField(help_text="Of one that is a file, once it is ready.")
    content = serializers.JSONField(help_text="Of one that is none: a transcript, text, or peaks.")

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
