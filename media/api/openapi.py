"""The file endpoints that are no views, for the API document."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from accounts.models import END_USER_LENGTH
from core.http.openapi import Endpoint, asgi_endpoint, error_responses
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
    user = serializers.CharField(
        required=False, max_length=END_USER_LENGTH, help_text="The end user whom it is for."
    )


_BYTES: dict[Any, Any] = {
    (200, "*/*"): OpenApiTypes.BINARY,
    (206, "*/*"): OpenApiTypes.BINARY,
    304: OpenApiResponse(description="The client has it already"),
}

ENDPOINTS: list[Endpoint] = [
    asgi_endpoint(
        "GET",
        "/v1/files/{file_id}/content",
        operation_id="getFileContent",
        summary="A file's bytes, with ranges and an ETag",
        tags=["files"],
        parameters=[OpenApiParameter("file_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses=_BYTES | error_responses(401, 404),
    ),
    asgi_endpoint(
        "GET",
        "/media/{token}",
        base=PublicView,
        operation_id="getMedia",
        summary="A file's bytes at a signed address that expires: a file's or a rendition's `url`",
        tags=["files"],
        parameters=[OpenApiParameter("token", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses=_BYTES | error_responses(404),
    ),
]


def add_file_endpoints(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Add the endpoints; a preprocessing hook of drf-spectacular."""
    return endpoints + ENDPOINTS
