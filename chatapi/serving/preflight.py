"""Checks before the server starts; each failure is one line to the operator."""

import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import ConnectionHandler

from chatapi.database_settings import describe, sqlite_file
from chatapi.env import env
from chatapi.model_loading import read_models
from chatapi.serving import data_folder
from chatapi.serving.exceptions import CannotStart
from chatapi.storage_settings import keeps_media_on_disk
from core.redaction import redact
from engines.model_spec import ModelSpec
from engines.models_file import ModelsFileError

NEEDED_BYTES = 64 * 1024 * 1024


def listening_address() -> tuple[str, int]:
    """Return `HOST` and `PORT`; port 0 means any free one."""
    host, port = env("HOST", "127.0.0.1"), env("PORT", "8000")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise CannotStart(f"PORT={port!r} is not a port: 1 to 65535, or 0 for any free one")
    return host, int(port)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address, though nobody accepts connections yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise CannotStart(f"HOST={host!r} is not an address of this machine ({error.strerror})") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(2048)  # if two start together, only a listening socket keeps the second out
    except OSError as error:
        bound.close()
        raise CannotStart(_bind_error(host, port, error)) from error
    return bound


def _bind_error(host: str, port: int, error: OSError) -> str:
    match error:
        case PermissionError():
            return f"port {port} is not allowed to this user; choose one above 1023: PORT=8000"
        case OSError() if "in use" in str(error.strerror):
            return f"port {port} of {host} is taken; choose another: PORT={port % 65535 + 1}"
        case _:
            return f"cannot listen on {host} port {port}: {error.strerror}"


# --- the data folder and a SQLite database ------------------------------------------------------


def create_storage() -> list[str]:
    """Create what is missing of the data folder, the secret key in it and a SQLite database.

    Only `run` and `migrate` do so: under a wrong environment any other command would make an empty database.
    Returns what the operator should know. Raises `CannotStart`.
    """
    try:
        data_folder.create(settings.DATA_DIR)
        news = open_storage()
        if not env("CHATAPI_SECRET_KEY"):
            settings.SECRET_KEY = data_folder.keep_secret(settings.DATA_DIR, settings.SECRET_KEY)
    except OSError as error:
        raise _unusable_folder(settings.DATA_DIR, error) from error
    if (database := _sqlite_file()) is not None:
        try:
            data_folder.create_database(database)
        except OSError as error:
            raise _unusable_database(f"{database}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise _unusable_database(f"{database}: {one_line(error)}") from error
    return news


def open_storage() -> list[str]:
    """Check the data folder, and close it to other users. Raises `CannotStart`."""
    check_storage(settings.DATA_DIR)
    try:
        return data_folder.close_to_others(settings.DATA_DIR, _sqlite_file())
    except OSError as error:
        raise _unusable_folder(settings.DATA_DIR, error) from error


def check_storage(folder: Path, needed: int = NEEDED_BYTES) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise _unusable_folder(folder, error) from error
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotStart(
            f"the disk that holds {folder} is full: {free // 1_000_000} MB left, "
            f"at least {needed // 1_000_000} MB are needed"
        )


def check_files() -> list[str]:
    """Check the files that a server, worker or schedule needs which another command has made.

    No database is asked: some servers import the application in their event loop. Raises `CannotStart`.
    """
    _check_sqlite_file()
    _check_data_folder()
    if not env("CHATAPI_SECRET_KEY") and data_folder.read_secret(settings.DATA_DIR) is None:
        raise CannotStart(
            f"there is no secret key: neither CHATAPI_SECRET_KEY nor {settings.DATA_DIR}/secret.key "
            "(CHATAPI_DATA_DIR). Set what the other processes have, or run `manage.py migrate` first"
        )
    return open_storage()


def check_or_exit(*, tables: bool = False) -> None:
    """Check the files, and the tables too, for a process that `manage.py run` does not start.

    What the operator should know, and why the process ends if it does, are lines on standard error.
    """
    try:
        for line in check_files():
            sys.stderr.write(f"chatapi: {line}\n")
        if tables:
            check_migrations()
    except CannotStart as reason:
        raise SystemExit(f"chatapi: {reason}") from None


def _check_data_folder() -> None:
    folder = settings.DATA_DIR
    try:
        if folder.exists():
            return
        if env("CHATAPI_SECRET_KEY") and not keeps_media_on_disk(settings.STORAGES):
            data_folder.create(folder)  # for this process's temporary files: others have nothing in it
            return
    except OSError as error:
        raise _unusable_folder(folder, error) from error
    raise CannotStart(
        f"there is no data folder: {folder} does not exist. {_who_says_where_the_folder_is()}: set what the "
        "running service has. `manage.py run` and `manage.py migrate` make a new one"
    )


def _sqlite_file() -> Path | None:
    return sqlite_file(settings.DATABASES["default"])


def _check_sqlite_file() -> None:
    path = _sqlite_file()
    try:
        if path is not None:
            path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CannotStart(
            f"there is no database: {path} does not exist. {_who_says_where()}: set what the running service "
            "has. `manage.py run` and `manage.py migrate` make a new database"
        ) from None
    except OSError as error:
        raise _unusable_database(f"{path}: {error.strerror}") from error


def _who_says_where() -> str:
    if env("DATABASE_URL"):
        return "DATABASE_URL says where it is"
    return _who_says_where_the_folder_is()


def _who_says_where_the_folder_is() -> str:
    folder = env("CHATAPI_DATA_DIR")
    return f"CHATAPI_DATA_DIR{f'={folder}' if folder else ', which is not set,'} says where it is"


def _unusable_folder(folder: Path, error: OSError) -> CannotStart:
    return CannotStart(f"cannot write to {folder} (CHATAPI_DATA_DIR): {error.strerror}")


def served_models() -> tuple[ModelSpec, ...]:
    try:
        return read_models(settings.CHATAPI_MODELS_FILE)
    except ModelsFileError as error:
        raise CannotStart(f"models file {one_line(error)}") from error


# --- the database -------------------------------------------------------------------------------


def check_database() -> None:
    """Check that the database is there and can be used. Raises `CannotStart`."""
    _check_sqlite_file()
    with _first_connection() as connection:
        connection.ensure_connection()


def check_migrations() -> None:
    """Check that the database can be used and is that of this release. Raises `CannotStart`.

    No connection is left open, because forked processes would share it.
    """
    _check_sqlite_file()
    with _first_connection() as connection:
        unapplied = unapplied_migrations(connection)
    if unapplied:
        raise CannotStart(
            f"the database lacks {unapplied} migrations: run `manage.py migrate`, or start the web server of "
            f"this release, which does it ({describe(settings.DATABASES['default'])})"
        )


def unapplied_migrations(connection: BaseDatabaseWrapper) -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@contextmanager
def _first_connection() -> Iterator[BaseDatabaseWrapper]:
    """Connect without the pool, which would retry again and again and log each attempt."""
    config = settings.DATABASES["default"]
    options = {name: value for name, value in config.get("OPTIONS", {}).items() if name != "pool"}
    if config["ENGINE"].endswith("postgresql"):
        options["connect_timeout"] = 5
    try:
        connection = ConnectionHandler({"default": {**config, "OPTIONS": options}})["default"]
        try:
            yield connection
        finally:
            connection.close()
    except (DatabaseError, ImproperlyConfigured) as error:
        raise _unusable_database(f"{describe(config)}: {one_line(error)}") from error


def _unusable_database(reason: str) -> CannotStart:
    return CannotStart(f"the database (DATABASE_URL) cannot be used: {reason}")


# --- the configuration --------------------------------------------------------------------------


def system_warnings() -> list[str]:
    """Run Django's system checks: raise `CannotStart` for the first error, return the warnings."""
    return warnings_in(checks.run_checks(databases=["default"]))


def warnings_in(messages: Iterable[checks.CheckMessage]) -> list[str]:
    found = [message for message in messages if not message.is_silenced()]
    for message in found:
        if message.level >= checks.ERROR:
            raise CannotStart(_message_line(message))
    return [_message_line(message) for message in found if message.level >= checks.WARNING]


def _message_line(message: checks.CheckMessage) -> str:
    hint = f" {message.hint}" if message.hint else ""
    return one_line(f"{message.id}: {message.msg}{hint}")


def one_line(error: object) -> str:
    return " ".join(redact(str(error)).split()) or type(error).__name__
