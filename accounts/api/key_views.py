"""The API keys of a workspace, as OpenAI's administration API has those of a project."""

from datetime import timedelta
from typing import Any, ClassVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.key_serializers import (
    KeyRollSerializer,
    NewProjectKeySerializer,
    ProjectKeyDeletedSerializer,
    ProjectKeyFieldsSerializer,
    ProjectKeySerializer,
)
from accounts.api.path_parameters import names_project, names_project_key
from accounts.api.views import NO_STORE, require_recent_authentication, user_of
from accounts.authentication import principal_of
from accounts.keys.authority import KeyAuthority
from accounts.keys.selectors import ACTIVE, ANY, INACTIVE, find_key, key_page, keys_of
from accounts.keys.services import (
    DEFAULT_OVERLAP,
    MAX_VALID_SECRETS,
    change_api_key,
    create_api_key,
    revoke_api_key,
    roll_api_key,
)
from accounts.models import ApiKey, Workspace
from accounts.permissions import DEFAULT_SCOPES, Permission
from accounts.security_events.recording import origin_of
from core.exceptions import NotFound
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.query import parse_choice
from core.http.views import ApiView
from core.validation.request_body import read_body

ACCESS = OpenApiParameter(
    "owner_project_access", enum=[ACTIVE, INACTIVE, ANY], default=ANY, description="Only keys of these users."
)
PAGES = PageParameters(ACCESS, order=False)
_LIMITS_OF_GIVING = (
    "A key can give no more than it has: its own scopes, until its own expiry, within its own limits."
)
_PROOF = "In a session, the person must have proved in the last minutes who they are."


def require_recent_proof(request: Request) -> None:
    """Raise `Forbidden` for a session in which nobody proved lately who they are."""
    if principal_of(request).key_id is None:
        require_recent_authentication(request)


def make_key(request: Request, values: dict[str, Any]) -> tuple[ApiKey, str]:
    """Make a key with these values in the workspace that the request acts in; return it and its secret."""
    who, origin = principal_of(request), origin_of(request._request)
    try:
        workspace = Workspace.objects.get(pk=who.workspace_id)
        made, secret = create_api_key(workspace, user_of(request), origin=origin, **values)
        return keys_of(who.workspace_id).get(pk=made.pk), secret
    except (IntegrityError, ObjectDoesNotExist):  # the workspace was deleted at this very moment
        raise NotFound("There is no such workspace.", param="project_id") from None


@names_project
class ProjectKeyListView(ApiView):
    permissions: ClassVar = {"GET": Permission.KEYS, "POST": Permission.KEYS}

    @extend_schema(
        operation_id="listProjectKeys",
        summary="The API keys of a workspace, newest first",
        description="Of all its members, and also those that are expired or revoked.",
        tags=["keys"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(ProjectKeySerializer)} | error_responses(400, 401, 403, 404),
    )
    def get(self, request: Request, project_id: str) -> Response:
        requested = PAGES.parse(request.query_params)
        access = parse_choice(request.query_params, "owner_project_access", (ACTIVE, INACTIVE, ANY), ANY)
        keys = keys_of(principal_of(request).workspace_id, access=access)
        return Response(page_body(key_page(keys, requested), ProjectKeySerializer()))

    @extend_schema(
        operation_id="createProjectKey",
        summary="Make an API key, which acts for the caller in this workspace",
        description="`value` is the secret, which is not shown again. Without `scopes` it may do all but "
        "manage the workspace; without an expiry it is valid until it is revoked. "
        f"{_LIMITS_OF_GIVING} What is left out is then as of the caller's. {_PROOF}",
        tags=["keys"],
        request=ProjectKeyFieldsSerializer,
        responses={200: NewProjectKeySerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, project_id: str) -> Response:
        require_recent_proof(request)
        authority = KeyAuthority(principal_of(request))
        values = authority.complete(read_body(request, ProjectKeyFieldsSerializer), DEFAULT_SCOPES)
        authority.check_may_give(values)
        return _answer_with_secret(*make_key(request, values))


@names_project_key
class ProjectKeyView(ApiView):
    permissions: ClassVar = {"GET": Permission.KEYS, "POST": Permission.KEYS, "DELETE": Permission.KEYS}

    @extend_schema(
        operation_id="getProjectKey",
        summary="An API key",
        tags=["keys"],
        responses={200: ProjectKeySerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, project_id: str, key_id: str) -> Response:
        return Response(ProjectKeySerializer(_key_of(request, key_id)).data)

    @extend_schema(
        operation_id="updateProjectKey",
        summary="Change an API key: its name, scopes, expiry or limits",
        description=f"It holds at once. {_LIMITS_OF_GIVING} Only its user and "
        "owners give a key more; others may narrow it, or roll it first. A key that is revoked or expired "
        "stays as it is.",
        tags=["keys"],
        request=ProjectKeyFieldsSerializer,
        responses={200: ProjectKeySerializer} | error_responses(400, 401, 403, 404, 409),
    )
    def post(self, request: Request, project_id: str, key_id: str) -> Response:
        key = _key_of(request, key_id)
        changes = read_body(request, ProjectKeyFieldsSerializer)
        authority, origin = KeyAuthority(principal_of(request)), origin_of(request._request)
        change_api_key(key, authority=authority, origin=origin, **changes)
        return Response(ProjectKeySerializer(_key_of(request, key_id)).data)

    @extend_schema(
        operation_id="deleteProjectKey",
        summary="Revoke an API key, with the end-user tokens that it made",
        description="Within a second nothing acts with it any more, and what runs for it ends. It stays in "
        "the list, as revoked. A key may revoke itself.",
        tags=["keys"],
        responses={200: ProjectKeyDeletedSerializer} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, project_id: str, key_id: str) -> Response:
        key = _key_of(request, key_id)
        authority = KeyAuthority(principal_of(request))
        revoke_api_key(key, authority=authority, origin=origin_of(request._request))
        return Response(ProjectKeyDeletedSerializer(key).data)


@names_project_key
class ProjectKeyRollView(ApiView):
    permissions: ClassVar = {"POST": Permission.KEYS}

    @extend_schema(
        operation_id="rollProjectKey",
        summary="Give an API key a new secret, beside which the ones before still work for a while",
        description="The key keeps its id, and so its history, limits and usage; it becomes the caller's, so "
        "that it outlives whoever made it. The secrets of a key whose user left the workspace end at once. "
        f"At most {MAX_VALID_SECRETS} secrets are valid at once: 409 `too_many_secrets`. "
        f"{_LIMITS_OF_GIVING} {_PROOF}",
        tags=["keys"],
        request=KeyRollSerializer,
        responses={200: NewProjectKeySerializer} | error_responses(400, 401, 403, 404, 409),
    )
    def post(self, request: Request, project_id: str, key_id: str) -> Response:
        require_recent_proof(request)
        key = _key_of(request, key_id)
        seconds = read_body(request, KeyRollSerializer).get("overlap_seconds")
        authority, origin = KeyAuthority(principal_of(request)), origin_of(request._request)
        overlap = DEFAULT_OVERLAP if seconds is None else timedelta(seconds=seconds)
        secret = roll_api_key(key, user_of(request), overlap, authority=authority, origin=origin)
        return _answer_with_secret(_key_of(request, key_id), secret)


def _key_of(request: Request, key_id: str) -> ApiKey:
    return find_key(keys_of(principal_of(request).workspace_id), key_id)


def _answer_with_secret(key: ApiKey, secret: str) -> Response:
    return Response(NewProjectKeySerializer(key, context={"secret": secret}).data, headers=NO_STORE)
