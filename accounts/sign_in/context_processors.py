"""The context processor of the sign-in pages and mails."""

from datetime import timedelta
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.timesince import timeuntil

from accounts.sign_in.account_adapter import UNKNOWN_ADDRESS
from accounts.sign_in.mfa_adapter import can_use_security_keys


def sign_in(request: HttpRequest) -> dict[str, Any]:
    return {
        "can_use_security_keys": SimpleLazyObject(lambda: can_use_security_keys(request)),
        "has_providers": bool(settings.SOCIALACCOUNT_PROVIDERS),
        "can_sign_up": SimpleLazyObject(lambda: get_adapter(request).is_open_for_signup(request)),
        "unknown_address": UNKNOWN_ADDRESS,
        **_links(),
    }


def _links() -> dict[str, Any]:
    """Say how long the links work that are mailed now."""
    now = timezone.now()
    ends = {
        "reset_link": now + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
        "confirmation_link": now + timedelta(days=app_settings.EMAIL_CONFIRMATION_EXPIRE_DAYS),
    }
    return {
        **{f"{link}_expires_at": end for link, end in ends.items()},
        **{f"{link}_valid_for": timeuntil(end, now) for link, end in ends.items()},
    }
