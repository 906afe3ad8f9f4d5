"""Invitations: to sign up, made by operators, and into workspaces, made by those who manage their members.

Each works once, until it expires or is revoked. One with an address is for the person who has it; one without
is for whoever has the link. Only its digest is stored.
"""

import secrets
from datetime import timedelta
from functools import reduce
from operator import or_

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts.models import Invitation, Membership, User, Workspace
from accounts.permissions import Permission, permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from accounts.secret_digests import digest_of
from accounts.security_events.recording import Kind, Origin, record
from accounts.workspaces.authority import ActingMember, lock_user, lock_workspace
from core.exceptions import ApiError, Conflict, NotFound
from core.value import Value

PARAMETER = "invitation"
MAX_OPEN = 100
"""How many open invitations into one workspace there may be."""
_MAILED = Signer(sep=".", salt="accounts.invitations.mailed")


class PresentedInvitation(Value, frozen=True):
    """An invitation whose link somebody has. `proves_address`: the link was in the mailbox it was sent to."""

    invitation: Invitation
    proves_address: bool


# --- making them ----------------------------------------------------------------------------------


def invite_as_member(
    by: Principal, email: str, role: Role, origin: Origin | None = None
) -> tuple[Invitation, str]:
    """Invite into the workspace that the caller acts in; return the invitation and its token.

    The token cannot be shown again. Raises `Forbidden` for who may not invite with this role, and `Conflict`
    where the workspace has too many invitations, or has the person as a member.
    """
    with transaction.atomic():
        workspace = lock_workspace(by.workspace_id)
        user = lock_user(by.user_id)
        actor = ActingMember(workspace, by)
        actor.require(Permission.MEMBERS_WRITE)
        if role == Role.OWNER:
            actor.require(Permission.OWNERSHIP)
        check_can_join(workspace, email)
        return _create(email, user, origin, workspace, role)


def invite(
    email: str,
    invited_by: User | None,
    origin: Origin | None = None,
    *,
    workspace: Workspace | None = None,
    role: Role = Role.MEMBER,
) -> tuple[Invitation, str]:
    """Invite as an operator, only to sign up or into any workspace; return the invitation and its token.

    The token cannot be shown again. Raises `ValidationError` for an invitation only to sign up of somebody
    who has an account, and `Conflict` as `invite_as_member` does.
    """
    with transaction.atomic():
        if workspace is None:
            check_can_be_invited(email)
        else:
            check_can_join(lock_workspace(workspace.pk), email)
        return _create(email, invited_by, origin, workspace, role)


def _create(
    email: str, invited_by: User | None, origin: Origin | None, workspace: Workspace | None, role: Role
) -> tuple[Invitation, str]:
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        email=email.lower(),
        workspace=workspace,
        role=role,
        digest=digest_of(token),
        invited_by=invited_by,
        expires_at=timezone.now() + timedelta(days=settings.CHATAPI_INVITATION_DAYS),
    )
    record(
        Kind.INVITED,
        user=invited_by,
        origin=origin,
        workspace_id=workspace.pk if workspace else None,
        invitation=str(invitation.pk),
    )
    return invitation, token


def check_can_be_invited(email: str) -> None:
    """Raise `ValidationError` for the address of somebody who has an account."""
    if User.objects.filter(email__iexact=email).exists():
        raise ValidationError("Somebody with this address has an account already.")


def check_can_join(workspace: Workspace, email: str) -> None:
    """Raise `Conflict` if the workspace has too many open invitations, or has this member already.

    Whether the address of anybody else has an account makes no difference.
    """
    members = Membership.objects.filter(workspace=workspace)
    if email and members.filter(user__email__iexact=email).exists():
        raise Conflict(
            "Somebody with this address is a member already.", code="already_member", param="email"
        )
    if open_invitations().filter(workspace=workspace).count() >= MAX_OPEN:
        raise Conflict(
            f"The workspace has {MAX_OPEN} open invitations, the most that it may have. "
            "Revoke some, or wait until they expire.",
            code="too_many_invitations",
        )


def link(invitation: Invitation, token: str, base_url: str) -> str:
    """Return where the invited person goes; `base_url` is scheme and host of the service.

    This is the link that whoever invites is shown. Into a workspace, it proves nothing of the invited
    address: otherwise they could sign up as somebody else.
    """
    base_url = base_url.rstrip("/")
    if invitation.workspace_id is None:
        return f"{base_url}{reverse('account_signup')}?{PARAMETER}={token}"
    return base_url + reverse("account_invitation", args=[token])


def mailed_link(invitation: Invitation, token: str, base_url: str) -> str:
    """Return the link to mail, which proves that the person who follows it reads the mail of the address."""
    return link(invitation, token if invitation.workspace_id is None else _MAILED.sign(token), base_url)


# --- revoking them --------------------------------------------------------------------------------


def revoke(invitation: Invitation) -> None:
    _revoke(Invitation.objects.filter(pk=invitation.pk))


def revoke_beyond(member: Membership, role: Role | None) -> None:
    """Revoke those of a member's open invitations that somebody with this role, or none, could not make.

    The workspace must be locked: the member may be inviting somebody at this moment.
    """
    may = permissions_in_session(role) if role else frozenset()
    if Permission.OWNERSHIP in may:
        return
    made = Invitation.objects.filter(workspace=member.workspace_id, invited_by=member.user_id)
    _revoke(made.filter(role=Role.OWNER) if Permission.MEMBERS_WRITE in may else made)


def revoke_all_for(member: Membership) -> None:
    """Revoke the open invitations into a workspace for the addresses of somebody who was a member."""
    addresses = EmailAddress.objects.filter(user=member.user_id).values_list("email", flat=True)
    is_theirs = reduce(or_, (Q(email__iexact=email) for email in addresses), Q(pk=None))
    _revoke(Invitation.objects.filter(is_theirs, workspace=member.workspace_id))


def revoke_all_made_by(user: User) -> None:
    """Revoke all open invitations that a user made, as a member and as an operator."""
    _revoke(Invitation.objects.filter(invited_by=user))


def _revoke(invitations: QuerySet[Invitation]) -> None:
    invitations.filter(accepted_at=None, revoked_at=None).update(revoked_at=timezone.now())


# --- looking at them ------------------------------------------------------------------------------


def state_of(invitation: Invitation) -> str:
    """Return `open`, `accepted`, `revoked` or `expired`.

    One whose new user has yet to show that the address is theirs is open: it can still be revoked.
    """
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    return "expired" if invitation.expires_at <= timezone.now() else "open"


def open_invitations() -> QuerySet[Invitation]:
    """Return those that somebody can still accept, or has accepted and not yet joined by."""
    return Invitation.objects.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


def present(token: str) -> PresentedInvitation | None:
    """Return the invitation of a link's token, whatever its state; None if there is none."""
    is_mailed = _MAILED.sep in token
    if is_mailed:
        try:
            token = _MAILED.unsign(token)
        except BadSignature:
            return None
    rows = Invitation.objects.select_related("workspace", "invited_by")
    invitation = rows.filter(digest=digest_of(token)).first()
    if invitation is None:
        return None
    by_operator = invitation.workspace_id is None
    return PresentedInvitation(invitation, bool(invitation.email) and (is_mailed or by_operator))


def present_open(token: str) -> PresentedInvitation | None:
    """Return the invitation of a link's token if somebody can still accept it."""
    found = present(token)
    return found if found and _is_open(found.invitation) else None


def present_into_workspace(token: str) -> PresentedInvitation:
    """Return what somebody with an account can accept.

    Raises `NotFound`, with status 410 for what was used, revoked or has expired.
    """
    found = present(token)
    if found is None or found.invitation.workspace_id is None:
        raise NotFound("There is no such invitation. Copy the whole link, or ask for another.", param="token")
    if not _is_open(found.invitation):
        raise used_up()
    return found


def used_up() -> ApiError:
    return NotFound(
        "This invitation was used, was revoked or has expired. Ask for another.",
        param="token",
        status=410,
        code="invitation_used_up",
    )


def _is_open(invitation: Invitation) -> bool:
    return state_of(invitation) == "open" and invitation.accepted_by_id is None
