"""What commands are given by name."""

from uuid import UUID

from django.core.management.base import CommandError

from accounts.models import Workspace
from core.ids import PROJECT, parse_id


def workspace_named(text: str) -> Workspace:
    """Return the workspace of an id as the admin shows it or as clients see it. Raises `CommandError`."""
    try:
        id = parse_id(PROJECT, text) or UUID(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a workspace's id.") from None
    workspace = Workspace.objects.filter(pk=id).first()
    if workspace is None:
        raise CommandError(f"There is no workspace {text}.")
    return workspace
