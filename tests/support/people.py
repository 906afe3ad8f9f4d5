"""Alice owns a workspace, Bob is her teammate, Charlie a stranger with one of his own."""

import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.test import Client
from django.utils import timezone

from accounts.keys.services import create_api_key
from accounts.models import EndUserToken, Membership, User, Workspace
from accounts.roles import Role
from accounts.secret_digests import TOKEN_PREFIX, digest_of
from accounts.services import get_or_create_user, personal_workspace


@dataclass(frozen=True)
class Person:
    user: User
    workspace: Workspace
    key: str
    key_id: UUID

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def person(email: str, workspace: Workspace | None = None) -> Person:
    """Create a user with a key, in their personal workspace or as a member of another."""
    user = get_or_create_user(email)
    own = personal_workspace(user)
    if workspace is None:
        workspace = own
    else:
        Membership.objects.get_or_create(workspace=workspace, user=user)
    key, secret = create_api_key(workspace, user)
    return Person(user, workspace, secret, key.pk)


def token_for(who: Person, end_user: str, **fields: Any) -> str:
    """Make a token of the person's key for an end user, for an hour; return its secret."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    fields = {"expires_at": timezone.now() + timedelta(hours=1), **fields}
    EndUserToken.objects.create(
        workspace=who.workspace, key_id=who.key_id, end_user=end_user, digest=digest_of(secret), **fields
    )
    return secret


def set_role(who: Person, role: Role) -> None:
    Membership.objects.filter(workspace=who.workspace, user=who.user).update(role=role)


def signed_in(user: User, *, seconds_ago: float = 0, **options: bool) -> Client:
    """Return a browser in which the user has signed in; `options` are those of Django's test client."""
    browser = Client(**options)  # type: ignore[arg-type]
    browser.force_login(user)
    session = browser.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - seconds_ago}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return browser
