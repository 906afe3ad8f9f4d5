"""JSON Schemas in a request, validated against their draft's meta-schema, which is never fetched.

`jsonschema_rs.meta.validate` would fetch an unknown meta-schema over HTTP, so `$schema` is compared with the
known drafts first.
"""

from collections.abc import Iterator, Set
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from core.validation import exceptions
from core.validation.fields import ObjectField

Path = tuple[str | int, ...]

_CACHED_BYTES = 32_768
_KNOWN_DRAFTS = frozenset(
    f"{scheme}://json-schema.org/{draft}{end}"
    for scheme in ("http", "https")
    for draft in (
        *("schema", "draft/2020-12/schema", "draft/2019-09/schema"),
        *("draft-07/schema", "draft-06/schema", "draft-04/schema"),
    )
    for end in ("", "#")
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_KEYWORDS_WITH_NAMES = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_PLAIN_VALUES = frozenset({"const", "enum", "default", "examples", "example"})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class JsonSchemaField(ObjectField):
    """A self-contained JSON Schema: it is valid, and every reference in it leads to a place in it."""

    def run_validation(self, data: Any = None) -> dict[str, Any]:
        schema = super().run_validation(data)
        encoded = _encode(schema)
        problem = _cached_problem(encoded) if len(encoded) <= _CACHED_BYTES else _find_problem(schema)
        if problem is not None:
            path, reason = problem
            raise exceptions.wrong_value(f"it is no valid JSON Schema: {reason}").at(*path)
        return schema


@lru_cache(maxsize=512)
def _cached_problem(encoded: bytes) -> tuple[Path, str] | None:
    return _find_problem(_decode(encoded))


def _find_problem(schema: dict[str, Any]) -> tuple[Path, str] | None:
    draft = schema.get("$schema")
    if isinstance(draft, str) and draft not in _KNOWN_DRAFTS:
        return ("$schema",), f"the draft {exceptions.quote_value(draft)} is not known"
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        return tuple(error.instance_path), exceptions.quote_value(error.message)
    anchors = set(_anchors(schema))
    for path, reference in _references(schema, ()):
        if not _resolves_within(schema, reference, anchors):
            return path, f"{exceptions.quote_value(reference)} does not lead to a place in it"
    return None


def _references(value: Any, path: Path, *, names: bool = False) -> Iterator[tuple[Path, str]]:
    """Yield every reference with its path. With `names`, the keys of `value` are names, not keywords."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            if not names and key in _REFERENCES and isinstance(item, str):
                yield (*path, key), item
            elif names or key not in _PLAIN_VALUES:
                yield from _references(item, (*path, key), names=not names and key in _KEYWORDS_WITH_NAMES)


def _resolves_within(schema: dict[str, Any], reference: str, anchors: Set[str]) -> bool:
    base, _, fragment = reference.partition("#")
    if base and base != schema.get("$id", schema.get("id")):
        return False
    if fragment.startswith("/"):
        return _has_target(schema, fragment)
    return not fragment or fragment in anchors


def _has_target(schema: Any, pointer: str) -> bool:
    for step in pointer[1:].split("/"):
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        elif isinstance(schema, dict) and key in schema:
            schema = schema[key]
        else:
            return False
    return isinstance(schema, dict | bool)


def _anchors(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _anchors(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("$anchor", "$dynamicAnchor") and isinstance(item, str):
                yield item
            elif key in ("$id", "id") and isinstance(item, str) and item.startswith("#"):
                yield item[1:]
            yield from _anchors(item)
