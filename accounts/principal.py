"""Whom a request acts for."""

from uuid import UUID

from accounts.permissions import Permission, Permissions
from accounts.ratelimits.limits import UNLIMITED, Limits
from core.exceptions import Forbidden
from core.value import Value


class Principal(Value, frozen=True):
    """On whose behalf a request acts, what it may do, and within which limits.

    `key_id` is None in a session. With an end-user token, `token_id` is the token's, `end_user` whom it is
    for, and the rest is the key's that made it. `limits` are the workspace's, `key_limits` the key's own,
    which apply in addition.
    """

    workspace_id: UUID
    user_id: int
    key_id: UUID | None = None
    limits: Limits = UNLIMITED
    key_limits: Limits = UNLIMITED
    permissions: Permissions = frozenset()
    token_id: UUID | None = None
    end_user: str = ""

    @property
    def owner_id(self) -> int | None:
        """The user whose own it is what is made here; None with a key."""
        return None if self.key_id else self.user_id

    @property
    def owner_name(self) -> str:
        """Whose alone something is in the workspace, in words for derived ids; empty with a server's key."""
        if self.token_id is not None:
            return f"token for {self.end_user}"
        return "" if self.key_id else f"user {self.user_id}"

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission | None) -> None:
        """Raise `Forbidden` unless the principal has the permission; everybody has None."""
        if permission is not None and permission not in self.permissions:
            raise _refusal(self, permission)


def _refusal(who: Principal, permission: Permission) -> Forbidden:
    if who.token_id is not None:
        text = f"This end-user token may not do this: it lacks the permission '{permission}'."
    elif who.key_id is None:
        text = (
            f"Your role in this workspace does not allow this: it lacks the permission '{permission}'. "
            "Ask an owner of the workspace, or choose another one with X-Workspace-Id."
        )
    elif permission is Permission.ACCOUNT or permission is Permission.OWNERSHIP:
        text = (
            "An API key acts for a workspace, and cannot do this for a person. Sign in, and try again "
            "without the key."
        )
        return Forbidden(text, code="session_required")
    else:
        text = (
            f"This API key may not do this: its scopes, or the role of its user, lack the permission "
            f"'{permission}'. Use a key with another scope."
        )
    return Forbidden(text, code="insufficient_permissions")


class Caller(Value, frozen=True):
    """Who sent a request, by an API key, by an end-user token, or in a browser session.

    `session_hash` is what the session holds of its user's password.
    """

    principal: Principal
    secret_digest: str | None = None
    session_key: str | None = None
    session_hash: str = ""

    @property
    def credential(self) -> str:
        return self.secret_digest or self.session_key or ""
