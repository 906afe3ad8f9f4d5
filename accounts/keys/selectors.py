"""Queries of a workspace's API keys."""

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts.models import ApiKey, KeySecret, Membership
from accounts.permissions import Scope
from accounts.principal import Principal
from core.exceptions import NotFound
from core.ids import KEY, parse_id
from core.pagination import Page, PageRequest, read_page

ACTIVE, INACTIVE, ANY = "active", "inactive", "any"
"""Whether the user of a key is an active member of its workspace, without which the key does nothing."""


def keys_of(workspace_id: UUID, *, access: str = ANY) -> QuerySet[ApiKey]:
    """Return a workspace's keys, each with its user, whose role is `owner_role`, and with its secrets."""
    membership = Membership.objects.filter(workspace=OuterRef("workspace"), user=OuterRef("user"))
    keys = ApiKey.objects.filter(workspace=workspace_id).annotate(
        owner_role=Subquery(membership.values("role")[:1])
    )
    has_access = Q(user__is_active=True, owner_role__isnull=False)
    if access != ANY:
        keys = keys.filter(has_access if access == ACTIVE else ~has_access)
    return keys.select_related("user").prefetch_related("secrets")


def admin_keys_of(workspace_id: UUID) -> QuerySet[ApiKey]:
    """Return the keys that manage the workspace and are not revoked."""
    return keys_of(workspace_id).filter(scopes__contains=Scope.MEMBERS, revoked_at=None)


def key_page(keys: QuerySet[ApiKey], page: PageRequest) -> Page[ApiKey]:
    return read_page(keys, page, partial(parse_id, KEY))


def key_of(principal: Principal) -> ApiKey | None:
    """Return the key that a principal came with; None in a session."""
    return None if principal.key_id is None else ApiKey.objects.filter(pk=principal.key_id).first()


def find_key(keys: QuerySet[ApiKey], public_id: str) -> ApiKey:
    """Return one of these keys. Raises `NotFound`."""
    id = parse_id(KEY, public_id)
    found = keys.filter(pk=id).first() if id else None
    if found is None:
        raise NotFound("There is no such API key.", param="key_id")
    return found


def valid_secrets_of(key: ApiKey) -> list[KeySecret]:
    """Return the secrets that still work, the newest first; none of a key that is revoked or expired."""
    if key.state != "active":
        return []
    now = timezone.now()
    valid = [one for one in key.secrets.all() if one.expires_at is None or one.expires_at > now]
    return sorted(valid, key=lambda secret: (secret.created_at, secret.pk), reverse=True)


def older_secrets_end(key: ApiKey) -> datetime | None:
    """Return when the last of the valid secrets but the newest ends; None if there are no others."""
    return max((one.expires_at for one in valid_secrets_of(key)[1:] if one.expires_at), default=None)
