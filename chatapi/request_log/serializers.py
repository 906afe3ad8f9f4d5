"""Records of calls as the API shows them."""

from rest_framework import serializers

from chatapi.models import RequestRecord
from core.http.serializers import ConstantField, OptionalTextField, PublicIdField, TimestampField
from core.ids import KEY, REQUEST


class RequestKeySerializer(serializers.Serializer[RequestRecord]):
    id = PublicIdField(KEY, source="api_key_id")
    prefix = serializers.CharField(source="key_prefix", help_text="How its secret began at that time.")


class RequestSerializer(serializers.Serializer[RequestRecord]):
    id = PublicIdField(REQUEST)
    object = ConstantField("request")
    created_at = TimestampField()
    method = serializers.CharField()
    route = OptionalTextField(help_text="The path, with names for ids; null where there is none.")
    api_key = RequestKeySerializer(
        source="of_key", allow_null=True, help_text="The key, also an end-user token's; null in a session."
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
    duration_ms = serializers.IntegerField(source="milliseconds", help_text="To the end of the answer.")
    client_request_id = OptionalTextField(help_text="The `x-request-id` that the client sent.")
