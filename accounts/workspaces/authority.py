"""Locking a workspace, and what a caller may do in it then.

Each change of a workspace or its members locks the workspace's row first, so that two at once cannot leave it
without an owner. What the caller may do is asked again under the lock: they may have been demoted since their
request began.
"""

from uuid import UUID

import msgspec

from accounts.models import Membership, User, Workspace
from accounts.permissions import Permission, permissions_in_session
from accounts.principal import Principal
from accounts.roles import Role
from accounts.selectors import no_such_workspace
from core.exceptions import NotFound, SessionEnded


def lock_workspace(workspace_id: UUID) -> Workspace:
    """Lock a workspace in this transaction against other changes of its members. Raises `NotFound`."""
    rows = Workspace.objects.select_for_update(no_key=True, of=("self",))
    workspace = rows.filter(pk=workspace_id).first()
    if workspace is None:
        raise no_such_workspace("project_id")
    return workspace


def lock_user(user_id: int) -> User:
    """Lock a user's row after the workspace's: their account may be deleted or deactivated now.

    Raises `SessionEnded` if it has been deleted.
    """
    user = User.objects.select_for_update(no_key=True, of=("self",)).filter(pk=user_id).first()
    if user is None:
        raise SessionEnded
    return user


def find_member(workspace_id: UUID, user_id: int | None) -> Membership:
    """Return a membership with its user. Raises `NotFound`."""
    rows = Membership.objects.select_related("user", "workspace")
    member = rows.filter(workspace=workspace_id, user=user_id).first() if user_id is not None else None
    if member is None:
        raise NotFound("There is no such member in this workspace.", param="user_id")
    return member


class ActingMember:
    """Who changes a locked workspace, with what they may do by the role that they have now.

    Raises `NotFound` for somebody who is no member any more, or was deactivated.
    """

    def __init__(self, workspace: Workspace, by: Principal) -> None:
        rows = Membership.objects.filter(workspace=workspace, user=by.user_id, user__is_active=True)
        role = rows.values_list("role", flat=True).first()
        if role is None:
            raise no_such_workspace("project_id")
        now = permissions_in_session(Role(role))
        self._principal = msgspec.structs.replace(by, permissions=by.permissions & now)

    def require(self, permission: Permission) -> None:
        self._principal.require(permission)
