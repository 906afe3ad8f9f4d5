"""JSON Schema → a grammar (LLGuidance's, https://github.com/guidance-ai/llguidance) for llama.cpp.

llama.cpp's own conversion of `json_schema` loosens in silence what it does not know (patterns,
formats, `multipleOf`, …). LLGuidance enforces or refuses; but a refusal is only written to the
log, and the model then writes what it likes. So every grammar begins with a mark that a free model
does not write, and an answer without it was not constrained.
"""

from typing import Any

import msgspec

MARK = "\t"

_encode = msgspec.json.Encoder().encode

Schema = dict[str, Any]

ANY_OBJECT: Schema = {"type": "object"}


class NotConstrained(Exception):
    """The grammar was refused: the answer is not held by it."""


class MarkReader:
    """Takes the mark off an answer that comes in pieces."""

    def __init__(self) -> None:
        self._seen = False

    def push(self, piece: str) -> str:
        if self._seen or not piece:
            return piece
        if not piece.startswith(MARK):
            raise NotConstrained
        self._seen = True
        return piece.removeprefix(MARK)


PRETTY = r"[ \n]{0,16}"
"""White space for reading; bounded, as a small model may otherwise write nothing else to the end."""


def json_grammar(schema: Schema, *, exact: bool, pretty: bool = False) -> str:
    """A grammar for one JSON value.

    Where it need not be `exact`, keywords that cannot be enforced are passed over. `pretty` leaves
    the model its usual line breaks, which an open-ended object needs to come out well.
    """
    guidance: Schema = {"lenient": not exact}
    guidance.update({"whitespace_pattern": PRETTY} if pretty else {"whitespace_flexible": False})
    guided = {**schema, "x-guidance": guidance}
    mark = _encode(MARK).decode()
    return f"%llguidance {{}}\nstart: {mark} value\nvalue: %json {_encode(guided).decode()}\n"


def closed(schema: Schema) -> Schema:
    """The schema without room for properties that it does not name, where it says nothing about them.

    What it allows is valid under the schema as it was, and a small model is kept from inventing.
    Schemas that others refer to or combine are left alone: closing those could make them unsatisfiable.
    """
    result = dict(schema)
    if "properties" in schema and not _COMBINING & schema.keys():
        result.setdefault("additionalProperties", False)
        properties = schema["properties"]
        if isinstance(properties, dict):
            result["properties"] = {name: _closed_if_schema(inner) for name, inner in properties.items()}
    if "items" in schema:
        result["items"] = _closed_if_schema(schema["items"])
    return result


_COMBINING = {"allOf", "anyOf", "oneOf", "$ref", "patternProperties", "unevaluatedProperties"}


def _closed_if_schema(value: Any) -> Any:
    return closed(value) if isinstance(value, dict) else value
