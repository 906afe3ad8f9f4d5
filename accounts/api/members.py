"""The members of a workspace: of the one that a request acts in, or of the one that its address names."""

from typing import ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.organization_serializers import (
    MemberChangesSerializer,
    MemberDeletedSerializer,
    MemberSerializer,
    OrganizationUserDeletedSerializer,
    OrganizationUserSerializer,
    ProjectUserDeletedSerializer,
    ProjectUserSerializer,
)
from accounts.api.path_parameters import names_project, names_project_user, names_user
from accounts.api.views import require_ownership
from accounts.authentication import principal_of
from accounts.models import Membership
from accounts.permissions import Permission
from accounts.roles import Role
from accounts.security_events.recording import origin_of
from accounts.workspaces import memberships
from accounts.workspaces.authority import find_member
from core.exceptions import BadRequest
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.query import parse_array
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView
from core.ids import parse_user_id
from core.pagination import read_page
from core.validation.request_body import read_body

TAGS = ["organization"]
EMAILS = OpenApiParameter("emails", OpenApiTypes.STR, many=True, description="Only with these addresses.")
PAGES = PageParameters(EMAILS, order=False)
LAST_OWNER = {
    409: OpenApiResponse(
        ErrorSerializer, "`last_owner`: the workspace would have no owner; or `personal_workspace`"
    )
}
OWNERS_ONLY = (
    "Only an owner makes, demotes and removes owners, in a session, and after proving in the last minutes "
    "who they are."
)


class MemberListView(ApiView):
    shown: ClassVar[type[MemberSerializer]]

    def get(self, request: Request, project_id: str = "") -> Response:
        who, requested = principal_of(request), PAGES.parse(request.query_params)
        emails = parse_array(request.query_params, "emails")
        rows = Membership.objects.select_related("user").filter(workspace=who.workspace_id)
        if emails:
            rows = rows.filter(user__email__in=[email.lower() for email in emails])
        page = read_page(rows, requested, parse_user_id, order=("-user_id",))
        return Response(page_body(page, self.shown()))


class MemberView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.MEMBERS_READ,
        "POST": Permission.MEMBERS_WRITE,
        "DELETE": Permission.MEMBERS_WRITE,
    }
    shown: ClassVar[type[MemberSerializer]]
    deleted: ClassVar[type[MemberDeletedSerializer]]

    def get(self, request: Request, user_id: str, project_id: str = "") -> Response:
        return Response(self.shown(_find(request, user_id)).data)

    def post(self, request: Request, user_id: str, project_id: str = "") -> Response:
        role = read_body(request, MemberChangesSerializer)["role"]
        if role == Role.OWNER:
            require_ownership(request)
        member, who, origin = _find(request, user_id), principal_of(request), origin_of(request._request)
        if member.role == Role.OWNER:
            require_ownership(request)
        changed = memberships.change_role(who.workspace_id, member.user_id, role, who, origin=origin)
        return Response(self.shown(changed).data)

    def delete(self, request: Request, user_id: str, project_id: str = "") -> Response:
        member, who, origin = _find(request, user_id), principal_of(request), origin_of(request._request)
        if member.role == Role.OWNER:
            require_ownership(request)
        removed = memberships.remove_member(who.workspace_id, member.user_id, who, origin=origin)
        return Response(self.deleted(removed).data)


def _find(request: Request, user_id: str) -> Membership:
    return find_member(principal_of(request).workspace_id, parse_user_id(user_id))


@extend_schema_view(
    get=extend_schema(
        operation_id="listOrganizationUsers",
        summary="The members of the current workspace",
        tags=TAGS,
        parameters=PAGES.documentation,
        responses={200: page_serializer(OrganizationUserSerializer)} | error_responses(400, 401, 403),
    )
)
class OrganizationUserListView(MemberListView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ}
    shown = OrganizationUserSerializer


@extend_schema_view(
    get=extend_schema(
        operation_id="getOrganizationUser",
        summary="A member of the current workspace",
        tags=TAGS,
        responses={200: OrganizationUserSerializer} | error_responses(401, 403, 404),
    ),
    post=extend_schema(
        operation_id="updateOrganizationUser",
        summary="Change another member's role",
        description=f"Your own role is changed by somebody else. {OWNERS_ONLY} OpenAI's `reader` is a "
        "`member`.",
        tags=TAGS,
        request=MemberChangesSerializer,
        responses={200: OrganizationUserSerializer, **LAST_OWNER} | error_responses(400, 401, 403, 404),
    ),
    delete=extend_schema(
        operation_id="deleteOrganizationUser",
        summary="Remove a member",
        description="Their keys for this workspace end at once. What they made in it stays there, and what "
        f"was private stays so. {OWNERS_ONLY}",
        tags=TAGS,
        responses={200: OrganizationUserDeletedSerializer, **LAST_OWNER} | error_responses(401, 403, 404),
    ),
)
@names_user
class OrganizationUserView(MemberView):
    shown, deleted = OrganizationUserSerializer, OrganizationUserDeletedSerializer


@extend_schema_view(
    get=extend_schema(
        operation_id="listProjectUsers",
        summary="The members of a workspace",
        tags=TAGS,
        parameters=PAGES.documentation,
        responses={200: page_serializer(ProjectUserSerializer)} | error_responses(400, 401, 403, 404),
    )
)
@names_project
class ProjectUserListView(MemberListView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ, "POST": Permission.MEMBERS_WRITE}
    shown = ProjectUserSerializer

    @extend_schema(
        operation_id="createProjectUser",
        summary="Refused: people join by an invitation",
        description="OpenAI's clients have this call. It is always 400 `invitation_required`.",
        tags=TAGS,
        request=None,
        responses=error_responses(400, 401, 403, 404),
    )
    def post(self, request: Request, project_id: str) -> Response:
        raise BadRequest(
            "People join a workspace by an invitation that they accept. Invite them: POST to "
            "/v1/organization/invites, with this workspace in X-Workspace-Id or OpenAI-Project.",
            code="invitation_required",
        )


@extend_schema_view(
    get=extend_schema(
        operation_id="getProjectUser",
        summary="A member of a workspace",
        tags=TAGS,
        responses={200: ProjectUserSerializer} | error_responses(401, 403, 404),
    ),
    post=extend_schema(
        operation_id="updateProjectUser",
        summary="Change the role of a workspace's member",
        description=OWNERS_ONLY,
        tags=TAGS,
        request=MemberChangesSerializer,
        responses={200: ProjectUserSerializer, **LAST_OWNER} | error_responses(400, 401, 403, 404),
    ),
    delete=extend_schema(
        operation_id="deleteProjectUser",
        summary="Remove a member of a workspace",
        description=OWNERS_ONLY,
        tags=TAGS,
        responses={200: ProjectUserDeletedSerializer, **LAST_OWNER} | error_responses(401, 403, 404),
    ),
)
@names_project_user
class ProjectUserView(MemberView):
    shown, deleted = ProjectUserSerializer, ProjectUserDeletedSerializer
