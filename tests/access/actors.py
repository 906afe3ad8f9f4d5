"""Who asks: a workspace's people, its keys and their end users' tokens, strangers, and what no longer counts.

What each may do is written out here by hand, and once more in `accounts/permissions.py`: a slip in one of the
two fails.
"""

import json
import secrets
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.http import SimpleCookie
from django.test import Client
from django.test.client import ClientHandler
from django.utils import timezone

from accounts.keys.services import create_api_key
from accounts.models import ApiKey, EndUserToken, KeySecret, Membership, User, Workspace
from accounts.permissions import Scope
from accounts.roles import Role
from accounts.secret_digests import SECRET_PREFIX, TOKEN_PREFIX, digest_of
from conversations.running_answers import SCOPE_KEY
from core.ids import PROJECT, format_id
from tests.support.people import Person, person, signed_in

OWNER, ADMIN, MEMBER, OTHER, REVIEWER = "owner", "admin", "member", "other member", "reviewer"
APP, FORGED, UNPROVED = "owner in an app", "owner's browser on another site", "owner who signed in long ago"
KEY, ADMINS_KEY, MEMBERS_KEY, REVIEWERS_KEY = "key", "admin's key", "member's key", "reviewer's key"
TOKEN, MEMBERS_TOKEN, OTHER_TOKEN = "xavier's token", "xavier's token of another key", "yvonne's token"
STRANGER, STRANGERS_KEY, STRANGERS_TOKEN = "stranger", "stranger's key", "stranger's xavier's token"
INTRUDER, FORMER = "stranger who names the workspace", "former member who names the workspace"
ANONYMOUS, WRONG_KEY, WRONG_TOKEN = "anonymous", "wrong key", "wrong token"
REVOKED_KEY, EXPIRED_KEY, REPLACED_SECRET = "revoked key", "expired key", "replaced secret"
FORMER_KEY, INACTIVE_KEY = "key of who left", "key of who was deactivated"
REVOKED_TOKEN, EXPIRED_TOKEN, ORPHANED_TOKEN = "revoked token", "expired token", "token of a revoked key"
ENDED_SESSION = "ended session of an app"

OWNERS = [OWNER, APP, FORGED, UNPROVED]
PEOPLE = [*OWNERS, ADMIN, MEMBER, OTHER, REVIEWER]
KEYS = [KEY, ADMINS_KEY, MEMBERS_KEY, REVIEWERS_KEY]
TOKENS = [TOKEN, MEMBERS_TOKEN, OTHER_TOKEN]
INSIDE = [*PEOPLE, *KEYS, *TOKENS]
STRANGERS = [STRANGER, STRANGERS_KEY, STRANGERS_TOKEN]
OUTSIDE = [INTRUDER, FORMER]
"""In a session, and no members of the workspace that they name."""
UNKNOWN = [
    *(ANONYMOUS, WRONG_KEY, WRONG_TOKEN, REVOKED_KEY, EXPIRED_KEY, REPLACED_SECRET, FORMER_KEY),
    *(INACTIVE_KEY, REVOKED_TOKEN, EXPIRED_TOKEN, ORPHANED_TOKEN, ENDED_SESSION),
]
ACTORS = [*INSIDE, *STRANGERS, *OUTSIDE, *UNKNOWN]

_OWNERS_SESSION = {
    *("completions", "history.read", "history.write", "history.keys", "files", "usage", "usage.all"),
    *("billing", "members.read", "members.write", "keys", "workspace", "ownership", "account"),
}
_MANAGERS_KEY = {
    *("completions", "history.read", "history.write", "files", "usage", "usage.all", "billing"),
    *("members.read", "members.write", "keys", "workspace", "end_user_tokens"),
}
_TOKEN = {"completions", "history.read", "history.write", "files"}
MAY: dict[str, set[str]] = {
    **dict.fromkeys(OWNERS, _OWNERS_SESSION),
    ADMIN: {
        *("completions", "history.read", "history.write", "history.keys", "files", "usage", "usage.all"),
        *("billing", "members.read", "members.write", "keys", "workspace", "account"),
    },
    MEMBER: {*_TOKEN, "usage", "members.read", "account"},
    OTHER: {*_TOKEN, "usage", "members.read", "account"},
    REVIEWER: {"history.read", "usage", "members.read", "account"},
    KEY: _MANAGERS_KEY,
    ADMINS_KEY: _MANAGERS_KEY,
    MEMBERS_KEY: {*_TOKEN, "usage", "members.read", "end_user_tokens"},
    REVIEWERS_KEY: set(),
    **dict.fromkeys(TOKENS, _TOKEN),
    STRANGER: _OWNERS_SESSION,
    STRANGERS_KEY: _MANAGERS_KEY,
    STRANGERS_TOKEN: _TOKEN,
}
"""What each may do in the workspace that they act in, which a stranger's own is. The keys have all scopes."""

GIVEN_BY: dict[str, set[str]] = {
    "completions": {"completions"},
    "history.read": {"history.read"},
    "history.write": {"history.write"},
    "history.keys": set(),
    "files": {"files"},
    "usage": {"usage"},
    "usage.all": {"usage"},
    "billing": {"usage"},
    "members.read": {"members"},
    "members.write": {"members"},
    "keys": {"members"},
    "end_user_tokens": {"completions", "history.read", "history.write", "files"},
    "workspace": {"members"},
    "ownership": set(),
    "account": set(),
}
"""The scopes of which one gives a permission to an owner's key."""
SCOPES = {"completions", "history.read", "history.write", "files", "usage", "members"}


_KEY_WITH = "key with "


def key_with(scopes: set[str]) -> str:
    """Return the name of the actor that is an owner's key with these scopes alone."""
    return _KEY_WITH + (" ".join(sorted(scopes)) or "none")


def is_key(actor: str) -> bool:
    return actor in (*KEYS, STRANGERS_KEY) or actor.startswith(_KEY_WITH)


def permissions_of(actor: str) -> set[str]:
    if actor in MAY:
        return MAY[actor]
    scopes = set(actor.removeprefix(_KEY_WITH).split())
    return {permission for permission, enough in GIVEN_BY.items() if enough & scopes}


class Response:
    """An answer, and with how many queries it was made."""

    def __init__(self, answer: Any, queries: int) -> None:
        self.status: int = answer.status_code
        self.text: str = answer.text
        self.queries = queries
        self.headers = answer.headers
        self._answer = answer

    def json(self) -> Any:
        return self._answer.json()

    @property
    def words(self) -> tuple[int, str, int]:
        """What must not tell whether something is there."""
        return self.status, self.text, self.queries

    @property
    def code(self) -> str | None:
        code: str | None = self.json()["error"]["code"]
        return code


class QueryCount:
    """Counts the queries of a connection. `CaptureQueriesContext` also quotes each, by a query of its own."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, *query: Any) -> Any:
        self.count += 1
        return execute(*query)


class IdleService:
    """The service of completions, as the views need it: there is nothing to cancel."""

    def cancel_from_thread(self, completion_id: UUID) -> None: ...

    def cancel_starting_from_thread(self, workspace_id: UUID, key: str) -> bool:
        return False


class ServedHandler(ClientHandler):
    """Answers as Django does behind the ASGI application, which hands it the service."""

    def get_response(self, request: Any) -> Any:
        request.scope = {SCOPE_KEY: IdleService()}
        return super().get_response(request)


def browser(*, enforce_csrf_checks: bool = False) -> Client:
    client = Client()
    client.handler = ServedHandler(enforce_csrf_checks)
    return client


class Team:
    """A workspace that Alice owns, with people in each role, keys and tokens; and Charlie with his own."""

    def __init__(self) -> None:
        self.workspace = Workspace.objects.create(name="The team")
        self.people = {OWNER: self._member("alice", Role.OWNER)}
        for name, role in (
            (ADMIN, Role.ADMIN),
            (MEMBER, Role.MEMBER),
            (OTHER, Role.MEMBER),
            (REVIEWER, Role.REVIEWER),
            (FORMER, Role.MEMBER),
            ("inactive", Role.MEMBER),
        ):
            self.people[name] = self._member(name.split()[0], role)
        self.people[STRANGER] = person("charlie@example.com")
        self.secrets: dict[str, str] = {}
        self._cookies: dict[str, str] = {}
        self._browsers = {True: browser(enforce_csrf_checks=True), False: browser()}
        self._make_secrets()
        self._end_what_counted()

    def _member(self, name: str, role: Role) -> Person:
        user = User.objects.create_user(f"{name}@example.com")
        personal = Workspace.objects.create(name=f"{name}'s own", personal_of=user)
        Membership.objects.create(workspace=personal, user=user, role=Role.OWNER)
        Membership.objects.create(workspace=self.workspace, user=user, role=role)
        key, secret = create_api_key(self.workspace, user, scopes=[*Scope])
        return Person(user, self.workspace, secret, key.pk)

    def _make_secrets(self) -> None:
        for actor, name in (
            (KEY, OWNER),
            (ADMINS_KEY, ADMIN),
            (MEMBERS_KEY, MEMBER),
            (REVIEWERS_KEY, REVIEWER),
            (FORMER_KEY, FORMER),
            (INACTIVE_KEY, "inactive"),
            (STRANGERS_KEY, STRANGER),
        ):
            self.secrets[actor] = self.people[name].key
        ApiKey.objects.filter(workspace=self.people[STRANGER].workspace).update(scopes=" ".join(Scope))
        for actor, name, end_user in (
            (TOKEN, OWNER, "xavier"),
            (MEMBERS_TOKEN, MEMBER, "xavier"),
            (OTHER_TOKEN, OWNER, "yvonne"),
            (STRANGERS_TOKEN, STRANGER, "xavier"),
            (REVOKED_TOKEN, OWNER, "xavier"),
            (EXPIRED_TOKEN, OWNER, "xavier"),
        ):
            self.secrets[actor] = self._secret_token(self.people[name].key_id, end_user)
        self.secrets[WRONG_KEY] = SECRET_PREFIX + "wrong"
        self.secrets[WRONG_TOKEN] = TOKEN_PREFIX + "wrong"

    def token(self, key_id: UUID, end_user: str, secret: str = "") -> EndUserToken:
        return EndUserToken.objects.create(
            workspace=ApiKey.objects.get(pk=key_id).workspace,
            key_id=key_id,
            end_user=end_user,
            digest=digest_of(secret or secrets.token_urlsafe(16)),
            expires_at=timezone.now() + timedelta(hours=1),
        )

    def _secret_token(self, key_id: UUID, end_user: str) -> str:
        secret = TOKEN_PREFIX + secrets.token_urlsafe(16)
        self.token(key_id, end_user, secret)
        return secret

    def _end_what_counted(self) -> None:
        """Let happen what ends a key, a token or a membership."""
        now, owner = timezone.now(), self.people[OWNER].user
        for actor, fields in ((REVOKED_KEY, {"revoked_at": now}), (EXPIRED_KEY, {"expires_at": now})):
            key, self.secrets[actor] = create_api_key(self.workspace, owner, scopes=[*Scope])
            if actor == REVOKED_KEY:
                self.secrets[ORPHANED_TOKEN] = self._secret_token(key.pk, "xavier")
            ApiKey.objects.filter(pk=key.pk).update(**fields)
        self.secrets[REPLACED_SECRET] = SECRET_PREFIX + "replaced"
        digest = digest_of(self.secrets[REPLACED_SECRET])
        KeySecret.objects.create(key_id=self.people[OWNER].key_id, digest=digest, expires_at=now)
        for actor, fields in ((REVOKED_TOKEN, {"revoked_at": now}), (EXPIRED_TOKEN, {"expires_at": now})):
            EndUserToken.objects.filter(digest=digest_of(self.secrets[actor])).update(**fields)
        Membership.objects.filter(workspace=self.workspace, user=self.people[FORMER].user).delete()
        User.objects.filter(pk=self.people["inactive"].user.pk).update(is_active=False)

    @cached_property
    def project(self) -> str:
        return format_id(PROJECT, self.workspace.pk)

    def user_of(self, actor: str) -> User:
        names = {**dict.fromkeys(OWNERS, OWNER), INTRUDER: STRANGER}
        return self.people[names.get(actor, actor)].user

    def add_key_with(self, scopes: set[str]) -> str:
        """Make an owner's key with these scopes; return the name of the actor."""
        actor = key_with(scopes)
        wanted = [Scope(name) for name in scopes]
        _, self.secrets[actor] = create_api_key(self.workspace, self.people[OWNER].user, scopes=wanted)
        return actor

    def session_key(self, actor: str) -> str:
        """Return the key of a session of the person, in which they proved who they are lately or long ago."""
        who = "long ago" if actor == UNPROVED else self.user_of(actor).email
        if who not in self._cookies:
            seconds = 100_000 if actor == UNPROVED else 0
            entered = signed_in(self.user_of(actor), seconds_ago=seconds)
            self._cookies[who] = entered.cookies["sessionid"].value
        return self._cookies[who]

    def sign_everybody_in(self) -> None:
        """Make all sessions now, so that no later rollback takes one back."""
        for actor in (*PEOPLE, STRANGER, *OUTSIDE):
            self.session_key(actor)

    def headers(self, actor: str, *, names_workspace: bool = True) -> dict[str, str]:
        """Return the headers that say who asks; people but strangers name the workspace."""
        if actor in self.secrets:
            return {"Authorization": f"Bearer {self.secrets[actor]}"}
        if actor == ENDED_SESSION:
            return {"X-Session-Token": "ended"}
        named = {"X-Workspace-Id": self.project} if names_workspace else {}
        if actor == APP:
            return {"X-Session-Token": self.session_key(actor), **named}
        return named if actor in PEOPLE or actor in OUTSIDE else {}

    def is_by_cookie(self, actor: str) -> bool:
        return (actor in PEOPLE and actor != APP) or actor in (STRANGER, *OUTSIDE)

    def ask(
        self,
        actor: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        names_workspace: bool = True,
        media_type: str = "application/json",
    ) -> Response:
        """Send a request to a view of Django, and take back what it changed."""
        headers = self.headers(actor, names_workspace=names_workspace)
        client = self._browsers[actor == FORGED]
        cookie = {"sessionid": self.session_key(actor)} if self.is_by_cookie(actor) else {}
        data = b"" if body is None else json.dumps(body).encode()
        with transaction.atomic():
            client.cookies = SimpleCookie(cookie)
            queries = QueryCount()
            with connection.execute_wrapper(queries):
                answer = client.generic(method, path, data, media_type, headers=headers)
            transaction.set_rollback(True)
        return Response(answer, queries.count)
