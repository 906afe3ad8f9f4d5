"""Deleting users and workspaces, and what goes with them. The usual way to be rid of a user is to
deactivate them, which keeps what their team talked about."""

from collections.abc import Collection
from functools import partial
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db import transaction

from chatapi.accounts.models import ApiKey, Membership, User, Workspace
from conversations.deletion import delete_conversations, history_counts
from conversations.models import Conversation
from media.models import Asset
from media.services import delete_files


def delete_workspace(workspace: Workspace) -> None:
    """Delete a workspace with its members' keys, its whole history and, once that is certain, its files."""
    workspace_id = workspace.pk
    with transaction.atomic():
        delete_conversations(Conversation.objects.filter(workspace_id=workspace_id))
        Workspace.objects.select_for_update().filter(pk=workspace_id).first()
        delete_conversations(Conversation.objects.filter(workspace_id=workspace_id))  # begun meanwhile
        workspace.delete()
        transaction.on_commit(partial(delete_files, workspace_id))


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
    found = {**_things_of([workspace.pk]), "other members": others.count()}
    told = [f"{count} {name}" for name, count in found.items() if count]
    return ", ".join(told) or None


def has_history(workspace_ids: Collection[UUID]) -> bool:
    return any(_things_of(workspace_ids).values())


def workspace_counts(workspace_ids: Collection[UUID]) -> dict[str, int]:
    """What would go with these workspaces, by the plural of what it is."""
    return {
        "workspaces": len(workspace_ids),
        "memberships": Membership.objects.filter(workspace__in=workspace_ids).count(),
        "API keys": ApiKey.objects.filter(workspace__in=workspace_ids).count(),
        **_things_of(workspace_ids),
    }


def user_counts(user_ids: Collection[int]) -> dict[str, int]:
    """What would go with these users, beside their personal workspaces where nothing keeps those."""
    return {
        "users": len(user_ids),
        "memberships": Membership.objects.filter(user__in=user_ids).count(),
        "API keys": ApiKey.objects.filter(user__in=user_ids).count(),
        "log entries": LogEntry.objects.filter(user__in=user_ids).count(),
    }


def _things_of(workspace_ids: Collection[UUID]) -> dict[str, int]:
    return {
        **history_counts(Conversation.objects.filter(workspace__in=workspace_ids)),
        "files": Asset.objects.filter(workspace__in=workspace_ids).count(),
    }
