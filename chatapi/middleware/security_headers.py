"""The headers that tell browsers what a response may do: above all, a Content-Security-Policy on each.

No page has a script or style of its own in its HTML, so none needs `'unsafe-inline'` or a nonce.
"""

from collections.abc import Mapping

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

Directives = Mapping[str, str]

DATA: Directives = {"default-src": "'none'", "frame-ancestors": "'none'"}
"""For what is no page: a browser that is led to show it runs and loads nothing."""
PAGES: Directives = {
    **DATA,
    "base-uri": "'none'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
}
DOCS: Directives = {**PAGES, "img-src": "'self' data: blob:", "media-src": "'self' blob:"}
"""Swagger UI shows pictures and plays sounds that it was answered with."""
OWN_PAGES: Directives = {**PAGES, "require-trusted-types-for": "'script'", "trusted-types": "'none'"}
"""For pages without others' scripts: jQuery in the admin site and Swagger UI write HTML from strings."""
SIGN_IN, OWN = "/accounts/", ("/accounts/", "/v1/")

_FEATURES = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
OTHER_HEADERS = {
    # also of signed-in users' pictures
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
}


class SecurityHeadersMiddleware(MiddlewareMixin):
    """Middleware around all others, so that their refusals have the headers too."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        policy = _policy_for(request.path_info, response.get("Content-Type", ""))
        response.headers["Content-Security-Policy"] = "; ".join(map(" ".join, policy.items()))
        if request.path_info.startswith(SIGN_IN):
            response.headers["Cache-Control"] = "no-store, private"  # no way back to it after signing out
        for name, value in OTHER_HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _policy_for(path: str, content_type: str) -> Directives:
    if not content_type.startswith("text/html"):
        return DATA
    if path == "/docs":
        return DOCS
    if not path.startswith(OWN):
        return PAGES
    if path.startswith(SIGN_IN) and settings.SOCIALACCOUNT_PROVIDERS:
        # browsers apply it also to where a form's answer redirects: to the provider
        return {**OWN_PAGES, "form-action": "'self' https:"}
    return OWN_PAGES
