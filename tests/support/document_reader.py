"""What an OpenAPI document leaves unsaid."""

from collections.abc import Iterator
from typing import Any

METHODS = {"get", "put", "post", "delete", "patch"}
Node = dict[str, Any]


def operations_below(document: Node, prefixes: tuple[str, ...]) -> dict[str, Node]:
    """Return the operations of paths that begin so, by their ids."""
    return {
        operation["operationId"]: operation
        for path, item in document["paths"].items()
        if path.startswith(prefixes)
        for method, operation in item.items()
        if method in METHODS
    }


class DocumentReader:
    """Finds what the document leaves unsaid about an operation."""

    def __init__(self, document: Node) -> None:
        self._schemas: dict[str, Node] = document["components"]["schemas"]

    def gaps(self, operation: Node) -> set[str]:
        """Name what has no description, and bodies without an example."""
        return {*self._gaps_around_bodies(operation), *self._gaps_in_bodies(operation)}

    def _gaps_around_bodies(self, operation: Node) -> Iterator[str]:
        if not operation.get("summary"):
            yield "summary"
        for parameter in operation.get("parameters", ()):
            if not parameter.get("description"):
                yield f"parameter {parameter['name']}"
        for status, response in operation["responses"].items():
            if not response.get("description"):
                yield f"response {status}"
            for name, header in response.get("headers", {}).items():
                if not header.get("description"):
                    yield f"header {name} of response {status}"

    def _gaps_in_bodies(self, operation: Node) -> Iterator[str]:
        for place, media in bodies_of(operation):
            schema = media.get("schema", {})
            yield from self._undescribed(schema, place, set())
            if not (media.keys() & {"example", "examples"} or self._has_example(schema)):
                yield f"example of {place}"

    def _undescribed(self, schema: Node, place: str, seen: set[str]) -> Iterator[str]:
        """Yield the fields below that have no description, themselves or by the component that they are."""
        for name, below in self._components(schema, place):
            if name in seen:
                continue
            seen.add(name)
            for field, member in below.get("properties", {}).items():
                if not self._is_described(member):
                    yield f"{name}.{field}"
                yield from self._undescribed(member, f"{name}.{field}", seen)

    def _components(self, schema: Node, place: str) -> Iterator[tuple[str, Node]]:
        """Yield the objects that a schema refers to, or is, through lists and alternatives."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            yield from self._components(self._schemas[name], name)
        if "properties" in schema:
            yield place, schema
        for kind in ("oneOf", "allOf", "anyOf"):
            for alternative in schema.get(kind, ()):
                yield from self._components(alternative, place)
        for kind in ("items", "additionalProperties"):
            if isinstance(schema.get(kind), dict):
                yield from self._components(schema[kind], f"{place}[]")

    def _is_described(self, schema: Node) -> bool:
        if schema.get("description"):
            return True
        if "$ref" in schema:
            return self._is_described(self._schemas[schema["$ref"].rsplit("/", 1)[1]])
        below = [*schema.get("allOf", ()), *([schema["items"]] if "items" in schema else [])]
        return any("$ref" in part and self._is_described(part) for part in below)

    def _has_example(self, schema: Node) -> bool:
        """Tell whether an example stands at the schema, or at each of its texts and numbers that vary."""
        if schema.keys() & {"example", "examples"}:
            return True
        objects = [below for _, below in self._components(schema, "")]
        return bool(objects) and all(
            "example" in below or all(self._shows_itself(field) for field in below["properties"].values())
            for below in objects
        )

    def _shows_itself(self, field: Node) -> bool:
        varies = field.get("type") in ("string", "integer", "number") and "enum" not in field
        return "example" in field or not varies


def bodies_of(operation: Node) -> Iterator[tuple[str, Node]]:
    """Yield the JSON that an operation takes, and that it answers where all went well."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield "the request", media
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for media in response.get("content", {}).values():
                yield f"response {status}", media
