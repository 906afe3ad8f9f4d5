"""Workspaces: how they are made, renamed and deleted."""

from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.deletion import delete_despite_calls, delete_workspace
from accounts.models import ApiKey, Membership, User, Workspace
from accounts.permissions import Permission
from accounts.principal import Principal
from accounts.roles import Role
from accounts.security_events.recording import Kind, Origin, record
from accounts.workspaces.authority import ActingMember, lock_user, lock_workspace
from core.exceptions import Conflict


def create_workspace(user: User, name: str, *, origin: Origin | None = None) -> Membership:
    """Create a workspace that the user owns; return their membership."""
    with transaction.atomic():
        lock_user(user.pk)
        _check_may_own_another(user)
        workspace = Workspace.objects.create(name=name)
        membership = Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER)
        record(Kind.WORKSPACE_CREATED, user=user, origin=origin, workspace_id=workspace.pk)
    return membership


def _check_may_own_another(user: User) -> None:
    most = settings.CHATAPI_WORKSPACES_PER_USER
    owned = Membership.objects.filter(user=user, role=Role.OWNER, workspace__personal_of=None)
    if owned.count() >= most:
        raise Conflict(
            f"You own as many workspaces as one person may: {most}, besides your own. "
            "Delete or hand over one of them first.",
            code="too_many_workspaces",
        )


def rename(workspace_id: UUID, name: str, by: Principal) -> None:
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        ActingMember(workspace, by).require(Permission.WORKSPACE)
        workspace.name = name
        workspace.save(update_fields=["name"])


def delete(workspace_id: UUID, by: Principal, *, origin: Origin | None = None) -> None:
    """Delete a workspace with all that it holds; what was billed stays in the books.

    Raises `Conflict` for a personal one, which goes with its user's account.
    """

    def delete_it() -> None:
        with transaction.atomic():
            workspace = lock_workspace(workspace_id)
            ActingMember(workspace, by).require(Permission.OWNERSHIP)
            if workspace.personal_of_id is not None:
                raise personal_workspace_refusal(workspace)
            user = User.objects.filter(pk=by.user_id).first()
            record(Kind.WORKSPACE_DELETED, user=user, origin=origin, workspace_id=workspace_id)
            delete_workspace(workspace)

    delete_despite_calls(delete_it, ApiKey.objects.filter(workspace=workspace_id))


def personal_workspace_refusal(workspace: Workspace) -> Conflict:
    return Conflict(
        f"“{workspace.name}” is somebody's personal workspace: that person stays its owner, and it is "
        "deleted only with their account.",
        code="personal_workspace",
    )
