"""Queries of users and what they belong to."""

from accounts.models import Membership, User
from core.exceptions import NotFound


def memberships_of(user: User) -> list[Membership]:
    """Return the user's memberships with their workspaces: their own first, then by name."""
    rows = Membership.objects.select_related("workspace").filter(user=user)
    return sorted(rows, key=lambda one: (one.workspace.personal_of_id != user.pk, one.workspace.name))


def no_such_workspace(param: str) -> NotFound:
    """Return the refusal for a workspace that is not there or is not the caller's, in the same words."""
    return NotFound("There is no such workspace, or you are not a member of it.", param=param)
