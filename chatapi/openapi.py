"""The API document, with what drf-spectacular cannot see by itself."""

from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.api.views import SESSION_REQUIRED
from accounts.authentication import SESSION_TOKEN
from chatapi import openapi_fields  # noqa: F401 (registers itself with drf-spectacular)
from chatapi.completions.schemas.call_documentation import HEADERS_OF_CALLS, REFUSALS_OF_CALLS
from chatapi.completions.schemas.examples import NATIVE_ANSWERED, NATIVE_CALL, NATIVE_CHUNK, NATIVE_LINE
from chatapi.completions.schemas.native_request import ChatCompletionRequestSerializer
from chatapi.completions.schemas.native_responses import (
    ChatCompletionChunkSerializer,
    ChatCompletionResponseSerializer,
)
from chatapi.data_export.serializers import EXPORT
from core.http.openapi import Endpoint, asgi_endpoint, error_responses
from core.http.views import PublicView
from media.api.openapi import IF_NONE_MATCH, RANGE, bytes_answers

NATIVE = "/chat/completions"

ENDPOINTS: list[Endpoint] = [
    asgi_endpoint(
        "POST",
        NATIVE,
        operation_id="createChatCompletion",
        summary="Create a streaming chat completion",
        description="Streams a chat completion response",
        tags=["chat"],
        parameters=HEADERS_OF_CALLS,
        examples=[NATIVE_CALL, NATIVE_ANSWERED, NATIVE_CHUNK, NATIVE_LINE],
        request=ChatCompletionRequestSerializer,
        responses={
            (200, "application/json"): ChatCompletionResponseSerializer,
            (200, "text/event-stream"): ChatCompletionChunkSerializer,
            (200, "application/x-ndjson"): ChatCompletionChunkSerializer,
        }
        | REFUSALS_OF_CALLS,
    ),
    asgi_endpoint(
        "GET",
        "/v1/me/exports/{export_id}/content",
        operation_id="getExportContent",
        summary="An export's ZIP, with ranges and an ETag",
        tags=["me"],
        description="Once the export is `ready`; 404 before. Only in a session.",
        parameters=[EXPORT, RANGE, IF_NONE_MATCH],
        responses=bytes_answers("application/zip") | SESSION_REQUIRED | error_responses(401, 404, 416),
    ),
]


def add_streaming_endpoints(endpoints: list[Endpoint]) -> list[Endpoint]:
    # first: of two for one path and method, drf-spectacular forgets the second
    return ENDPOINTS + endpoints


def match_contract(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Describe the native response as the contract does: `oneOf` two schemas, and `x-stream`."""
    native = result["paths"][NATIVE]["post"]
    content = native["responses"]["200"]["content"]
    either = [content[type]["schema"] for type in ("application/json", "text/event-stream")]
    # the contract's bodies have no examples: these stand at what the bodies refer to
    for media in (native["requestBody"]["content"]["application/json"], *content.values()):
        [example] = media.pop("examples").values()
        name = media["schema"]["$ref"].rpartition("/")[2]
        result["components"]["schemas"][name]["example"] = example["value"]
    content["application/json"] = {"schema": {"oneOf": either}, "x-stream": True}
    for operation in (operation for path in result["paths"].values() for operation in path.values()):
        for status in ("200", "202"):
            if status in operation["responses"]:
                operation["responses"][status]["description"] = "Successful response"
    # the contract names it, though nothing refers to it
    result["components"]["schemas"]["Delta"] = {
        "type": "object",
        "description": "The next piece of a text.",
        "properties": {"content": {"type": "string", "description": "More of the text."}},
    }
    _remove_key(result, "x-spec-enum-id")
    for schema in result["components"]["schemas"].values():
        _keep_optional_what_has_a_default(schema)
    return result


def _remove_key(node: Any, key: str) -> None:
    """Remove a key at any depth: the generator left it for a hook that is not used here."""
    if isinstance(node, dict):
        node.pop(key, None)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _remove_key(child, key)


def _keep_optional_what_has_a_default(schema: dict[str, Any]) -> None:
    """Wrap optional members that have a default: openapi-typescript would demand them in each request."""
    members = schema.get("properties", {})
    for name, member in members.items():
        if "default" in member and name not in schema.get("required", ()):
            description = member.pop("description", None)
            members[name] = {"allOf": [member]} | ({"description": description} if description else {})


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = ["bearer", "x-api-key"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        text = "An API key, `sk-chatapi-…`, or an end-user token, `ut-chatapi-…`."
        return [
            {"type": "http", "scheme": "bearer", "description": text},
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": text},
        ]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.SessionAuthentication"
    name = ["session", "session-token"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        cookie, header = settings.SESSION_COOKIE_NAME, SESSION_TOKEN
        of_page = "Of a page of the service's own origin; with `X-CSRFToken` where the method is not `GET`."
        of_app = "Of an app, or a page of another origin: what signing in answered with."
        return [
            {"type": "apiKey", "in": "cookie", "name": cookie, "description": of_page},
            {"type": "apiKey", "in": "header", "name": header, "description": of_app},
        ]


@cache
def document() -> bytes:
    """Return the OpenAPI document as JSON; built once per process, since it is slow and never changes."""
    schema = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    indented = OpenApiJsonRenderer2().render(schema, renderer_context={})
    return msgspec.json.encode(msgspec.json.decode(indented))  # two fifths as long


class DocumentView(PublicView):
    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document(), content_type="application/json")
