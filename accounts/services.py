"""Changes to accounts, each action in one place."""

import secrets
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey, KeySecret, Membership, User, Workspace
from accounts.permissions import DEFAULT_SCOPES, Scope, format_scopes
from accounts.roles import Role
from accounts.security_events.recording import Kind, Origin, record

SECRET_PREFIX = "sk-chatapi-"  # noqa: S105
TOKEN_PREFIX = "ut-chatapi-"  # noqa: S105
PREFIX_LENGTH = len(SECRET_PREFIX) + 4


def digest_of(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


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
