"""Invitations: to sign up, made by operators, and into workspaces, made by those who manage their members.

Each works once, until it expires or is revoked. One with an address is for who has that address; one without
for whoever has the link. Only its digest is stored.
"""

import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.memberships import add_member, lock_workspace
from accounts.models import Invitation, Membership, User, Workspace
from accounts.roles import Role
from accounts.secret_digests import digest_of
from accounts.security_events.recording import Kind, Origin, origin_of, record
from accounts.sign_in import mail
from core.exceptions import ApiError, Conflict, Forbidden, NotFound
from core.value import Value

PARAMETER = "invitation"
MAX_OPEN = 100
"""How many open invitations into one workspace there may be."""
_SHOWN_NAME = 80
_MAILED = Signer(sep=".", salt="accounts.sign_in.invitations")


class PresentedInvitation(Value, frozen=True):
    """An invitation whose link somebody has. `proves_address`: the link was in the mailbox it was sent to."""

    invitation: Invitation
    proves_address: bool


# --- inviting -------------------------------------------------------------------------------------


def invite(
    email: str,
    invited_by: User | None,
    origin: Origin | None = None,
    *,
    workspace: Workspace | None = None,
    role: Role = Role.MEMBER,
) -> tuple[Invitation, str]:
    """Make an invitation; return it and its token, which cannot be shown again.

    Raises `ValidationError` for an invitation only to sign up of somebody who has an account, and `Conflict`
    where the workspace has too many, or has the person as a member.
    """
    email = email.lower()
    token = secrets.token_urlsafe(24)
    with transaction.atomic():
        if workspace is None:
            check_can_be_invited(email)
        else:
            check_can_join(lock_workspace(workspace.pk), email)
        invitation = Invitation.objects.create(
            email=email,
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
        raise Conflict("Who has this address is a member already.", code="already_member", param="email")
    if open_invitations().filter(workspace=workspace).count() >= MAX_OPEN:
        raise Conflict(
            f"The workspace has {MAX_OPEN} open invitations, the most that it may have. "
            "Revoke some, or wait until they expire.",
            code="too_many_invitations",
        )


def link(invitation: Invitation, token: str, base_url: str, *, mailed: bool = False) -> str:
    """Return where the invited person goes; `base_url` is scheme and host of the service.

    A `mailed` link proves that who has it reads the mail of the address. So who invites into a workspace does
    not get that one: they could sign up as somebody else.
    """
    base_url = base_url.rstrip("/")
    if invitation.workspace_id is None:
        return f"{base_url}{reverse('account_signup')}?{PARAMETER}={token}"
    token = _MAILED.sign(token) if mailed else token
    return base_url + reverse("account_invitation", args=[token])


def send(invitation: Invitation, url: str) -> None:
    """Mail a link to who is invited."""
    subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}You are invited"
    if invitation.workspace is None:
        text = f"You are invited to sign up with this address:\n\n{url}\n\n"
    else:
        text = (
            f"{invited_by(invitation)} invites you to the workspace “{shown_name(invitation.workspace)}”, as "
            f"{invitation.role}:\n\n{url}\n\nIf you do not know who that is, ignore this mail.\n"
        )
    text += f"The link works once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC."
    mail.queue(EmailMessage(subject, text, to=[invitation.email]))


def invited_by(invitation: Invitation) -> str:
    return invitation.invited_by.email if invitation.invited_by else "The operator of this service"


def shown_name(workspace: Workspace) -> str:
    """Return a workspace's name for those who are no members: on one line, and short."""
    name = "".join(filter(str.isprintable, workspace.name))
    return name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}…"


def revoke(invitation: Invitation) -> None:
    Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
        revoked_at=timezone.now()
    )


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


def open_invitation(request: HttpRequest) -> PresentedInvitation | None:
    """Return the invitation that the address of a sign-up carries, if it can still be accepted."""
    token = request.GET.get(PARAMETER)
    found = present(token) if token else None
    return found if found and _is_open(found.invitation) else None


def _is_open(invitation: Invitation) -> bool:
    return state_of(invitation) == "open" and invitation.accepted_by_id is None


# --- accepting ------------------------------------------------------------------------------------


def accept(invitation: Invitation, user: User, *, origin: Origin | None = None) -> Membership:
    """Let somebody with an account join.

    Raises `Forbidden` for another address than theirs, `Conflict` for a member, whose invitation stays open,
    and `NotFound` with status 410 if somebody else was faster.
    """
    if invitation.workspace_id is None:
        raise used_up()
    if not is_for(invitation, user):
        raise Forbidden(
            "The invitation is for another address than yours. Sign in with the account that has it.",
            code="not_invited",
        )
    with transaction.atomic():
        membership = _join(invitation, user, origin)
        if not _use(invitation, accepted_at=timezone.now(), accepted_by=user):
            raise used_up()
    return membership


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
    """Let a user whose address is verified join where they signed up for by an invitation."""
    rows = Invitation.objects.filter(accepted_by=user, accepted_at=None, revoked_at=None)
    for invitation in rows.exclude(workspace=None):
        if is_for(invitation, user):
            with suppress(NotFound), transaction.atomic():
                _join_accepted(invitation, user, origin)


def _join_accepted(invitation: Invitation, user: User, origin: Origin | None) -> None:
    workspace = lock_workspace(cast("UUID", invitation.workspace_id))
    rows = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    used = rows.update(accepted_at=timezone.now())
    if used and not Membership.objects.filter(workspace=workspace, user=user).exists():
        _join(invitation, user, origin)


def on_email_confirmed(*, request: HttpRequest, email_address: EmailAddress, **kwargs: Any) -> None:
    join_accepted(email_address.user, origin=origin_of(request))


def is_for(invitation: Invitation, user: User) -> bool:
    """Tell whether the user's own address, or any if it is by link, is verified and the invited one."""
    of_invitation = Q(email__iexact=invitation.email) if invitation.email else Q()
    return bool(EmailAddress.objects.filter(of_invitation, user=user, verified=True).exists())


def _join(invitation: Invitation, user: User, origin: Origin | None) -> Membership:
    workspace_id = cast("UUID", invitation.workspace_id)
    return add_member(workspace_id, user, Role(invitation.role), origin=origin, invitation=str(invitation.pk))


def _use(invitation: Invitation, **changes: Any) -> bool:
    """Mark it as used, unless that was done or it was revoked meanwhile."""
    rows = open_invitations().filter(pk=invitation.pk, accepted_by=None)
    return bool(rows.update(**changes))
