"""Exports as the API shows them."""

from rest_framework import serializers

from chatapi.models import DataExport
from core.http.serializers import ConstantField, DeletedField, PublicIdField, TimestampField
from core.ids import EXPORT


class ExportSerializer(serializers.Serializer[DataExport]):
    id = PublicIdField(EXPORT)
    object = ConstantField("export")
    status = serializers.ChoiceField(DataExport.State.values, source="state")
    created_at = TimestampField()
    expires_at = TimestampField(allow_null=True, help_text="When it is deleted; null while it is pending.")
    bytes = serializers.SerializerMethodField(help_text="Of the archive, once it is ready.")
    content_url = serializers.SerializerMethodField(help_text="A path, once it is ready.")

    def get_bytes(self, export: DataExport) -> int | None:
        return export.size if export.state == DataExport.State.READY else None

    def get_content_url(self, export: DataExport) -> str | None:
        is_ready = export.state == DataExport.State.READY
        return f"/v1/me/exports/{export.public_id}/content" if is_ready else None


class ExportDeletedSerializer(serializers.Serializer[DataExport]):
    id = PublicIdField(EXPORT)
    object = ConstantField("export.deleted")
    deleted = DeletedField()
