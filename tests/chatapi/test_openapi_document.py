"""The API's own document, and the page that shows it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.finders import find
from django.core.management import call_command
from django.test import Client
from django.urls import resolve

from tests.contract import DOCUMENT, SCHEMAS
from tests.support.document_reader import DocumentReader, api_document, operations_of

pytestmark = pytest.mark.xdist_group("document")

ALLAUTH = "/_allauth/"
NATIVE, OPENAI = "/chat/completions", "/v1/chat/completions"
PUBLIC = {"/livez", "/healthz", "/media/{token}"}


@pytest.fixture
def document() -> dict[str, Any]:
    return api_document()


def test_it_is_served_as_json(client: Client) -> None:
    answer = client.get("/openapi.json")

    assert answer["content-type"] == "application/json"
    assert answer.json() == api_document()


def test_it_is_valid_and_generated_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json")

    assert json.loads(capsys.readouterr().out)["openapi"] == "3.0.3"


def our_paths(document: dict[str, Any]) -> dict[str, Any]:
    return {path: item for path, item in document["paths"].items() if not path.startswith(ALLAUTH)}


def test_what_is_called_and_what_is_listed_at_one_address_are_both_named(document: dict[str, Any]) -> None:
    operations = document["paths"][OPENAI]

    assert {method: operation["operationId"] for method, operation in operations.items()} == {
        "get": "listChatCompletions",
        "post": "createOpenAIChatCompletion",
    }


def test_the_native_endpoint_is_documented_as_the_contract_has_it(document: dict[str, Any]) -> None:
    ours, theirs = (doc["paths"][NATIVE]["post"] for doc in (document, DOCUMENT))

    for key in ("operationId", "summary", "description", "requestBody"):
        assert ours[key] == theirs[key]
    answer, agreed = (operation["responses"]["200"] for operation in (ours, theirs))
    assert answer["description"] == agreed["description"]
    assert answer["content"]["application/json"] == agreed["content"]["application/json"]
    assert set(answer["content"]) == {"application/json", "text/event-stream", "application/x-ndjson"}
    assert document["info"]["title"] == DOCUMENT["info"]["title"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_has_the_contracts_schemas(name: str, document: dict[str, Any]) -> None:
    ours, theirs = document["components"]["schemas"][name], SCHEMAS[name]

    assert ours["type"] == theirs["type"]
    assert set(theirs["properties"]) <= set(ours["properties"])
    # more is accepted than the contract asks for, never less
    assert set(ours.get("required", ())) <= set(theirs.get("required", ()))


def test_every_way_to_sign_in_is_named(document: dict[str, Any]) -> None:
    ways_in = ["bearer", "x-api-key", "session", "session-token"]
    assert list(document["components"]["securitySchemes"]) == sorted(ways_in)
    for path, operations in our_paths(document).items():
        for operation in operations.values():
            ways = operation.get("security", [])
            assert ways == ([] if path in PUBLIC else [{way: []} for way in ways_in])


def test_every_refusal_is_the_one_envelope(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["ErrorDetail"]["required"]) == {
        "message",
        "type",
        "param",
        "code",
    }
    for operations in our_paths(document).values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}


def test_the_page_needs_no_network(client: Client, db: None) -> None:
    page = client.get("/docs")
    linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert all(link.startswith("/static/") for link in linked)
    assert "://" not in page.text
    assert 'data-document="/openapi.json"' in page.text
    assert "validatorUrl: null" in Path(find("chatapi/docs.js") or "").read_text()
    for link in linked:
        file = client.get(link)
        assert file.status_code == 200
        assert file.getvalue()
        file.close()


def test_it_is_served_to_everybody_whatever_they_accept(client: Client) -> None:
    assert client.get("/openapi.json", headers={"Accept": "application/yaml"}).status_code == 200
    assert client.get("/docs", headers={"Accept": "application/json"}).status_code == 200


def test_it_has_the_api_by_which_people_sign_in(document: dict[str, Any]) -> None:
    theirs = {path: item for path, item in document["paths"].items() if path.startswith(ALLAUTH)}
    clients = {path: ["browser", "app"] if "{client}" in path else [""] for path in theirs}

    assert "/_allauth/{client}/v1/auth/login" in theirs
    for path in theirs:
        for client in clients[path]:
            resolve(path.replace("{client}", client))
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_everything_that_it_refers_to_is_in_it(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(document)))

    assert len(references) > 50
    assert [(kind, name) for kind, name in references if name not in document["components"][kind]] == []


# --- descriptions and examples ------------------------------------------------------------------


def test_everything_is_described_and_has_examples(document: dict[str, Any]) -> None:
    reader = DocumentReader(document)
    found = {id: sorted(reader.gaps(operation)) for id, operation in operations_of(document).items()}

    assert {id: gaps for id, gaps in found.items() if gaps} == {}
    assert sorted(reader.undescribed_components()) == []


def test_every_tag_and_every_way_to_sign_in_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}

    assert tags == {tag for operation in operations_of(document).values() for tag in operation["tags"]}
    assert all(way["description"] for way in document["components"]["securitySchemes"].values())


def test_what_is_not_described_is_named() -> None:
    part: dict[str, Any] = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "kind": {"$ref": "#/c/schemas/Kind"}},
    }
    kind = {"description": "Which.", "type": "string", "enum": ["a", "b"]}
    row: dict[str, Any] = {
        "properties": {
            "parts": {"type": "array", "items": {"$ref": "#/c/schemas/Part"}, "description": "All."},
        }
    }
    reader = DocumentReader({"components": {"schemas": {"Part": part, "Kind": kind, "Row": row}}})
    content = {"application/json": {"schema": {"$ref": "#/c/schemas/Row"}}}
    answers = {"200": {"description": "Well", "content": content}, "400": {"description": ""}}
    limit = {"name": "limit", "in": "query"}
    operation: dict[str, Any] = {"summary": "List", "parameters": [limit], "responses": answers}

    assert reader.gaps(operation) == {"parameter limit", "response 400", "example of response 200"}
    assert reader.undescribed_components() == {"Part", "Part.text", "Row"}
    part |= {
        "description": "A part.",
        "properties": {"text": {"type": "string", "description": "What was said."}},
    }
    row |= {"description": "A row.", "example": {"parts": [{"text": "Hello!"}]}}
    assert reader.gaps({**operation, "parameters": [], "responses": {"200": answers["200"]}}) == set()
    assert reader.undescribed_components() == set()
