"""The API keys that manage a workspace, as OpenAI's administration API has those of an organization."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.key_serializers import (
    AdminKeyDeletedSerializer,
    AdminKeyFieldsSerializer,
    AdminKeySerializer,
    NewAdminKeySerializer,
)
from accounts.api.key_views import make_key, require_recent_proof
from accounts.api.path_parameters import names_admin_key
from accounts.api.views import NO_STORE
from accounts.authentication import principal_of
from accounts.keys.authority import KeyAuthority
from accounts.keys.selectors import admin_keys_of, find_key, key_page
from accounts.keys.services import revoke_api_key
from accounts.models import ApiKey
from accounts.permissions import Permission, Scope
from accounts.security_events.recording import origin_of
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.views import ApiView
from core.validation.request_body import read_body

PAGES = PageParameters()
DEFAULT_ADMIN_SCOPES = (Scope.USAGE, Scope.MEMBERS)
"""The scopes of a key that manages a workspace: OpenAI's client reads usage with it, too."""


class AdminKeyListView(ApiView):
    permissions: ClassVar = {"GET": Permission.KEYS, "POST": Permission.KEYS}

    @extend_schema(
        operation_id="listAdminKeys",
        summary="The API keys that manage the workspace, newest first",
        description="Those with the scope `members` that are not revoked. The workspace is the one that the "
        "request acts in.",
        tags=["keys"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(AdminKeySerializer)} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        keys = admin_keys_of(principal_of(request).workspace_id)
        return Response(page_body(key_page(keys, PAGES.parse(request.query_params)), AdminKeySerializer()))

    @extend_schema(
        operation_id="createAdminKey",
        summary="Make an API key that manages the workspace",
        description="`value` is the secret, which is not shown again. Besides `members` it has the scope "
        "`usage`, or those that are named, at most the caller's own. In a session, the person must have "
        "proved in the last minutes who they are.",
        tags=["keys"],
        request=AdminKeyFieldsSerializer,
        responses={200: NewAdminKeySerializer} | error_responses(400, 401, 403),
    )
    def post(self, request: Request) -> Response:
        require_recent_proof(request)
        authority = KeyAuthority(principal_of(request))
        values = authority.complete(read_body(request, AdminKeyFieldsSerializer), DEFAULT_ADMIN_SCOPES)
        values["scopes"] = {*values["scopes"], Scope.MEMBERS}
        authority.check_may_give(values)
        key, secret = make_key(request, values)
        return Response(NewAdminKeySerializer(key, context={"secret": secret}).data, headers=NO_STORE)


@names_admin_key
class AdminKeyView(ApiView):
    permissions: ClassVar = {"GET": Permission.KEYS, "DELETE": Permission.KEYS}

    @extend_schema(
        operation_id="getAdminKey",
        summary="An API key that manages the workspace",
        tags=["keys"],
        responses={200: AdminKeySerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, key_id: str) -> Response:
        return Response(AdminKeySerializer(_key_of(request, key_id)).data)

    @extend_schema(
        operation_id="deleteAdminKey",
        summary="Revoke an API key that manages the workspace",
        description="Within a second nothing acts with it any more. A key may revoke itself.",
        tags=["keys"],
        responses={200: AdminKeyDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, key_id: str) -> Response:
        key = _key_of(request, key_id)
        authority = KeyAuthority(principal_of(request))
        revoke_api_key(key, authority=authority, origin=origin_of(request._request))
        return Response(AdminKeyDeletedSerializer(key).data)


def _key_of(request: Request, key_id: str) -> ApiKey:
    return find_key(admin_keys_of(principal_of(request).workspace_id), key_id)
