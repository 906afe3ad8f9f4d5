"""Serializer fields for amounts. Nano-USD never become floats here, whatever the client makes of them."""

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.money import CURRENCY, format_usd
from core.http.serializers import ConstantField


@extend_schema_field({"type": "string", "pattern": r"^-?\d+\.\d{2,9}$", "example": "-0.000012"})
class UsdStringField(serializers.Field):  # type: ignore[type-arg]
    """Nano-USD as a decimal number of USD, in a string."""

    def to_representation(self, value: int) -> str:
        return format_usd(value)


@extend_schema_field({"type": "number"})
class UsdNumberField(serializers.Field):  # type: ignore[type-arg]
    """Nano-USD as a JSON number of USD, digit for digit. Needs `ExactJSONRenderer`."""

    def to_representation(self, value: int) -> msgspec.Raw:
        return msgspec.Raw(format_usd(value).encode())


class CurrencyField(ConstantField):
    def __init__(self) -> None:
        super().__init__(CURRENCY)
