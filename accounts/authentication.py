"""Authentication by API key (`Authorization: Bearer`, `x-api-key`) or by the session of a browser or an app.

The functions here serve both Django's views and the ASGI endpoint.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple, cast
from uuid import UUID

from allauth.core.internal.sessionkit import get_session_user
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import IntegrityError
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.key_uses import key_uses
from accounts.models import LIMITS, ApiKey, User
from accounts.principal import Principal
from accounts.ratelimits.limits import Limits
from accounts.services import digest_of, personal_workspace
from core.bulk_sql import fetch_query, id_from_driver
from core.exceptions import Forbidden, InvalidApiKey, SessionEnded


def find_secret(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the API key among ASGI headers, as it was sent; None if there is none."""
    found = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer":
                return secret.strip()
        elif name == b"x-api-key":
            found = value.decode("latin-1").strip()
    return found


SESSION_TOKEN = "X-Session-Token"  # noqa: S105 (the header's name)


def session_store(key: str | None = None) -> SessionBase:
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return store


_PRINCIPAL_FIELDS = ("workspace_id", "user_id", "id", *LIMITS, *(f"workspace__{name}" for name in LIMITS))
_BATCH = 32


def valid_keys(digests: Iterable[str]) -> set[str]:
    """Return those of these key digests that are valid.

    Their keys are known, not revoked, not expired, and belong to an active user who is a member of the key's
    workspace.
    """
    now, remaining = timezone.now(), list(set(digests))
    found: set[str] = set()
    while remaining:
        batch, remaining = remaining[:_BATCH], remaining[_BATCH:]
        padding = [""] * (_BATCH - len(batch)) if len(batch) > 1 else []  # few statements, each prepared once
        found.update(digest for (digest,) in fetch_query(_valid_digests, now, *batch, *padding))
    return found


def _valid_digests(now: datetime, *digests: str) -> QuerySet[ApiKey, Any]:
    return _valid(now, digests).values_list("digest")


def _valid_principal(now: datetime, digest: str) -> QuerySet[ApiKey, Any]:
    return _valid(now, [digest]).values_list(*_PRINCIPAL_FIELDS)


def _valid(now: datetime, digests: Collection[str]) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        digest__in=digests,
        revoked_at=None,
        user__is_active=True,
        user__memberships__workspace=F("workspace"),
    )


def _limits_of_workspace(requests: int | None, tokens: int | None, streams: int | None) -> Limits:
    return Limits(
        settings.CHATAPI_REQUESTS_PER_MINUTE if requests is None else requests,
        settings.CHATAPI_TOKENS_PER_MINUTE if tokens is None else tokens,
        settings.CHATAPI_CONCURRENT_STREAMS if streams is None else streams,
    )


def _limits_of_key(requests: int | None, tokens: int | None, streams: int | None) -> Limits:
    return Limits(requests or 0, tokens or 0, streams or 0)


def principal_of_secret(secret: str) -> Principal:
    for row in fetch_query(_valid_principal, timezone.now(), digest_of(secret)):
        workspace_id, user_id, key_id, *limits = row
        return Principal(
            id_from_driver(workspace_id),
            user_id,
            id_from_driver(key_id),
            _limits_of_workspace(*limits[3:]),
            _limits_of_key(*limits[:3]),
        )
    raise InvalidApiKey


class SignedIn(NamedTuple):
    user: User
    principal: Principal
    session: SessionBase


def came_by_cookie(request: HttpRequest) -> bool:
    return SESSION_TOKEN not in request.headers


def session_of(request: HttpRequest) -> SessionBase:
    """Return the session that an app names in `X-Session-Token`, else that of the cookie."""
    return request.session if came_by_cookie(request) else session_store(request.headers[SESSION_TOKEN])


def find_signed_in(request: HttpRequest) -> SignedIn | None:
    """Return the user who is signed in, acting in their personal workspace; None if nobody is.

    Raises `SessionEnded` for a token of no session, and `Forbidden` for an unsafe method with a cookie but
    without a CSRF token: browsers send cookies for any page.
    """
    session, by_cookie = session_of(request), came_by_cookie(request)
    user = get_session_user(session)
    if user is None:
        if not by_cookie:
            raise SessionEnded
        return None
    if by_cookie:
        _check_csrf(request)
    try:
        workspace = personal_workspace(user)
    except IntegrityError:  # the user was deleted at this very moment
        return None
    own = (getattr(workspace, name) for name in LIMITS)
    return SignedIn(user, Principal(workspace.id, user.pk, limits=_limits_of_workspace(*own)), session)


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseForbidden:
        return HttpResponseForbidden(reason)


def _check_csrf(request: HttpRequest) -> None:
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    refusal = check.process_view(request, lambda _: HttpResponse(), (), {})
    if refusal is not None:
        raise Forbidden(f"The CSRF check failed: {refusal.content.decode()}", code="csrf_failed")


class ApiKeyAuthentication(BaseAuthentication):
    """Authentication by API key; `request.auth` becomes the `Principal`."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        headers = [
            (b"authorization", request.headers.get("authorization", "").encode("latin-1", "replace")),
            (b"x-api-key", request.headers.get("x-api-key", "").encode("latin-1", "replace")),
        ]
        secret = find_secret((name, value) for name, value in headers if value)
        if secret is None:
            return None
        principal = principal_of_secret(secret)
        key_uses.note(digest_of(secret), principal.key_id, request)
        user = User.objects.filter(pk=principal.user_id).first()
        if user is None:  # deleted at this very moment
            raise InvalidApiKey
        return user, principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SessionAuthentication(BaseAuthentication):
    """Authentication by the session of a browser or an app; `request.auth` becomes the `Principal`."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        found = find_signed_in(request._request)
        return None if found is None else (found.user, found.principal)


def workspace_id_of(request: Request) -> UUID:
    return cast("Principal", request.auth).workspace_id
