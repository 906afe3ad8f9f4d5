"""Django's DATABASES from DATABASE_URL: SQLite in the data folder, or PostgreSQL, maybe behind a pooler."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import dj_database_url

from chatapi.env import env_int, env_url

_SQLITE, _POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"
_URI = "file:"
"""What SQLite takes for the start of a URI, in these letters alone."""


class ExistingDatabase(sqlite3.Connection):
    """A connection to a file that is there. SQLite would make an empty database under any wrong name."""

    def __init__(self, database: str, *arguments: Any, **options: Any) -> None:
        if not (_is_in_memory(database) or Path(database).exists()):
            raise sqlite3.OperationalError(f"there is no database at {database}")
        super().__init__(database, *arguments, **options)


def databases(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Build DATABASES. Raises `SystemExit` for a URL that makes no sense, without showing it."""
    sqlite_url = f"sqlite:///{quote(str(data_dir / 'chatapi.sqlite3'))}"
    try:
        config: dict[str, Any] = {
            **dj_database_url.parse(env_url("DATABASE_URL", sqlite_url), conn_health_checks=True)
        }
    except ValueError as error:  # its text may contain the password
        raise SystemExit(
            "chatapi: DATABASE_URL is not a database's URL, such as postgres://USER:PASSWORD@HOST:5432/NAME"
        ) from error
    if config["ENGINE"] == _SQLITE:
        if config["NAME"].startswith(_URI):  # it would get past all who look for the file
            raise SystemExit(
                "chatapi: DATABASE_URL has a SQLite URI, `file:…`, where a path belongs: sqlite:////PATH"
            )
        config["OPTIONS"] = _sqlite_options()
    elif config["ENGINE"] == _POSTGRESQL:
        config["OPTIONS"] = {**config.get("OPTIONS", {}), "pool": _pool_options()}
        config["CONN_MAX_AGE"] = 0  # the pool keeps connections open
        # PgBouncer may give each transaction another connection, and a cursor would not be there any more
        config["DISABLE_SERVER_SIDE_CURSORS"] = True
    return {"default": config}


def sqlite_file(config: Mapping[str, Any]) -> Path | None:
    """Return the file of a SQLite database; None for one in memory and for PostgreSQL."""
    if config["ENGINE"] != _SQLITE or _is_in_memory(str(config["NAME"])):
        return None
    return Path(config["NAME"]).resolve()


def describe(config: Mapping[str, Any]) -> str:
    """Return what a database is called, without its password."""
    if config["ENGINE"] == _SQLITE:
        return str(config["NAME"])
    scheme = "postgres" if config["ENGINE"] == _POSTGRESQL else config["ENGINE"]
    user = f"{config['USER']}@" if config["USER"] else ""
    port = f":{config['PORT']}" if config["PORT"] else ""
    return f"{scheme}://{user}{config['HOST']}{port}/{config['NAME']}"


def _is_in_memory(name: str) -> bool:
    """Return whether the name is no path; the URI is Django's, for the database of a test."""
    is_uri = name.startswith(_URI)
    return name == ":memory:" or (is_uri and parse_qs(urlsplit(name).query).get("mode") == ["memory"])


def _sqlite_options() -> dict[str, Any]:
    return {
        # take the write lock first: a writer then waits for another instead of failing halfway
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "factory": ExistingDatabase,
        # recursive triggers: replacing a row then deletes the old one, which the ledger's guards refuse
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;"
        " PRAGMA recursive_triggers=ON;",
    }


def _pool_options() -> dict[str, Any]:
    return {
        "min_size": 1,
        "max_size": env_int("CHATAPI_DATABASE_POOL", 8, least=1),
        "timeout": 10,
        # it would ask ever more rarely: a minute after a minute without the database; now a request asks anew
        "reconnect_timeout": 5,
    }
