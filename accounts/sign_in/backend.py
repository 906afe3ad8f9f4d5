"""The one place where passwords are checked, and where trying them is slowed down."""

from contextlib import nullcontext
from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from accounts.client_address import address_group, client_address
from accounts.security_events.receivers import record_failure
from accounts.sign_in import attempts
from accounts.sign_in.attempts import AttemptCounter, TooManyAttempts
from accounts.sign_in.known_browsers import browser_of
from accounts.sign_in.password_hasher import for_a_known_person
from core.exceptions import ServiceUnavailable

FREE_FAILURES = 4
"""Failures in a row that delay nothing, of an account or in a browser."""
FREE_FAILURES_OF_ADDRESS = 20
"""The same from an address, which many people may share."""


class PasswordBackend(AuthenticationBackend):  # type: ignore[misc]
    """Authentication by email and password. Raises `TooManyAttempts` before it looks at either."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:
        email = credentials.get("email") or credentials.get("username")
        password = credentials.get("password")
        if not (isinstance(email, str) and isinstance(password, str) and email and password):
            return None
        browser = browser_of(request, email)
        account = account_in_browser(email, browser) if browser else account_elsewhere(email)
        address = None if browser else _address(request)  # a neighbour keeps nobody out
        try:
            if address is not None:
                attempts.take_attempt(address)
            attempts.take_attempt(account)
        except TooManyAttempts:
            record_failure(email, request, reason="too_many_attempts")
            raise
        try:
            with for_a_known_person() if browser else nullcontext():
                user: AbstractBaseUser | None = super().authenticate(request, email=email, password=password)
        except ServiceUnavailable:  # nobody looked at the password
            attempts.give_back(account)
            if address is not None:
                attempts.give_back(address)
            raise
        if user is not None:
            attempts.forget(account)
            if address is not None:
                attempts.give_back(address)
        return user


def account_in_browser(email: str, browser: str) -> AttemptCounter:
    return AttemptCounter(f"browser {browser} {_normal(email)}", FREE_FAILURES)


def account_elsewhere(email: str) -> AttemptCounter:
    return AttemptCounter(f"account {_normal(email)}", FREE_FAILURES)


def _normal(email: str) -> str:
    return email.strip().lower()


def _address(request: HttpRequest | None) -> AttemptCounter | None:
    address = client_address(request) if request is not None else None
    return AttemptCounter(f"address {address_group(address)}", FREE_FAILURES_OF_ADDRESS) if address else None
