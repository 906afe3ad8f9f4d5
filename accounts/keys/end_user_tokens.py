"""End-user tokens: what a server's key makes, so that a browser may act for one end user of its.

All keys of a workspace see and revoke what any of them made, as they do conversations and files; so does
whoever manages the keys.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.keys.selectors import key_of
from accounts.models import ApiKey, EndUserToken, KeySecret
from accounts.permissions import TOKEN_SCOPES, Scope, format_scopes
from accounts.principal import Principal
from accounts.secret_digests import TOKEN_PREFIX, digest_of
from core.exceptions import Forbidden, InvalidApiKey, NotFound
from core.ids import END_USER_TOKEN, parse_id
from core.pagination import Page, PageRequest, read_page
from core.value import Value

DEFAULT_SECONDS, LEAST_SECONDS, MOST_SECONDS = 900, 60, 86_400
KEPT_AFTER_EXPIRY = timedelta(days=30)
"""For how long a token is still listed after it expired."""
_BATCH = 1000


SpentOfTokens = Callable[[Collection[UUID]], Mapping[UUID, int]]
_spent_of_tokens: list[SpentOfTokens] = []


def register_spending(spent_of_tokens: SpentOfTokens) -> None:
    """Register what tells how much the calls with tokens cost and hold, in nano-USD, by the token's id."""
    _spent_of_tokens[:] = [spent_of_tokens]


def spent_of(tokens: Collection[EndUserToken]) -> Mapping[UUID, int]:
    """Return what the calls with these tokens cost and hold, in nano-USD."""
    [spent_of_tokens] = _spent_of_tokens
    return spent_of_tokens([token.pk for token in tokens])


class TokenRequest(Value, frozen=True):
    """What a token is to be. `spending_limit` is in nano-USD; `scopes` None: all that the key has."""

    end_user: str
    spending_limit: int | None
    seconds: int = DEFAULT_SECONDS
    scopes: Collection[Scope] | None = None


def create_end_user_token(
    who: Principal, wanted: TokenRequest, secret_digest: str
) -> tuple[EndUserToken, str]:
    """Make a token; return it and its secret, which cannot be shown again.

    It expires with its key at the latest, and with the secret of the key that it is made with. Raises
    `Forbidden` for a scope that the key lacks.
    """
    key, made_with = key_of(who), KeySecret.objects.filter(digest=secret_digest).first()
    if key is None or made_with is None:  # deleted at this very moment
        raise InvalidApiKey
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    try:
        token = EndUserToken.objects.create(
            workspace_id=key.workspace_id,
            key=key,
            end_user=wanted.end_user,
            digest=digest_of(secret),
            scopes=format_scopes(_scopes_of(key, wanted.scopes)),
            spending_limit=wanted.spending_limit,
            expires_at=_earliest(
                timezone.now() + timedelta(seconds=wanted.seconds), key.expires_at, made_with.expires_at
            ),
        )
    except IntegrityError:  # as above
        raise InvalidApiKey from None
    return token, secret


def _scopes_of(key: ApiKey, wanted: Collection[Scope] | None) -> Collection[Scope]:
    if wanted is None:
        return [scope for scope in TOKEN_SCOPES if scope in key.scope_list]
    lacking = [scope for scope in wanted if scope not in key.scope_list]
    if lacking:
        names = ", ".join(f"'{scope}'" for scope in lacking)
        raise Forbidden(
            f"A token can do no more than its key, and this key lacks the scope {names}.",
            param="scopes",
            code="exceeds_own_key",
        )
    return wanted


def _earliest(*moments: datetime | None) -> datetime:
    return min(moment for moment in moments if moment is not None)


def tokens_of(workspace_id: UUID, key_id: UUID | None = None) -> QuerySet[EndUserToken]:
    """Return the tokens that the keys of a workspace made, or that one of them did."""
    tokens = EndUserToken.objects.filter(workspace=workspace_id)
    return tokens if key_id is None else tokens.filter(key=key_id)


def valid_tokens_of(key: ApiKey) -> QuerySet[EndUserToken]:
    """Return the tokens of a key that still work, as long as the key does, the newest first."""
    return tokens_of(key.workspace_id, key.pk).filter(_is_valid()).order_by("-pk")


def _is_valid() -> Q:
    return Q(revoked_at=None, expires_at__gt=timezone.now())


def token_page(tokens: QuerySet[EndUserToken], page: PageRequest, end_user: str | None) -> Page[EndUserToken]:
    if end_user is not None:
        tokens = tokens.filter(end_user=end_user)
    return read_page(tokens, page, partial(parse_id, END_USER_TOKEN))


def find_token(tokens: QuerySet[EndUserToken], public_id: str) -> EndUserToken:
    """Return one of these tokens. Raises `NotFound`."""
    id = parse_id(END_USER_TOKEN, public_id)
    found = tokens.filter(pk=id).first() if id else None
    if found is None:
        raise _no_such_token()
    return found


def _no_such_token() -> NotFound:
    return NotFound("There is no such end-user token.", param="token_id")


def token_of(who: Principal) -> EndUserToken | None:
    """Return the token that a principal came with; None if they came otherwise."""
    return None if who.token_id is None else EndUserToken.objects.filter(pk=who.token_id).first()


def revoke_token(token: EndUserToken) -> None:
    """Revoke a token. Raises `NotFound` if it was deleted meanwhile."""
    rows = EndUserToken.objects.filter(pk=token.pk)
    if not rows.filter(revoked_at=None).update(revoked_at=timezone.now()) and not rows.exists():
        raise _no_such_token()


def revoke_tokens(tokens: QuerySet[EndUserToken], end_user: str | None = None) -> int:
    """Revoke those of these tokens that are for an end user, or all; return how many still worked."""
    if end_user is not None:
        tokens = tokens.filter(end_user=end_user)
    return tokens.filter(_is_valid()).update(revoked_at=timezone.now())


def delete_old_tokens() -> None:
    """Delete the tokens that expired long ago, a few at a time."""
    old = EndUserToken.objects.filter(expires_at__lt=timezone.now() - KEPT_AFTER_EXPIRY)
    while ids := list(old.values_list("pk", flat=True)[:_BATCH]):
        EndUserToken.objects.filter(pk__in=ids).delete()
