"""A command under the wrong environment says which database it looked for, and makes none."""

import re
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from chatapi.command_line import execute
from chatapi.database_settings import ExistingDatabase, databases, describe, sqlite_file
from tests.support.run_command import manage


@pytest.fixture
def elsewhere(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is not there."""
    folder = tmp_path / "elsewhere"
    monkeypatch.delenv("DATABASE_URL", raising=False)
    settings.DATA_DIR = folder
    monkeypatch.setitem(settings.DATABASES, "default", databases(folder)["default"])
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "top_up alice@example.com 5",
        "verify_ledger",
        "create_api_key alice@example.com",
        "import_prices",
        "meter_events",
        "check",
        "check --database default",
        "check --deploy --database default",
        "shell -c pass",
        "createsuperuser --noinput",
        "showmigrations",
        "dbshell",
        "runserver --noreload",
        "migrate --check",
        "migrate --plan",
    ],
)
def test_without_a_database_a_command_names_it_and_makes_nothing(
    command: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_DATA_DIR", str(elsewhere))

    with pytest.raises(SystemExit) as ended:
        execute(["manage.py", *command.split()])

    assert ended.value.code == (
        f"chatapi: there is no database: {elsewhere}/chatapi.sqlite3 does not exist. "
        f"CHATAPI_DATA_DIR={elsewhere} says where it is: set what the running service has. "
        "`manage.py run` and `manage.py migrate` make a new database"
    )
    assert not elsewhere.exists()


def test_to_migrate_an_app_that_is_none_makes_nothing(elsewhere: Path) -> None:
    with pytest.raises(CommandError, match="No installed app with label 'acounts'"):
        call_command("migrate", "acounts")
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "CHATAPI_DATA_DIR, which is not set, says where it is"),
        ({"DATABASE_URL": "sqlite:////somewhere"}, "DATABASE_URL says where it is"),
    ],
)
def test_it_names_the_variable_that_decides(
    environment: dict[str, str], reason: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHATAPI_DATA_DIR", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit, match=reason):
        execute(["manage.py", "verify_ledger"])


@pytest.mark.parametrize("command", ["verify_ledger", "top_up alice@example.com 5", "check", "shell -c pass"])
def test_a_database_without_its_tables_is_said_to_need_a_migration(
    command: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    elsewhere.mkdir()
    (elsewhere / "chatapi.sqlite3").touch()

    with pytest.raises(
        SystemExit, match=r"chatapi: the database lacks \d+ migrations: run `manage.py migrate`"
    ):
        execute(["manage.py", *command.split()])


@pytest.mark.parametrize(
    "command",
    [
        "check --deploy",
        pytest.param("makemigrations --check --dry-run", marks=pytest.mark.long),
        pytest.param("spectacular --file /dev/null", marks=pytest.mark.long),
        pytest.param("top_up --help", marks=pytest.mark.long),
        pytest.param("help top_up", marks=pytest.mark.long),
    ],
)
def test_what_needs_no_database_works_without_one_and_makes_none(command: str, tmp_path: Path) -> None:
    done = manage(tmp_path / "data", *command.split())

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_django_itself_opens_no_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match=f"there is no database at {tmp_path}/x"):
        ExistingDatabase(f"{tmp_path}/x")

    assert list(tmp_path.iterdir()) == []
    ExistingDatabase(":memory:").close()
    ExistingDatabase("file:of-a-test?mode=memory&cache=shared", uri=True).close()


@pytest.mark.parametrize("options", ["", "?mode=rwc", "?mode=memory", "/mode=memory"])
def test_a_uri_is_opened_only_for_a_database_in_memory(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"file:x{options}"

    with suppress(sqlite3.OperationalError):
        ExistingDatabase(name, uri=True).close()

    assert list(tmp_path.iterdir()) == []
    assert (sqlite_file({"ENGINE": "django.db.backends.sqlite3", "NAME": name}) is None) == (
        options == "?mode=memory"
    )


@pytest.mark.parametrize(
    "uri", ["file:{}", "file:{}?mode=rwc", "file:{}%3Fmode=rwc", "%66ile:{}", "file://{}"]
)
def test_a_url_names_a_path_and_no_uri_which_says_how_it_is_opened(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{uri.format(tmp_path / 'x.sqlite3')}")

    with pytest.raises(SystemExit, match=r"^chatapi: DATABASE_URL .* sqlite:////PATH$"):
        databases(tmp_path)


@pytest.mark.parametrize("command", ["create_api_key alice@example.com", "shell -c 1", "run", "migrate"])
def test_a_command_given_a_uri_makes_nothing(command: str, tmp_path: Path) -> None:
    done = manage(
        tmp_path / "data", *command.split(), DATABASE_URL=f"sqlite:///file:{tmp_path}/x.sqlite3?mode=rwc"
    )

    assert done.returncode == 1
    assert done.stderr.startswith("chatapi: DATABASE_URL ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_description_has_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://alice:pass-word@db.example:5433/chat")

    assert describe(databases(tmp_path)["default"]) == "postgres://alice@db.example:5433/chat"


def test_behind_a_pooler_nothing_is_left_to_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://alice@db.example/chat?sslmode=require")

    config = databases(tmp_path)["default"]

    assert config["DISABLE_SERVER_SIDE_CURSORS"]
    assert config["CONN_MAX_AGE"] == 0
    assert config["OPTIONS"]["sslmode"] == "require"
    assert not re.search("prepare|options", str(config["OPTIONS"]))
