"""The native dialect's document, and what is sent held against it."""

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
"""What is answered only to a client that asked for it with OpenAI's parameters."""

_ANSWERS = (
    *("ChatCompletionResponse", "ChatCompletionChunk", "Choice", "DeltaChoice", "ResponseMessage"),
    *("ToolCall", "Audio", "Usage"),
)


def validate_against_document(schema_name: str, instance: Any) -> None:
    """Fail where `instance` breaks the named schema or holds a null (the document knows none).

    The document closes no object, so that a misspelt key would pass: answers are held to the keys
    it names.
    """
    _validator(schema_name).validate(instance)
    nulls = _null_paths(instance, schema_name)
    assert not nulls, f"null at {nulls}"


@lru_cache
def _validator(schema_name: str) -> Draft202012Validator:
    assert schema_name in SCHEMAS
    schemas = {
        name: _closed(schema, name) if name in _ANSWERS else schema for name, schema in SCHEMAS.items()
    }
    reference = f"#/components/schemas/{schema_name}"
    return Draft202012Validator({"$ref": reference, "components": {"schemas": schemas}})


def _closed(schema: dict[str, Any], name: str = "") -> dict[str, Any]:
    if "properties" not in schema:
        return schema
    known = {key: _closed(below) for key, below in schema["properties"].items()}
    further: dict[str, Any] = {key: {} for key in BEYOND_THE_DOCUMENT.get(name, ())}
    return {**schema, "properties": {**known, **further}, "additionalProperties": False}


def _null_paths(value: Any, path: str) -> list[str]:
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [below for key, item in value.items() for below in _null_paths(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [below for i, item in enumerate(value) for below in _null_paths(item, f"{path}[{i}]")]
    return []
