"""Invitations to sign up: made by operators, accepted once, by whoever has the link."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Invitation, User
from accounts.security_events.recording import Kind, Origin, record
from accounts.services import digest_of
from accounts.sign_in import mail

VALID_FOR = timedelta(days=7)
PARAMETER = "invitation"


def invite(email: str, invited_by: User | None, origin: Origin | None = None) -> tuple[Invitation, str]:
    """Make an invitation; return it and its token, which cannot be shown again.

    Raises `ValidationError` for somebody who has an account.
    """
    email = email.lower()
    check_can_be_invited(email)
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        email=email,
        digest=digest_of(token),
        invited_by=invited_by,
        expires_at=timezone.now() + VALID_FOR,
    )
    record(Kind.INVITED, user=invited_by, origin=origin, invitation=str(invitation.pk))
    return invitation, token


def check_can_be_invited(email: str) -> None:
    """Raise `ValidationError` for the address of somebody who has an account."""
    if User.objects.filter(email__iexact=email).exists():
        raise ValidationError("Somebody with this address has an account already.")


def link(token: str, base_url: str) -> str:
    """Return where the invited person signs up; `base_url` is scheme and host of the service."""
    return f"{base_url.rstrip('/')}{reverse('account_signup')}?{PARAMETER}={token}"


def send(invitation: Invitation, url: str) -> None:
    subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}You are invited"
    text = (
        f"You are invited to sign up with this address:\n\n{url}\n\n"
        f"The link works once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC."
    )
    mail.queue(EmailMessage(subject, text, to=[invitation.email]))


def open_invitation(request: HttpRequest) -> Invitation | None:
    """Return the invitation that the request's address carries, if it can still be accepted."""
    token = request.GET.get(PARAMETER)
    return _open(digest_of(token)) if token else None


def _open(digest: str) -> Invitation | None:
    return Invitation.objects.filter(
        digest=digest, accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
    ).first()


def accept(invitation: Invitation) -> bool:
    """Accept it, unless somebody else has done so or it was revoked meanwhile."""
    return bool(
        Invitation.objects.filter(
            pk=invitation.pk, accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
        ).update(accepted_at=timezone.now())
    )


def revoke(invitation: Invitation) -> None:
    Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
        revoked_at=timezone.now()
    )
