"""Queries of users and what they belong to."""

from accounts.models import Membership, User


def memberships_of(user: User) -> list[Membership]:
    """Return the user's memberships with their workspaces: their own first, then by name."""
    rows = Membership.objects.select_related("workspace").filter(user=user)
    return sorted(rows, key=lambda one: (one.workspace.personal_of_id != user.pk, one.workspace.name))
