"""Letting somebody in again who has locked themselves out."""

import secrets

from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts.models import User
from accounts.security_events.recording import Kind, record
from accounts.sign_in.attempts import forget
from accounts.sign_in.backend import account_elsewhere
from accounts.sign_in.user_sessions import end_sessions


def reset_sign_in(user: User, *, keep_second_factor: bool = False) -> str:
    """Give the user a new password, which is returned, and take away what else may keep them out.

    Their sessions end, wherever they are: what locked them out may have been somebody else.
    """
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        if not keep_second_factor:
            Authenticator.objects.filter(user=user).delete()
        verify_address(user)
        end_sessions(user)
        forget(account_elsewhere(user.email))
        ratelimit.clear(None, action="login_failed", key=f"mfa-auth-user-{user.pk}")
        record(Kind.SIGN_IN_RESET, user=user)
    return password


def verify_address(user: User) -> None:
    """Make the user's address the one and verified: an operator vouches for it."""
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    EmailAddress.objects.filter(email=user.email).exclude(user=user).delete()
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
