"""The simplest instance of a JSON Schema: only what is required, always the same."""

from collections.abc import Mapping
from typing import Any

DEPTH_LIMIT = 32
_EXAMPLES = {
    "date-time": "2024-01-01T00:00:00Z",
    "date": "2024-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TEXT = "text"


def make_instance(schema: Any) -> Any:
    """Make an instance of the schema, ignoring constraints that need a search (`pattern`, `not`, …)."""
    return _InstanceMaker(schema).make(schema, ())


class _InstanceMaker:
    def __init__(self, root: Any) -> None:
        self._root = root

    def make(self, schema: Any, path: tuple[str, ...]) -> Any:
        """Make an instance; `path` holds the references that were followed to get here."""
        if not isinstance(schema, Mapping) or len(path) > DEPTH_LIMIT:
            return {}
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        for choices in ("enum", "examples"):
            if isinstance(schema.get(choices), list) and schema[choices]:
                return schema[choices][0]
        if isinstance(reference := schema.get("$ref"), str):
            return self.make(self._resolve(reference), (*path, reference))
        for choice in ("anyOf", "oneOf"):
            if isinstance(schema.get(choice), list) and schema[choice]:
                return self.make(_first_unseen(schema[choice], path), path)
        if isinstance(schema.get("allOf"), list):
            schema = self._merge_all_of(schema)
        return self._make_of_type(schema, _type(schema), path)

    def _make_of_type(self, schema: Mapping[str, Any], kind: str, path: tuple[str, ...]) -> Any:
        match kind:
            case "object":
                return self._make_object(schema, path)
            case "array":
                return self._make_array(schema, path)
            case "integer" | "number":
                return _make_number(schema, kind)
            case "boolean":
                return True
            case "null":
                return None
        return _make_string(schema)

    def _make_object(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, Mapping):
            properties = {}
        names = required if isinstance(required, list) else []
        return {name: self.make(properties.get(name, {"type": "string"}), (*path, "")) for name in names}

    def _make_array(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> list[Any]:
        prefix = schema.get("prefixItems")
        items = [self.make(item, (*path, "")) for item in prefix] if isinstance(prefix, list) else []
        least = schema.get("minItems")
        missing = (least if isinstance(least, int) else 0) - len(items)
        return items + [self.make(schema.get("items", {}), (*path, "")) for _ in range(min(missing, 1000))]

    def _merge_all_of(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            if isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
                part = self._resolve(part["$ref"])
            for key, value in part.items() if isinstance(part, Mapping) else ():
                merged[key] = _merge_values(merged.get(key), value)
        return merged

    def _resolve(self, reference: str) -> Any:
        """Return the schema that `#/a/b` names in the same document; other documents are not read."""
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, Mapping) else None
        return found


def _merge_values(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**one, **other}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(item for item in other if item not in one)]
    return other


def _first_unseen(choices: list[Any], path: tuple[str, ...]) -> Any:
    """Return the first choice that leads out of a schema that refers to itself."""
    for choice in choices:
        if not isinstance(choice, Mapping) or choice.get("$ref") not in path:
            return choice
    return choices[0]


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _make_number(schema: Mapping[str, Any], kind: str) -> int | float:
    """Return 1 or the bound nearest to it, rounded up to a multiple if one is asked for."""
    number: int | float = 1
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(above, int | float) and number <= above:
        number = above + 1
    if isinstance(low, int | float) and number < low:
        number = low
    if isinstance(below, int | float) and number >= below:
        number = below - 1
    if isinstance(high, int | float) and number > high:
        number = high
    multiple = schema.get("multipleOf")
    if isinstance(multiple, int | float) and multiple > 0:
        number = -(-number // multiple) * multiple
    return int(number) if kind == "integer" else number


def _make_string(schema: Mapping[str, Any]) -> str:
    text = _EXAMPLES.get(str(schema.get("format")), _TEXT)
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int):
        text = text.ljust(min(least, 100_000), "x")
    return text[:most] if isinstance(most, int) else text
