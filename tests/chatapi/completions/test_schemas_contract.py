"""The serializers mirror the native document name by name, and drf-spectacular regenerates it.

What is accepted beyond the document is listed here; nowhere is less accepted or more required.
"""

from typing import Any

import pytest
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from chatapi.completions import schemas
from tests.contract import BEYOND_THE_DOCUMENT, SCHEMAS

FURTHER_PROPERTIES = {
    "ChatCompletionRequest": {
        *("frequency_penalty", "presence_penalty", "temperature", "top_p", "n", "max_completion_tokens"),
        *("max_tokens", "stop", "seed", "logit_bias", "logprobs", "top_logprobs", "stream_options", "store"),
        *("metadata", "prediction", "service_tier", "reasoning_effort", "verbosity", "web_search_options"),
        *("safety_identifier", "prompt_cache_key", "user", "on_disconnect"),
    },
    "AssistantMessage": {"refusal"},
    **BEYOND_THE_DOCUMENT,
}
"""OpenAI's parameters, accepted in both dialects and answered, and a replayed refusal."""

FURTHER_VALUES = {
    "SystemMessage.role": {"developer"},
    "AssistantMessage.role": {"assistant"},
    "ResponseFormat.type": {"text", "json_object"},
}


def components_of(*serializers: type[Serializer[Any]]) -> dict[str, Any]:
    """Return what drf-spectacular generates for these serializers and nested ones, by component name."""
    auto_schema = AutoSchema()
    auto_schema.view = APIView(request=None)
    auto_schema.registry = ComponentRegistry()
    auto_schema.path, auto_schema.method = "/chat/completions", "POST"
    for serializer in serializers:
        auto_schema.resolve_serializer(serializer, "request")
    components: dict[str, Any] = auto_schema.registry.build({})["schemas"]
    return components


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    return components_of(*(getattr(schemas, f"{name}Serializer") for name in SCHEMAS))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_component_has_the_documents_properties(name: str, generated: dict[str, Any]) -> None:
    expected = {*SCHEMAS[name]["properties"], *FURTHER_PROPERTIES.get(name, ())}
    assert set(generated[name]["properties"]) == expected


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_component_requires_what_the_document_requires(name: str, generated: dict[str, Any]) -> None:
    assert set(generated[name].get("required", ())) == set(SCHEMAS[name].get("required", ()))


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_property_accepts_what_the_document_accepts(name: str, generated: dict[str, Any]) -> None:
    for key, documented in SCHEMAS[name]["properties"].items():
        assert_covers(generated[name]["properties"][key], documented, f"{name}.{key}", generated)


def assert_covers(
    ours: dict[str, Any], documented: dict[str, Any], path: str, components: dict[str, Any]
) -> None:
    """Assert that `ours` has every form of a value that the document allows."""
    alternatives = [resolved(form, components) for form in forms(ours, components)]
    for form in forms(documented, SCHEMAS):
        name = form.get("$ref")
        if name is not None:
            assert any(ours_ref == name for ours_ref in references(ours)), f"{path}: {name} is not taken"
            continue
        same = [other for other in alternatives if other.get("type") == form["type"]]
        assert same, f"{path}: {form['type']} is not taken"
        values = {value for other in same for value in other.get("enum", ())}
        assert values == set(form.get("enum", ())) | FURTHER_VALUES.get(path, set()), path
        assert {str(other.get("default")) for other in same} == {str(form.get("default"))}, path
        for key, below in form.get("properties", {}).items():
            holders = [other["properties"] for other in same if key in other.get("properties", {})]
            assert holders, f"{path}.{key} is not taken"
            assert_covers(holders[0][key], below, f"{path}.{key}", components)
        if form["type"] == "array":
            lists = {"oneOf": [alternative["items"] for alternative in same]}
            assert_covers(lists, form["items"], f"{path}[]", components)


def forms(schema: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alternatives of a schema, with `oneOf` and single `allOf` expanded."""
    below = schema.get("oneOf") or schema.get("allOf")
    return [form for one in below for form in forms(one, components)] if below else [schema]


def references(schema: dict[str, Any]) -> list[str]:
    return [form["$ref"] for form in forms(schema, {}) if "$ref" in form]


def resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return components[name] if name else schema


def test_the_openai_dialect_has_components_of_its_own() -> None:
    components = components_of(
        schemas.OpenAIChatCompletionRequestSerializer,
        schemas.OpenAIChatCompletionResponseSerializer,
        schemas.OpenAIChatCompletionChunkSerializer,
    )
    assert set(components["OpenAIChatCompletionRequest"]["required"]) == {"messages", "model"}
    assert set(components["OpenAISystemMessage"]["properties"]["role"]["enum"]) == {"developer", "system"}
    assert "tool_calls" in components["OpenAIDelta"]["properties"]
    assert not {"SystemMessage", "ChatCompletionRequest", "ResponseMessage"} & components.keys()
