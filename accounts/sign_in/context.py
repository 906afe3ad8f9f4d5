"""What the templates of the sign-in pages know beside what their views tell them."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.sign_in import invitations
from accounts.sign_in.mfa_adapter import can_use_security_keys


def sign_in(request: HttpRequest) -> dict[str, Any]:
    return {
        "can_use_security_keys": SimpleLazyObject(lambda: can_use_security_keys(request)),
        "has_providers": bool(settings.SOCIALACCOUNT_PROVIDERS),
        "can_sign_up": SimpleLazyObject(lambda: _can_sign_up(request)),
    }


def _can_sign_up(request: HttpRequest) -> bool:
    way = settings.CHATAPI_SIGN_UP
    return way == "open" or (way == "invitation" and invitations.open_invitation(request) is not None)
