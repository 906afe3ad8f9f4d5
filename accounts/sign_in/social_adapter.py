"""Sign-in by a provider, such as a company's own server."""

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.http import HttpRequest


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Whoever a trusted provider knows may sign up, whatever holds for others."""
        app = sociallogin.provider.app
        is_trusted = bool(app and app.settings.get("sign_up"))
        return is_trusted or bool(super().is_open_for_signup(request, sociallogin))
