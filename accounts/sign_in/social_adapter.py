"""Sign-in by a provider, such as a company's own server."""

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.http import HttpRequest


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Believe no provider that is not trusted whose address somebody has."""
        if not _is_trusted(sociallogin.provider):
            for address in sociallogin.email_addresses:
                address.verified = False

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Let anybody sign up whom a trusted provider knows, and others only where everybody may.

        An invitation is accepted by who has its address, which an untrusted provider cannot show.
        """
        return _is_trusted(sociallogin.provider) or settings.CHATAPI_SIGN_UP == "open"


def _is_trusted(provider: Any) -> bool:
    return bool(provider.app and provider.app.settings.get("sign_up"))
