"""Authentication by API key or end-user token (`Authorization: Bearer`, `x-api-key`), or by the session of a
browser or an app.

The functions here serve both Django's views and the ASGI endpoint.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple, cast

import msgspec
from allauth.core.internal.sessionkit import get_session_user
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import IntegrityError
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.key_uses import key_uses
from accounts.models import LIMITS, EndUserToken, KeySecret, Membership, User
from accounts.permissions import (
    parse_scopes,
    permissions_in_session,
    permissions_of_key,
    permissions_of_token,
)
from accounts.principal import Principal
from accounts.ratelimits.limits import Limits
from accounts.roles import Role
from accounts.services import TOKEN_PREFIX, digest_of, personal_workspace
from core.bulk_sql import fetch_query, id_from_driver
from core.exceptions import Forbidden, InvalidApiKey, NotFound, SessionEnded
from core.ids import PROJECT, parse_id


class Credentials(NamedTuple):
    """What a request's headers say of its caller. `workspace` is the id of the one to act in."""

    secret: str | None = None
    workspace: str | None = None


WORKSPACE_HEADERS = (b"x-workspace-id", b"openai-project")
"""The headers that choose a workspace: ours, and the one that OpenAI's clients send."""


def find_credentials(headers: Iterable[tuple[bytes, bytes]]) -> Credentials:
    """Return what ASGI headers say, as it was sent."""
    bearer = key = workspace = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer" and bearer is None:
                bearer = secret.strip()
        elif name == b"x-api-key":
            key = value.decode("latin-1").strip()
        elif name in WORKSPACE_HEADERS and (workspace is None or name == WORKSPACE_HEADERS[0]):
            workspace = value.decode("latin-1").strip() or None
    return Credentials(key if bearer is None else bearer, workspace)


SESSION_TOKEN = "X-Session-Token"  # noqa: S105 (the header's name)


def session_store(key: str | None = None) -> SessionBase:
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return store


_BATCH = 32
_KEY_FIELDS = (
    *("workspace_id", "user_id", "id", "user__memberships__role", "scopes"),
    *LIMITS,
    *(f"workspace__{name}" for name in LIMITS),
)
_OF_SECRET = tuple(f"key__{name}" for name in _KEY_FIELDS)
_OF_TOKEN = (*_OF_SECRET, "id", "end_user", "scopes")


def valid_secrets(digests: Iterable[str]) -> set[str]:
    """Return those of these digests that are of valid secrets of keys.

    Neither secret nor key is expired, the key is not revoked, and it belongs to an active user who is a
    member of the key's workspace.
    """
    return _valid(_valid_secret_digests, digests)


def valid_tokens(digests: Iterable[str]) -> set[str]:
    """Return those of these digests that are of valid end-user tokens, whose keys are valid."""
    return _valid(_valid_token_digests, digests)


def _valid(build_query: Callable[..., QuerySet[Any, Any]], digests: Iterable[str]) -> set[str]:
    now, remaining = timezone.now(), list(set(digests))
    found: set[str] = set()
    while remaining:
        batch, remaining = remaining[:_BATCH], remaining[_BATCH:]
        padding = [""] * (_BATCH - len(batch)) if len(batch) > 1 else []  # few statements, each prepared once
        found.update(digest for (digest,) in fetch_query(build_query, now, *batch, *padding))
    return found


def _valid_secret_digests(now: datetime, *digests: str) -> QuerySet[KeySecret, Any]:
    return _of_valid_keys(KeySecret.objects.filter(digest__in=digests), now).values_list("digest")


def _valid_token_digests(now: datetime, *digests: str) -> QuerySet[EndUserToken, Any]:
    tokens = EndUserToken.objects.filter(digest__in=digests, revoked_at=None)
    return _of_valid_keys(tokens, now).values_list("digest")


def _valid_secret(now: datetime, digest: str) -> QuerySet[KeySecret, Any]:
    return _of_valid_keys(KeySecret.objects.filter(digest=digest), now).values_list(*_OF_SECRET)


def _valid_token(now: datetime, digest: str) -> QuerySet[EndUserToken, Any]:
    tokens = EndUserToken.objects.filter(digest=digest, revoked_at=None)
    return _of_valid_keys(tokens, now).values_list(*_OF_TOKEN)


def _of_valid_keys(rows: QuerySet[Any, Any], now: datetime) -> QuerySet[Any, Any]:
    return rows.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        Q(key__expires_at=None) | Q(key__expires_at__gt=now),
        key__revoked_at=None,
        key__user__is_active=True,
        key__user__memberships__workspace=F("key__workspace"),
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
    """Return whom a key or an end-user token acts for. Raises `InvalidApiKey`."""
    digest, now = digest_of(secret), timezone.now()
    if secret.startswith(TOKEN_PREFIX):
        for row in fetch_query(_valid_token, now, digest):
            return _principal_of_token(*row)
    else:
        for row in fetch_query(_valid_secret, now, digest):
            return _principal_of_key(*row)
    raise InvalidApiKey


def _principal_of_key(
    workspace_id: Any, user_id: int, key_id: Any, role: str, scopes: str, *limits: int | None
) -> Principal:
    return Principal(
        id_from_driver(workspace_id),
        user_id,
        id_from_driver(key_id),
        _limits_of_workspace(*limits[3:]),
        _limits_of_key(*limits[:3]),
        permissions_of_key(Role(role), parse_scopes(scopes)),
    )


def _principal_of_token(*row: Any) -> Principal:
    *of_key, token_id, end_user, scopes = row
    role, key_scopes = Role(of_key[3]), parse_scopes(of_key[4])
    return msgspec.structs.replace(
        _principal_of_key(*of_key),
        permissions=permissions_of_token(role, key_scopes, parse_scopes(scopes)),
        token_id=id_from_driver(token_id),
        end_user=end_user,
    )


def check_workspace(principal: Principal, named: str | None) -> None:
    """Raise `Forbidden` if a request with a key names another workspace than the key's."""
    if named is not None and parse_id(PROJECT, named) != principal.workspace_id:
        raise Forbidden(
            "The key belongs to another workspace than the one that X-Workspace-Id or OpenAI-Project names. "
            "Leave the header out: a key has one workspace.",
            code="workspace_mismatch",
        )


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
    """Return the user who is signed in, acting in the workspace that the request names, else in their own.

    None if nobody is signed in. Raises `SessionEnded` for a token of no session, `NotFound` for a workspace
    that the user is no member of, and `Forbidden` for an unsafe method with a cookie but without a CSRF
    token: browsers send cookies for any page.
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
        named = find_credentials(_headers_of(request)).workspace
        principal = _in_personal_workspace(user) if named is None else _in_workspace(user.pk, named)
    except IntegrityError:  # the user was deleted at this very moment
        return None
    return SignedIn(user, principal, session)


def principal_in(who: Principal, workspace: str) -> Principal:
    """Return the same caller in the workspace of this public id.

    Raises `NotFound` if there is none, the user is no member of it, or the caller's key is of another one.
    """
    if parse_id(PROJECT, workspace) == who.workspace_id:
        return who
    if who.key_id is not None:
        raise _no_such_workspace("project_id")
    return _in_workspace(who.user_id, workspace, param="project_id")


def _in_personal_workspace(user: User) -> Principal:
    memberships = Membership.objects.select_related("workspace").filter(user=user)
    own = memberships.filter(workspace__personal_of=user).first()
    return _in_session(own or memberships.get(workspace=personal_workspace(user)))


def _in_workspace(user_id: int, workspace: str, param: str = "X-Workspace-Id") -> Principal:
    id = parse_id(PROJECT, workspace)
    memberships = Membership.objects.select_related("workspace")
    found = memberships.filter(user=user_id, workspace=id).first() if id else None
    if found is None:
        raise _no_such_workspace(param)
    return _in_session(found)


def _in_session(membership: Membership) -> Principal:
    own = (getattr(membership.workspace, name) for name in LIMITS)
    return Principal(
        membership.workspace_id,
        membership.user_id,
        limits=_limits_of_workspace(*own),
        permissions=permissions_in_session(Role(membership.role)),
    )


def _no_such_workspace(param: str) -> NotFound:
    return NotFound("There is no such workspace, or you are no member of it.", param=param)


def _headers_of(request: HttpRequest) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers that credentials are in, as ASGI has them."""
    for name in (b"authorization", b"x-api-key", *WORKSPACE_HEADERS):
        value = request.headers.get(name.decode())
        if value:
            yield name, value.encode("latin-1", "replace")


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
    """Authentication by API key or end-user token; `request.auth` becomes the `Principal`."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        secret, workspace = find_credentials(_headers_of(request._request))
        if secret is None:
            return None
        principal = principal_of_secret(secret)
        check_workspace(principal, workspace)
        key_uses.note(digest_of(secret), principal, request)
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


class RequiredPermission(BasePermission):
    """Lets those in who are authenticated and have the permission that the view names for the method.

    A view has `permissions`, by method; None is for all. A method that it serves and does not name is a
    mistake. Where the address names a workspace (`project_id`), the caller acts in that one.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, Principal):
            return False
        if "project_id" in view.kwargs:
            request.auth = principal_in(request.auth, view.kwargs["project_id"])
        method = "GET" if request.method == "HEAD" else request.method
        if hasattr(view, (method or "").lower()):
            request.auth.require(view.permissions[method])
        return True


def principal_of(request: Request) -> Principal:
    """Return whom an authenticated request acts for."""
    return cast("Principal", request.auth)
