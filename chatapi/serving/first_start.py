"""Database preparation: the schema and, the first time, an account that can sign in and call the API."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import User
from accounts.services import create_api_key, personal_workspace
from core.file_lock import locked

ADMIN_EMAIL = "admin@localhost"
_ADVISORY_LOCK = 0x63686174617069


class Credentials(NamedTuple):
    email: str
    password: str
    api_key: str


@contextmanager
def preparation_lock(data_dir: Path) -> Iterator[None]:
    """Let one process prepare at a time, of those that share the folder or the PostgreSQL database."""
    with locked(data_dir / ".lock"), connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            yield
            return
        cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


def migrate() -> None:
    call_command("migrate", verbosity=0, interactive=False)


def create_first_credentials() -> Credentials | None:
    """Create an admin with a workspace and a key if nobody has an account yet; else return None."""
    with transaction.atomic():
        if User.objects.exists():
            return None
        password = secrets.token_urlsafe(12)
        admin = User.objects.create_superuser(ADMIN_EMAIL, password)
        _, secret = create_api_key(personal_workspace(admin), admin, name="first start")
        return Credentials(ADMIN_EMAIL, password, secret)
