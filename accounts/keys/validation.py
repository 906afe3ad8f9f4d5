"""Keys and end-user tokens by their secrets: which are valid, and whom they act for."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import LIMITS, EndUserToken, KeySecret
from accounts.permissions import parse_scopes, permissions_of_key, permissions_of_token
from accounts.principal import Principal
from accounts.ratelimits.limits import Limits
from accounts.roles import Role
from accounts.secret_digests import TOKEN_PREFIX, digest_of
from core.bulk_sql import fetch_query, id_from_driver
from core.exceptions import InvalidApiKey

_BATCH = 32
_KEY_FIELDS = (
    *("workspace_id", "user_id", "id", "user__memberships__role", "scopes"),
    *LIMITS,
    *(f"workspace__{name}" for name in LIMITS),
)
_OF_SECRET = tuple(f"key__{name}" for name in _KEY_FIELDS)
_OF_TOKEN = (*_OF_SECRET, "id", "end_user", "scopes")


def valid_secrets(digests: Iterable[str]) -> set[str]:
    """Return those of these digests that are of valid secrets of keys.

    Neither secret nor key is expired, the key is not revoked, and it belongs to an active user who is a
    member of the key's workspace.
    """
    return _valid(_valid_secret_digests, digests)


def valid_tokens(digests: Iterable[str]) -> set[str]:
    """Return those of these digests that are of valid end-user tokens, whose keys are valid."""
    return _valid(_valid_token_digests, digests)


def _valid(build_query: Callable[..., QuerySet[Any, Any]], digests: Iterable[str]) -> set[str]:
    now, remaining = timezone.now(), list(set(digests))
    found: set[str] = set()
    while remaining:
        batch, remaining = remaining[:_BATCH], remaining[_BATCH:]
        padding = [""] * (_BATCH - len(batch)) if len(batch) > 1 else []  # few statements, each prepared once
        found.update(digest for (digest,) in fetch_query(build_query, now, *batch, *padding))
    return found


def _valid_secret_digests(now: datetime, *digests: str) -> QuerySet[KeySecret, Any]:
    return _of_valid_keys(KeySecret.objects.filter(digest__in=digests), now).values_list("digest")


def _valid_token_digests(now: datetime, *digests: str) -> QuerySet[EndUserToken, Any]:
    tokens = EndUserToken.objects.filter(digest__in=digests, revoked_at=None)
    return _of_valid_keys(tokens, now).values_list("digest")


def _valid_secret(now: datetime, digest: str) -> QuerySet[KeySecret, Any]:
    return _of_valid_keys(KeySecret.objects.filter(digest=digest), now).values_list(*_OF_SECRET)


def _valid_token(now: datetime, digest: str) -> QuerySet[EndUserToken, Any]:
    tokens = EndUserToken.objects.filter(digest=digest, revoked_at=None)
    return _of_valid_keys(tokens, now).values_list(*_OF_TOKEN)


def _of_valid_keys(rows: QuerySet[Any, Any], now: datetime) -> QuerySet[Any, Any]:
    return rows.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        Q(key__expires_at=None) | Q(key__expires_at__gt=now),
        key__revoked_at=None,
        key__user__is_active=True,
        key__user__memberships__workspace=F("key__workspace"),
    )


def limits_of_workspace(requests: int | None, tokens: int | None, streams: int | None) -> Limits:
    return Limits(
        settings.CHATAPI_REQUESTS_PER_MINUTE if requests is None else requests,
        settings.CHATAPI_TOKENS_PER_MINUTE if tokens is None else tokens,
        settings.CHATAPI_CONCURRENT_STREAMS if streams is None else streams,
    )


def _limits_of_key(requests: int | None, tokens: int | None, streams: int | None) -> Limits:
    return Limits(requests or 0, tokens or 0, streams or 0)


def principal_of_secret(secret: str) -> Principal:
    """Return whom a key or an end-user token acts for. Raises `InvalidApiKey`."""
    digest, now, is_token = digest_of(secret), timezone.now(), secret.startswith(TOKEN_PREFIX)
    if is_token:
        for row in fetch_query(_valid_token, now, digest):
            return _principal_of_token(*row)
    else:
        for row in fetch_query(_valid_secret, now, digest):
            return _principal_of_key(*row)
    raise InvalidApiKey(is_token=is_token)


def principals_of_digests(digests: Collection[str]) -> dict[str, Principal]:
    """Return whom the keys and end-user tokens with these digests act for; none for those not valid."""
    now = timezone.now()
    keys = _of_valid_keys(KeySecret.objects.filter(digest__in=digests), now)
    tokens = _of_valid_keys(EndUserToken.objects.filter(digest__in=digests, revoked_at=None), now)
    return {
        **{digest: _principal_of_key(*row) for digest, *row in keys.values_list("digest", *_OF_SECRET)},
        **{digest: _principal_of_token(*row) for digest, *row in tokens.values_list("digest", *_OF_TOKEN)},
    }


def _principal_of_key(
    workspace_id: Any, user_id: int, key_id: Any, role: str, scopes: str, *limits: int | None
) -> Principal:
    return Principal(
        id_from_driver(workspace_id),
        user_id,
        id_from_driver(key_id),
        limits_of_workspace(*limits[3:]),
        _limits_of_key(*limits[:3]),
        permissions_of_key(Role(role), parse_scopes(scopes)),
    )


def _principal_of_token(*row: Any) -> Principal:
    *of_key, token_id, end_user, scopes = row
    role, key_scopes = Role(of_key[3]), parse_scopes(of_key[4])
    return msgspec.structs.replace(
        _principal_of_key(*of_key),
        permissions=permissions_of_token(role, key_scopes, parse_scopes(scopes)),
        token_id=id_from_driver(token_id),
        end_user=end_user,
    )
