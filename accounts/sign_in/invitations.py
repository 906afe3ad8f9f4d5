"""Invitations at sign-up, and the mails that they come by."""

from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest

from accounts.models import Invitation, Workspace
from accounts.security_events.recording import origin_of
from accounts.sign_in import mail
from accounts.workspaces.acceptance import join_accepted
from accounts.workspaces.invitations import PARAMETER, PresentedInvitation, mailed_link, present_open

_SHOWN_NAME = 80


def open_invitation(request: HttpRequest) -> PresentedInvitation | None:
    """Return the invitation that the address of a sign-up carries, if it can still be accepted."""
    token = request.GET.get(PARAMETER)
    return present_open(token) if token else None


def on_email_confirmed(*, request: HttpRequest, email_address: EmailAddress, **kwargs: Any) -> None:
    join_accepted(email_address.user, origin=origin_of(request))


def send(invitation: Invitation, token: str, service: HttpRequest | str) -> None:
    """Mail the link to who is invited.

    The link leads to the scheme and host that an operator names, or to those of a request. Where a request
    could claim any host, nothing is sent.
    """
    base_url = service if isinstance(service, str) else base_url_of(service)
    url = mailed_link(invitation, token, base_url)
    if not isinstance(service, str) and mail.leads_to_claimed_host(url, service):
        return
    subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}You are invited"
    mail.queue(EmailMessage(subject, _text(invitation, url), to=[invitation.email]))


def _text(invitation: Invitation, url: str) -> str:
    until = f"The link works once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC."
    if invitation.workspace is None:
        return f"You are invited to sign up with this address:\n\n{url}\n\n{until}"
    return (
        f"{invited_by(invitation)} invites you to the workspace “{shown_name(invitation.workspace)}”, as "
        f"{invitation.role}:\n\n{url}\n\nIf you do not know who that is, ignore this mail.\n{until}"
    )


def base_url_of(request: HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}"


def invited_by(invitation: Invitation) -> str:
    return invitation.invited_by.email if invitation.invited_by else "The operator of this service"


def shown_name(workspace: Workspace) -> str:
    """Return a workspace's name for those who are no members: on one line, and short."""
    name = "".join(filter(str.isprintable, workspace.name))
    return name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}…"
