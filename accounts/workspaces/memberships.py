"""Members of a workspace: how their roles change, how they leave, and how one of them hands it over."""

from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.keys.services import end_secrets_of
from accounts.models import Membership, User, Workspace
from accounts.permissions import Permission
from accounts.principal import Principal
from accounts.roles import Role
from accounts.security_events.recording import Kind, Origin, record
from accounts.workspaces.authority import ActingMember, find_member, lock_workspace
from accounts.workspaces.invitations import revoke_all_for, revoke_beyond
from accounts.workspaces.services import personal_workspace_refusal
from core.exceptions import Conflict, Forbidden
from core.ids import PROJECT, format_id


def note_change(
    member: Membership, before: str | None, after: str | None, origin: Origin | None, **details: Any
) -> None:
    """Record that a membership began (`before` is None), ended (`after` is None), or has another role.

    The member's open invitations that they could no longer make are revoked, and when they leave, those for
    them too: otherwise who is removed comes back by a link from before. The secrets that they know end, and
    do not work again when they come back.
    """
    if before is not None:
        revoke_beyond(member, Role(after) if after else None)
    if after is None:
        revoke_all_for(member)
        end_secrets_of(member.workspace_id, member.user)
    if before is None:
        kind, details = Kind.MEMBER_JOINED, {"role": str(after), **details}
    elif after is None:
        kind = Kind.MEMBER_LEFT
    else:
        kind, details = Kind.ROLE_CHANGED, {"before": str(before), "after": str(after), **details}
    record(kind, user=member.user, origin=origin, workspace_id=member.workspace_id, **details)


def change_role(
    workspace_id: UUID, user_id: int | None, role: Role, by: Principal, *, origin: Origin | None = None
) -> Membership:
    """Give another member another role."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        actor = ActingMember(workspace, by)
        actor.require(Permission.MEMBERS_WRITE)
        if role == Role.OWNER:
            actor.require(Permission.OWNERSHIP)
        member = find_member(workspace_id, user_id)
        if user_id == by.user_id:
            raise Forbidden(
                "You cannot change your own role. Ask somebody else who manages the members, or hand the "
                "workspace over.",
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
        note_change(member, before, role, origin)
    return member


def remove_member(
    workspace_id: UUID, user_id: int | None, by: Principal, *, origin: Origin | None = None
) -> Membership:
    """Remove somebody else. What they made in the workspace stays, and is theirs if they come back."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        actor = ActingMember(workspace, by)
        actor.require(Permission.MEMBERS_WRITE)
        member = find_member(workspace_id, user_id)
        if user_id == by.user_id:
            raise Forbidden(
                "You cannot remove yourself this way. To leave the workspace, POST to "
                f"/v1/organization/projects/{format_id(PROJECT, workspace_id)}/leave in a session.",
                code="own_role",
            )
        if member.role == Role.OWNER:
            actor.require(Permission.OWNERSHIP)
        _end_membership(workspace, member, origin)
    return member


def leave(workspace_id: UUID, by: Principal, *, origin: Origin | None = None) -> None:
    """Leave a workspace. Conversations, files and what was billed stay in it."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        actor = ActingMember(workspace, by)
        actor.require(Permission.ACCOUNT)
        _end_membership(workspace, find_member(workspace_id, by.user_id), origin)


def hand_over(workspace_id: UUID, to_id: int, by: Principal, *, origin: Origin | None = None) -> Membership:
    """Make another member the owner, and oneself an admin, both or neither; return one's own membership."""
    with transaction.atomic():
        workspace = lock_workspace(workspace_id)
        ActingMember(workspace, by).require(Permission.OWNERSHIP)
        own, to = find_member(workspace_id, by.user_id), find_member(workspace_id, to_id)
        if to_id == by.user_id:
            raise Conflict("You own it already. Name another member.", code="own_role")
        if workspace.personal_of_id is not None:
            raise personal_workspace_refusal(workspace)
        to = _lock_member(to)
        if not to.user.is_active:
            raise Conflict(
                "This member is deactivated, and could not manage the workspace.", code="inactive_member"
            )
        to.role, own.role = Role.OWNER, Role.ADMIN
        for member in (to, own):
            member.save(update_fields=["role"])
        revoke_beyond(own, Role.ADMIN)
        record(Kind.OWNERSHIP_HANDED_OVER, user=to.user, origin=origin, workspace_id=workspace_id)
    return own


def _lock_member(member: Membership) -> Membership:
    """Lock the user who may become an owner; return the membership as it is then.

    Raises `NotFound` if their account was deleted meanwhile.
    """
    list(
        User.objects.select_for_update(no_key=True, of=("self",)).filter(pk=member.user_id).values_list("pk")
    )
    return find_member(member.workspace_id, member.user_id)


def _check_other_owner(workspace: Workspace, member: Membership) -> None:
    """Raise `Conflict` if the workspace would be left without an owner who can sign in."""
    if workspace.personal_of_id is not None:
        if workspace.personal_of_id == member.user_id:
            raise personal_workspace_refusal(workspace)
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
    before = member.role
    member.delete()
    note_change(member, before, None, origin)
