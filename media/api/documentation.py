"""Stubs for the API's document, of endpoints that are no views."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers

from chatapi.serializers import refusals
from chatapi.views import ApiView
from media.files import DEFAULT_PURPOSE, LONGEST_LIFE, PURPOSES, SHORTEST_LIFE

Endpoints = list[tuple[str, str, str, Any]]


class ExpiresAfterSerializer(serializers.Serializer[Any]):
    anchor = serializers.ChoiceField(["created_at"])
    seconds = serializers.IntegerField(min_value=SHORTEST_LIFE, max_value=LONGEST_LIFE)


class UploadSerializer(serializers.Serializer[Any]):
    file = serializers.FileField()
    purpose = serializers.ChoiceField(PURPOSES, default=DEFAULT_PURPOSE)
    expires_after = ExpiresAfterSerializer(required=False)


class FileContent(ApiView):
    @extend_schema(
        operation_id="getFileContent",
        summary="A file's bytes, with ranges and an ETag",
        tags=["files"],
        responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY}
        | {304: OpenApiResponse(description="The client has it already")}
        | refusals(401, 404),
    )
    def get(self) -> None:
        """Documents it; never called."""


STUBS: list[tuple[str, str, Any]] = [
    ("/v1/files/{file_id}/content", "GET", FileContent),
]


def add_media_endpoints(endpoints: Endpoints) -> Endpoints:
    """A preprocessing hook of drf-spectacular."""
    return [*endpoints, *((path, path, method, stub.as_view()) for path, method, stub in STUBS)]
