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
    """The JSON Schema that an answer follows."""

    name = NameField(required=False, help_text="The schema's name: letters, digits, underscores and dashes.")
    description = StringField(required=False, help_text="What the answer is for.")
    schema = JsonSchemaField(
        required=False,
        help_text="The JSON Schema itself. Nothing is fetched: each `$ref` leads to a place in it.",
    )
    strict = BooleanField(
        required=False, help_text="Whether the answer must follow it exactly. The local model always does."
    )


class ResponseFormatSerializer(StrictSerializer):
    """What form the answer has. With a `json_schema` the `type` may be left out."""

    type = EnumField(
        ("json_schema", "json_object", "text"),
        required=False,
        help_text="`text`, any JSON object, or JSON by a schema.",
    )
    json_schema = JsonSchemaFormatSerializer(
        required=False, help_text="The schema, for the type `json_schema`."
    )


class OpenAIJsonSchemaFormatSerializer(JsonSchemaFormatSerializer):
    """The JSON Schema that an answer follows."""

    name = NameField(help_text="The schema's name: letters, digits, underscores and dashes.")


class OpenAIResponseFormatSerializer(StrictSerializer):
    """What form the answer has."""

    type = EnumField(
        ("text", "json_object", "json_schema"), help_text="`text`, any JSON object, or JSON by a schema."
    )
    json_schema = OpenAIJsonSchemaFormatSerializer(
        required=False, help_text="The schema, for the type `json_schema`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["type"] == "json_schema" and "json_schema" not in attrs:
            raise exceptions.missing("json_schema")
        return attrs
