"""The native dialect's document, and a check of instances against it."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "openapi.yaml").read_text("utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

BEYOND_THE_DOCUMENT = {
    "ChatCompletionResponse": ("metadata", "service_tier"),
    "Choice": ("logprobs",),
    "DeltaChoice": ("logprobs",),
}
"""Keys that are sent only to a client that asked for them with OpenAI's parameters."""

_ANSWERS = (
    *("ChatCompletionResponse", "ChatCompletionChunk", "Choice", "DeltaChoice", "ResponseMessage"),
    *("ToolCall", "Audio", "Usage"),
)


def validate_against_document(schema_name: str, instance: Any) -> None:
    """Fail if `instance` violates the schema or contains null.

    The document allows extra keys, so a misspelled one would pass: answers may have only its keys.
    """
    _validator(schema_name).validate(instance)
    nulls = _null_paths(instance, schema_name)
    assert not nulls, f"null at {nulls}"


@lru_cache
def _validator(schema_name: str) -> Draft202012Validator:
    assert schema_name in SCHEMAS
    schemas = {
        name: _forbid_extra_keys(schema, name) if name in _ANSWERS else schema
        for name, schema in SCHEMAS.items()
    }
    reference = f"#/components/schemas/{schema_name}"
    return Draft202012Validator({"$ref": reference, "components": {"schemas": schemas}})


def _forbid_extra_keys(schema: dict[str, Any], name: str = "") -> dict[str, Any]:
    if "properties" not in schema:
        return schema
    known = {key: _forbid_extra_keys(below) for key, below in schema["properties"].items()}
    extra: dict[str, Any] = {key: {} for key in BEYOND_THE_DOCUMENT.get(name, ())}
    return {**schema, "properties": {**known, **extra}, "additionalProperties": False}


def _null_paths(value: Any, path: str) -> list[str]:
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [below for key, item in value.items() for below in _null_paths(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [below for i, item in enumerate(value) for below in _null_paths(item, f"{path}[{i}]")]
    return []
