"""The context processor of the sign-in pages and mails."""

from datetime import datetime, timedelta
from functools import partial
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
    reset = timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    confirmation = timedelta(days=app_settings.EMAIL_CONFIRMATION_EXPIRE_DAYS)
    return {
        "can_use_security_keys": SimpleLazyObject(lambda: can_use_security_keys(request)),
        "has_providers": bool(settings.SOCIALACCOUNT_PROVIDERS),
        "can_sign_up": SimpleLazyObject(lambda: get_adapter(request).is_open_for_signup(request)),
        "unknown_address": UNKNOWN_ADDRESS,
        # called where a template shows them, which few do
        "reset_link_expires_at": partial(_time_in, reset),
        "reset_link_valid_for": partial(_in_words, reset),
        "confirmation_link_expires_at": partial(_time_in, confirmation),
        "confirmation_link_valid_for": partial(_in_words, confirmation),
    }


def _time_in(duration: timedelta) -> datetime:
    return timezone.now() + duration


def _in_words(duration: timedelta) -> str:
    now = timezone.now()
    return timeuntil(now + duration, now)
