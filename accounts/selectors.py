"""Queries of users, what they belong to, and their keys."""

from accounts.models import ApiKey, Membership, User
from accounts.principal import Principal


def memberships_of(user: User) -> list[Membership]:
    """Return the user's memberships with their workspaces: their own first, then by name."""
    rows = Membership.objects.select_related("workspace").filter(user=user)
    return sorted(rows, key=lambda one: (one.workspace.personal_of_id != user.pk, one.workspace.name))


def key_of(principal: Principal) -> ApiKey | None:
    """Return the key that a principal came with; None in a session."""
    return None if principal.key_id is None else ApiKey.objects.filter(pk=principal.key_id).first()
