"""Users and the workspaces that they have from the beginning."""

from django.db import transaction

from accounts.models import Membership, User, Workspace
from accounts.roles import Role


def personal_workspace(user: User) -> Workspace:
    """Return the user's own workspace, creating it if it is missing."""
    with transaction.atomic():
        workspace, _ = Workspace.objects.get_or_create(
            personal_of=user, defaults={"name": f"{user.email}'s workspace"}
        )
        Membership.objects.get_or_create(workspace=workspace, user=user, defaults={"role": Role.OWNER})
    return workspace


def get_or_create_user(email: str) -> User:
    """Return the user with that address, creating one without a usable password if there is none."""
    try:
        return User.objects.get_by_natural_key(email)
    except User.DoesNotExist:
        return User.objects.create_user(email)
