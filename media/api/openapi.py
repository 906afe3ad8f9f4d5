"""The file endpoints that are not views, for the API document."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from core.http.openapi import describe_endpoint, error_responses
from core.http.views import PublicView
from media.file_library import DEFAULT_PURPOSE, MAX_LIFETIME_SECONDS, MIN_LIFETIME_SECONDS, PURPOSES


@extend_schema_field(OpenApiTypes.BINARY)
class UploadedField(serializers.FileField):
    """Bytes in a form: a plain FileField would be documented as the URI that it is in an answer."""


class ExpiresAfterSerializer(serializers.Serializer[Any]):
    anchor = serializers.ChoiceField(["created_at"])
    seconds = serializers.IntegerField(min_value=MIN_LIFETIME_SECONDS, max_value=MAX_LIFETIME_SECONDS)


class UploadSerializer(serializers.Serializer[Any]):
    file = UploadedField()
    purpose = serializers.ChoiceField(PURPOSES, default=DEFAULT_PURPOSE)
    expires_after = ExpiresAfterSerializer(required=False)


_CONTENT: dict[Any, Any] = {
    (200, "*/*"): OpenApiTypes.BINARY,
    (206, "*/*"): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The client has it already"),
}
ENDPOINTS = [
    describe_endpoint(
        "/v1/files/{file_id}/content",
        "GET",
        operation_id="getFileContent",
        summary="A file's bytes, with ranges and an ETag",
        tags=["files"],
        parameters=[OpenApiParameter("file_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses=_CONTENT | error_responses(401, 404),
    ),
    describe_endpoint(
        "/media/{token}",
        "GET",
        PublicView,
        operation_id="getMedia",
        summary="A file's bytes at a signed address that expires: a file's or a rendition's `url`",
        tags=["files"],
        parameters=[OpenApiParameter("token", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses=_CONTENT | error_responses(404),
    ),
]
