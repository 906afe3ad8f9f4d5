"""Exports as the API shows them."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from chatapi.models import DataExport
from core.http.examples import NOON, deleted, shown
from core.http.openapi import path_id
from core.http.serializers import ConstantField, DeletedField, PublicIdField, TimestampField
from core.ids import EXPORT as EXPORT_PREFIX

EXPORT = path_id("export_id", "The export: `export_…`.")
_ID = "export_019b796dd6007c2d9e3f4a5b6c7d8e9f"
_PENDING = {
    "id": _ID,
    "object": "export",
    "status": "pending",
    "created_at": NOON,
    "expires_at": None,
    "bytes": None,
    "content_url": None,
}
_READY = _PENDING | {
    "status": "ready",
    "expires_at": NOON + 7 * 86_400,
    "bytes": 1_734_209,
    "content_url": f"/v1/me/exports/{_ID}/content",
}


@extend_schema_serializer(
    examples=[shown("One that is ready", _READY), shown("A new one", _PENDING, status="202")]
)
class ExportSerializer(serializers.Serializer[DataExport]):
    """A ZIP of a user's own data, made in the background and kept for a week."""

    id = PublicIdField(EXPORT_PREFIX)
    object = ConstantField("export")
    status = serializers.ChoiceField(
        DataExport.State.values,
        source="state",
        help_text="`pending` until it is made, then `ready`, or `failed`: ask for another.",
    )
    created_at = TimestampField(help_text="When it was asked for, in seconds since the epoch.")
    expires_at = TimestampField(
        allow_null=True, help_text="When it is deleted, in seconds since the epoch; null while it is pending."
    )
    bytes = serializers.SerializerMethodField(
        help_text="The size of the ZIP in bytes, once it is ready. Null else."
    )
    content_url = serializers.SerializerMethodField(
        help_text="The path of the ZIP, once it is ready. Null else."
    )

    def get_bytes(self, export: DataExport) -> int | None:
        return export.size if export.state == DataExport.State.READY else None

    def get_content_url(self, export: DataExport) -> str | None:
        is_ready = export.state == DataExport.State.READY
        return f"/v1/me/exports/{export.public_id}/content" if is_ready else None


@extend_schema_serializer(examples=[deleted(_ID, "export.deleted")])
class ExportDeletedSerializer(serializers.Serializer[DataExport]):
    """An export that was deleted."""

    id = PublicIdField(EXPORT_PREFIX)
    object = ConstantField("export.deleted")
    deleted = DeletedField()
