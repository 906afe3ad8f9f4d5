"""Invitations into the workspace that a request acts in, and accepting one."""

from functools import partial
from typing import Any, ClassVar

from allauth.core import ratelimit
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.organization_serializers import (
    AcceptanceSerializer,
    CreatedInvitationSerializer,
    InvitationDeletedSerializer,
    InvitationSerializer,
    NewInvitationSerializer,
    ProjectSerializer,
)
from accounts.api.path_parameters import names_invitation
from accounts.api.views import NO_STORE, SESSION_REQUIRED, require_ownership, user_of
from accounts.authentication import principal_of
from accounts.models import Invitation
from accounts.permissions import Permission
from accounts.principal import Principal
from accounts.roles import Role
from accounts.security_events.recording import origin_of
from accounts.sign_in.invitations import base_url_of, send
from accounts.workspaces import invitations
from accounts.workspaces.acceptance import accept
from accounts.workspaces.authority import find_member
from core.exceptions import BadRequest, Conflict, NotFound, RateLimited
from core.http.openapi import error_responses
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.serializers import ErrorSerializer
from core.http.views import ApiView
from core.ids import INVITATION, PROJECT, parse_id
from core.pagination import read_page
from core.validation.request_body import read_body

PAGES = PageParameters(order=False)
SECONDS_UNTIL_MORE_MAILS = 3600


class InvitationListView(ApiView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ, "POST": Permission.MEMBERS_WRITE}

    @extend_schema(
        operation_id="listInvites",
        summary="The invitations into the current workspace, newest first",
        tags=["organization"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(InvitationSerializer)} | error_responses(400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        rows = Invitation.objects.filter(workspace=principal_of(request).workspace_id)
        requested = PAGES.parse(request.query_params)
        page = read_page(rows, requested, partial(parse_id, INVITATION))
        return Response(page_body(page, InvitationSerializer()))

    @extend_schema(
        operation_id="createInvite",
        summary="Invite somebody by e-mail, or whoever gets the link",
        description="With `email` the link is mailed, and only who has that address can accept. Without, the "
        "`link` of this answer is for one person, whoever that is. It works once, until it expires. Only an "
        "owner invites owners, in a session, and after proving in the last minutes who they are. The answer "
        "does not tell whether the address has an account.",
        tags=["organization"],
        request=NewInvitationSerializer,
        responses={
            200: CreatedInvitationSerializer,
            409: OpenApiResponse(
                ErrorSerializer, "`already_member`, or `too_many_invitations`: of the workspace, still open"
            ),
        }
        | error_responses(400, 401, 403, 429),
    )
    def post(self, request: Request) -> Response:
        who = principal_of(request)
        body = read_body(request, NewInvitationSerializer)
        role, email = body["role"], body.get("email", "")
        _check_projects(body.get("projects", []), role, who)
        if role == Role.OWNER:
            require_ownership(request)
        workspace = find_member(who.workspace_id, who.user_id).workspace
        invitations.check_can_join(workspace, email)
        if email:
            _check_mails(request, email)
        origin = origin_of(request._request)
        invitation, token = invitations.invite_as_member(who, email, role, origin)
        if email:
            send(invitation, token, request._request)
        context = {"secret": invitations.link(invitation, token, base_url_of(request._request))}
        return Response(CreatedInvitationSerializer(invitation, context=context).data, headers=NO_STORE)


def _check_projects(projects: list[dict[str, Any]], role: Role, who: Principal) -> None:
    """Raise `BadRequest` for another workspace than the current one, or another role in it."""
    for project in projects:
        if parse_id(PROJECT, project["id"]) != who.workspace_id:
            raise BadRequest(
                "An invitation is into the workspace that the request acts in, and no other. Name that in "
                "X-Workspace-Id or OpenAI-Project, and leave `projects` out.",
                param="projects[0].id",
            )
        if (project["role"] == "owner") != (role == Role.OWNER):
            raise BadRequest("It is not the same as `role`.", param="projects[0].role")


def _check_mails(request: Request, email: str) -> None:
    """Raise `RateLimited` for who mails too many people, or for an address that gets too many mails."""
    if not ratelimit.consume(request._request, action="invite", user=user_of(request), key=email):
        raise RateLimited(
            "Too many invitations by mail: yours within an hour, or those to this address within a day. "
            "Try again later, or send the person a link yourself.",
            retry_after=SECONDS_UNTIL_MORE_MAILS,
        )


@names_invitation
class InvitationView(ApiView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ, "DELETE": Permission.MEMBERS_WRITE}

    @extend_schema(
        operation_id="getInvite",
        summary="An invitation",
        tags=["organization"],
        responses={200: InvitationSerializer} | error_responses(401, 403, 404),
    )
    def get(self, request: Request, invite_id: str) -> Response:
        return Response(InvitationSerializer(_find(request, invite_id)).data)

    @extend_schema(
        operation_id="deleteInvite",
        summary="Revoke an invitation that nobody has accepted",
        tags=["organization"],
        responses={
            200: InvitationDeletedSerializer,
            409: OpenApiResponse(ErrorSerializer, "It was accepted: remove the member instead"),
        }
        | error_responses(401, 403, 404),
    )
    def delete(self, request: Request, invite_id: str) -> Response:
        invitation = _find(request, invite_id)
        invitations.revoke(invitation)
        invitation.refresh_from_db(fields=["accepted_at"])
        if invitation.accepted_at is not None:
            raise Conflict(
                "This invitation was accepted. Remove the member instead.", code="invitation_accepted"
            )
        return Response(InvitationDeletedSerializer(invitation).data)


def _find(request: Request, invite_id: str) -> Invitation:
    id = parse_id(INVITATION, invite_id)
    rows = Invitation.objects.filter(workspace=principal_of(request).workspace_id)
    found = rows.filter(pk=id).first() if id is not None else None
    if found is None:
        raise NotFound("There is no such invitation into this workspace.", param="invite_id")
    return found


class AcceptanceView(ApiView):
    permissions: ClassVar = {"POST": Permission.ACCOUNT}

    @extend_schema(
        operation_id="acceptInvitation",
        summary="Join a workspace by an invitation's token",
        description="Who has no account signs up with it: `auth/signup?invitation=TOKEN`.",
        tags=["organization"],
        request=AcceptanceSerializer,
        responses={
            200: ProjectSerializer,
            **SESSION_REQUIRED,
            409: OpenApiResponse(ErrorSerializer, "`already_member`: the invitation can still be used"),
            410: OpenApiResponse(ErrorSerializer, "It was used, was revoked or has expired"),
        }
        | error_responses(400, 401, 404),
    )
    def post(self, request: Request) -> Response:
        token = read_body(request, AcceptanceSerializer)["token"]
        found = invitations.present_into_workspace(token)
        membership = accept(found.invitation, user_of(request), origin=origin_of(request._request))
        return Response(ProjectSerializer(membership).data)
