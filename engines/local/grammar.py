"""JSON Schema → a grammar (LLGuidance's, https://github.com/guidance-ai/llguidance) for llama.cpp.

llama.cpp's own conversion of `json_schema` silently relaxes what it does not know (patterns, formats,
`multipleOf`, …). LLGuidance enforces a schema or rejects it, but a rejection is only logged, and the model
then writes what it likes. So every grammar begins with a mark that an unconstrained model does not write,
and an answer without it was not constrained.
"""

from typing import Any

import msgspec

MARK = "\t"

_encode = msgspec.json.Encoder().encode

Schema = dict[str, Any]

ANY_OBJECT: Schema = {"type": "object"}


class NotConstrained(Exception):
    """The grammar was rejected, so the answer does not follow it."""


class MarkReader:
    """A reader that removes the mark from an answer arriving in pieces."""

    def __init__(self) -> None:
        self._seen = False

    def push(self, piece: str) -> str:
        if self._seen or not piece:
            return piece
        if not piece.startswith(MARK):
            raise NotConstrained
        self._seen = True
        return piece.removeprefix(MARK)


PRETTY_WHITESPACE = r"[ \n]{0,16}"
"""Whitespace for readability; bounded, since a small model may otherwise write nothing else to the end."""


def json_grammar(schema: Schema, *, exact: bool, pretty: bool = False) -> str:
    """Return a grammar for one JSON value.

    Unless it must be `exact`, keywords that cannot be enforced are ignored. `pretty` leaves the model its
    usual line breaks, which an open-ended object needs to come out well.
    """
    guidance: Schema = {"lenient": not exact}
    guidance.update({"whitespace_pattern": PRETTY_WHITESPACE} if pretty else {"whitespace_flexible": False})
    guided = {**schema, "x-guidance": guidance}
    mark = _encode(MARK).decode()
    return f"%llguidance {{}}\nstart: {mark} value\nvalue: %json {_encode(guided).decode()}\n"


def close_schema(schema: Schema) -> Schema:
    """Forbid properties that the schema does not name, unless it says something about them.

    What the result allows is valid under the original schema, and a small model is kept from inventing
    properties. Schemas that others refer to or combine are left alone: closing them could make them
    unsatisfiable.
    """
    result = dict(schema)
    if "properties" in schema and not _COMBINING & schema.keys():
        result.setdefault("additionalProperties", False)
        properties = schema["properties"]
        if isinstance(properties, dict):
            result["properties"] = {name: _close_if_schema(inner) for name, inner in properties.items()}
    if "items" in schema:
        result["items"] = _close_if_schema(schema["items"])
    return result


_COMBINING = {"allOf", "anyOf", "oneOf", "$ref", "patternProperties", "unevaluatedProperties"}


def _close_if_schema(value: Any) -> Any:
    return close_schema(value) if isinstance(value, dict) else value
