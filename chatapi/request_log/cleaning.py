"""What may be stored and logged of what clients and upstreams say: names that are known, and short ids.

A client may send a message, or a key, where a name belongs; an upstream may quote either.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPMethod

from rest_framework import serializers

from chatapi.completions.schemas.parameters import CONTEXT_NAMES
from chatapi.request_log.routes import path_arguments
from core.http.call_record import CallRecord
from core.http.query_parameters import known_parameters
from core.known_secrets import KnownSecrets
from core.redaction import redact

UPSTREAM_CODES = frozenset(
    {
        *("bad_gateway", "billing_hard_limit_reached", "content_filter", "content_policy_violation"),
        *("context_length_exceeded", "gateway_timeout", "insufficient_quota", "internal_error"),
        *("internal_server_error", "invalid_api_key", "invalid_image", "invalid_prompt"),
        *("invalid_request_error", "invalid_type", "invalid_value", "model_not_found", "overloaded"),
        *("overloaded_error", "rate_limit_exceeded", "server_error", "service_unavailable", "timeout"),
        *("unknown_parameter", "unsupported_parameter", "unsupported_value", "upstream_authentication"),
    }
)
"""What is believed of an upstream that answers with an error. Where it fails otherwise, the code is ours."""
OTHER_UPSTREAM_CODE = "upstream_error"
_HEADERS = ("Authorization", "Idempotency-Key", "OpenAI-Project", "X-Workspace-Id", "X-Session-Token")
_METHODS = frozenset(HTTPMethod)
_KEYS = ("detail", "file", "role", "type")
"""What tells objects apart, or is read by hand."""
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9][\w.:=-]{0,62}", re.ASCII)
_PLAIN_ID = re.compile(r"(?:req_)?[0-9a-f-]{8,64}", re.ASCII)
_STEP = re.compile(r"\.?(?P<name>[\w-]+)|\[(?P<index>\d{1,6})\]", re.ASCII)
_NOTHING_KNOWN = KnownSecrets()
"""Who sends our own secrets to see which are masked would learn from it whether a guess is right."""


def clean_method(method: str) -> str:
    return method if method in _METHODS else ""


def clean_code(call: CallRecord) -> str:
    """Return why a call failed; of what an upstream says only what is known."""
    code = call.code or (f"status_{call.status}" if (call.status or 0) >= 400 else "")
    if call.upstream_failure == "status" and code not in UPSTREAM_CODES:
        return OTHER_UPSTREAM_CODE
    return code if _CODE.fullmatch(code) else ""


def clean_param(param: str | None) -> str:
    """Return a path as far as it has only names of the API, and no keys that a client has made up."""
    if not param:
        return ""
    position, names = 0, known_names()
    while found := _STEP.match(param, position):
        if found["name"] is not None and found["name"] not in names:
            break
        position = found.end()
    return param[:position]


def clean_client_request_id(sent: bytes) -> str:
    if not sent:
        return ""
    text = sent.decode("latin-1")
    if _PLAIN_ID.fullmatch(text):  # most are, and to look for keys takes five times as long as all else
        return text
    if not _CLIENT_REQUEST_ID.fullmatch(text) or redact(text, _NOTHING_KNOWN) != text:
        return ""
    return text


@cache
def known_names() -> frozenset[str]:
    """Return the names of all fields, query parameters and headers of the API."""
    fields = {name for kind in _all_serializers(serializers.Serializer) for name in _fields_of(kind)}
    return frozenset({*fields, *known_parameters(), *path_arguments(), *CONTEXT_NAMES, *_HEADERS, *_KEYS})


def _fields_of(kind: type[serializers.Serializer]) -> Iterable[str]:  # type: ignore[type-arg]
    declared: Iterable[str] = getattr(kind, "_declared_fields", ())
    return declared


def _all_serializers(
    base: type[serializers.Serializer],  # type: ignore[type-arg]
) -> Iterator[type[serializers.Serializer]]:  # type: ignore[type-arg]
    yield base
    for kind in base.__subclasses__():
        yield from _all_serializers(kind)
