"""Browsers in which somebody has signed in before.

Failures in such a browser are counted for it alone: whoever tries passwords elsewhere locks nobody out of it.
"""

import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac
from django.utils.deprecation import MiddlewareMixin

COOKIE = "chatapi_browser"
MAX_ACCOUNTS = 10
_SALT = "accounts.sign_in.known_browsers"
_NOTE = "signed_in_with"


def browser_of(request: HttpRequest | None, email: str) -> str | None:
    """Return the id of the request's browser, if the user with this address has signed in there before."""
    browser, accounts = _read(request)
    return browser if _mark(email) in accounts else None


def note_sign_in(request: HttpRequest, email: str) -> None:
    """Have the response, whatever it is, make the browser remember that the user has signed in."""
    setattr(request, _NOTE, email)


class KnownBrowserMiddleware(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        email = getattr(request, _NOTE, None)
        if email is not None:
            _remember(request, response, email)
        return response


def _remember(request: HttpRequest, response: HttpResponseBase, email: str) -> None:
    browser, accounts = _read(request)
    mark = _mark(email)
    others = [one for one in accounts if one != mark][: MAX_ACCOUNTS - 1]
    value = [browser or secrets.token_urlsafe(16), mark, *others]
    response.set_cookie(
        COOKIE,
        signing.dumps(value, salt=_SALT),
        max_age=settings.SESSION_COOKIE_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _read(request: HttpRequest | None) -> tuple[str | None, list[str]]:
    cookie = request.COOKIES.get(COOKIE) if request is not None else None
    if not cookie:
        return None, []
    try:
        browser, *accounts = signing.loads(cookie, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None, []
    return browser, accounts


def _mark(email: str) -> str:
    """Return what stands for an address in the cookie, which people on a shared machine may read."""
    return salted_hmac(_SALT, email.strip().lower()).hexdigest()[:16]
