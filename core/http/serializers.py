"""Fields and base serializers that the views share."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.money import format_usd


class ConstantField(serializers.ChoiceField):
    """A field with a constant value, such as `object`."""

    def __init__(self, value: str) -> None:
        super().__init__(choices=[value], read_only=True, help_text=f"Always `{value}`.")
        self._value = value

    def get_attribute(self, instance: object) -> str:
        return self._value

    def to_representation(self, value: str) -> str:
        return value


class DeletedField(serializers.BooleanField):
    """The `deleted` of what was deleted: true."""

    def __init__(self) -> None:
        super().__init__(read_only=True, help_text="Always true.")

    def get_attribute(self, instance: object) -> bool:
        return True


class TimestampField(serializers.IntegerField):
    """A time in seconds since the epoch."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"help_text": "In seconds since the epoch.", **kwargs})

    def to_representation(self, value: datetime | int) -> int:
        return value if isinstance(value, int) else int(value.timestamp())


class OptionalTextField(serializers.CharField):
    """A text field that is null when the stored text is empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: str) -> str | None:  # type: ignore[override]
        return value or None


class PublicIdField(serializers.CharField):
    """An id as clients see it: takes the prefix and, as `source`, the UUID."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        text = f"Its id: `{prefix}` and 32 hexadecimal digits."
        super().__init__(**{"read_only": True, "help_text": text, **kwargs})
        self._prefix = prefix

    def to_representation(self, value: Any) -> str:
        return f"{self._prefix}{value.hex}"


@extend_schema_field({"type": "string", "pattern": r"^-?\d+\.\d{2,9}$", "example": "-0.000012"})
class UsdStringField(serializers.Field):  # type: ignore[type-arg]
    """Nano-USD as a decimal number of USD, in a string."""

    def to_representation(self, value: int) -> str:
        return format_usd(value)


class ErrorDetailSerializer(serializers.Serializer[Any]):
    """What went wrong."""

    message = serializers.CharField(
        help_text="What is wrong and what to do about it, for people. Its wording may change."
    )
    type = serializers.CharField(
        help_text="The kind of error: `invalid_request_error`, `permission_error`, `rate_limit_error`, "
        "`requests`, `tokens`, `insufficient_quota` or `server_error`."
    )
    param = serializers.CharField(
        allow_null=True,
        help_text="Where it is wrong: a path into the body such as `messages[0].content`, or the name of a "
        "query parameter or header. Null where it is no one place.",
    )
    code = serializers.CharField(
        allow_null=True,
        help_text="What programs tell errors by, such as `not_found`. Null where there is nothing to tell.",
    )


class ErrorSerializer(serializers.Serializer[Any]):
    """The envelope of every refusal, whatever its status, and of an error in the middle of a stream."""

    error = ErrorDetailSerializer(help_text="What went wrong, and where.")
