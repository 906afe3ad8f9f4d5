"""What an OpenAPI document leaves unsaid, and the examples in it."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from chatapi.openapi import document

METHODS = {"get", "put", "post", "delete", "patch"}
VARYING = ("string", "integer", "number")
Node = dict[str, Any]


@cache
def api_document() -> Node:
    """Return the service's own document, which nobody may change: all tests of a process share it."""
    shown: Node = json.loads(document())
    return shown


def operations_of(document: Node) -> dict[str, Node]:
    """Return all operations by their ids."""
    return {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method in METHODS
    }


class DocumentReader:
    """Finds what the document leaves unsaid."""

    def __init__(self, document: Node) -> None:
        self._document = document

    def resolve(self, node: Node) -> Node:
        """Return what a reference leads to; anything else as it is."""
        while "$ref" in node:
            _, _, kind, name = node["$ref"].split("/")
            node = self._document["components"][kind][name]
        return node

    # --- descriptions

    def undescribed_components(self) -> set[str]:
        """Name the schemas, and their fields at any depth, that have no description."""
        found: set[str] = set()
        for name, schema in self._document["components"]["schemas"].items():
            if not self._is_described(schema):
                found.add(name)
            found.update(self._undescribed(schema, name))
        return found

    def gaps(self, operation: Node) -> set[str]:
        """Name what has no description around an operation's bodies, and bodies without an example."""
        return {*self._gaps_around_bodies(operation), *self._gaps_in_bodies(operation)}

    def _gaps_around_bodies(self, operation: Node) -> Iterator[str]:
        if not operation.get("summary"):
            yield "summary"
        for parameter in map(self.resolve, operation.get("parameters", ())):
            if not parameter.get("description"):
                yield f"parameter {parameter['name']}"
        for status, response in self.answers_to(operation):
            if not response.get("description"):
                yield f"response {status}"
            for name, header in response.get("headers", {}).items():
                if not header.get("description"):
                    yield f"header {name} of response {status}"

    def _gaps_in_bodies(self, operation: Node) -> Iterator[str]:
        for place, media in self.bodies_of(operation):
            schema = media.get("schema", {})
            yield from self._undescribed(schema, place)
            has_example = media.keys() & {"example", "examples"} or self._has_example(schema)
            if not has_example and not self.is_binary(schema):
                yield f"example of {place}"

    def _undescribed(self, schema: Node, place: str) -> Iterator[str]:
        """Yield the fields of what is written out here that have no description, own or by reference."""
        for field, member in schema.get("properties", {}).items():
            if not self._is_described(member):
                yield f"{place}.{field}"
            yield from self._undescribed(member, f"{place}.{field}")
        for kind in ("oneOf", "allOf", "anyOf"):
            for alternative in schema.get(kind, ()):
                yield from self._undescribed(alternative, place)
        for kind in ("items", "additionalProperties"):
            if isinstance(schema.get(kind), dict):
                yield from self._undescribed(schema[kind], f"{place}[]")

    def _is_described(self, schema: Node) -> bool:
        if self.resolve(schema).get("description"):
            return True
        below = [*schema.get("allOf", ()), *([schema["items"]] if "items" in schema else [])]
        return any("$ref" in part and self._is_described(part) for part in below)

    # --- bodies and examples

    def answers_to(self, operation: Node) -> Iterator[tuple[str, Node]]:
        return ((status, self.resolve(answer)) for status, answer in operation["responses"].items())

    def bodies_of(self, operation: Node) -> Iterator[tuple[str, Node]]:
        """Yield what an operation takes, and what it answers where all went well."""
        for media in self.resolve(operation.get("requestBody", {})).get("content", {}).values():
            yield "the request", media
        for status, response in self.answers_to(operation):
            if status.startswith("2"):
                for media in response.get("content", {}).values():
                    yield f"response {status}", media

    def examples_of(self, operation: Node) -> Iterator[tuple[str, Node, Any]]:
        """Yield the examples of an operation's bodies: where, of which schema, and the value."""
        for place, media in self.bodies_of(operation):
            schema = media.get("schema", {})
            for value in self._values(media) or self._values(self.resolve(schema)):
                yield place, schema, value

    def _values(self, node: Node) -> list[Any]:
        named = [self.resolve(example)["value"] for example in node.get("examples", {}).values()]
        return [*([node["example"]] if "example" in node else []), *named]

    def is_binary(self, schema: Node) -> bool:
        return bool(schema.get("format") == "binary")

    def _has_example(self, schema: Node) -> bool:
        """Tell whether an example stands at the schema, or at each of its texts and numbers that vary."""
        schema = self.resolve(schema)
        if schema.keys() & {"example", "examples"}:
            return True
        if alternatives := schema.get("oneOf"):
            return all(map(self._has_example, alternatives))
        if parts := schema.get("allOf"):
            return all(map(self._has_example, parts))
        fields = schema.get("properties", {}).values()
        return bool(fields) and all(self._shows_itself(self.resolve(field)) for field in fields)

    def _shows_itself(self, field: Node) -> bool:
        if field.get("properties"):
            return self._has_example(field)
        if "enum" in field or "example" in field or field.get("type") == "boolean":
            return True
        return field.get("type") not in (*VARYING, "array", "object", None)
