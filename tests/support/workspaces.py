"""Shared workspaces, and calls of the administration API in one of them."""

import json
from typing import Any

from django.test import Client

from accounts.models import Membership, User, Workspace
from accounts.permissions import permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from accounts.workspaces.services import create_workspace
from core.ids import PROJECT, format_id, format_user_id

USERS, INVITES, PROJECTS = (f"/v1/organization/{name}" for name in ("users", "invites", "projects"))
ACCEPT = "/v1/invitations/accept"


def shared_workspace(founder: User, /, name: str = "The team", **members: User) -> Workspace:
    """Create a workspace that somebody owns, with members by their role (`admin=bob`)."""
    workspace = create_workspace(founder, name).workspace
    for role, user in members.items():
        join(workspace, user, Role(role))
    return workspace


def join(workspace: Workspace, user: User, role: Role = Role.MEMBER) -> Membership:
    return Membership.objects.create(workspace=workspace, user=user, role=role)


def principal_in(workspace: Workspace, user: User) -> Principal:
    """Return for whom a member's session acts, as it was when their request began."""
    role = Membership.objects.get(workspace=workspace, user=user).role
    return Principal(workspace.pk, user.pk, permissions=permissions_in_session(Role(role)))


def project(workspace: Workspace, page: str = "") -> str:
    return f"{PROJECTS}/{format_id(PROJECT, workspace.pk)}{page}"


def user_in(workspace: Workspace, user: User) -> str:
    return project(workspace, f"/users/{format_user_id(user.pk)}")


def call(
    browser: Client, method: str, path: str, body: Any = None, *, within: Workspace | None = None
) -> Any:
    """Send a request with a JSON body, and the header that chooses a workspace."""
    data = body if isinstance(body, bytes | str) else json.dumps({} if body is None else body)
    headers = {"x-workspace-id": format_id(PROJECT, within.pk)} if within else {}
    return browser.generic(method, path, data, "application/json", headers=headers)


def roles_in(workspace: Workspace) -> dict[str, str]:
    rows = Membership.objects.filter(workspace=workspace).order_by("user__email")
    return dict(rows.values_list("user__email", "role"))


def error_of(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, answer.json()["error"]["code"]
