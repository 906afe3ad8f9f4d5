"""What is done to API keys: each change in one place."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey, KeySecret, Membership, User, Workspace
from accounts.permissions import (
    DEFAULT_SCOPES,
    Permission,
    Permissions,
    Scope,
    format_scopes,
    permissions_in_session,
    permissions_of_key,
)
from accounts.roles import Role
from accounts.secret_digests import PREFIX_LENGTH, SECRET_PREFIX, digest_of
from accounts.security_events.recording import Kind, Origin, record
from core.exceptions import Conflict, Forbidden, NotFound

DEFAULT_OVERLAP = timedelta(hours=1)
MAX_OVERLAP = timedelta(days=7)
"""How long the secrets of a key may stay valid, at the most, beside a newer one."""
EXPIRED_SECRETS_KEPT = timedelta(days=30)
SEEING_MORE = {Permission.USAGE_OF_ALL, Permission.BILLING}
"""What the older secrets of a member's key may gain while an admin's roll of it overlaps: to see numbers."""


def create_api_key(
    workspace: Workspace,
    user: User,
    *,
    name: str = "",
    scopes: Collection[Scope] = DEFAULT_SCOPES,
    expires_at: datetime | None = None,
    origin: Origin | None = None,
    **limits: int | None,
) -> tuple[ApiKey, str]:
    """Create a key; return it and its secret, which cannot be shown again. `limits` are model fields."""
    secret = _new_secret()
    with transaction.atomic():
        key = ApiKey.objects.create(
            workspace=workspace,
            user=user,
            name=name,
            prefix=secret[:PREFIX_LENGTH],
            scopes=format_scopes(scopes),
            expires_at=expires_at,
            **limits,
        )
        _add_secret(key, secret)
        record(Kind.KEY_CREATED, user=user, key=key, origin=origin)
    return key, secret


def change_api_key(key: ApiKey, *, origin: Origin | None = None, **changes: Any) -> None:
    """Change a key's `name`, `scopes`, `expires_at` or limits."""
    if "scopes" in changes:
        changes["scopes"] = format_scopes(changes["scopes"])
    changed = sorted(name for name, value in changes.items() if getattr(key, name) != value)
    if not changed:
        return
    for name in changed:
        setattr(key, name, changes[name])
    with transaction.atomic():
        key.save(update_fields=changed)
        record(Kind.KEY_CHANGED, user=key.user, key=key, origin=origin, changed=changed)


def roll_api_key(
    key: ApiKey, by: User, overlap: timedelta = DEFAULT_OVERLAP, *, origin: Origin | None = None
) -> str:
    """Give a key a new secret, and return that; it cannot be shown again.

    The key becomes `by`'s, so that it outlives whoever leaves. They must have the permission for keys, unless
    the key is theirs already. The secrets before it end after the overlap at the latest; at once, if they
    could do more with `by`'s role than they could: nobody who knows one may gain by this, and one of who left
    does not come back to life. Raises `Forbidden`, and `Conflict` if the key is revoked or expired.
    """
    secret = _new_secret()
    with transaction.atomic():
        locked = (
            ApiKey.objects.select_for_update(of=("self",)).select_related("user").filter(pk=key.pk).first()
        )
        if locked is None:  # deleted at this very moment
            raise NotFound("There is no such API key.", param="key_id")
        check_not_over(locked)
        role = _check_may_have(locked, by)
        gained = permissions_of_key(role, locked.scope_list) - _permissions_of(locked)
        _end_secrets(locked, timezone.now() + (timedelta(0) if gained - SEEING_MORE else overlap))
        _add_secret(locked, secret)
        locked.prefix = secret[:PREFIX_LENGTH]
        seconds = int(overlap.total_seconds())
        record(Kind.KEY_ROLLED, user=locked.user, key=locked, origin=origin, overlap_seconds=seconds)
        locked.user = by
        locked.save(update_fields=["prefix", "user"])
    key.prefix, key.user = locked.prefix, by
    return secret


def check_not_over(key: ApiKey) -> None:
    """Raise `Conflict` if the key is revoked or expired."""
    if key.state != "active":
        raise Conflict(f"The API key is {key.state}. Make a new one.", code=f"api_key_{key.state}")


def _check_may_have(key: ApiKey, by: User) -> Role:
    role = _role_in(key.workspace_id, by)
    if role is None or (by.pk != key.user_id and Permission.KEYS not in permissions_in_session(role)):
        raise Forbidden(
            f"{by} cannot have this key: they are no member of its workspace who may manage keys.",
            code="insufficient_permissions",
        )
    return role


def _permissions_of(key: ApiKey) -> Permissions:
    role = _role_in(key.workspace_id, key.user) if key.user.is_active else None
    return frozenset() if role is None else permissions_of_key(role, key.scope_list)


def _role_in(workspace_id: UUID, user: User) -> Role | None:
    found = Membership.objects.filter(workspace=workspace_id, user=user).values_list("role", flat=True)
    role = found.first()
    return None if role is None else Role(role)


def _end_secrets(key: ApiKey, at: datetime) -> None:
    KeySecret.objects.filter(key=key, expires_at__lt=timezone.now() - EXPIRED_SECRETS_KEPT).delete()
    KeySecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=at), key=key).update(expires_at=at)


def _new_secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def _add_secret(key: ApiKey, secret: str) -> None:
    KeySecret.objects.create(key=key, prefix=secret[:PREFIX_LENGTH], digest=digest_of(secret))


def revoke_api_key(key: ApiKey, *, origin: Origin | None = None) -> None:
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        with transaction.atomic():
            key.save(update_fields=["revoked_at"])
            record(Kind.KEY_REVOKED, user=key.user, key=key, origin=origin)


def delete_api_key(key: ApiKey, *, origin: Origin | None = None) -> None:
    with transaction.atomic():
        record(Kind.KEY_DELETED, user=key.user, key=key, origin=origin)
        key.delete()
