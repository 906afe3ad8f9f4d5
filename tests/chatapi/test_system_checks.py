"""System checks report bad configuration by number, with a way to fix it."""

import sys
from pathlib import Path

import pytest
from django.core.checks import CheckMessage, run_checks
from pytest_django import Settings

from accounts.sign_in.mail import LOG_BACKEND

MODEL = '[[models]]\nid = "m"\nengine = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"\n'


def complaint(id: str) -> CheckMessage | None:
    """Return the one message with this id, if any; it must say how to fix the problem."""
    found = [message for message in run_checks() if message.id == id]
    assert len(found) <= 1
    assert all(message.hint for message in found)
    return found[0] if found else None


def test_a_good_configuration_has_no_complaints(settings: Settings) -> None:
    settings.CHATAPI_MODELS_FILE = None
    assert [message for message in run_checks() if (message.id or "").startswith("chatapi.")] == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("[[models", "end of document"),
        ('[[models]]\nid = "m"\nengine = "magic"', "magic"),
        ('[[models]]\nid = "m"\nengine = "openai_compatible"', "base_url"),
    ],
)
def test_a_models_file_that_cannot_be_used(
    content: str | None, reason: str, settings: Settings, tmp_path: Path
) -> None:
    settings.CHATAPI_MODELS_FILE = tmp_path / "models.toml"
    if content is not None:
        settings.CHATAPI_MODELS_FILE.write_text(content)

    found = complaint("chatapi.E001")

    assert found
    assert reason in found.msg


def test_a_key_that_is_named_but_not_set(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHATAPI_MODELS_FILE = tmp_path / "models.toml"
    settings.CHATAPI_MODELS_FILE.write_text(MODEL + 'api_key_env = "SOME_KEY"\n')

    found = complaint("chatapi.W001")
    assert found
    assert "SOME_KEY" in found.msg

    monkeypatch.setenv("SOME_KEY", "sk-secret")
    assert complaint("chatapi.W001") is None


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost:6379", "redis://:secret@localhost:port"])
def test_an_invalid_redis_address(url: str, settings: Settings) -> None:
    settings.REDIS_URL = url

    found = complaint("chatapi.E005")

    assert found
    assert "secret" not in found.msg
    settings.REDIS_URL = "rediss://:secret@redis.example:6380/1"
    assert complaint("chatapi.E005") is None


def test_a_data_folder_where_nothing_can_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.DATA_DIR = tmp_path / "file" / "data"
    assert complaint("chatapi.E002")

    settings.DATA_DIR = tmp_path / "not" / "yet" / "there"
    assert complaint("chatapi.E002") is None


def test_a_database_that_is_not_supported(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.mysql")

    assert complaint("chatapi.E003")


@pytest.mark.parametrize(
    "origin", ["example.com", "https://example.com/", "ftp://example.com", "https://", "//["]
)
def test_an_invalid_origin(origin: str, settings: Settings) -> None:
    settings.CHATAPI_CORS_ORIGINS = ["https://example.com", "http://localhost:3000", "*"]
    assert complaint("chatapi.E004") is None

    settings.CHATAPI_CORS_ORIGINS = [origin]
    assert complaint("chatapi.E004")


def test_background_work_that_nobody_does(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    settings.CHATAPI_EMBEDDED_WORKER = False
    assert complaint("chatapi.W002")

    settings.CELERY_BROKER_URL = "redis://127.0.0.1/0"
    assert complaint("chatapi.W002") is None


def test_a_local_model_without_its_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHATAPI_MODELS_FILE = None
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    assert complaint("chatapi.W003")


def test_any_host_behind_https(settings: Settings) -> None:
    settings.HTTPS, settings.ALLOWED_HOSTS = True, ["*"]
    assert complaint("chatapi.W004")

    settings.ALLOWED_HOSTS = ["chat.example.com"]
    assert complaint("chatapi.W004") is None


def test_a_proxy_is_named_by_its_address(settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["10.0.0.7", "10.1.0.0/16", "::1", "nginx"]
    found = complaint("chatapi.E006")
    assert found
    assert "'nginx'" in found.msg

    for proxies in ([], ["none"], ["*"], ["10.0.0.7"]):
        settings.CHATAPI_TRUSTED_PROXIES = proxies
        assert complaint("chatapi.E006") is None


def test_the_model_of_titles_is_one_that_is_served(settings: Settings) -> None:
    settings.CHATAPI_MODELS_FILE = None
    for model, expected in (("gpt-5", True), ("qwen2.5-coder-0.5b-instruct", False), (None, False)):
        settings.CHATAPI_TITLE_MODEL = model
        assert bool(complaint("chatapi.E007")) == expected, model


def test_only_the_embedded_worker_asks_a_local_model_for_titles(settings: Settings) -> None:
    settings.CHATAPI_MODELS_FILE = None
    settings.CHATAPI_TITLE_MODEL = "qwen2.5-coder-0.5b-instruct"
    assert complaint("chatapi.W010") is None

    settings.CHATAPI_EMBEDDED_WORKER = False
    assert complaint("chatapi.W010")


def test_nobody_knows_where_clients_come_from(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = []
    assert complaint("chatapi.W007") is None, "only this machine reaches it"

    monkeypatch.setenv("HOST", "0.0.0.0")
    assert complaint("chatapi.W007")
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    assert complaint("chatapi.W007") is None


def test_other_machines_without_https(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint("chatapi.W008") is None

    monkeypatch.setenv("HOST", "0.0.0.0")
    found = complaint("chatapi.W008")
    assert found
    assert "HOST=0.0.0.0" in found.msg
    settings.HTTPS = True
    assert complaint("chatapi.W008") is None


def test_people_may_sign_up_and_get_no_mail(settings: Settings) -> None:
    settings.CHATAPI_SIGN_UP, settings.EMAIL_BACKEND = "open", LOG_BACKEND
    assert complaint("chatapi.W009")

    settings.CHATAPI_SIGN_UP = "closed"
    assert complaint("chatapi.W009") is None
