"""Users, groups, workspaces and keys in the admin."""

from accounts.admin import keys, users, workspaces

__all__ = ["keys", "users", "workspaces"]
