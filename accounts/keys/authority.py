"""What a caller may do with API keys beyond the permission to: never give more than they have.

A person in a session gives any scopes, since the role of a key's user bounds what the key may do. A key gives
at most its own scopes, until its own expiry, within its own limits; and it neither changes nor revokes a key
with scopes that it lacks, or it could take others down, or over. That is so of keys alone: one with the scope
`members` is as good as an admin, who could let somebody in.

Owners and admins manage the keys of all members. But a key acts in the name of its user and lives as long as
their membership: an admin who widened another's key, whose secret they know, would keep a way in after they
left. So only its user and owners give a key more; an admin may narrow it, revoke it, or roll it, which makes
it theirs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.keys.selectors import key_of
from accounts.models import LIMITS, ApiKey, Membership
from accounts.permissions import Scope
from accounts.principal import Principal
from accounts.roles import Role
from core.exceptions import Forbidden, InvalidApiKey

BoundOfKey = Callable[[UUID], str | None]
_bounds: list[BoundOfKey] = []


def register_bound(bound_of_key: BoundOfKey) -> None:
    """Register what tells, in words, of a bound on a key that a key which it makes would not have."""
    _bounds.append(bound_of_key)


class KeyAuthority:
    """What one caller may do with keys. It reads the caller's own key, if they came with one, once.

    What it is asked about a key must be asked while that is locked: a roll gives it to another user.
    """

    def __init__(self, who: Principal) -> None:
        self._who = who
        self._own = key_of(who)
        if self._own is None and who.key_id is not None:  # deleted at this very moment
            raise InvalidApiKey

    def complete(self, wanted: Mapping[str, Any], default_scopes: Collection[Scope]) -> dict[str, Any]:
        """Return what a new key is to have: of what is left out, defaults, as far as the caller has them."""
        own = self._own
        if own is None:
            return {"scopes": tuple(default_scopes), **wanted}
        scopes = tuple(scope for scope in default_scopes if scope in own.scope_list)
        inherited = {name: getattr(own, name) for name in ("expires_at", *LIMITS)}
        return {"scopes": scopes, **inherited, **wanted}

    def check_may_give(self, values: Mapping[str, Any]) -> None:
        """Raise `Forbidden` if a key with these scopes, expiry and limits could do more than the caller's."""
        own = self._own
        if own is None:
            return
        for bound_of_key in _bounds:
            if bound := bound_of_key(own.pk):
                raise _exceeds_own_key(f"has {bound}, which another key would not have", None)
        if "scopes" in values:
            if not values["scopes"]:
                raise _exceeds_own_key("has none of the scopes that a key usually gets. Name some", "scopes")
            _check_scopes(own, values["scopes"])
        if "expires_at" in values and _ends_later(own.expires_at, values["expires_at"]):
            raise _exceeds_own_key("expires earlier", "expires_at")
        for name in LIMITS:
            if name in values and _is_looser(getattr(own, name), values[name]):
                raise _exceeds_own_key(f"has a limit of {getattr(own, name)}", name)

    def check_may_change(self, key: ApiKey, changes: Mapping[str, Any]) -> None:
        """Raise `Forbidden` unless the caller may make these changes to a key."""
        self.check_may_revoke(key)
        self.check_may_give(changes)
        is_own = key.user_id == self._who.user_id
        if not is_own and _widens(key, changes) and not self._is_owner:
            raise Forbidden(
                "This key is of another member: only they and owners of the workspace give it more scopes, a "
                "later expiry or looser limits. Roll it first, which makes it yours.",
                code="insufficient_permissions",
            )

    @property
    def _is_owner(self) -> bool:
        who = self._who
        members = Membership.objects.filter(workspace=who.workspace_id, user=who.user_id, role=Role.OWNER)
        return members.exists()

    def check_may_roll(self, key: ApiKey) -> None:
        """Raise `Forbidden` unless the caller may have a secret of this key."""
        given = {name: getattr(key, name) for name in ("expires_at", *LIMITS)}
        self.check_may_give({"scopes": key.scope_list, **given})

    def check_may_revoke(self, key: ApiKey) -> None:
        if self._own is not None:
            _check_scopes(self._own, key.scope_list)


def _check_scopes(own: ApiKey, scopes: Iterable[Scope]) -> None:
    lacking = [scope for scope in scopes if scope not in own.scope_list]
    if lacking:
        names = ", ".join(f"'{scope}'" for scope in lacking)
        raise _exceeds_own_key(f"lacks {names}", "scopes")


def _ends_later(own: datetime | None, other: datetime | None) -> bool:
    return own is not None and (other is None or other > own)


def _is_looser(own: int | None, other: int | None) -> bool:
    return bool(own) and (not other or other > (own or 0))


def _widens(key: ApiKey, changes: Mapping[str, Any]) -> bool:
    return (
        not set(changes.get("scopes", ())) <= set(key.scope_list)
        or ("expires_at" in changes and _ends_later(key.expires_at, changes["expires_at"]))
        or any(_is_looser(getattr(key, name), changes[name]) for name in LIMITS if name in changes)
    )


def _exceeds_own_key(why: str, param: str | None) -> Forbidden:
    return Forbidden(
        f"A key can make, change, roll and revoke only keys that may do no more than itself. The one that "
        f"you use {why}.",
        param=param,
        code="exceeds_own_key",
    )
