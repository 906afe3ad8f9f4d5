"""Users, groups, workspaces, keys, invitations and security events in the admin."""

from accounts.admin import invitations, keys, security_events, sign_in, users, workspaces

__all__ = ["invitations", "keys", "security_events", "sign_in", "users", "workspaces"]
