"""What the views answer, and the fields they share."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from chatapi.engines.registry import ModelSpec


class ConstantField(serializers.ChoiceField):
    """A key that always says the same, such as `object`."""

    def __init__(self, value: str) -> None:
        super().__init__(choices=[value], read_only=True)
        self._value = value

    def get_attribute(self, instance: object) -> str:
        return self._value

    def to_representation(self, value: str) -> str:
        return value


class TimestampField(serializers.IntegerField):
    """Seconds since the epoch."""

    def to_representation(self, value: datetime | int) -> int:
        return value if isinstance(value, int) else int(value.timestamp())


class OptionalTextField(serializers.CharField):
    """Null where the stored text is empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: str) -> str | None:  # type: ignore[override]
        return value or None


class PublicIdField(serializers.CharField):
    """An id as clients see it: give the prefix and, in `source`, the UUID."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)
        self._prefix = prefix

    def to_representation(self, value: Any) -> str:
        return f"{self._prefix}{value.hex}"


class ListSerializer(serializers.Serializer[Any]):
    """Base of a page; a subclass adds `data`."""

    object = ConstantField("list")
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


class StatusSerializer(serializers.Serializer[Any]):
    status = ConstantField("ok")


class ModelSerializer(serializers.Serializer[ModelSpec]):
    id = serializers.CharField()
    object = ConstantField("model")
    created = serializers.IntegerField(help_text="When the models file was last changed.")
    owned_by = serializers.CharField()
    input_modalities = serializers.ListField(child=serializers.ChoiceField(["text", "image", "audio"]))
    output_modalities = serializers.ListField(child=serializers.ChoiceField(["text", "audio"]))
    context_length = serializers.IntegerField(allow_null=True)
    max_output_tokens = serializers.IntegerField(allow_null=True)
    default = serializers.BooleanField(help_text="Whether it answers requests that name no model.")


class ModelListSerializer(serializers.Serializer[Any]):
    object = ConstantField("list")
    data = ModelSerializer(many=True)  # type: ignore[assignment]


class ErrorDetailSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True, help_text="A path such as `messages[0].content`.")
    code = serializers.CharField(allow_null=True)


class ErrorSerializer(serializers.Serializer[Any]):
    """Every refusal, whatever its status."""

    error = ErrorDetailSerializer()


_REFUSALS = {
    400: "The request is wrong; `param` says where",
    401: "No key, or one that is wrong, revoked or expired",
    403: "The CSRF check of a browser session failed",
    404: "Not there, or not yours",
    409: "The idempotency key was used for another request",
    413: "The body is too large",
    429: "Beyond a limit a minute or of streams at once, or the quota is used up",
    502: "The model server failed",
    503: "The database or the model is not available now",
}


def rate_limit_headers(*kinds: str) -> list[OpenApiParameter]:
    """What answers tell of the limits of these kinds, `requests` and `tokens`, as a view documents it."""
    told = {
        f"x-ratelimit-{name}-{kind}": (
            type,
            f"{what}. Of the key's and the workspace's limit the tighter one.",
        )
        for kind in kinds
        for name, type, what in (
            ("limit", int, f"{kind.capitalize()} a minute"),
            ("remaining", int, f"{kind.capitalize()} that are left"),
            ("reset", str, "In which time all are there again, such as `12ms` or `1m30s`"),
        )
    }
    retry = {
        "retry-after": (int, "Seconds until the call may be sent again."),
        "retry-after-ms": (int, "The same in milliseconds."),
    }
    return [
        OpenApiParameter(name, type, OpenApiParameter.HEADER, description=description, response=statuses)
        for statuses, headers in (([200, 429], told), ([429], retry))
        for name, (type, description) in headers.items()
    ]


def refusals(*statuses: int) -> dict[Any, Any]:
    """These statuses as a view's `responses` document them."""
    return {status: OpenApiResponse(ErrorSerializer, _REFUSALS[status]) for status in statuses}
