"""Examples in the API's document: Alice, the workspace that she owns and Bob is in, its keys and tokens."""

from typing import Any

from core.http.examples import (
    ALICE,
    BOB,
    END_USER,
    KEY_CREATED_AT,
    KEY_ID,
    NOON,
    PROJECT_CREATED_AT,
    PROJECT_ID,
    deleted,
    sent,
    shown,
)

ADMIN_KEY_ID = "key_019b126ea9e87d4e8f5a6b7c8d9e0f10"
INVITATION_ID = "invite_019b796dd6007a0b9c1d2e3f40516273"
TOKEN_ID = "eut_019b796dd6007b1c8d2e3f4a5b6c7d8e"  # noqa: S105 (an id)
_PROJECT_NAME, _PREFIX = "Travel desk", "sk-chatapi-3vQm"
_SCOPES = ["completions", "history.read", "history.write", "files", "usage"]
_TOKEN_SCOPES = ["completions", "history.read", "history.write", "files"]
_WEEK = 7 * 86_400

# --- oneself --------------------------------------------------------------------------------------

_ACCOUNT = {
    "id": ALICE,
    "object": "user",
    "email": "alice@example.com",
    "first_name": "Alice",
    "last_name": "Berg",
    "created_at": PROJECT_CREATED_AT,
    "is_staff": False,
}
SHOWN_ME = shown(
    "Alice's server, by its key",
    _ACCOUNT
    | {
        "workspaces": [
            {
                "id": PROJECT_ID,
                "object": "workspace",
                "name": _PROJECT_NAME,
                "role": "owner",
                "personal": False,
                "current": True,
            }
        ],
        "permissions": [
            *("completions", "history.read", "history.write", "files", "usage", "usage.all", "billing"),
            "end_user_tokens",
        ],
        "authentication": {
            "method": "api_key",
            "key": {
                "id": KEY_ID,
                "prefix": _PREFIX,
                "name": "Travel site",
                "scopes": _SCOPES,
                "expires_at": None,
            },
        },
        "csrf_token": None,
    },
)
SHOWN_END_USER = shown(
    "An end user, by a token",
    {
        "id": END_USER,
        "object": "end_user",
        "permissions": ["completions", "history.read", "history.write", "files"],
        "authentication": {
            "method": "end_user_token",
            "id": TOKEN_ID,
            "scopes": _TOKEN_SCOPES,
            "expires_at": NOON + 900,
            "spending_limit_usd": "0.50",
            "spent_usd": "0.00018",
        },
    },
)
ACCOUNT_DELETED = deleted(ALICE, "user.deleted")

# --- workspaces and members -----------------------------------------------------------------------


def _member(object: str) -> dict[str, Any]:
    return {
        "id": BOB,
        "object": object,
        "name": "Bob Dahl",
        "email": "bob@example.com",
        "role": "member",
        "added_at": KEY_CREATED_AT,
    }


SHOWN_ORGANIZATION_USER = shown("Bob", _member("organization.user"))
SHOWN_PROJECT_USER = shown("Bob", _member("organization.project.user"))
ORGANIZATION_USER_DELETED = deleted(BOB, "organization.user.deleted")
PROJECT_USER_DELETED = deleted(BOB, "organization.project.user.deleted")
MEMBER_CHANGES = sent("Bob becomes an admin", {"role": "admin"})
SHOWN_PROJECT = shown(
    "Alice's workspace",
    {
        "id": PROJECT_ID,
        "object": "organization.project",
        "name": _PROJECT_NAME,
        "status": "active",
        "role": "owner",
        "personal": False,
        "created_at": PROJECT_CREATED_AT,
    },
)
PROJECT_CHANGES = sent("A name", {"name": _PROJECT_NAME})
PROJECT_DELETED = deleted(PROJECT_ID, "organization.project.deleted")
HAND_OVER = sent("To Bob", {"user_id": BOB})

# --- invitations ----------------------------------------------------------------------------------

_INVITATION = {
    "id": INVITATION_ID,
    "object": "organization.invite",
    "email": "carol@example.com",
    "role": "reader",
    "workspace_role": "member",
    "status": "pending",
    "projects": [{"id": PROJECT_ID, "role": "member"}],
    "created_at": NOON,
    "expires_at": NOON + _WEEK,
    "accepted_at": None,
    "revoked_at": None,
    "invited_by": ALICE,
}
_IN_LINK = "8qJm2x5KpT7vXcZr4nLwB9sYdF1hGeUa"
SHOWN_INVITATION = shown("One by mail", _INVITATION)
CREATED_INVITATION = shown(
    "One by mail",
    _INVITATION | {"link": f"https://chat.example.com/accounts/invitations/{_IN_LINK}/"},
)
NEW_INVITATION = sent("By mail", {"email": "carol@example.com", "role": "member"})
INVITATION_DELETED = deleted(INVITATION_ID, "organization.invite.deleted")
ACCEPTANCE = sent("The token of a link", {"token": _IN_LINK})

# --- keys -----------------------------------------------------------------------------------------

_OWNER = {
    "id": ALICE,
    "object": "organization.user",
    "created_at": PROJECT_CREATED_AT,
    "email": "alice@example.com",
    "name": "Alice Berg",
    "role": "owner",
}
_KEY = {
    "id": KEY_ID,
    "object": "organization.project.api_key",
    "created_at": KEY_CREATED_AT,
    "last_used_at": NOON,
    "expires_at": None,
    "name": "Travel site",
    "redacted_value": f"{_PREFIX}...",
    "scopes": _SCOPES,
    "owner": {"type": "user", "user": _OWNER},
    "owner_project_access": "active",
    "requests_per_minute": 600,
    "tokens_per_minute": None,
    "concurrent_streams": 20,
    "revoked_at": None,
    "status": "active",
    "secrets": {"valid": 1, "older_expire_at": None},
}
_ADMIN_KEY = {
    "id": ADMIN_KEY_ID,
    "object": "organization.admin_api_key",
    "created_at": KEY_CREATED_AT,
    "last_used_at": None,
    "expires_at": NOON + 30 * 86_400,
    "name": "Staff directory",
    "redacted_value": "sk-chatapi-9wRk...",
    "scopes": ["usage", "members"],
    "owner": {**_OWNER, "type": "user"},
}
SHOWN_KEY = shown("The travel site's", _KEY)
NEW_KEY = shown(
    "The travel site's",
    _KEY | {"last_used_at": None, "value": f"{_PREFIX}8nXc2LpT7…"},
)
KEY_FIELDS = sent(
    "Of a server that makes answers",
    {
        "name": "Travel site",
        "scopes": _SCOPES,
        "requests_per_minute": 600,
        "concurrent_streams": 20,
    },
)
KEY_ROLL = sent("The secret before works for a day", {"overlap_seconds": 86_400})
KEY_DELETED = deleted(KEY_ID, "organization.project.api_key.deleted")
SHOWN_ADMIN_KEY = shown("Of a program that invites people", _ADMIN_KEY)
NEW_ADMIN_KEY = shown(
    "Of a program that invites people",
    _ADMIN_KEY | {"value": "sk-chatapi-9wRkT4bVx7…"},
)
ADMIN_KEY_FIELDS = sent("For 30 days", {"name": "Staff directory", "expires_in_seconds": 30 * 86_400})
ADMIN_KEY_DELETED = deleted(ADMIN_KEY_ID, "organization.admin_api_key.deleted")

# --- end-user tokens ------------------------------------------------------------------------------

_TOKEN = {
    "id": TOKEN_ID,
    "object": "end_user_token",
    "created_at": NOON,
    "expires_at": NOON + 900,
    "revoked_at": None,
    "user": END_USER,
    "scopes": _TOKEN_SCOPES,
    "spending_limit_usd": "0.50",
    "spent_usd": "0.00018",
}
SHOWN_TOKEN = shown("Of a customer", _TOKEN)
NEW_TOKEN = shown(
    "For a customer",
    _TOKEN | {"spent_usd": "0.00", "token": "ut-chatapi-K2xV7mQz4L…"},
)
TOKEN_FIELDS = sent(
    "For a customer",
    {"user": END_USER, "expires_in_seconds": 900, "spending_limit_usd": "0.50"},
)
TOKEN_DELETED = deleted(TOKEN_ID, "end_user_token.deleted")
END_USER_OF_TOKENS = sent("A customer who signs out", {"user": END_USER})
TOKENS_REVOKED = shown(
    "Two of a customer's", {"object": "end_user_token.revocation", "user": END_USER, "revoked": 2}
)
