"""Workspaces and their members: who joins, leaves, changes roles and hands over.

Each change locks the workspace's row first, so that two at once cannot leave it without an owner. What a
caller may do is asked again under the lock: they may have been demoted since their request began.
"""

from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.deletion import delete_despite_calls, delete_workspace
from accounts.models import ApiKey, Invitation, Membership, User, Workspace
from accounts.permissions import Permission, permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from accounts.security_events.recording import Kind, Origin, record
from core.exceptions import Conflict, Forbidden, NotFound, SessionEnded
from core.ids import PROJECT, format_id


def lock_workspace(workspace_id: UUID) -> Workspace:
    """Lock a workspace in this transaction against other changes of its members. Raises `NotFound`."""
    rows = Workspace.objects.select_for_update(no_key=True, of=("self",))
    workspace = rows.filter(pk=workspace_id).first()
    if workspace is None:
        raise _no_such_workspace()
    return workspace


def _lock_user(user_id: int) -> None:
    """Lock a user's row, so that nobody becomes an owner whose account is being deleted."""
    rows = User.objects.select_for_update(no_key=True, of=("self",)).filter(pk=user_id)
    if not rows.values_list("pk"):
        raise SessionEnded


def create_workspace(user: User, name: str, *, origin: Origin | None = None) -> Membership:
    """Create a workspace that the user owns; return their membership."""
    with transaction.atomic():
        _lock_user(user.pk)
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
        _ActingMember(workspace, by).require(Permission.WORKSPACE)
        workspace.name = name
        workspace.save(update_fields=["name"])


def add_member(
    workspace_id: UUID, user: User, role: Role, *, origin: Origin | None = None, invitation: str | None = None
) -> Membership:
    """Let a user in, by an operator or an invitation. Raises `Conflict` for somebody who is a member."""
    details: dict[str, Any] = {"invitation": invitation} if invitation else {}
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        _lock_user(user.pk)
        if Membership.objects.filter(workspace=workspace, user=user).exists():
            raise already_member(workspace)
        membership = Membership.objects.create(workspace=workspace, user=user, role=role)
        record(
            Kind.MEMBER_JOINED, user=user, origin=origin, workspace_id=workspace_id, role=str(role), **details
        )
    return membership


def already_member(workspace: Workspace) -> Conflict:
    return Conflict(
        f"You are a member of “{workspace.name}” ({format_id(PROJECT, workspace.pk)}) already. "
        "Your role is as it was, and the invitation can still be used.",
        code="already_member",
    )


def change_role(
    workspace_id: UUID, user_id: int | None, role: Role, by: Principal, *, origin: Origin | None = None
) -> Membership:
    """Give a member another role; nobody changes their own."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        actor = _ActingMember(workspace, by)
        actor.require(Permission.MEMBERS_WRITE)
        if role == Role.OWNER:
            actor.require(Permission.OWNERSHIP)
        member = find_member(workspace_id, user_id)
        if user_id == by.user_id:
            raise Forbidden(
                "Nobody changes their own role. Have another owner do it, or hand the workspace over.",
                code="own_role",
            )
        before = member.role
        if role == before:
            return member
        if before == Role.OWNER:
            actor.require(Permission.OWNERSHIP)
            _check_other_owner(workspace, member)
        member = _lock_member(member)
        member.role = role
        member.save(update_fields=["role"])
        _revoke_invitations(member, Role(role))
        record(
            Kind.ROLE_CHANGED,
            user=member.user,
            origin=origin,
            workspace_id=workspace_id,
            before=before,
            after=str(role),
        )
    return member


def remove_member(
    workspace_id: UUID, user_id: int | None, by: Principal, *, origin: Origin | None = None
) -> Membership:
    """Remove somebody else. What they made in the workspace stays, and is theirs if they come back."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        actor = _ActingMember(workspace, by)
        actor.require(Permission.MEMBERS_WRITE)
        member = find_member(workspace_id, user_id)
        if user_id == by.user_id:
            raise Forbidden(
                f"Nobody removes themselves. To leave, POST to /v1/organization/projects/"
                f"{format_id(PROJECT, workspace_id)}/leave in a session.",
                code="own_role",
            )
        if member.role == Role.OWNER:
            actor.require(Permission.OWNERSHIP)
        _end_membership(workspace, member, origin)
    return member


def leave(workspace_id: UUID, by: Principal, *, origin: Origin | None = None) -> None:
    """Leave a workspace. Nothing goes along: conversations and files stay, and so do the books."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        actor = _ActingMember(workspace, by)
        actor.require(Permission.ACCOUNT)
        _end_membership(workspace, find_member(workspace_id, by.user_id), origin)


def hand_over(workspace_id: UUID, to_id: int, by: Principal, *, origin: Origin | None = None) -> Membership:
    """Make another member the owner, and oneself an admin, both or neither; return one's own membership."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        _ActingMember(workspace, by).require(Permission.OWNERSHIP)
        own, to = find_member(workspace_id, by.user_id), find_member(workspace_id, to_id)
        if to_id == by.user_id:
            raise Conflict("You own it already. Name another member.", code="own_role")
        if workspace.personal_of_id is not None:
            raise _is_personal(workspace)
        to = _lock_member(to)
        if not to.user.is_active:
            raise Conflict(
                "This member is deactivated, and could not manage the workspace.", code="inactive_member"
            )
        to.role, own.role = Role.OWNER, Role.ADMIN
        for member in (to, own):
            member.save(update_fields=["role"])
        _revoke_invitations(own, Role.ADMIN)
        record(Kind.OWNERSHIP_HANDED_OVER, user=to.user, origin=origin, workspace_id=workspace_id)
    return own


def delete(workspace_id: UUID, by: Principal, *, origin: Origin | None = None) -> None:
    """Delete a workspace with all that it holds; what was billed stays in the books.

    Raises `Conflict` for a personal one, which goes with its user's account.
    """

    def delete_it() -> None:
        with transaction.atomic():
            workspace = lock_workspace(workspace_id)
            _ActingMember(workspace, by).require(Permission.OWNERSHIP)
            if workspace.personal_of_id is not None:
                raise _is_personal(workspace)
            user = User.objects.filter(pk=by.user_id).first()
            record(Kind.WORKSPACE_DELETED, user=user, origin=origin, workspace_id=workspace_id)
            delete_workspace(workspace)

    delete_despite_calls(delete_it, ApiKey.objects.filter(workspace=workspace_id))


def find_member(workspace_id: UUID, user_id: int | None) -> Membership:
    """Return a membership with its user. Raises `NotFound`."""
    rows = Membership.objects.select_related("user", "workspace")
    member = rows.filter(workspace=workspace_id, user=user_id).first() if user_id is not None else None
    if member is None:
        raise NotFound("There is no such member in this workspace.", param="user_id")
    return member


def _lock_member(member: Membership) -> Membership:
    """Lock the user who may become an owner; return the membership as it is then.

    Raises `NotFound` if their account was deleted meanwhile.
    """
    list(
        User.objects.select_for_update(no_key=True, of=("self",)).filter(pk=member.user_id).values_list("pk")
    )
    return find_member(member.workspace_id, member.user_id)


class _ActingMember:
    """Who changes a locked workspace, with what they may do by the role that they have now."""

    def __init__(self, workspace: Workspace, by: Principal) -> None:
        roles = Membership.objects.filter(workspace=workspace, user=by.user_id).values_list("role", flat=True)
        role = roles.first()
        if role is None:
            raise _no_such_workspace()
        now = permissions_in_session(Role(role))
        self._principal = msgspec.structs.replace(by, permissions=by.permissions & now)

    def require(self, permission: Permission) -> None:
        self._principal.require(permission)


def _no_such_workspace() -> NotFound:
    return NotFound("There is no such workspace, or you are no member of it.", param="project_id")


def _is_personal(workspace: Workspace) -> Conflict:
    return Conflict(
        f"“{workspace.name}” is somebody's personal workspace: that person stays its owner, and it is "
        "deleted with their account alone.",
        code="personal_workspace",
    )


def _check_other_owner(workspace: Workspace, member: Membership) -> None:
    """Raise `Conflict` if the workspace would be left without an owner who can sign in."""
    if workspace.personal_of_id is not None:
        if workspace.personal_of_id == member.user_id:
            raise _is_personal(workspace)
        return
    owners = Membership.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True)
    if not owners.exclude(pk=member.pk).exists():
        raise Conflict(
            f"“{workspace.name}” would be left without an owner. Make another member an owner, hand it "
            "over, or delete it.",
            code="last_owner",
        )


def _end_membership(workspace: Workspace, member: Membership, origin: Origin | None) -> None:
    if member.role == Role.OWNER:
        _check_other_owner(workspace, member)
    member.delete()
    _revoke_invitations(member, None)
    record(Kind.MEMBER_LEFT, user=member.user, origin=origin, workspace_id=workspace.pk)


def _revoke_invitations(member: Membership, role: Role | None) -> None:
    """Revoke those of a member's open invitations that they could no longer make with this role.

    Otherwise who is removed comes back by a link that they made before.
    """
    made = Invitation.objects.filter(
        workspace=member.workspace_id, invited_by=member.user_id, accepted_at=None, revoked_at=None
    )
    may = permissions_in_session(role) if role else frozenset()
    if Permission.OWNERSHIP in may:
        return
    if Permission.MEMBERS_WRITE in may:
        made = made.filter(role=Role.OWNER)
    made.update(revoked_at=timezone.now())
