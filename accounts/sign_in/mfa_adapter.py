"""Second factors: encrypted at rest, keys where browsers allow them, required of staff by a setting."""

import ipaddress
import secrets
from base64 import b32encode
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port

from accounts.sign_in.encryption import Undecipherable, decrypt, encrypt
from core.exceptions import Forbidden

FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    error_messages = DefaultMFAAdapter.error_messages | {
        "cannot_delete_authenticator": (
            "Administrators need a second factor here. Add another one before you remove this one."
        ),
        "incorrect_code": "The code is wrong, or was used already.",
        "unverified_email": "Confirm your address first.",
    }

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret; where the service's key has changed, a random one, which no code fits.

        It may not be a constant: anybody could compute the codes of that.
        """
        try:
            return decrypt(encrypted_text)
        except Undecipherable:
            return b32encode(secrets.token_bytes(20)).decode()

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        user = authenticator.user
        others = Authenticator.objects.filter(user=user, type__in=FACTORS).exclude(pk=authenticator.pk)
        return not is_second_factor_required(user) or others.exists()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": host_name(context.request), "name": settings.MFA_TOTP_ISSUER}


def keep_last_factor(*, instance: Any, origin: Any, **kwargs: Any) -> None:
    """Refuse that somebody removes a factor which they need, whatever way they do it.

    allauth asks the adapter on the page for authenticator apps alone. What goes with its user, or is removed
    by an operator, is another matter.
    """
    if (
        origin is instance
        and instance.type in FACTORS
        and not get_adapter().can_delete_authenticator(instance)
    ):
        raise Forbidden(
            get_adapter().error_messages["cannot_delete_authenticator"], code="second_factor_required"
        )


def has_second_factor(user: Any) -> bool:
    return bool(is_mfa_enabled(user, FACTORS))


def is_second_factor_required(user: Any) -> bool:
    return bool(user.is_staff) and settings.CHATAPI_STAFF_SECOND_FACTOR == "required"


def may_be_staff(user: Any) -> bool:
    """Tell whether the admin site lets the user in: staff, with a second factor where that is required."""
    return bool(user.is_staff) and (not is_second_factor_required(user) or has_second_factor(user))


def host_name(request: HttpRequest) -> str:
    """Return the host without its port, an IPv6 address without its brackets."""
    return split_domain_port(request.get_host())[0].strip("[]")


def can_use_security_keys(request: HttpRequest) -> bool:
    """Tell whether browsers allow security keys here: at names under HTTPS, and at http://localhost."""
    name = host_name(request)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return request.is_secure() or name == "localhost" or name.endswith(".localhost")
    return False
