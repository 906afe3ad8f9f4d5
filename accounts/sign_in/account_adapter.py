"""The service's account adapter for allauth: who signs up, how mails go out, what a sign-in leaves behind."""

import secrets
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.signup import prevent_enumeration
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.headless.constants import Client
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.contrib.sites.shortcuts import get_current_site
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponseBase

from accounts.client_address import client_address
from accounts.models import User
from accounts.security_events.recording import origin_of
from accounts.sign_in import invitations, known_browsers, mail
from accounts.sign_in.user_sessions import keep_newest_sessions
from accounts.workspaces.acceptance import accept_at_sign_up, join_accepted

UNKNOWN_ACCOUNT = "account/email/unknown_account"
"""The mail to somebody who has no account, which nobody gets: anybody could have it sent to them."""
UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104 (sessions must have some address)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The address or the password is wrong.",
        "enter_current_password": "The current password is wrong.",
        "incorrect_password": "The password is wrong.",
        "rate_limited": "Too many attempts. Wait some minutes, then try again.",
        "same_as_current": "It is the present one already.",
        "too_many_login_attempts": "Too many failed attempts. Wait some minutes, then try again.",
        "invalid_domain": "The part behind the @ is no name of a mail server.",
        "not_invited": "The invitation is for another address. Sign up with the one that it was sent to.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        if settings.CHATAPI_SIGN_UP == "open":
            return True
        return settings.CHATAPI_SIGN_UP == "invitation" and invitations.open_invitation(request) is not None

    def clean_email(self, email: str) -> str:
        if not _is_domain_canonical(email):
            raise self.validation_error("invalid_domain")
        found = invitations.open_invitation(self.request)
        if found is not None and found.invitation.email not in {"", email.lower()}:
            raise self.validation_error("not_invited")
        return str(super().clean_email(email))

    def save_user(
        self, request: HttpRequest, user: AbstractBaseUser, form: Any, commit: bool = True
    ) -> AbstractBaseUser:
        """Save who signs up, and accept their invitation, both or neither.

        Somebody else may have taken the address or used the invitation since the form was checked; then this
        ends as if that had been so before.
        """
        found = invitations.open_invitation(self.request)
        try:
            with transaction.atomic():
                saved = cast("User", super().save_user(request, user, form, commit))
                origin = origin_of(request)
                if found and not accept_at_sign_up(found, saved, origin=origin):
                    raise IntegrityError
        except IntegrityError:
            email = form.cleaned_data.get("email")
            raise ImmediateHttpResponse(prevent_enumeration(request, email=email)) from None
        if found and found.proves_address:
            self.stash_verified_email(request, found.invitation.email)  # the link was in their mailbox
        return saved

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Leave failed sign-ins to `PasswordBackend`."""

    def is_safe_url(self, url: str) -> bool:
        try:
            return bool(super().is_safe_url(url))
        except ValueError:  # it is none
            return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or UNKNOWN_ADDRESS

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Queue the mail: sending it now would show by the time it takes who has an account."""
        request = self.request
        values = {"request": request, "email": email, "current_site": get_current_site(request), **context}
        message = self.render_mail(template_prefix, email, values)
        if mail.leads_to_claimed_host(message.body, request):
            return
        mail.queue(message, is_kept=template_prefix != UNKNOWN_ACCOUNT)

    def respond_email_verification_sent(
        self, request: HttpRequest, user: AbstractBaseUser | None
    ) -> HttpResponseBase:
        """Answer a sign-up; one with a taken address takes as long as one that set a password."""
        if user is None:
            make_password(secrets.token_urlsafe())
        response: HttpResponseBase = super().respond_email_verification_sent(request, user)
        return response

    def post_login(self, request: HttpRequest, user: User, **options: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().post_login(request, user, **options)
        join_accepted(user, origin=origin_of(request))  # verified by another way than the mail's
        keep_newest_sessions(user)
        if not _is_app(request):
            known_browsers.note_sign_in(request, user.email)
        return response


def _is_domain_canonical(email: str) -> bool:
    """Tell whether mail can go to the domain, and whether no other spelling of it is the same domain."""
    domain = email.rpartition("@")[2].lower()
    try:
        return domain.encode("idna").decode("idna") == domain
    except UnicodeError:
        return False


def _is_app(request: Any) -> bool:
    """Tell whether the request came by the API for apps, which keep no cookies."""
    headless = getattr(request.allauth, "headless", None)
    return headless is not None and headless.client == Client.APP
