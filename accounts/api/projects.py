"""Workspaces: making, renaming, leaving, handing over and deleting them."""

from functools import partial
from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.organization_serializers import (
    HandOverSerializer,
    NoFieldsSerializer,
    ProjectChangesSerializer,
    ProjectDeletedSerializer,
    ProjectDeletionSerializer,
    ProjectSerializer,
    ProjectUserDeletedSerializer,
)
from accounts.api.path_parameters import names_project
from accounts.api.views import SESSION_REQUIRED, require_ownership, user_of
from accounts.authentication import principal_of
from accounts.models import Membership
from accounts.permissions import Permission
from accounts.principal import Principal
from accounts.security_events.recording import origin_of
from accounts.workspaces import memberships, services
from accounts.workspaces.authority import find_member
from core.exceptions import BadRequest, NotFound
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.query import parse_choice
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView
from core.ids import PROJECT, parse_id, parse_user_id
from core.pagination import read_page
from core.validation.request_body import read_body

ARCHIVED = OpenApiParameter(
    "include_archived", bool, description="Changes nothing: a workspace is there, or is deleted."
)
PAGES = PageParameters(ARCHIVED, order=False)
NOT_NOW = {409: OpenApiResponse(ErrorSerializer, "`personal_workspace`, or `last_owner`")}


def _own_membership(who: Principal) -> Membership:
    return find_member(who.workspace_id, who.user_id)


class ProjectListView(ApiView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ, "POST": Permission.ACCOUNT}

    @extend_schema(
        operation_id="listProjects",
        summary="The caller's workspaces, newest first; a key has one",
        tags=["organization"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(ProjectSerializer)} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        who, requested = principal_of(request), PAGES.parse(request.query_params)
        parse_choice(request.query_params, "include_archived", ("true", "false"), "false")
        rows = Membership.objects.select_related("workspace").filter(user=who.user_id)
        if who.key_id is not None:
            rows = rows.filter(workspace=who.workspace_id)
        page = read_page(rows, requested, partial(parse_id, PROJECT), order=("-workspace_id",))
        return Response(page_body(page, ProjectSerializer()))

    @extend_schema(
        operation_id="createProject",
        summary="Make a workspace, which the caller owns",
        tags=["organization"],
        request=ProjectChangesSerializer,
        responses={
            200: ProjectSerializer,
            **SESSION_REQUIRED,
            409: OpenApiResponse(ErrorSerializer, "`too_many_workspaces`: you own as many as one person may"),
        }
        | error_responses(400, 401),
    )
    def post(self, request: Request) -> Response:
        name = read_body(request, ProjectChangesSerializer)["name"]
        made = services.create_workspace(user_of(request), name, origin=origin_of(request._request))
        return Response(ProjectSerializer(made).data)


@names_project
class ProjectView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.MEMBERS_READ,
        "POST": Permission.WORKSPACE,
        "DELETE": Permission.OWNERSHIP,
    }

    @extend_schema(
        operation_id="getProject",
        summary="A workspace",
        tags=["organization"],
        responses={200: ProjectSerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, project_id: str) -> Response:
        return Response(ProjectSerializer(_own_membership(principal_of(request))).data)

    @extend_schema(
        operation_id="updateProject",
        summary="Rename a workspace",
        tags=["organization"],
        request=ProjectChangesSerializer,
        responses={200: ProjectSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, project_id: str) -> Response:
        who, name = principal_of(request), read_body(request, ProjectChangesSerializer)["name"]
        services.rename(who.workspace_id, name, who)
        return Response(ProjectSerializer(_own_membership(who)).data)

    @extend_schema(
        operation_id="deleteProject",
        summary="Delete a workspace with all that it holds",
        description='The body, `{"confirm": "The team"}`, repeats its name. Its members\' keys for it, its '
        "conversations and files are deleted; what was billed stays in the books. Running answers end within "
        "a second. Only an owner may, in a session, and after proving in the last minutes who they are.",
        tags=["organization"],
        request=ProjectDeletionSerializer,
        responses={200: ProjectDeletedSerializer, **SESSION_REQUIRED, **NOT_NOW}
        | error_responses(400, 401, 404),
    )
    def delete(self, request: Request, project_id: str) -> Response:
        require_ownership(request)
        who, confirmed = principal_of(request), read_body(request, ProjectDeletionSerializer)["confirm"]
        if confirmed != _own_membership(who).workspace.name:
            raise BadRequest("To delete the workspace, send its name as `confirm`.", param="confirm")
        services.delete(who.workspace_id, who, origin=origin_of(request._request))
        return Response(ProjectDeletedSerializer({"id": project_id}).data)


@names_project
class LeaveView(ApiView):
    permissions: ClassVar = {"POST": Permission.ACCOUNT}

    @extend_schema(
        operation_id="leaveProject",
        summary="Leave a workspace",
        description="Nothing goes along: conversations and files stay in the workspace, and what was private "
        "stays so. Who comes back sees theirs again.",
        tags=["organization"],
        request=NoFieldsSerializer,
        responses={200: ProjectUserDeletedSerializer, **SESSION_REQUIRED, **NOT_NOW}
        | error_responses(400, 401, 404),
    )
    def post(self, request: Request, project_id: str) -> Response:
        read_body(request, NoFieldsSerializer)
        who = principal_of(request)
        memberships.leave(who.workspace_id, who, origin=origin_of(request._request))
        return Response(ProjectUserDeletedSerializer({"user_id": who.user_id}).data)


@names_project
class HandOverView(ApiView):
    permissions: ClassVar = {"POST": Permission.OWNERSHIP}

    @extend_schema(
        operation_id="handOverProject",
        summary="Make another member the owner, and oneself an admin",
        description="Only an owner may, in a session, and after proving in the last minutes who they are.",
        tags=["organization"],
        request=HandOverSerializer,
        responses={200: ProjectSerializer, **SESSION_REQUIRED, **NOT_NOW} | error_responses(400, 401, 404),
    )
    def post(self, request: Request, project_id: str) -> Response:
        require_ownership(request)
        who, named = principal_of(request), read_body(request, HandOverSerializer)["user_id"]
        user_id = parse_user_id(named)
        if user_id is None:
            raise NotFound("There is no such member in this workspace.", param="user_id")
        origin = origin_of(request._request)
        own = memberships.hand_over(who.workspace_id, user_id, who, origin=origin)
        return Response(ProjectSerializer(own).data)
