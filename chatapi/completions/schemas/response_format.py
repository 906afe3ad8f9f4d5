"""`response_format`: text, JSON, or JSON by a schema."""

from typing import Any

from chatapi.completions.schemas.json_schema import JsonSchemaField
from core.validation import exceptions
from core.validation.fields import (
    BooleanField,
    EnumField,
    NameField,
    StrictSerializer,
    StringField,
)


class JsonSchemaFormatSerializer(StrictSerializer):
    """The document lets the name be absent."""

    name = NameField(required=False)
    description = StringField(required=False)
    schema = JsonSchemaField(required=False)
    strict = BooleanField(required=False)


class ResponseFormatSerializer(StrictSerializer):
    type = EnumField(("json_schema", "json_object", "text"), required=False)
    json_schema = JsonSchemaFormatSerializer(required=False)


class OpenAIJsonSchemaFormatSerializer(JsonSchemaFormatSerializer):
    name = NameField()


class OpenAIResponseFormatSerializer(StrictSerializer):
    type = EnumField(("text", "json_object", "json_schema"))
    json_schema = OpenAIJsonSchemaFormatSerializer(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["type"] == "json_schema" and "json_schema" not in attrs:
            raise exceptions.missing("json_schema")
        return attrs
