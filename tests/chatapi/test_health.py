"""`/livez`, `/healthz` and the list of models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from engines import model_registry
from engines.served_models import current_registry, reset_registry
from tests.support.people import Person


class Sleepy:
    """An engine with only what the health check reads."""

    unready_reason: str | None = None


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sleepy]:
    sleepy = Sleepy()
    monkeypatch.setitem(model_registry.ENGINES, "scripted", lambda *_: sleepy)
    reset_registry()
    yield sleepy
    reset_registry()


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    reset_registry()
    yield
    reset_registry()


def test_health_is_good_when_a_model_can_answer(
    engine: Sleepy, client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_health_says_why_the_default_model_is_not_ready(engine: Sleepy, client: Client, db: None) -> None:
    engine.unready_reason = "the model is being loaded, 40 %"

    answer = client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unavailable"
    assert "'scripted'" in answer.json()["error"]["message"]
    assert "being loaded, 40 %" in answer.json()["error"]["message"]
    assert client.get("/livez").status_code == 200


def test_health_shows_no_secret(engine: Sleepy, client: Client, db: None) -> None:
    engine.unready_reason = "nobody answers at http://user:hunter2@10.0.0.7/v1 with sk-up-0123456789"

    message = client.get("/healthz").json()["error"]["message"]

    assert message.endswith("nobody answers at http://***@10.0.0.7/v1 with ***")


@pytest.mark.usefixtures("fresh_registry")
def test_a_broken_models_file_is_bad_health_and_its_path_is_not_shown(
    client: Client, db: None, settings: Settings, tmp_path: Path
) -> None:
    settings.CHATAPI_MODELS_FILE = tmp_path / "nothing.toml"

    answer = client.get("/healthz")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "models_file")
    assert str(tmp_path) not in answer.text


@pytest.mark.usefixtures("fresh_registry")
def test_the_registry_is_read_once(settings: Settings, tmp_path: Path) -> None:
    settings.CHATAPI_MODELS_FILE = tmp_path / "models.toml"
    settings.CHATAPI_MODELS_FILE.write_text('[[models]]\nid = "one"\nengine = "scripted"\n')
    first = current_registry()
    settings.CHATAPI_MODELS_FILE.unlink()

    assert current_registry() is first
    assert [spec.id for spec in first] == ["one"]


@pytest.mark.usefixtures("fresh_registry")
def test_models_are_listed_with_their_capabilities(alice: Person, client: Client) -> None:
    listed = client.get("/v1/models", headers=alice.headers).json()

    assert listed["object"] == "list"
    ids = [model["id"] for model in listed["data"]]
    assert ids[:3] == ["scripted", "text-only", "house/with-a-slash"]
    first = listed["data"][0]
    assert first.pop("created") > 1_700_000_000
    assert first == {
        "id": "scripted",
        "object": "model",
        "owned_by": "chatapi",
        "input_modalities": ["text", "image", "audio"],
        "output_modalities": ["text", "audio"],
        "context_length": 8192,
        "max_output_tokens": None,
        "default": True,
    }
    assert [model["id"] for model in listed["data"] if model["default"]] == ["scripted"]


@pytest.mark.usefixtures("fresh_registry")
@pytest.mark.parametrize("address", ["house/with-a-slash", "house%2Fwith-a-slash"])
def test_a_models_id_may_hold_a_slash(address: str, alice: Person, client: Client) -> None:
    assert client.get(f"/v1/models/{address}", headers=alice.headers).json()["id"] == "house/with-a-slash"


@pytest.mark.usefixtures("fresh_registry")
@pytest.mark.parametrize("name", ["gpt-9", "scripted/", "house/"])
def test_a_model_that_does_not_exist(name: str, alice: Person, client: Client) -> None:
    answer = client.get(f"/v1/models/{name}", headers=alice.headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert answer.json()["error"]["param"] == "model"


def test_the_root_leads_to_the_documentation(client: Client) -> None:
    assert client.get("/")["location"] == "/docs"
    assert client.get("/admin")["location"] == "/admin/"


def test_health_is_exempt_from_the_https_redirect(
    engine: Sleepy, client: Client, db: None, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^livez$"]

    assert client.get("/healthz").status_code == client.get("/livez").status_code == 200
    assert client.get("/docs").status_code == 301
