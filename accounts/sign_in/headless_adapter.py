"""The service's adapter for allauth's API."""

from typing import Any

from allauth.core.internal.httpkit import is_headless_request
from allauth.headless.adapter import DefaultHeadlessAdapter


class HeadlessAdapter(DefaultHeadlessAdapter):  # type: ignore[misc]
    def get_frontend_url(self, urlname: str, **kwargs: Any) -> str | None:
        """Send those who came by the API to the frontend (CHATAPI_FRONTEND_URL), all others to our pages."""
        if not is_headless_request(self.request):
            return None
        url: str | None = super().get_frontend_url(urlname, **kwargs)
        return url
