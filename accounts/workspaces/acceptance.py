"""Accepting an invitation: at once with an account, and otherwise while signing up."""

from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils import timezone

from accounts.models import Invitation, Membership, User
from accounts.security_events.recording import Origin
from accounts.workspaces.authority import lock_user, lock_workspace
from accounts.workspaces.invitations import PresentedInvitation, open_invitations, used_up
from accounts.workspaces.memberships import note_change
from core.exceptions import Conflict, Forbidden, NotFound
from core.ids import PROJECT, format_id


def accept(invitation: Invitation, user: User, *, origin: Origin | None = None) -> Membership:
    """Let somebody with an account join.

    Raises `Forbidden` for who may not accept it, `Conflict` for a member, whose invitation stays open, and
    `NotFound` with status 410 if somebody else was faster.
    """
    if invitation.workspace_id is None:
        raise used_up()
    refusal = reason_not_to_accept(invitation, user)
    if refusal is not None:
        raise refusal
    with transaction.atomic():
        membership = _join(invitation, user, origin)
        if not _use(invitation, accepted_at=timezone.now(), accepted_by=user):
            raise used_up()
    return membership


def reason_not_to_accept(invitation: Invitation, user: User) -> Forbidden | None:
    """Return the refusal for somebody without a confirmed address, or with another than the invited one.

    Without a confirmed one, the refusal does not tell whether theirs is invited.
    """
    if is_for(invitation, user):
        return None
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        return Forbidden(
            "Your email address is not confirmed yet. Follow the link in the mail that was sent to it, then "
            "accept the invitation again.",
            code="address_unconfirmed",
        )
    return Forbidden(
        "The invitation is for another address than yours. Sign in with the account that has it.",
        code="not_invited",
    )


def is_for(invitation: Invitation, user: User) -> bool:
    """Tell whether an address of the user is confirmed and, unless it is by link, the invited one."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True)
    if invitation.email:
        confirmed = confirmed.filter(email__iexact=invitation.email)
    return bool(confirmed.exists())


def accept_at_sign_up(found: PresentedInvitation, user: User, *, origin: Origin | None = None) -> bool:
    """Accept for a user who has just signed up; return whether that was still possible.

    They join the workspace at once if the link proves their address, and otherwise once they have shown that
    the address is theirs.
    """
    invitation, now = found.invitation, timezone.now()
    if invitation.workspace_id is None:
        return _use(invitation, accepted_at=now, accepted_by=user)
    if not found.proves_address:
        return _use(invitation, accepted_by=user)
    with suppress(NotFound), transaction.atomic():  # the workspace may have been deleted just now
        lock_workspace(invitation.workspace_id)
        if _use(invitation, accepted_at=now, accepted_by=user):
            _join(invitation, user, origin)
            return True
    return False


def join_accepted(user: User, *, origin: Origin | None = None) -> None:
    """Let a user whose address is confirmed join where they signed up for by an invitation."""
    for invitation in open_invitations().filter(accepted_by=user).exclude(workspace=None):
        if is_for(invitation, user):
            with suppress(NotFound), transaction.atomic():
                _join_accepted(invitation, user, origin)


def _join_accepted(invitation: Invitation, user: User, origin: Origin | None) -> None:
    workspace = lock_workspace(cast("UUID", invitation.workspace_id))
    used = open_invitations().filter(pk=invitation.pk).update(accepted_at=timezone.now())
    if used and not Membership.objects.filter(workspace=workspace, user=user).exists():
        _join(invitation, user, origin)


def _join(invitation: Invitation, user: User, origin: Origin | None) -> Membership:
    workspace = lock_workspace(cast("UUID", invitation.workspace_id))
    user = lock_user(user.pk)
    if Membership.objects.filter(workspace=workspace, user=user).exists():
        raise Conflict(
            f"You are a member of “{workspace.name}” ({format_id(PROJECT, workspace.pk)}) already. "
            "Your role stays as it is, and the invitation can still be used.",
            code="already_member",
        )
    membership = Membership.objects.create(workspace=workspace, user=user, role=invitation.role)
    note_change(membership, None, invitation.role, origin, invitation=str(invitation.pk))
    return membership


def _use(invitation: Invitation, **changes: Any) -> bool:
    """Mark it as used, unless that was done or it was revoked meanwhile."""
    rows = open_invitations().filter(pk=invitation.pk, accepted_by=None)
    return bool(rows.update(**changes))
