"""Checks before the server starts; each failure is one line to the operator."""

import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
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


def check_storage(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise CannotStart(f"cannot write to {folder} (CHATAPI_DATA_DIR): {error.strerror}") from error
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise CannotStart(
            f"the disk that holds {folder} is full: {free // 1_000_000} MB left, "
            f"at least {NEEDED_BYTES // 1_000_000} MB are needed"
        )


def served_models() -> tuple[ModelSpec, ...]:
    try:
        return read_models(settings.CHATAPI_MODELS_FILE)
    except ModelsFileError as error:
        raise CannotStart(f"models file {_one_line(error)}") from error


def check_database() -> None:
    """Connect once without the pool, which would retry again and again and log each attempt."""
    options = settings.DATABASES["default"]
    try:
        connection = ConnectionHandler({"default": _without_retries(options)})["default"]
        try:
            connection.ensure_connection()
        finally:
            connection.close()
    except (DatabaseError, ImproperlyConfigured) as error:
        raise CannotStart(f"the database (DATABASE_URL) cannot be used: {_one_line(error)}") from error


def _without_retries(config: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in config.get("OPTIONS", {}).items() if name != "pool"}
    if config["ENGINE"].endswith("postgresql"):
        options["connect_timeout"] = 5
    return {**config, "OPTIONS": options}


def system_warnings() -> list[str]:
    """Run Django's system checks: raise `CannotStart` for the first error, return the warnings."""
    run = checks.run_checks(databases=["default"])
    found = [message for message in run if not message.is_silenced()]
    for message in found:
        if message.level >= checks.ERROR:
            raise CannotStart(_message_line(message))
    return [_message_line(message) for message in found if message.level >= checks.WARNING]


def _message_line(message: checks.CheckMessage) -> str:
    hint = f" {message.hint}" if message.hint else ""
    return _one_line(f"{message.id}: {message.msg}{hint}")


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
