"""The file endpoints that are no views, for the API document."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers

from accounts.models import END_USER_LENGTH
from core.http.openapi import Endpoint, asgi_endpoint, error_responses, path_id
from core.http.views import PublicView
from media.api.examples import UPLOAD
from media.file_library import DEFAULT_PURPOSE, MAX_LIFETIME_SECONDS, MIN_LIFETIME_SECONDS, PURPOSES


@extend_schema_field(OpenApiTypes.BINARY)
class UploadedField(serializers.FileField):
    """Bytes in a form: a plain FileField would be documented as the URI that it is in an answer."""


class ExpiresAfterSerializer(serializers.Serializer[Any]):
    """When an uploaded file is to be deleted."""

    anchor = serializers.ChoiceField(["created_at"], help_text="From when on the seconds count: the upload.")
    seconds = serializers.IntegerField(
        min_value=MIN_LIFETIME_SECONDS,
        max_value=MAX_LIFETIME_SECONDS,
        help_text="After how many seconds the file is deleted: an hour to 30 days.",
    )


@extend_schema_serializer(examples=[UPLOAD])
class UploadSerializer(serializers.Serializer[Any]):
    """The form with which a file is uploaded."""

    file = UploadedField(help_text="The file, with its name.")
    purpose = serializers.ChoiceField(
        PURPOSES,
        default=DEFAULT_PURPOSE,
        help_text="What it is for, kept with the file. It changes nothing here.",
    )
    expires_after = ExpiresAfterSerializer(
        required=False,
        help_text="When it is to be deleted; left out: never by itself. Also as `expires_after[anchor]` and "
        "`expires_after[seconds]`.",
    )
    user = serializers.CharField(
        required=False,
        max_length=END_USER_LENGTH,
        help_text="The end user whom it is for, by your own name for them.",
    )


FILE = path_id("file_id", "The file: `file-…`.")
RANGE = OpenApiParameter(
    "Range",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Which bytes to send, such as `bytes=0-1023`; left out: all of them.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `ETag` of what the client has; if it is still that, the answer is 304 without a body.",
)


def bytes_answers(media_type: str) -> dict[Any, Any]:
    """Document the answers of an endpoint that sends bytes, with ranges and an ETag."""
    return {
        (200, media_type): OpenApiResponse(OpenApiTypes.BINARY, "All of the bytes"),
        (206, media_type): OpenApiResponse(OpenApiTypes.BINARY, "The bytes that `Range` asks for"),
        304: OpenApiResponse(description="The client has it already"),
    }


ENDPOINTS: list[Endpoint] = [
    asgi_endpoint(
        "GET",
        "/v1/files/{file_id}/content",
        operation_id="getFileContent",
        summary="A file's bytes, with ranges and an ETag",
        description="As they were uploaded. `HEAD` is answered with the headers alone.",
        tags=["files"],
        parameters=[FILE, RANGE, IF_NONE_MATCH],
        responses=bytes_answers("*/*") | error_responses(401, 403, 404, 416),
    ),
    asgi_endpoint(
        "GET",
        "/media/{token}",
        base=PublicView,
        operation_id="getMedia",
        summary="A file's bytes at a signed address that expires: a file's or a rendition's `url`",
        description="Without a key, so that `<img>`, `<audio>` and `<video>` can load it, from any origin. "
        "Addresses are read from files, renditions and items, and expire.",
        tags=["files"],
        parameters=[
            path_id("token", "What the address ends with: it says what is opened, and until when."),
            RANGE,
            IF_NONE_MATCH,
        ],
        responses=bytes_answers("*/*") | error_responses(404, 416),
    ),
]


def add_file_endpoints(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Add the endpoints; a preprocessing hook of drf-spectacular."""
    return endpoints + ENDPOINTS
