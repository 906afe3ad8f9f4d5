"""Create an API key; only the key goes to standard output, so that a script can read it."""

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts.keys.services import create_api_key
from accounts.models import User, Workspace
from accounts.permissions import DEFAULT_SCOPES, Scope
from accounts.services import get_or_create_user, personal_workspace

MAX_DAYS = 36_500


class Command(BaseCommand):
    help = "Make an API key. The user and their personal workspace are made where they are missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--workspace", type=_uuid, metavar="ID", help="default: the personal one")
        parser.add_argument("--name", default="", help="what the key is for")
        parser.add_argument(
            "--scopes",
            type=_scopes,
            default=DEFAULT_SCOPES,
            metavar="SCOPES",
            help=f"what the key may be used for, of {','.join(Scope)}; default: {','.join(DEFAULT_SCOPES)}",
        )
        parser.add_argument("--expires-in-days", type=_days, metavar="N", help="default: never")

    def handle(self, *, email: str, name: str, **options: Any) -> None:
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"{email!r} is not an email address.") from None
        expires_at = _in_days(options["expires_in_days"])
        try:
            with transaction.atomic():
                user = get_or_create_user(email)
                _check_verified(user)
                workspace = _workspace_of(user, options["workspace"])
                key, secret = create_api_key(
                    workspace, user, name=name[:100], scopes=options["scopes"], expires_at=expires_at
                )
        except DatabaseError as error:
            raise CommandError(f"The database refused: {error}. Was `manage.py migrate` run?") from None
        until = f", until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else ""
        self.stderr.write(f"Key {key} of {user} in {workspace}{until}. It cannot be shown again:")
        self.stdout.write(secret)


def _check_verified(user: User) -> None:
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        raise CommandError(
            f"Somebody signed up with {user}, who never showed that the address is theirs. "
            f"`manage.py reset_sign_in {user}` gives the account to whom you know to have it."
        )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a workspace's id") from None


def _scopes(text: str) -> tuple[Scope, ...]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in list(Scope)]
    if unknown:
        raise ArgumentTypeError(f"{unknown[0]!r} is none of the scopes {','.join(Scope)}")
    return tuple(Scope(name) for name in names)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= MAX_DAYS):
        raise ArgumentTypeError(f"{text!r} is not a number of days from 1 to {MAX_DAYS}")
    return int(text)


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else timezone.now() + timedelta(days=days)


def _workspace_of(user: User, workspace_id: UUID | None) -> Workspace:
    if workspace_id is None:
        return personal_workspace(user)
    workspace = Workspace.objects.filter(id=workspace_id).first()
    if workspace is None:
        raise CommandError(f"There is no workspace {workspace_id}.")
    if not workspace.memberships.filter(user=user).exists():
        raise CommandError(f"{user} is not a member of {workspace}.")
    return workspace
