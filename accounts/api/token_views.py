"""End-user tokens: made by a server's key, for a browser of one end user of its."""

from typing import ClassVar

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.token_serializers import (
    EndUserSerializer,
    NewTokenSerializer,
    TokenDeletedSerializer,
    TokenFieldsSerializer,
    TokenSerializer,
    TokensRevokedSerializer,
)
from accounts.api.views import NO_STORE
from accounts.authentication import principal_of
from accounts.keys.end_user_tokens import (
    DEFAULT_SECONDS,
    TokenRequest,
    create_end_user_token,
    get_token,
    revoke_token,
    revoke_tokens_of_end_user,
    spent_of,
    token_page,
)
from accounts.permissions import Permission
from core.exceptions import BadRequest
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.views import ApiView
from core.validation.request_body import read_body

PAGES = PageParameters(order=False)
USER = OpenApiParameter("user", OpenApiTypes.STR, description="Only those of this end user.")


class TokenListView(ApiView):
    permissions: ClassVar = {"GET": Permission.END_USER_TOKENS, "POST": Permission.END_USER_TOKENS}

    @extend_schema(
        operation_id="listEndUserTokens",
        summary="The end-user tokens that the caller's key made, newest first",
        description="Those that are revoked or expired too, for 30 days after they expired.",
        tags=["end-user tokens"],
        parameters=[*PAGES.documentation, USER],
        responses={200: page_serializer(TokenSerializer)} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        end_user = request.query_params.get("user")
        if end_user is not None and "\x00" in end_user:
            raise BadRequest("Invalid value for 'user': it holds a NUL character.", param="user")
        page = token_page(principal_of(request).key_id, PAGES.parse(request.query_params), end_user)
        return Response(page_body(page, TokenSerializer(context={"spent": spent_of(page.items)})))

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
        usual = settings.CHATAPI_END_USER_TOKEN_SPENDING
        wanted = TokenRequest(
            end_user=values["user"],
            spending_limit=values.get("spending_limit_usd", usual),
            seconds=values.get("expires_in_seconds", DEFAULT_SECONDS),
            scopes=values.get("scopes"),
        )
        token, secret = create_end_user_token(principal_of(request), wanted)
        token.token = secret  # type: ignore[attr-defined]
        shown = NewTokenSerializer(token, context={"spent": {token.pk: 0}})
        return Response(shown.data, headers=NO_STORE)


class TokenView(ApiView):
    permissions: ClassVar = {"GET": Permission.END_USER_TOKENS, "DELETE": Permission.END_USER_TOKENS}

    @extend_schema(
        operation_id="getEndUserToken",
        summary="An end-user token that the caller's key made",
        tags=["end-user tokens"],
        responses={200: TokenSerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, token_id: str) -> Response:
        token = get_token(principal_of(request).key_id, token_id)
        return Response(TokenSerializer(token, context={"spent": spent_of([token])}).data)

    @extend_schema(
        operation_id="deleteEndUserToken",
        summary="Revoke an end-user token",
        description="Within a second nothing acts with it any more, and what runs for it ends.",
        tags=["end-user tokens"],
        responses={200: TokenDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, token_id: str) -> Response:
        token = get_token(principal_of(request).key_id, token_id)
        revoke_token(token)
        return Response(TokenDeletedSerializer(token).data)


class TokenRevocationView(ApiView):
    permissions: ClassVar = {"POST": Permission.END_USER_TOKENS}

    @extend_schema(
        operation_id="revokeEndUserTokens",
        summary="Revoke all tokens that the caller's key made for an end user, such as when they sign out",
        tags=["end-user tokens"],
        request=EndUserSerializer,
        responses={200: TokensRevokedSerializer} | error_responses(400, 401, 403),
    )
    def post(self, request: Request) -> Response:
        end_user = read_body(request, EndUserSerializer)["user"]
        revoked = revoke_tokens_of_end_user(principal_of(request).key_id, end_user)
        return Response(TokensRevokedSerializer({"user": end_user, "revoked": revoked}).data)
