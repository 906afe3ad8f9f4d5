"""Who may do what in the admin with users, workspaces and keys.

Only superusers change what anybody may do: rights and groups, the users who have any, and others' keys.
Otherwise whoever may change users would soon be a superuser.
"""

from django.contrib.auth import get_permission_codename
from django.db.models import Model
from django.http import HttpRequest

from accounts.models import User


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def has_rights(user: User) -> bool:
    """Tell whether a user may do anything in the admin, or may once they are made staff."""
    return user.is_staff or user.is_superuser or user.groups.exists() or user.user_permissions.exists()


def missing_permissions(request: HttpRequest, counts: dict[type[Model], int]) -> set[str]:
    """Return what the request's user lacks the permission to delete, leaving out what there is none of."""
    return {
        str(model._meta.verbose_name)
        for model, count in counts.items()
        if count and not request.user.has_perm(f"accounts.{get_permission_codename('delete', model._meta)}")
    }
