"""What is done to API keys: each change in one place.

A caller's authority is asked about the key as it is under the lock; an operator needs none.
"""

import secrets
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.keys.authority import KeyAuthority
from accounts.models import ApiKey, EndUserToken, KeySecret, Membership, User, Workspace
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
MAX_VALID_SECRETS = 10
"""How many secrets of a key may be valid at once."""
READ_ONLY_GAINS = {Permission.USAGE_OF_ALL, Permission.BILLING}
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


def _lock(key: ApiKey) -> ApiKey:
    """Lock a key in this transaction, and return it as it is now. Raises `NotFound` if it was deleted."""
    keys = ApiKey.objects.select_for_update(of=("self",)).select_related("user")
    locked = keys.filter(pk=key.pk).first()
    if locked is None:
        raise NotFound("There is no such API key.", param="key_id")
    return locked


def change_api_key(
    key: ApiKey, *, authority: KeyAuthority | None = None, origin: Origin | None = None, **changes: Any
) -> None:
    """Change a key's `name`, `scopes`, `expires_at` or limits.

    Raises `NotFound`, `Conflict` if it is revoked or expired, and `Forbidden` as the authority says.
    """
    with transaction.atomic():
        locked = _lock(key)
        if authority:
            authority.check_may_change(locked, changes)
        check_not_over(locked)
        if "scopes" in changes:
            changes["scopes"] = format_scopes(changes["scopes"])
        changed = sorted(name for name, value in changes.items() if getattr(locked, name) != value)
        if not changed:
            return
        for name in changed:
            setattr(locked, name, changes[name])
        locked.save(update_fields=changed)
        record(Kind.KEY_CHANGED, user=locked.user, key=locked, origin=origin, changed=changed)


def roll_api_key(
    key: ApiKey,
    by: User,
    overlap: timedelta = DEFAULT_OVERLAP,
    *,
    authority: KeyAuthority | None = None,
    origin: Origin | None = None,
) -> str:
    """Give a key a new secret, and return that; it cannot be shown again.

    The key becomes `by`'s, so that it outlives whoever leaves. They must have the permission for keys, unless
    the key is theirs already. The secrets before it end after the overlap at the latest; at once, if they
    could do more with `by`'s role than they could: nobody who knows one may gain by this, and one of who left
    does not come back to life. Raises `NotFound`, `Forbidden`, and `Conflict` if the key is revoked or
    expired, or has too many valid secrets.
    """
    secret = _new_secret()
    with transaction.atomic():
        locked = _lock(key)
        if authority:
            authority.check_may_roll(locked)
        check_not_over(locked)
        role = _check_may_have(locked, by)
        if permissions_of_key(role, locked.scope_list) - _permissions_of(locked) - READ_ONLY_GAINS:
            overlap = timedelta(0)
        _end_secrets(locked, overlap)
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


def end_secrets_of(workspace_id: UUID, user: User) -> None:
    """End the secrets of somebody's keys in a workspace, and the tokens that were made with them.

    The keys stay: whoever manages keys can roll them, and their history and limits go on.
    """
    for key in ApiKey.objects.filter(workspace=workspace_id, user=user).order_by("pk").select_for_update():
        _end_at(key, timezone.now())


def _end_at(key: ApiKey, at: datetime) -> None:
    """Let a key's secrets end then at the latest, and the tokens that were made with them."""
    KeySecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=at), key=key).update(expires_at=at)
    EndUserToken.objects.filter(key=key, expires_at__gt=at).update(expires_at=at)


def _end_secrets(key: ApiKey, overlap: timedelta) -> None:
    """Let the secrets end after the overlap at the latest, and forget those that have ended."""
    now = timezone.now()
    of_key = KeySecret.objects.filter(key=key)
    _end_at(key, now + overlap)
    of_key.filter(expires_at__lte=now).delete()
    if of_key.count() >= MAX_VALID_SECRETS:
        raise Conflict(
            f"The API key has as many valid secrets as it may have: {MAX_VALID_SECRETS}. Roll it without an "
            "overlap, which ends them, or wait until one of them has ended.",
            code="too_many_secrets",
        )


def _new_secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def _add_secret(key: ApiKey, secret: str) -> None:
    KeySecret.objects.create(key=key, prefix=secret[:PREFIX_LENGTH], digest=digest_of(secret))


def revoke_api_key(
    key: ApiKey, *, authority: KeyAuthority | None = None, origin: Origin | None = None
) -> None:
    """Revoke a key, if it is not. Raises `NotFound`, and `Forbidden` as the authority says."""
    with transaction.atomic():
        locked = _lock(key)
        if authority:
            authority.check_may_revoke(locked)
        if locked.revoked_at is None:
            locked.revoked_at = timezone.now()
            locked.save(update_fields=["revoked_at"])
            record(Kind.KEY_REVOKED, user=locked.user, key=locked, origin=origin)


def delete_api_key(key: ApiKey, *, origin: Origin | None = None) -> None:
    """Delete a key with its secrets and tokens. Does nothing if it is gone."""
    with suppress(NotFound), transaction.atomic():
        locked = _lock(key)  # or a token that it makes at this moment would have no key when both commit
        record(Kind.KEY_DELETED, user=locked.user, key=locked, origin=origin)
        locked.delete()
