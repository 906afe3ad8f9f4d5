"""Deleting users and workspaces, and what goes with them. The usual way to be rid of a user is to
deactivate them, which keeps what their team talked about.

Apps register what they keep for a workspace (`register_contents`), so that accounts need not know them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db import transaction

from accounts.models import ApiKey, Membership, User, Workspace
from core.values import Value


class WorkspaceContents(Value, frozen=True):
    """What an app keeps for workspaces.

    `count` tells how much, by the plural of what it is. `delete` runs inside the deleting transaction, once
    before the workspace is locked and once after; `delete_after_commit` when it is certain.
    """

    count: Callable[[Collection[UUID]], Mapping[str, int]]
    delete: Callable[[UUID], None] | None = None
    delete_after_commit: Callable[[UUID], None] | None = None


_contents: dict[str, WorkspaceContents] = {}


def register_contents(app: str, contents: WorkspaceContents) -> None:
    """To be called when the app is ready; the order of INSTALLED_APPS is that of deletion."""
    _contents[app] = contents


def delete_workspace(workspace: Workspace) -> None:
    """Delete a workspace with its members' keys, its whole history and, once that is certain, its files."""
    workspace_id = workspace.pk
    with transaction.atomic():
        _delete_contents(workspace_id)
        Workspace.objects.select_for_update().filter(pk=workspace_id).first()
        _delete_contents(workspace_id)  # begun meanwhile
        workspace.delete()
        for contents in _contents.values():
            if contents.delete_after_commit is not None:
                transaction.on_commit(partial(contents.delete_after_commit, workspace_id))


def delete_user(user: User) -> None:
    """Delete a user with their keys and memberships; conversations in shared workspaces stay.

    Their personal workspace goes too where nothing keeps it, else Django raises `ProtectedError`.
    """
    with transaction.atomic():
        for workspace in Workspace.objects.filter(personal_of=user):
            if what_keeps(workspace) is None:
                delete_workspace(workspace)
        user.delete()


def what_keeps(workspace: Workspace) -> str | None:
    """Why a personal workspace may not go with its user, in words; None where it is empty."""
    others = Membership.objects.filter(workspace=workspace).exclude(user=workspace.personal_of)
    found = {**_contents_of([workspace.pk]), "other members": others.count()}
    told = [f"{count} {name}" for name, count in found.items() if count]
    return ", ".join(told) or None


def has_contents(workspace_ids: Collection[UUID]) -> bool:
    """Whether anything was stored for these workspaces."""
    return any(_contents_of(workspace_ids).values())


def workspace_counts(workspace_ids: Collection[UUID]) -> dict[str, int]:
    """What would go with these workspaces, by the plural of what it is."""
    return {
        "workspaces": len(workspace_ids),
        "memberships": Membership.objects.filter(workspace__in=workspace_ids).count(),
        "API keys": ApiKey.objects.filter(workspace__in=workspace_ids).count(),
        **_contents_of(workspace_ids),
    }


def user_counts(user_ids: Collection[int]) -> dict[str, int]:
    """What would go with these users, beside their personal workspaces where nothing keeps those."""
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


def _contents_of(workspace_ids: Collection[UUID]) -> dict[str, int]:
    return dict(_counts(workspace_ids))


def _counts(workspace_ids: Collection[UUID]) -> Iterator[tuple[str, int]]:
    for contents in _contents.values():
        yield from contents.count(workspace_ids).items()
