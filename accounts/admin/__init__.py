"""Users, groups, workspaces, keys and security events in the admin."""

from accounts.admin import keys, security_events, users, workspaces

__all__ = ["keys", "security_events", "users", "workspaces"]
