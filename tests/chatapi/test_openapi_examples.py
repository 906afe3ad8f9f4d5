"""The examples in the API's document: they fit its schemas, are realistic, and tell one story."""

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from core.http.examples import COMPLETION_ID, CONVERSATION_ID, FILE_ID, NOON, PROJECT_ID
from tests.support.document_reader import DocumentReader, api_document, operations_of

YEAR = 366 * 86_400
MOST = 5_000_000
"""Larger numbers are no times of the story, and nothing that a developer would send."""
PLACEHOLDERS = {"string", "foo", "bar", "example", "user@example.com"}
pytestmark = pytest.mark.xdist_group("document")

ID = re.compile(r"(conv_|msg_|chatcmpl-|file-|proj_|key_|eut_|txn_|budget_|export_|invite_)(\w+)")


@cache
def json_schemas() -> dict[str, Any]:
    """Return the components as JSON Schemas; objects of ours have no other members than they name."""
    schemas: dict[str, Any] = deepcopy(api_document()["components"]["schemas"])
    for name, schema in schemas.items():
        _translate(schema, is_closed=not name.startswith("SignIn"))
    return schemas


def _translate(node: Any, *, is_closed: bool) -> None:
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _translate(child, is_closed=is_closed)
    if not isinstance(node, dict):
        return
    if isinstance(fields := node.get("properties"), dict):
        if is_closed:
            node.setdefault("additionalProperties", False)
        # the page offers to choose a file: there is none in an example
        node["required"] = [
            name for name in node.get("required", ()) if fields.get(name, {}).get("format") != "binary"
        ]
    if node.pop("nullable", False) is True:
        value = dict(node)
        node.clear()
        node["anyOf"] = [value, {"type": "null"}]


def problems_of(schema: Any, value: Any) -> list[str]:
    schema = deepcopy(schema)
    _translate(schema, is_closed=True)
    validator = Draft202012Validator({**schema, "components": {"schemas": json_schemas()}})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def values_in(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values at any depth that are no objects and no lists, each with its name."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from values_in(child, key)
    elif isinstance(node, list):
        for child in node:
            yield from values_in(child, name)
    else:
        yield name, node


def examples() -> Iterator[tuple[str, Any, Any]]:
    """Yield each example: where it is, the schema that it is of, and its value."""
    reader = DocumentReader(api_document())
    for id, operation in operations_of(api_document()).items():
        for place, schema, value in reader.examples_of(operation):
            yield f"{place} of {id}", schema, value


def test_each_example_fits_its_schema() -> None:
    found = {place: problems_of(schema, value) for place, schema, value in examples()}

    assert {place: problems for place, problems in found.items() if problems} == {}


def test_an_example_that_does_not_fit_is_told() -> None:
    schema = {"$ref": "#/components/schemas/FileDeleted"}
    fitting = {"id": FILE_ID, "object": "file", "deleted": True}

    assert problems_of(schema, fitting) == []
    for wrong in ({"deleted": "yes"}, {"id": None}, {"misspelled": 1}):
        assert len(problems_of(schema, fitting | wrong)) == 1
    assert len(problems_of(schema, {"object": "file", "deleted": True})) == 1


def test_examples_are_realistic() -> None:
    shown = list(values_in([value for _, _, value in examples()]))

    for name, value in shown:
        if isinstance(value, str):
            assert value not in PLACEHOLDERS or name == "type", name
        elif not isinstance(value, bool) and value is not None:
            is_time = NOON - YEAR < value < NOON + YEAR
            assert is_time or abs(value) < MOST, f"{name}: {value}"
    assert not {value for name, value in shown if name == "n"}


def test_examples_tell_one_story() -> None:
    texts = " ".join(
        value for _, value in values_in([value for _, _, value in examples()]) if isinstance(value, str)
    )
    ids = {f"{prefix}{digits}" for prefix, digits in ID.findall(texts)}

    assert {id for id in ids if not re.fullmatch(r"[a-z]+[-_][0-9a-f]{12}7[0-9a-f]{19}", id)} == set()
    for known in (CONVERSATION_ID, COMPLETION_ID, FILE_ID, PROJECT_ID):
        prefix = re.split("(?<=[-_])", known)[0]
        assert {id for id in ids if id.startswith(prefix)} == {known}
