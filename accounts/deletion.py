"""Deleting users and workspaces, and everything that goes with them.

The usual way to remove a user is to deactivate them, which keeps what their team talked about. Apps register
what they keep for a workspace (`register_contents`), so that accounts need not know the apps.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import ApiKey, Membership, User, Workspace
from accounts.security_events.recording import Kind, Origin, erase_personal_parts, record
from core.value import Value


class WorkspaceContents(Value, frozen=True):
    """What an app keeps for workspaces.

    `count` returns how many there are of each thing, by its plural name. `delete` runs inside the deleting
    transaction, once before the workspace is locked and once after; `delete_after_commit` runs when the
    deletion is certain.
    """

    count: Callable[[Collection[UUID]], Mapping[str, int]]
    delete: Callable[[UUID], None] | None = None
    delete_after_commit: Callable[[UUID], None] | None = None


_contents: dict[str, WorkspaceContents] = {}


def register_contents(app: str, contents: WorkspaceContents) -> None:
    """Register an app when it is ready; contents are deleted in the order of INSTALLED_APPS."""
    _contents[app] = contents


def delete_workspace(workspace: Workspace) -> None:
    """Delete a workspace with its members' keys, its whole history and, after the commit, its files."""
    workspace_id = workspace.pk
    with transaction.atomic():
        _delete_contents(workspace_id)
        Workspace.objects.select_for_update().filter(pk=workspace_id).first()
        _delete_contents(workspace_id)  # what was begun meanwhile
        workspace.delete()
        for contents in _contents.values():
            if contents.delete_after_commit is not None:
                transaction.on_commit(partial(contents.delete_after_commit, workspace_id))


def delete_user(user: User, *, origin: Origin | None = None) -> None:
    """Delete a user with their keys and memberships; conversations in shared workspaces stay.

    Of their security events only what names nobody stays.

    Their personal workspace is deleted too if nothing keeps it; otherwise Django raises `ProtectedError`.
    """
    with transaction.atomic():
        for workspace in Workspace.objects.filter(personal_of=user):
            if reasons_to_keep(workspace) is None:
                delete_workspace(workspace)
        erase_personal_parts(user)
        by_another = origin if origin and origin.user_id != user.pk else Origin()
        record(Kind.ACCOUNT_DELETED, origin=by_another, deleted=user.pk)
        user.delete()


UNVERIFIED_DAYS = 7


def delete_unverified_users() -> None:
    """Delete who signed up and never showed that the address is theirs: its owner may want it.

    Those whom an operator gave a key, a workspace or rights since then stay.
    """
    verified = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    unverified = EmailAddress.objects.filter(user=OuterRef("pk"), verified=False)
    keys = ApiKey.objects.filter(user=OuterRef("pk"))
    invited = Membership.objects.filter(user=OuterRef("pk")).exclude(workspace__personal_of=OuterRef("pk"))
    long_ago = timezone.now() - timedelta(days=UNVERIFIED_DAYS)
    users = User.objects.filter(
        Exists(unverified),
        ~Exists(verified),
        ~Exists(keys),
        ~Exists(invited),
        is_staff=False,
        is_superuser=False,
        last_login=None,
        date_joined__lt=long_ago,
    )
    for user in users[:1000]:
        delete_user(user)


def reasons_to_keep(workspace: Workspace) -> str | None:
    """Return, in words, why a personal workspace may not go with its user; None if it is empty."""
    others = Membership.objects.filter(workspace=workspace).exclude(user=workspace.personal_of)
    found = {**_count_contents([workspace.pk]), "other members": others.count()}
    parts = [f"{n} {name.removesuffix('s') if n == 1 else name}" for name, n in found.items() if n]
    return ", ".join(parts) or None


def has_contents(workspace_ids: Collection[UUID]) -> bool:
    """Tell whether anything is stored for these workspaces."""
    return any(_count_contents(workspace_ids).values())


def workspace_counts(workspace_ids: Collection[UUID]) -> dict[str, int]:
    """Count what would be deleted with these workspaces, by plural name."""
    return {
        "workspaces": len(workspace_ids),
        "memberships": Membership.objects.filter(workspace__in=workspace_ids).count(),
        "API keys": ApiKey.objects.filter(workspace__in=workspace_ids).count(),
        **_count_contents(workspace_ids),
    }


def user_counts(user_ids: Collection[int]) -> dict[str, int]:
    """Count what would be deleted with these users, besides personal workspaces that nothing keeps."""
    return {
        "users": len(user_ids),
        "memberships": Membership.objects.filter(user__in=user_ids).count(),
        "API keys": ApiKey.objects.filter(user__in=user_ids).count(),
        "log entries": LogEntry.objects.filter(user__in=user_ids).count(),
    }


def _delete_contents(workspace_id: UUID) -> None:
    for contents in _contents.values():
        if contents.delete is not None:
            contents.delete(workspace_id)


def _count_contents(workspace_ids: Collection[UUID]) -> dict[str, int]:
    return {
        name: count
        for contents in _contents.values()
        for name, count in contents.count(workspace_ids).items()
    }
