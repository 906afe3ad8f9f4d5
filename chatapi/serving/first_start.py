"""Database preparation: the schema and, the first time, an account that can sign in and call the API."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

from django.core.management import call_command
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import connection, transaction

from accounts.keys.services import create_api_key
from accounts.models import User
from accounts.services import personal_workspace
from chatapi.database_settings import sqlite_file
from chatapi.serving.data_folder import lock_of
from chatapi.serving.exceptions import CannotStart
from core.file_lock import try_lock

ADMIN_EMAIL = "admin@localhost"
PATIENCE_SECONDS = 600.0
"""Seconds that a process waits for another which prepares the database."""
REMINDER_SECONDS = 30.0
"""Seconds until it says again that it waits."""
_POLL_SECONDS = 0.2
_ADVISORY_LOCK = 0x63686174617069


class Credentials(NamedTuple):
    email: str
    password: str
    api_key: str


@contextmanager
def preparation_lock(say: Callable[[str], object], *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Let one process prepare the database at a time; `say` what this one waits for.

    On PostgreSQL the block is one transaction: a pooler such as PgBouncer may give the next one another
    connection, which does not hold the lock. Raises `CannotStart` after `patience` seconds.
    """
    wait = _Wait(say, patience)
    if connection.vendor != "postgresql":
        with _file_lock(wait):
            yield
        return
    while True:
        with transaction.atomic():
            if _try_advisory_lock():
                yield
                return
        wait()  # without a transaction, so that a small pool has a connection for whoever prepares


def _try_advisory_lock() -> bool:
    """Try to lock PostgreSQL's database until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        return bool(cursor.fetchone()[0])


@contextmanager
def _file_lock(wait: Callable[[], None]) -> Iterator[None]:
    """Lock a SQLite database by a file beside it."""
    path = sqlite_file(connection.settings_dict)
    if path is None:  # in memory
        yield
        return
    with lock_of(path).open("ab") as file:
        while not try_lock(file):
            wait()
        yield


class _Wait:
    """A wait for another process: it says what it waits for, from time to time, and is not for ever."""

    def __init__(self, say: Callable[[str], object], patience: float) -> None:
        self._say = say
        self._patience = patience
        self._began = time.monotonic()
        self._said_at = -inf

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._said_at >= REMINDER_SECONDS:
            self._said_at = now
            waited = f"{now - self._began:.0f} s"
            self._say(f"Waiting for another process, which prepares the database ({waited})…")
        if now - self._began > self._patience:
            raise CannotStart(
                f"another process has been preparing the database for {self._patience:.0f} s; "
                "end it if it hangs, then start again"
            )
        time.sleep(_POLL_SECONDS)


def migrate() -> None:
    """Migrate under the `preparation_lock`."""
    call_command(MigrateCommand(), verbosity=0, interactive=False)


def create_first_credentials() -> Credentials | None:
    """Create an admin with a workspace and a key if nobody has an account yet; else return None."""
    with transaction.atomic():
        if User.objects.exists():
            return None
        password = secrets.token_urlsafe(12)
        admin = User.objects.create_superuser(ADMIN_EMAIL, password)
        _, secret = create_api_key(personal_workspace(admin), admin, name="first start")
        return Credentials(ADMIN_EMAIL, password, secret)
