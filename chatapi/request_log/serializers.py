"""Records of calls as the API shows them."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from chatapi.models import RequestRecord
from core.http.examples import COMPLETION_ID, KEY_ID, MODEL, NOON, shown
from core.http.serializers import ConstantField, OptionalTextField, PublicIdField, TimestampField
from core.ids import KEY, REQUEST


class RequestKeySerializer(serializers.Serializer[RequestRecord]):
    """The API key that a call came with."""

    id = PublicIdField(KEY, source="api_key_id")
    prefix = serializers.CharField(source="key_prefix", help_text="What its secret began with at that time.")


_EXAMPLE = {
    "id": "req_019b796dd5f07b2c8d3e4f5061728394",
    "object": "request",
    "created_at": NOON,
    "method": "POST",
    "route": "/v1/chat/completions",
    "api_key": {"id": KEY_ID, "prefix": "sk-chatapi-3vQm"},
    "model": MODEL,
    "completion_id": COMPLETION_ID,
    "status": 200,
    "code": None,
    "param": None,
    "upstream_failure": None,
    "duration_ms": 1_842,
    "client_request_id": None,
}


@extend_schema_serializer(examples=[shown("A call that was answered", _EXAMPLE)])
class RequestSerializer(serializers.Serializer[RequestRecord]):
    """What became of a call. It holds nothing of what was said in it."""

    id = PublicIdField(REQUEST)
    object = ConstantField("request")
    created_at = TimestampField(help_text="When the call came, in seconds since the epoch.")
    method = serializers.CharField(help_text="Its HTTP method, such as `POST`.")
    route = OptionalTextField(help_text="The path, with names for ids; null where there is none.")
    api_key = RequestKeySerializer(
        source="of_key", allow_null=True, help_text="The key; null in a session, and for an end-user token."
    )
    model = OptionalTextField(help_text="The model that was asked for, if it is served.")
    completion_id = OptionalTextField(help_text="The answer that the call began or joined.")
    status = serializers.IntegerField(
        allow_null=True, help_text="The status of the answer; null if the client left before there was one."
    )
    code = OptionalTextField(
        help_text="Why it failed, also after its status was sent: `code` of the error, or "
        "`client_disconnected`, `cancelled`, `interrupted`. Null if it did not."
    )
    param = OptionalTextField(help_text="Where the request was wrong, as far as names of the API say it.")
    upstream_failure = OptionalTextField(help_text="How the model's server failed, where that was it.")
    duration_ms = serializers.IntegerField(
        source="milliseconds", help_text="How long it took, in milliseconds, to the end of the answer."
    )
    client_request_id = OptionalTextField(help_text="The `x-request-id` that the client sent.")

    def to_representation(self, instance: RequestRecord) -> dict[str, Any]:
        shown = super().to_representation(instance)
        return shown if self.context["shows_key"] else {**shown, "api_key": None}
