"""Processes that `manage.py run` does not start make no data folder under a wrong environment."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from chatapi.celery import app, check_worker
from chatapi.celery_scheduler import Scheduler
from chatapi.serving import preflight
from chatapi.serving.data_folder import create_database, keep_secret
from chatapi.serving.exceptions import CannotStart
from chatapi.storage_settings import storages
from tests.support.run_command import clean_environment, run_python

NO_BROKER = "redis://127.0.0.1:1/0"
BUCKET = {"default": {"BACKEND": "media.storage.s3.ObjectStorage", "OPTIONS": {"location": "prefix"}}}


@pytest.fixture
def elsewhere(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is not there, of a service whose database is somewhere else."""
    folder = tmp_path / "elsewhere"
    monkeypatch.delenv("CHATAPI_SECRET_KEY", raising=False)
    monkeypatch.setenv("CHATAPI_DATA_DIR", str(folder))
    settings.DATA_DIR = folder
    settings.STORAGES = storages(folder)
    in_memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    monkeypatch.setitem(settings.DATABASES, "default", in_memory)
    return folder


@pytest.mark.parametrize("secret", ["", "secret"])
def test_without_its_data_folder_a_process_names_it_and_makes_nothing(
    secret: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_SECRET_KEY", secret)

    with pytest.raises(CannotStart) as refused:
        preflight.check_files()

    assert str(refused.value) == (
        f"there is no data folder: {elsewhere} does not exist. CHATAPI_DATA_DIR={elsewhere} says where "
        "it is: set what the running service has. `manage.py run` and `manage.py migrate` make a new one"
    )
    assert not elsewhere.exists()


def test_a_folder_without_the_service_s_secret_key_is_left_as_it_is(elsewhere: Path) -> None:
    elsewhere.mkdir()
    elsewhere.chmod(0o755)

    with pytest.raises(CannotStart, match=f"neither CHATAPI_SECRET_KEY nor {elsewhere}/secret.key"):
        preflight.check_files()

    assert elsewhere.stat().st_mode & 0o777 == 0o755
    keep_secret(elsewhere, "secret")
    assert len(preflight.check_files()) == 1


def test_with_a_bucket_and_the_secret_key_a_machine_has_a_folder_of_its_own(
    elsewhere: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STORAGES = BUCKET
    with pytest.raises(CannotStart, match="there is no data folder"):
        preflight.check_files()

    monkeypatch.setenv("CHATAPI_SECRET_KEY", "secret")
    assert preflight.check_files() == []

    assert list(elsewhere.iterdir()) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o700


def test_a_new_service_gets_its_data_folder(elsewhere: Path) -> None:
    assert preflight.create_storage() == []

    assert [path.name for path in elsewhere.iterdir()] == ["secret.key"]
    assert preflight.check_files() == []


def test_a_worker_and_a_schedule_check_the_folder(elsewhere: Path) -> None:
    for begin in (check_worker, lambda: Scheduler(app, schedule_filename=str(elsewhere / "schedule"))):
        with pytest.raises(SystemExit, match="chatapi: there is no data folder"):
            begin()

    assert not elsewhere.exists()


# --- the commands -----------------------------------------------------------------------------------


def start(data: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run_python("-m", *command, **clean_environment(data, CELERY_BROKER_URL=NO_BROKER, **environment))


def without_folder(tmp_path: Path) -> dict[str, str]:
    create_database(tmp_path / "x.sqlite3")
    return {"DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3", "CHATAPI_SECRET_KEY": "secret"}


def without_secret(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "data").mkdir(mode=0o700)
    return without_folder(tmp_path) | {"CHATAPI_SECRET_KEY": ""}


def without_database(tmp_path: Path) -> dict[str, str]:
    return {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "prepare", "reason"),
    [
        ("celery -A chatapi beat", without_folder, "there is no data folder"),
        ("celery -A chatapi beat", without_secret, "there is no secret key"),
        ("celery -A chatapi beat", without_database, "there is no database"),
        ("celery -A chatapi worker --pool solo", without_folder, "there is no data folder"),
        ("celery -A chatapi worker --pool solo", without_secret, "there is no secret key"),
        ("daphne -p 0 chatapi.asgi:application", without_folder, "there is no data folder"),
    ],
)
def test_a_process_in_a_wrong_environment_ends_with_one_line_and_makes_nothing(
    command: str, prepare: Callable[[Path], dict[str, str]], reason: str, tmp_path: Path
) -> None:
    environment = prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    ended = start(tmp_path / "data", *command.split(), **environment)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"chatapi: {reason}")
    assert ended.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
