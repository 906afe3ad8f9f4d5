"""Authentication by API key, end-user token, or the session of a browser or an app; and what each may do.

The functions here serve both Django's views and the ASGI endpoints.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, cast

from allauth.core.internal.sessionkit import get_session_user
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.credentials import WORKSPACE_HEADERS, find_credentials
from accounts.keys.uses import key_uses
from accounts.keys.validation import limits_of_workspace, principal_of_secret
from accounts.models import LIMITS, Membership, User
from accounts.permissions import permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from accounts.secret_digests import digest_of
from accounts.selectors import no_such_workspace
from accounts.services import personal_workspace
from core.exceptions import Forbidden, InvalidApiKey, SessionEnded
from core.http.call_record import call_of
from core.ids import PROJECT, parse_id

SESSION_TOKEN = "X-Session-Token"  # noqa: S105 (the header's name)


def session_store(key: str | None = None) -> SessionBase:
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return store


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
        raise no_such_workspace("project_id")
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
        raise no_such_workspace(param)
    return _in_session(found)


def _in_session(membership: Membership) -> Principal:
    own = (getattr(membership.workspace, name) for name in LIMITS)
    return Principal(
        membership.workspace_id,
        membership.user_id,
        limits=limits_of_workspace(*own),
        permissions=permissions_in_session(Role(membership.role)),
    )


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


def _note_principal(request: Request, principal: Principal) -> None:
    call_of(getattr(request._request, "scope", {})).principal = principal


class ApiKeyAuthentication(BaseAuthentication):
    """Authentication by API key or end-user token; `request.auth` becomes the `Principal`."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        secret, workspace = find_credentials(_headers_of(request._request))
        if secret is None:
            return None
        principal = principal_of_secret(secret)
        _note_principal(request, principal)
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
        if found is None:
            return None
        _note_principal(request, found.principal)
        return found.user, found.principal


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
            _note_principal(request, request.auth)
        method = "GET" if request.method == "HEAD" else request.method
        if hasattr(view, (method or "").lower()):
            request.auth.require(view.permissions[method])
        return True


def secret_digest_of(request: Request) -> str:
    """Return the digest of the key or token that an authenticated request came with."""
    return digest_of(find_credentials(_headers_of(request._request)).secret or "")


def principal_of(request: Request) -> Principal:
    """Return whom an authenticated request acts for."""
    return cast("Principal", request.auth)
