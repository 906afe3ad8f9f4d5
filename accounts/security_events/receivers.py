"""Receivers of signals: Django's and allauth's.

allauth signs in by Django's `login`, so a sign-in is one event whoever handled it.
"""

from typing import Any

from allauth.account import signals as account_signals
from allauth.mfa import signals as mfa_signals
from django.contrib.auth import signals as auth_signals
from django.http import HttpRequest

from accounts.models import User
from accounts.security_events.recording import Kind, record

RECOVERY_CODES = "recovery_codes"
"""What allauth calls the authenticator that consists of recovery codes."""


def on_signed_in(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(Kind.SIGNED_IN, user=user, request=request)


def on_signed_out(*, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None and user.pk is not None:  # nobody was signed in, or the user was deleted just now
        record(Kind.SIGNED_OUT, user=user, request=request)


def on_sign_in_failed(
    *, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Record whose account was tried. What was typed for an unknown one may be a password, and is dropped."""
    record_failure(credentials.get("username") or credentials.get("email"), request, reason="credentials")


def record_failure(email: object, request: HttpRequest | None, *, reason: str) -> None:
    """Record that somebody did not sign in to the account of an address, or to none that there is."""
    user = _user_named(email)
    record(Kind.SIGN_IN_FAILED, user=user, request=request, reason=reason if user else "unknown_address")


def _user_named(email: object) -> User | None:
    if not isinstance(email, str) or len(email) > 254 or not email.isprintable():  # no database takes these
        return None
    return User.objects.filter(email__iexact=email).first()


# --- allauth.account.signals --------------------------------------------------------------------


def on_signed_up(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(Kind.SIGNED_UP, user=user, request=request)


def on_password_changed(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Record `password_changed`, and `password_set` of a user who had none."""
    record(Kind.PASSWORD_CHANGED, user=user, request=request)


def on_password_reset(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(Kind.PASSWORD_RESET, user=user, request=request)


def on_email_changed(
    *, request: HttpRequest, user: User, from_email_address: Any = None, **kwargs: Any
) -> None:
    before = {"before": from_email_address.email} if from_email_address else {}
    record(Kind.EMAIL_CHANGED, user=user, request=request, **before)


def on_code_rejected(*, request: HttpRequest, user: User | None = None, **kwargs: Any) -> None:
    """Record a wrong code that came by mail."""
    record(Kind.SIGN_IN_FAILED, user=user, request=request, reason="mailed_code")


# --- allauth.mfa.signals ------------------------------------------------------------------------


def on_authenticator_added(*, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    if authenticator.type == RECOVERY_CODES:
        record(Kind.RECOVERY_CODES_MADE, user=user, request=request)
    else:
        record(Kind.SECOND_FACTOR_ADDED, user=user, request=request, factor=str(authenticator.type))


def on_authenticator_removed(*, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    record(Kind.SECOND_FACTOR_REMOVED, user=user, request=request, factor=str(authenticator.type))


def on_authenticator_reset(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(Kind.RECOVERY_CODES_MADE, user=user, request=request)


def on_authenticator_used(*, request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    if authenticator.type == RECOVERY_CODES:
        record(Kind.RECOVERY_CODE_USED, user=user, request=request)


def on_second_factor_failed(*, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Record `authentication_failed`: a wrong second factor, which whoever has the password can send."""
    record(Kind.SIGN_IN_FAILED, user=user, request=request, reason="second_factor")


# --- which signal is for whom -------------------------------------------------------------------


def connect() -> None:
    for signal, receiver in (
        (auth_signals.user_logged_in, on_signed_in),
        (auth_signals.user_logged_out, on_signed_out),
        (auth_signals.user_login_failed, on_sign_in_failed),
        (account_signals.user_signed_up, on_signed_up),
        (account_signals.password_set, on_password_changed),
        (account_signals.password_changed, on_password_changed),
        (account_signals.password_reset, on_password_reset),
        (account_signals.email_changed, on_email_changed),
        (account_signals.login_code_rejected, on_code_rejected),
        (mfa_signals.authenticator_added, on_authenticator_added),
        (mfa_signals.authenticator_removed, on_authenticator_removed),
        (mfa_signals.authenticator_reset, on_authenticator_reset),
        (mfa_signals.authenticator_used, on_authenticator_used),
        (mfa_signals.authentication_failed, on_second_factor_failed),
    ):
        signal.connect(receiver)
