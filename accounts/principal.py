"""Whom a request acts for."""

from uuid import UUID

from accounts.ratelimits.limits import UNLIMITED, Limits
from core.value import Value


class Principal(Value, frozen=True):
    """On whose behalf a request acts, and within which limits.

    `key_id` is None for a browser session; `limits` are the workspace's, `key_limits` the key's own, which
    apply in addition.
    """

    workspace_id: UUID
    user_id: int
    key_id: UUID | None = None
    limits: Limits = UNLIMITED
    key_limits: Limits = UNLIMITED


class Caller(Value, frozen=True):
    """Who sent a request, by an API key or in a browser session.

    `session_hash` is what the session holds of its user's password.
    """

    principal: Principal
    key_digest: str | None = None
    session_key: str | None = None
    session_hash: str = ""

    @property
    def credential(self) -> str:
        return self.key_digest or self.session_key or ""
