"""Serializer fields for amounts. Nano-USD never become floats here, whatever the client makes of them."""

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.http.serializers import ConstantField
from core.money import CURRENCY, format_usd


@extend_schema_field({"type": "number"})
class UsdNumberField(serializers.Field):  # type: ignore[type-arg]
    """Nano-USD as a JSON number of USD, digit for digit. Needs `ExactJSONRenderer`."""

    def to_representation(self, value: int) -> msgspec.Raw:
        return msgspec.Raw(format_usd(value).encode())


class CurrencyField(ConstantField):
    def __init__(self) -> None:
        super().__init__(CURRENCY)
