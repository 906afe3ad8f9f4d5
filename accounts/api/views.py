"""The user that a request acts for: who they are, and the deletion of their account."""

import time
from typing import ClassVar, cast

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.examples import SHOWN_END_USER, SHOWN_ME
from accounts.api.serializers import (
    AccountDeletedSerializer,
    AccountDeletionSerializer,
    EndUserMeSerializer,
    MeSerializer,
)
from accounts.authentication import came_by_cookie, principal_of, session_of
from accounts.deletion import delete_own_account
from accounts.keys.end_user_tokens import spent_of, token_of
from accounts.keys.selectors import key_of
from accounts.models import Membership, User
from accounts.permissions import Permission
from accounts.principal import Principal
from accounts.selectors import memberships_of
from core.exceptions import BadRequest, Forbidden, InvalidApiKey
from core.http.openapi import error_responses
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView

NO_STORE = {"Cache-Control": "no-store"}
"""The headers of answers about a person."""
SESSION_REQUIRED = {
    403: OpenApiResponse(ErrorSerializer, "An API key, which cannot do this; or the CSRF check failed")
}


def user_of(request: Request) -> User:
    return cast("User", request.user)


def require_recent_authentication(request: Request) -> None:
    """Raise `Forbidden` unless the person has proved in the last minutes who they are."""
    holder = HttpRequest()
    holder.session = session_of(request._request)
    proofs = get_authentication_records(holder, user_of(request))
    last = max((proof["at"] for proof in proofs), default=0)
    if time.time() - last > settings.ACCOUNT_REAUTHENTICATION_TIMEOUT:
        raise Forbidden(
            "Prove who you are first: sign in again, or send the password to the address "
            "/_allauth/{browser,app}/v1/auth/reauthenticate. Then repeat this within "
            f"{settings.ACCOUNT_REAUTHENTICATION_TIMEOUT // 60} minutes.",
            code="reauthentication_required",
        )


def require_ownership(request: Request) -> None:
    """Raise `Forbidden` unless the caller may make and unmake owners, and has proved lately who they are."""
    principal_of(request).require(Permission.OWNERSHIP)
    require_recent_authentication(request)


class MeView(ApiView):
    permissions: ClassVar = {"GET": None, "DELETE": Permission.ACCOUNT}

    @extend_schema(
        operation_id="getMe",
        summary="Who the caller is: the user, their workspaces, and what the caller may do",
        description="With an API key, the key's user, and the one workspace that the key acts in. A session "
        "acts in the user's own workspace, or in the one that `X-Workspace-Id` names. An end-user token "
        "tells only of the end user whom it is for. 401 tells that nobody is signed in.",
        tags=["me"],
        examples=[SHOWN_ME, SHOWN_END_USER],
        responses={
            200: PolymorphicProxySerializer(
                "Caller", [MeSerializer, EndUserMeSerializer], resource_type_field_name=None
            )
        }
        | error_responses(401),
    )
    def get(self, request: Request) -> Response:
        user, principal = user_of(request), principal_of(request)
        if principal.token_id is not None:
            return _answer_to_end_user(principal)
        by_cookie = principal.key_id is None and came_by_cookie(request._request)
        context = {
            "memberships": _memberships_shown(user, principal),
            "current": principal.workspace_id,
            "principal": principal,
            "key": key_of(principal),
            "csrf_token": get_token(request._request) if by_cookie else None,
        }
        return Response(MeSerializer(user, context=context).data, headers=NO_STORE)

    @extend_schema(
        operation_id="deleteMe",
        summary="Delete one's account, with all that one's own workspace holds",
        description='The body, `{"confirm": "alice@example.com"}`, repeats the user\'s e-mail address. '
        "Conversations and files of one's own workspace, all one's keys and sessions are deleted; history "
        "in shared workspaces stays, and names nobody. What was billed stays in the books under ids that "
        "name nobody. Running answers end within a second. Only in a session: an API key is refused.",
        tags=["me"],
        request=AccountDeletionSerializer,
        responses={
            200: AccountDeletedSerializer,
            **SESSION_REQUIRED,
            409: OpenApiResponse(
                ErrorSerializer, "The last active superuser, or the only owner of a workspace"
            ),
        }
        | error_responses(400, 401),
    )
    def delete(self, request: Request) -> Response:
        user = user_of(request)
        require_recent_authentication(request)
        _check_confirmation(request, user)
        answer = AccountDeletedSerializer({"pk": user.pk}).data
        delete_own_account(user)
        session_of(request._request).flush()  # no `logout`: its signal would tell of a user who is gone
        return Response(answer, headers=NO_STORE)


def _answer_to_end_user(who: Principal) -> Response:
    token = token_of(who)
    if token is None:  # deleted at this very moment
        raise InvalidApiKey
    context = {"principal": who, "spent": spent_of([token])}
    return Response(EndUserMeSerializer(token, context=context).data, headers=NO_STORE)


def _memberships_shown(user: User, who: Principal) -> list[Membership]:
    """Return where the caller can act: a key has one workspace, and tells of no other of its user's."""
    return [one for one in memberships_of(user) if who.key_id is None or one.workspace_id == who.workspace_id]


def _check_confirmation(request: Request, user: User) -> None:
    body = AccountDeletionSerializer(data=request.data)
    confirmed = body.validated_data["confirm"] if body.is_valid() else None
    if confirmed is None or confirmed.lower() != user.email.lower():
        raise BadRequest(
            "To delete the account, send its e-mail address as `confirm` in a JSON body.", param="confirm"
        )
