"""Checks before the server starts; each failure is one line to the operator."""

import shutil
import socket
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

from chatapi.env import env
from chatapi.model_loading import read_models
from engines.model_spec import ModelSpec
from engines.models_file import ModelsFileError

NEEDED_BYTES = 64 * 1024 * 1024


class CannotStart(Exception):
    """The reason why the server does not start, in one line."""


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


def check_storage(folder: Path, needed: int = NEEDED_BYTES) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise CannotStart(f"cannot write to {folder} (CHATAPI_DATA_DIR): {error.strerror}") from error
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotStart(
            f"the disk that holds {folder} is full: {free // 1_000_000} MB left, "
            f"at least {needed // 1_000_000} MB are needed"
        )


def served_models() -> tuple[ModelSpec, ...]:
    try:
        return read_models(settings.CHATAPI_MODELS_FILE)
    except ModelsFileError as error:
        raise CannotStart(f"models file {_one_line(error)}") from error


def check_database() -> None:
    with _first_connection() as connection:
        connection.ensure_connection()


def check_worker_environment() -> None:
    """Check what a worker outside the server needs. Raises `CannotStart`.

    No connection is left open, because forked processes would share it.
    """
    check_storage(settings.DATA_DIR)
    with _first_connection() as connection:
        unapplied = unapplied_migrations(connection)
    if unapplied:
        raise CannotStart(
            f"the database lacks {unapplied} migrations: start the web server of this release first, "
            "or run manage.py migrate"
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
        raise CannotStart(f"the database (DATABASE_URL) cannot be used: {_one_line(error)}") from error


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
    return _one_line(f"{message.id}: {message.msg}{hint}")


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
