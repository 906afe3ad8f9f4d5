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
    """Who sent a request. `key_digest` is None for a browser session."""

    principal: Principal
    key_digest: str | None
