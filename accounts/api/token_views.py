"""End-user tokens: made by a server's key, for a browser of one end user of its.

The keys of a workspace see all of them, and whoever manages the keys those of each key.
"""

from typing import ClassVar

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.path_parameters import names_project_key, names_project_key_token, names_token
from accounts.api.token_serializers import (
    EndUserSerializer,
    NewTokenSerializer,
    TokenDeletedSerializer,
    TokenFieldsSerializer,
    TokenSerializer,
    TokensRevokedSerializer,
)
from accounts.api.views import NO_STORE
from accounts.authentication import principal_of, secret_digest_of
from accounts.keys.end_user_tokens import (
    DEFAULT_SECONDS,
    TokenRequest,
    create_end_user_token,
    find_token,
    revoke_token,
    revoke_tokens,
    spent_of,
    token_page,
    tokens_of,
)
from accounts.keys.selectors import find_key
from accounts.models import ApiKey, EndUserToken
from accounts.permissions import Permission
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.query import parse_text
from core.http.views import ApiView
from core.ids import KEY, parse_id
from core.validation.request_body import read_body

USER = OpenApiParameter("user", OpenApiTypes.STR, description="Only those of this end user.")
PAGES = PageParameters(USER, order=False)
_KEPT = "Those that are revoked or expired too, for 30 days after they expired."
_HOLDS = "Within a second nothing acts with it any more, and what runs for it ends."


def _list(request: Request, tokens: QuerySet[EndUserToken]) -> Response:
    requested, end_user = PAGES.parse(request.query_params), parse_text(request.query_params, "user")
    page = token_page(tokens, requested, end_user)
    return Response(page_body(page, TokenSerializer(context={"spent": spent_of(page.items)})))


def _revoke(tokens: QuerySet[EndUserToken], token_id: str) -> Response:
    token = find_token(tokens, token_id)
    revoke_token(token)
    return Response(TokenDeletedSerializer(token).data)


class TokenListView(ApiView):
    permissions: ClassVar = {"GET": Permission.END_USER_TOKENS, "POST": Permission.END_USER_TOKENS}

    @extend_schema(
        operation_id="listEndUserTokens",
        summary="The end-user tokens that the workspace's keys made, newest first",
        description=_KEPT,
        tags=["end-user tokens"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(TokenSerializer)} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return _list(request, tokens_of(principal_of(request).workspace_id))

    @extend_schema(
        operation_id="createEndUserToken",
        summary="Make a token that a browser of one end user may hold",
        description="Only with a server's API key. The token acts as the key, in its workspace and within "
        "its limits, and dies with it; but it sees only the conversations and files of this `user`, and "
        "cannot ask for another. `token` is not shown again. It expires after 15 minutes unless "
        "`expires_in_seconds` says otherwise, and with the key at the latest.",
        tags=["end-user tokens"],
        request=TokenFieldsSerializer,
        responses={200: NewTokenSerializer} | error_responses(400, 401, 403),
    )
    def post(self, request: Request) -> Response:
        values = read_body(request, TokenFieldsSerializer)
        default = settings.CHATAPI_END_USER_TOKEN_SPENDING
        wanted = TokenRequest(
            end_user=values["user"],
            spending_limit=values.get("spending_limit_usd", default),
            seconds=values.get("expires_in_seconds", DEFAULT_SECONDS),
            scopes=values.get("scopes"),
        )
        token, secret = create_end_user_token(principal_of(request), wanted, secret_digest_of(request))
        shown = NewTokenSerializer(token, context={"secret": secret, "spent": {token.pk: 0}})
        return Response(shown.data, headers=NO_STORE)


@names_token
class TokenView(ApiView):
    permissions: ClassVar = {"GET": Permission.END_USER_TOKENS, "DELETE": Permission.END_USER_TOKENS}

    @extend_schema(
        operation_id="getEndUserToken",
        summary="An end-user token that a key of the workspace made",
        tags=["end-user tokens"],
        responses={200: TokenSerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, token_id: str) -> Response:
        token = find_token(tokens_of(principal_of(request).workspace_id), token_id)
        return Response(TokenSerializer(token, context={"spent": spent_of([token])}).data)

    @extend_schema(
        operation_id="deleteEndUserToken",
        summary="Revoke an end-user token",
        description=_HOLDS,
        tags=["end-user tokens"],
        responses={200: TokenDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, token_id: str) -> Response:
        return _revoke(tokens_of(principal_of(request).workspace_id), token_id)


class TokenRevocationView(ApiView):
    permissions: ClassVar = {"POST": Permission.END_USER_TOKENS}

    @extend_schema(
        operation_id="revokeEndUserTokens",
        summary="Revoke all tokens of an end user, such as when they sign out",
        description="Whichever keys of the workspace made them.",
        tags=["end-user tokens"],
        request=EndUserSerializer,
        responses={200: TokensRevokedSerializer} | error_responses(400, 401, 403),
    )
    def post(self, request: Request) -> Response:
        end_user = read_body(request, EndUserSerializer)["user"]
        revoked = revoke_tokens(tokens_of(principal_of(request).workspace_id), end_user)
        return Response(TokensRevokedSerializer({"user": end_user, "revoked": revoked}).data)


@names_project_key
class KeyTokenListView(ApiView):
    permissions: ClassVar = {"GET": Permission.KEYS}

    @extend_schema(
        operation_id="listProjectKeyEndUserTokens",
        summary="The end-user tokens that an API key made, newest first",
        description=f"For who manages the workspace's keys. {_KEPT}",
        tags=["keys"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(TokenSerializer)} | error_responses(400, 401, 403, 404),
    )
    def get(self, request: Request, project_id: str, key_id: str) -> Response:
        workspace_id = principal_of(request).workspace_id
        key = find_key(ApiKey.objects.filter(workspace=workspace_id), key_id)
        return _list(request, tokens_of(workspace_id, key.pk))


@names_project_key_token
class KeyTokenView(ApiView):
    permissions: ClassVar = {"DELETE": Permission.KEYS}

    @extend_schema(
        operation_id="deleteProjectKeyEndUserToken",
        summary="Revoke an end-user token that an API key made, such as one that leaked",
        description=f"For who manages the workspace's keys. {_HOLDS}",
        tags=["keys"],
        responses={200: TokenDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, project_id: str, key_id: str, token_id: str) -> Response:
        key = parse_id(KEY, key_id)
        tokens = tokens_of(principal_of(request).workspace_id, key) if key else EndUserToken.objects.none()
        return _revoke(tokens, token_id)
