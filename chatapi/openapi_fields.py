"""A drf-spectacular extension for fields that describe themselves."""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema


class DescribedFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "core.validation.fields.DescribedField"
    match_subclasses = True

    def map_serializer_field(
        self, auto_schema: AutoSchema, direction: Literal["request", "response"]
    ) -> dict[str, Any]:
        def reference(serializer: Any) -> dict[str, Any]:
            ref: dict[str, Any] = auto_schema.resolve_serializer(serializer, direction).ref
            return ref

        schema: dict[str, Any] = self.target.describe(reference)
        return schema
