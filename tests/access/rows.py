"""The access matrix of the API: what each route needs, and who sees each object that it can be about.

Written by hand, and nothing of it read from the views: see `actors.py` for who has which permission. A new
route gets its row here, or in `sign_in_rows.py`, or in `admin_rows.py`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.access.actors import (
    ADMIN,
    INSIDE,
    KEYS,
    MEMBER,
    MEMBERS_TOKEN,
    OTHER,
    OWNERS,
    PEOPLE,
    STRANGERS,
    TOKEN,
)

PUBLIC = "public"
ANY_CALLER = "any caller"


class Row(NamedTuple):
    """What a route needs: a permission, `ANY_CALLER`, or nothing of anybody (`PUBLIC`).

    `body` is sent, with the team's ids in it; `answers` are the statuses for who is let in. `changes`: only
    those may who may change the object. `shares`: no token may. `proof`: a session must be one in which
    somebody proved lately who they are.
    """

    needs: str
    body: Mapping[str, Any] | None = None
    answers: tuple[int, ...] = (200,)
    changes: bool = False
    proof: bool = False
    shares: bool = False
    query: str = ""


HISTORY, FILES, USAGE, BILLING = Row("history.read"), Row("files"), Row("usage"), Row("billing")
READ_MEMBERS, KEY_MANAGEMENT, MAKE_TOKENS = Row("members.read"), Row("keys"), Row("end_user_tokens")
ACCOUNT = Row("account")
CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "Hello."}]}
SHARE = {"visibility": "private"}
BULK = {"ids": ["conv_" + "0" * 32], "action": "pin"}
PROJECTS = "/v1/organization/projects"
PROJECT = f"{PROJECTS}/<str:project_id>"
PROJECT_KEYS = f"{PROJECT}/api_keys"
ADMIN_KEYS = "/v1/organization/admin_api_keys"
STATEMENTS = "/v1/billing/statements"
ITEM = "/v1/conversations/<str:conversation_id>/items/<str:item_id>"

API: dict[str, Row] = {
    # --- for everybody, and for every caller
    "GET /livez": Row(PUBLIC),
    "GET /healthz": Row(PUBLIC),
    "GET /openapi.json": Row(PUBLIC),
    "GET /docs": Row(PUBLIC),
    "GET /docs/<path:name>": Row(PUBLIC, answers=(200, 404)),
    "GET /v1/models": Row(ANY_CALLER),
    "GET /v1/models/<path:model_id>": Row(ANY_CALLER),
    "GET /v1/audio/voices": Row(ANY_CALLER),
    # --- oneself
    "GET /v1/me": Row(ANY_CALLER),
    "DELETE /v1/me": Row("account", body={"confirm": "somebody else"}, answers=(400,), proof=True),
    "GET /v1/me/exports": ACCOUNT,
    "POST /v1/me/exports": Row("account", answers=(202,), proof=True),
    "GET /v1/me/exports/<str:export_id>": ACCOUNT,
    "DELETE /v1/me/exports/<str:export_id>": ACCOUNT,
    "GET /v1/requests/<str:request_id>": HISTORY,
    "POST /v1/invitations/accept": Row("account", body={"token": "{invitation}"}, answers=(200, 409)),
    # --- history
    "GET /v1/search": Row("history.read", query="q=sea"),
    "GET /v1/conversations": HISTORY,
    "POST /v1/conversations": Row("history.write", body={"title": "New"}),
    "POST /v1/conversations/bulk": Row("history.write", body=BULK, answers=(404,)),
    "GET /v1/conversations/<str:conversation_id>": HISTORY,
    "POST /v1/conversations/<str:conversation_id>": Row(
        "history.write", body=SHARE, changes=True, shares=True
    ),
    "PATCH /v1/conversations/<str:conversation_id>": Row(
        "history.write", body=SHARE, changes=True, shares=True
    ),
    "DELETE /v1/conversations/<str:conversation_id>": Row("history.write", changes=True),
    "POST /v1/conversations/<str:conversation_id>/restore": Row("history.write", changes=True),
    "GET /v1/conversations/<str:conversation_id>/items": HISTORY,
    "POST /v1/conversations/<str:conversation_id>/items": Row(
        "history.write", body={"items": [{"role": "user", "content": "Hi."}]}, changes=True
    ),
    f"GET {ITEM}": HISTORY,
    f"POST {ITEM}": Row("history.write", body={"content": "Hi."}, changes=True),
    f"DELETE {ITEM}": Row("history.write", changes=True),
    "GET /v1/chat/completions": HISTORY,
    "GET /v1/chat/completions/<str:completion_id>": HISTORY,
    "POST /v1/chat/completions/<str:completion_id>": Row(
        "history.write", body={"metadata": {"topic": "numbers"}}, changes=True
    ),
    "DELETE /v1/chat/completions/<str:completion_id>": Row("history.write", changes=True),
    "GET /v1/chat/completions/<str:completion_id>/messages": HISTORY,
    "POST /v1/chat/completions/<str:completion_id>/cancel": Row("completions", changes=True),
    "POST /v1/chat/completions/cancel": Row("completions", answers=(400,)),  # without a key
    "GET /v1/chat/completions/<str:completion_id>/feedback": HISTORY,
    "POST /v1/chat/completions/<str:completion_id>/feedback": Row(
        "history.write", body={"thumbs": "up"}, changes=True
    ),
    # --- files
    "GET /v1/files": FILES,
    "GET /v1/files/<str:file_id>": FILES,
    "POST /v1/files/<str:file_id>": Row("files", body=SHARE, changes=True, shares=True),
    "DELETE /v1/files/<str:file_id>": Row("files", changes=True),
    "GET /v1/files/<str:file_id>/renditions": FILES,
    # --- usage and money
    "GET /v1/organization/usage/completions": Row("usage", query="start_time=1767225600&limit=1"),
    "GET /v1/organization/costs": Row("usage", query="start_time=1767225600&limit=1"),
    "GET /v1/billing/balance": BILLING,
    "GET /v1/billing/transactions": BILLING,
    "GET /v1/billing/transactions/<str:transaction_id>": BILLING,
    f"GET {STATEMENTS}": BILLING,
    f"GET {STATEMENTS}/<str:month>.csv": BILLING,
    f"GET {STATEMENTS}/<str:month>.html": BILLING,
    f"GET {STATEMENTS}/<str:month>": BILLING,
    # --- members and invitations of the workspace that one acts in
    "GET /v1/organization/users": READ_MEMBERS,
    "GET /v1/organization/users/<str:user_id>": READ_MEMBERS,
    "POST /v1/organization/users/<str:user_id>": Row("members.write", body={"role": "reviewer"}),
    "DELETE /v1/organization/users/<str:user_id>": Row("members.write"),
    "GET /v1/organization/invites": READ_MEMBERS,
    "POST /v1/organization/invites": Row("members.write", body={"role": "reader"}),
    "GET /v1/organization/invites/<str:invite_id>": READ_MEMBERS,
    "DELETE /v1/organization/invites/<str:invite_id>": Row("members.write"),
    # --- workspaces
    f"GET {PROJECTS}": READ_MEMBERS,
    f"POST {PROJECTS}": Row("account", body={"name": "Another"}),
    f"GET {PROJECT}": READ_MEMBERS,
    f"POST {PROJECT}": Row("workspace", body={"name": "Renamed"}),
    f"DELETE {PROJECT}": Row("ownership", body={"confirm": "The team"}, proof=True),
    f"POST {PROJECT}/leave": Row("account", answers=(200, 409)),  # but for the only owner
    f"POST {PROJECT}/hand_over": Row("ownership", body={"user_id": "{admin}"}, proof=True),
    f"GET {PROJECT}/users": READ_MEMBERS,
    f"POST {PROJECT}/users": Row("members.write", answers=(400,)),  # people join by an invitation
    f"GET {PROJECT}/users/<str:user_id>": READ_MEMBERS,
    f"POST {PROJECT}/users/<str:user_id>": Row("members.write", body={"role": "reviewer"}),
    f"DELETE {PROJECT}/users/<str:user_id>": Row("members.write"),
    # --- keys
    f"GET {PROJECT_KEYS}": KEY_MANAGEMENT,
    f"POST {PROJECT_KEYS}": Row("keys", body={"scopes": ["members"]}, proof=True),
    f"GET {PROJECT_KEYS}/<str:key_id>": KEY_MANAGEMENT,
    f"POST {PROJECT_KEYS}/<str:key_id>": Row("keys", body={"name": "Renamed"}),
    f"DELETE {PROJECT_KEYS}/<str:key_id>": Row("keys"),
    f"POST {PROJECT_KEYS}/<str:key_id>/roll": Row("keys", proof=True),
    f"GET {PROJECT_KEYS}/<str:key_id>/end_user_tokens": KEY_MANAGEMENT,
    f"DELETE {PROJECT_KEYS}/<str:key_id>/end_user_tokens/<str:token_id>": KEY_MANAGEMENT,
    f"GET {ADMIN_KEYS}": KEY_MANAGEMENT,
    f"POST {ADMIN_KEYS}": Row("keys", body={"name": "New"}, proof=True),
    f"GET {ADMIN_KEYS}/<str:key_id>": KEY_MANAGEMENT,
    f"DELETE {ADMIN_KEYS}/<str:key_id>": Row("keys"),
    # --- end-user tokens
    "GET /v1/end_user_tokens": MAKE_TOKENS,
    "POST /v1/end_user_tokens": Row("end_user_tokens", body={"user": "zoe"}),
    "POST /v1/end_user_tokens/revoke": Row("end_user_tokens", body={"user": "xavier"}),
    "GET /v1/end_user_tokens/<str:token_id>": MAKE_TOKENS,
    "DELETE /v1/end_user_tokens/<str:token_id>": MAKE_TOKENS,
}

ASGI: dict[str, Row] = {
    "POST /chat/completions": Row("completions", body=CHAT),
    "POST /v1/chat/completions": Row("completions", body=CHAT),
    "POST /v1/audio/speech": Row("completions", answers=(400,)),  # without a body
    "POST /v1/audio/transcriptions": Row("completions", answers=(415,)),  # without a form
    "POST /v1/audio/translations": Row("completions", answers=(415,)),
    "POST /v1/files": Row("files", answers=(415,)),
    "GET /v1/files/<str:file_id>/content": FILES,
    "GET /v1/me/exports/<str:export_id>/content": ACCOUNT,
    "GET /media/<str:token>": Row(PUBLIC),  # for anybody whom somebody gave the address
}


class Audience(NamedTuple):
    """Who sees an object, and who of them may change it."""

    sees: set[str]
    changes: set[str]


OWN, SHARED, FOR_XAVIER = "the member's own", "shared by the member", "made by a key for xavier"
IN_THE_TEAM, ANOTHERS = "in the workspace", "the other member's"
_MANAGERS_AND_KEYS = {*OWNERS, ADMIN, *KEYS}
_ALL_INSIDE = {*PEOPLE, *KEYS}
_OWNED = {
    OWN: Audience({MEMBER}, {MEMBER}),
    SHARED: Audience({*PEOPLE}, {MEMBER}),
    FOR_XAVIER: Audience(
        {*_MANAGERS_AND_KEYS, TOKEN, MEMBERS_TOKEN}, {*_MANAGERS_AND_KEYS, TOKEN, MEMBERS_TOKEN}
    ),
}
_OF_THE_WORKSPACE = {IN_THE_TEAM: Audience(_ALL_INSIDE, _ALL_INSIDE)}

AUDIENCES: dict[str, dict[str, Audience]] = {
    "conversation_id": _OWNED,
    "conversation_id/item_id": _OWNED,
    "completion_id": _OWNED,
    "file_id": _OWNED,
    "request_id": {
        OWN: Audience({MEMBER}, set()),
        FOR_XAVIER: Audience({*_MANAGERS_AND_KEYS, TOKEN, MEMBERS_TOKEN}, set()),
    },
    "export_id": {OWN: Audience({MEMBER}, {MEMBER}), ANOTHERS: Audience({OTHER}, {OTHER})},
    "project_id": _OF_THE_WORKSPACE,
    "user_id": _OF_THE_WORKSPACE,
    "invite_id": _OF_THE_WORKSPACE,
    "key_id": _OF_THE_WORKSPACE,
    "token_id": _OF_THE_WORKSPACE,  # whichever of its keys made it
    "key_id/token_id": _OF_THE_WORKSPACE,  # the key that made it, and no other
    "model_id": {"served": Audience({*INSIDE, *STRANGERS}, set())},
    "transaction_id": _OF_THE_WORKSPACE,
    "month": _OF_THE_WORKSPACE,
}
"""Of each argument of a route: the objects that it may name, and who sees them, if they may do so at all."""
