"""What each role, key and end-user token may do in a workspace: one table, which the documentation shows.

A key does what both its scopes and its user's role allow; an end-user token less than its key.
"""

from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache

from accounts.roles import Role
from core.value import Value


class Scope(StrEnum):
    """What a key may be used for."""

    COMPLETIONS = "completions"
    HISTORY_READ = "history.read"
    HISTORY_WRITE = "history.write"
    FILES = "files"
    USAGE = "usage"
    MEMBERS = "members"


class Permission(StrEnum):
    COMPLETIONS = "completions"
    HISTORY_READ = "history.read"
    HISTORY_WRITE = "history.write"
    HISTORY_OF_KEYS = "history.keys"
    FILES = "files"
    USAGE = "usage"
    USAGE_OF_ALL = "usage.all"
    BILLING = "billing"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    KEYS = "keys"
    END_USER_TOKENS = "end_user_tokens"
    WORKSPACE = "workspace"
    OWNERSHIP = "ownership"
    ACCOUNT = "account"


class Grant(Value, frozen=True):
    """Who has a permission: these roles in their sessions, keys with one of these scopes, tokens.

    `of_keys_only`: people in sessions do not have it, only their keys.
    """

    meaning: str
    roles: frozenset[Role]
    scopes: frozenset[Scope] = frozenset()
    tokens: bool = False
    of_keys_only: bool = False


_ALL = frozenset(Role)
_WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER})
_ADMINS = frozenset({Role.OWNER, Role.ADMIN})
_OWNERS = frozenset({Role.OWNER})


def _scopes(*scopes: Scope) -> frozenset[Scope]:
    return frozenset(scopes)


GRANTS: dict[Permission, Grant] = {
    Permission.COMPLETIONS: Grant(
        "have answers, speech and transcripts made, and stop them", _WRITERS, _scopes(Scope.COMPLETIONS), True
    ),
    Permission.HISTORY_READ: Grant(
        "read and continue conversations, and read stored completions: one's own, and what is shared",
        _ALL,
        _scopes(Scope.HISTORY_READ),
        True,
    ),
    Permission.HISTORY_WRITE: Grant(
        "change and delete one's own conversations, and share them, but for tokens",
        _WRITERS,
        _scopes(Scope.HISTORY_WRITE),
        True,
    ),
    Permission.HISTORY_OF_KEYS: Grant(
        "read, change and delete, in a session, the conversations and files that keys made", _ADMINS
    ),
    Permission.FILES: Grant(
        "upload, read and delete one's own files, and share them, but for tokens; name them in messages",
        _WRITERS,
        _scopes(Scope.FILES),
        True,
    ),
    Permission.USAGE: Grant("see what oneself used, and its cost", _ALL, _scopes(Scope.USAGE)),
    Permission.USAGE_OF_ALL: Grant(
        "see what the workspace used, by member and by key", _ADMINS, _scopes(Scope.USAGE)
    ),
    Permission.BILLING: Grant("see balance, transactions and statements", _ADMINS, _scopes(Scope.USAGE)),
    Permission.MEMBERS_READ: Grant(
        "see the members and their roles", frozenset({*_WRITERS, Role.REVIEWER}), _scopes(Scope.MEMBERS)
    ),
    Permission.MEMBERS_WRITE: Grant(
        "invite and remove members, and change their roles", _ADMINS, _scopes(Scope.MEMBERS)
    ),
    Permission.KEYS: Grant("make, change, roll and revoke API keys", _ADMINS, _scopes(Scope.MEMBERS)),
    Permission.END_USER_TOKENS: Grant(
        "make and revoke tokens for end users",
        _WRITERS,
        _scopes(Scope.COMPLETIONS, Scope.HISTORY_READ, Scope.HISTORY_WRITE, Scope.FILES),
        of_keys_only=True,
    ),
    Permission.WORKSPACE: Grant("rename the workspace", _ADMINS, _scopes(Scope.MEMBERS)),
    Permission.OWNERSHIP: Grant("make owners, hand the workspace over, and delete it", _OWNERS),
    Permission.ACCOUNT: Grant(
        "manage oneself: make workspaces, leave them, accept invitations, export one's data, delete one's "
        "account",
        _ALL,
    ),
}

DEFAULT_SCOPES = (Scope.COMPLETIONS, Scope.HISTORY_READ, Scope.HISTORY_WRITE, Scope.FILES, Scope.USAGE)
"""The scopes of a key that is made without naming any: all but the management of the workspace."""
TOKEN_SCOPES = (Scope.COMPLETIONS, Scope.HISTORY_READ, Scope.HISTORY_WRITE, Scope.FILES)
"""The scopes that an end-user token can have."""

Permissions = frozenset[Permission]


def permissions_in_session(role: Role) -> Permissions:
    return _in_session(role)


def permissions_of_key(role: Role, scopes: Collection[Scope]) -> Permissions:
    """Return what a key of somebody with this role may do: nothing, where that is a reviewer."""
    return _of_key(role, frozenset(scopes))


def permissions_of_token(
    role: Role, key_scopes: Collection[Scope], token_scopes: Collection[Scope]
) -> Permissions:
    of_key = permissions_of_key(role, set(key_scopes) & set(token_scopes))
    return frozenset(permission for permission in of_key if GRANTS[permission].tokens)


@lru_cache
def _in_session(role: Role) -> Permissions:
    return frozenset(
        permission for permission, grant in GRANTS.items() if role in grant.roles and not grant.of_keys_only
    )


@lru_cache
def _of_key(role: Role, scopes: frozenset[Scope]) -> Permissions:
    if role not in _WRITERS:
        return frozenset()
    return frozenset(
        permission for permission, grant in GRANTS.items() if role in grant.roles and scopes & grant.scopes
    )


@lru_cache
def parse_scopes(text: str) -> tuple[Scope, ...]:
    """Return the scopes that are stored as their names with spaces between."""
    return tuple(Scope(name) for name in text.split())


def format_scopes(scopes: Collection[Scope]) -> str:
    """Return the scopes as they are stored: in one order, none twice."""
    return " ".join(scope for scope in Scope if scope in scopes)
