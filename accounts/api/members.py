"""The members of a workspace: of the one that a request acts in, or of the one that its address names."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts import memberships
from accounts.api.organization_serializers import (
    MemberChangesSerializer,
    OrganizationUserDeletedSerializer,
    OrganizationUserSerializer,
    ProjectUserDeletedSerializer,
    ProjectUserSerializer,
    parse_role,
)
from accounts.authentication import principal_of
from accounts.models import Membership
from accounts.permissions import Permission
from accounts.security_events.recording import origin_of
from core.exceptions import BadRequest
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.query import parse_array
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView
from core.ids import parse_user_id
from core.pagination import read_page
from core.validation.request_body import read_body

PAGES = PageParameters(order=False)
EMAILS = OpenApiParameter("emails", OpenApiTypes.STR, many=True, description="Only who has these addresses.")
LAST_OWNER = {
    409: OpenApiResponse(
        ErrorSerializer, "`last_owner`: nobody would own the workspace; or `personal_workspace`"
    )
}
READ: dict[str, Permission | None] = {"GET": Permission.MEMBERS_READ}
WRITE = {**READ, "POST": Permission.MEMBERS_WRITE, "DELETE": Permission.MEMBERS_WRITE}


def _page(request: Request, serializer: Serializer[Any]) -> Response:
    who, requested = principal_of(request), PAGES.parse(request.query_params)
    emails = parse_array(request.query_params, "emails")
    rows = Membership.objects.select_related("user").filter(workspace=who.workspace_id)
    if emails:
        rows = rows.filter(user__email__in=[email.lower() for email in emails])
    page = read_page(rows, requested, parse_user_id, order=("-user_id",))
    return Response(page_body(page, serializer))


def _find(request: Request, user_id: str) -> Membership:
    return memberships.find_member(principal_of(request).workspace_id, parse_user_id(user_id))


def _change(request: Request, user_id: str) -> Membership:
    role = parse_role(read_body(request, MemberChangesSerializer)["role"])
    who, origin = principal_of(request), origin_of(request._request)
    return memberships.change_role(who.workspace_id, parse_user_id(user_id), role, who, origin=origin)


def _remove(request: Request, user_id: str) -> Membership:
    who, origin = principal_of(request), origin_of(request._request)
    return memberships.remove_member(who.workspace_id, parse_user_id(user_id), who, origin=origin)


class OrganizationUserListView(ApiView):
    permissions: ClassVar = READ

    @extend_schema(
        operation_id="listOrganizationUsers",
        summary="The members of the current workspace",
        tags=["organization"],
        parameters=[*PAGES.documentation, EMAILS],
        responses={200: page_serializer(OrganizationUserSerializer)} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        return _page(request, OrganizationUserSerializer())


class OrganizationUserView(ApiView):
    permissions: ClassVar = WRITE

    @extend_schema(
        operation_id="getOrganizationUser",
        summary="A member of the current workspace",
        tags=["organization"],
        responses={200: OrganizationUserSerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, user_id: str) -> Response:
        return Response(OrganizationUserSerializer(_find(request, user_id)).data)

    @extend_schema(
        operation_id="updateOrganizationUser",
        summary="Change a member's role",
        description="Nobody changes their own, and only an owner, in a session, makes or unmakes owners. "
        "OpenAI's `reader` is a `member`.",
        tags=["organization"],
        request=MemberChangesSerializer,
        responses={200: OrganizationUserSerializer, **LAST_OWNER} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, user_id: str) -> Response:
        return Response(OrganizationUserSerializer(_change(request, user_id)).data)

    @extend_schema(
        operation_id="deleteOrganizationUser",
        summary="Remove a member",
        description="Their keys for this workspace die at once. What they made in it stays there, and what "
        "was private stays so.",
        tags=["organization"],
        responses={200: OrganizationUserDeletedSerializer, **LAST_OWNER} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, user_id: str) -> Response:
        return Response(OrganizationUserDeletedSerializer(_remove(request, user_id)).data)


class ProjectUserListView(ApiView):
    permissions: ClassVar = {**READ, "POST": Permission.MEMBERS_WRITE}

    @extend_schema(
        operation_id="listProjectUsers",
        summary="The members of a workspace",
        tags=["organization"],
        parameters=[*PAGES.documentation, EMAILS],
        responses={200: page_serializer(ProjectUserSerializer)} | error_responses(400, 401, 403, 404),
    )
    def get(self, request: Request, project_id: str) -> Response:
        return _page(request, ProjectUserSerializer())

    @extend_schema(
        operation_id="createProjectUser",
        summary="Refused: people join by an invitation",
        tags=["organization"],
        request=None,
        responses={201: ProjectUserSerializer} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, project_id: str) -> Response:
        raise BadRequest(
            "Nobody is made a member without their own doing. Invite them: POST to "
            "/v1/organization/invites, with this workspace in X-Workspace-Id or OpenAI-Project.",
            code="invitation_required",
        )


class ProjectUserView(ApiView):
    permissions: ClassVar = WRITE

    @extend_schema(
        operation_id="getProjectUser",
        summary="A member of a workspace",
        tags=["organization"],
        responses={200: ProjectUserSerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, project_id: str, user_id: str) -> Response:
        return Response(ProjectUserSerializer(_find(request, user_id)).data)

    @extend_schema(
        operation_id="updateProjectUser",
        summary="Change the role of a workspace's member",
        tags=["organization"],
        request=MemberChangesSerializer,
        responses={200: ProjectUserSerializer, **LAST_OWNER} | error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, project_id: str, user_id: str) -> Response:
        return Response(ProjectUserSerializer(_change(request, user_id)).data)

    @extend_schema(
        operation_id="deleteProjectUser",
        summary="Remove a member of a workspace",
        tags=["organization"],
        responses={200: ProjectUserDeletedSerializer, **LAST_OWNER} | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, project_id: str, user_id: str) -> Response:
        return Response(ProjectUserDeletedSerializer(_remove(request, user_id)).data)
