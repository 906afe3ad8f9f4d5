"""allauth's part of the API document, under names that leave ours alone."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from allauth.headless.spec.internal.schema import get_schema

from chatapi.openapi_sign_in_texts import OURS, PROPERTIES, SCHEMAS, VALUES

TAG = "sign-in"
PREFIX = "SignIn"
UNUSED = re.compile(r"/phone|/auth/code/|/code/resend|/tokens/|/email/verify/resend")
"""What allauth describes whether it is set up or not, and is not here."""
METHODS = ("get", "put", "post", "delete", "patch")
_REF = re.compile(r"#/components/(\w+)/")


def add_sign_in(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add the paths of allauth's API and what they refer to, with what its own document leaves unsaid."""
    theirs = _tidied(get_schema())
    theirs["components"]["schemas"] |= OURS
    del theirs["components"]["schemas"]["ConfigurationResponse"]["example"]  # it is of other settings
    paths = {path: item for path, item in theirs["paths"].items() if not UNUSED.search(path)}
    for path, item in paths.items():
        for method, operation in _operations(item):
            operation["tags"] = [TAG]
            operation["operationId"] = _operation_id(method, path)
            if "security" in operation:
                operation["security"] = [{"session-token": []}, {"session": []}, {}]
    used = _used_components(paths, theirs["components"])
    for name, schema in used["schemas"].items():
        used["schemas"][name] = {"description": SCHEMAS[name], **schema} if name in SCHEMAS else schema
    _describe_properties([paths, used])
    _add_examples([paths, used["responses"], used["requestBodies"]], used["schemas"])
    for kind, components in used.items():
        ours = result["components"].setdefault(kind, {})
        ours.update({PREFIX + name: _renamed(component) for name, component in components.items()})
    result["paths"].update(_renamed(paths))
    return result


def _tidied(node: Any) -> Any:
    """Return a copy without line breaks at the ends of texts, and with our own people in the examples."""
    if isinstance(node, dict):
        return {key: _tidied(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_tidied(child) for child in node]
    node = node.strip() if isinstance(node, str) else node
    return VALUES.get(node, node)


def _describe_properties(node: Any) -> None:
    """Describe the fields at any depth that are not."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _describe_properties(child)
    if isinstance(node, dict) and isinstance(fields := node.get("properties"), dict):
        for name, field in fields.items():
            if "$ref" not in field and "description" not in field and name in PROPERTIES:
                field["description"] = PROPERTIES[name]


def _add_examples(node: Any, schemas: Mapping[str, Any]) -> None:
    """Give each body that has no example one, of what its fields have."""
    if isinstance(node, dict):
        if "schema" in node and "in" not in node and not node.keys() & {"example", "examples"}:
            node["example"] = _example_of(node["schema"], schemas)
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        _add_examples(child, schemas)


def _example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "example" in schema:
        return schema["example"]
    if "enum" in schema:
        return schema["enum"][0]
    if parts := schema.get("allOf"):
        return {name: value for part in parts for name, value in _example_of(part, schemas).items()}
    if alternatives := schema.get("oneOf"):
        return _example_of(alternatives[0], schemas)
    if schema.get("type") == "array":
        return [_example_of(schema["items"], schemas)]
    if schema.get("type") == "boolean":
        return True
    return {name: _example_of(field, schemas) for name, field in schema.get("properties", {}).items()}


def _operations(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((method, item[method]) for method in METHODS if method in item)


def _operation_id(method: str, path: str) -> str:
    words = re.split(r"\W+", path.partition("/v1/")[2])
    return f"{TAG.replace('-', '_')}_{'_'.join(words)}_{method}"


def _used_components(paths: Any, components: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the components that paths refer to, and those that these refer to."""
    used: dict[str, dict[str, Any]] = {}
    waiting = list(_references(paths))
    while waiting:
        kind, name = waiting.pop()
        if name not in used.setdefault(kind, {}):
            used[kind][name] = components[kind][name]
            waiting += _references(components[kind][name])
    return used


def _references(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            _, _, kind, name = reference.split("/")
            yield kind, name
        yield from (found for child in node.values() for found in _references(child))
    elif isinstance(node, list):
        yield from (found for child in node for found in _references(child))


def _renamed(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _reference(value) if key == "$ref" else _renamed(value) for key, value in node.items()}
    return [_renamed(child) for child in node] if isinstance(node, list) else node


def _reference(reference: str) -> str:
    return _REF.sub(rf"#/components/\1/{PREFIX}", reference)
