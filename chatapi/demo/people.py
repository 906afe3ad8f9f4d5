"""Workspaces of very different sizes with their members, keys and end users."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import NamedTuple
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password

from accounts.keys.services import create_api_key
from accounts.models import Membership, User, Workspace
from accounts.permissions import Scope
from accounts.principal import Principal
from accounts.roles import Role
from chatapi.demo.rows import Ids, as_milliseconds
from conversations.digest_chain import scope_of

DOMAIN = "demo.example"
ADMIN = f"admin@{DOMAIN}"
NAMES = (
    "Northwind Support",
    "Helio Robotics",
    "Kiefer & Söhne",
    "Blue Harbor Travel",
    "Atlas Law",
    "Sakura Clinic",
    "Open Kitchen",
    "Linden School",
)
_PEOPLE = ("ada", "ben", "chen", "dora", "emil", "fatima", "goro", "hana", "ivan", "june", "kofi", "lena")
_KEYS = ("production", "mobile app", "staging")
"""The names of a workspace's keys; of a hundred calls by keys, the first makes most."""


class Owner(NamedTuple):
    """Whose a conversation is: a member's, from a session, or a key's and an end user's."""

    workspace_id: str
    user_id: int
    key_id: str | None
    end_user: str
    scope: str

    @property
    def owner_id(self) -> int | None:
        return None if self.key_id else self.user_id


class Tenant(NamedTuple):
    """A workspace with who makes conversations in it. `share` is its part of all messages."""

    id: str
    name: str
    share: float
    owner_email: str
    secret: str
    members: tuple[int, ...]
    reviewers: tuple[int, ...]
    keys: tuple[tuple[str, int], ...]
    """Ids of keys, with their users' ids."""

    def principal(self, user_id: int, key_id: str | None) -> Principal:
        return Principal(UUID(self.id), user_id, UUID(key_id) if key_id else None)

    def owner(self, random: Random, end_users: int, *, by_key: bool = False) -> Owner:
        """Draw who begins a conversation: mostly an end user, of whom few have most."""
        if random.random() < 0.15 and not by_key:
            user_id, key_id, end_user = random.choice(self.members), None, ""
        else:
            key_id, user_id = self.keys[int(len(self.keys) * random.random() ** 3)]
            number = int(end_users * random.random() ** 3.5)
            end_user = "" if random.random() < 0.1 else f"customer-{number:05d}"
        scope = scope_of(self.principal(user_id, key_id), end_user)
        return Owner(self.id, user_id, key_id, end_user, scope)


class Credentials(NamedTuple):
    """What can be shown once."""

    password: str
    tenants: Sequence[Tenant]


def create_people(count: int, random: Random, at: datetime) -> Credentials:
    """Make workspaces, the first with half of all messages, and their people, who have one password."""
    password = secrets.token_urlsafe(12)
    hashed = make_password(password)
    _user(ADMIN, hashed, at, is_staff=True, is_superuser=True)
    ids = Ids(random)
    shares = [1.0, *(1 / (number + 1) ** 1.3 for number in range(count - 1))]
    rest = sum(shares[1:])
    tenants = [
        _tenant(
            ids.at(as_milliseconds(at)),
            number,
            0.5 * share if number == 0 else 0.5 * share / rest,
            _Account(hashed, at),
        )
        for number, share in enumerate(shares)
    ]
    return Credentials(password, tenants)


class _Account(NamedTuple):
    hashed: str
    at: datetime


def _tenant(id: str, number: int, share: float, account: _Account) -> Tenant:
    name = NAMES[number % len(NAMES)] + (f" {number // len(NAMES) + 1}" if number >= len(NAMES) else "")
    workspace = Workspace.objects.create(id=UUID(id), name=name, created_at=account.at)
    staff = 3 + max(0, 9 - 2 * number)
    roles = [Role.OWNER, Role.ADMIN, Role.REVIEWER, *[Role.MEMBER] * staff]
    users = [
        _user(f"{_PEOPLE[place % len(_PEOPLE)]}{number}-{place}@{DOMAIN}", account.hashed, account.at)
        for place in range(len(roles))
    ]
    for user, role in zip(users, roles, strict=True):
        Membership.objects.create(workspace=workspace, user=user, role=role, created_at=account.at)
    made = [
        create_api_key(workspace, users[0], name=key, scopes=tuple(Scope))
        for key in _KEYS[: 3 if number == 0 else 1 + number % 3]
    ]
    return Tenant(
        id,
        name,
        share,
        users[0].email,
        made[0][1],
        tuple(user.pk for user, role in zip(users, roles, strict=True) if role != Role.REVIEWER),
        tuple(user.pk for user, role in zip(users, roles, strict=True) if role == Role.REVIEWER),
        tuple((key.pk.hex, users[0].pk) for key, _ in made),
    )


def _user(email: str, hashed: str, at: datetime, **fields: bool) -> User:
    user, is_new = User.objects.get_or_create(
        email=email, defaults={"password": hashed, "date_joined": at, **fields}
    )
    if is_new:
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user
