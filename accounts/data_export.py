"""What a user can take with them. Apps register what they keep of users, so that accounts need not know them.

An app yields the files of the archive one after the other; none is ever held in memory as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db.models import Model, Q, QuerySet

from accounts.api.serializers import AccountSerializer, ExportedKeySerializer, MembershipSerializer
from accounts.models import ApiKey, User
from accounts.security_events.models import SecurityEvent
from accounts.selectors import memberships_of
from core.value import Value

BATCH = 500
MAX_NAME = 150


class ExportedFile(Value, frozen=True):
    """A file of the archive. `size` (bytes) is that of an upload or a sound, which may be left out.

    Reading `pieces` may raise `FileNotFoundError` at first, and `OSError`.
    """

    name: str
    pieces: Iterable[bytes]
    size: int | None = None


class DataSubject(Value, frozen=True):
    """Whose data is exported: a user, their own workspace, and the others that they are a member of."""

    user: User
    own: UUID | None
    shared: tuple[UUID, ...] = ()

    def owns(self, through: str = "") -> Q:
        """Return the condition on rows that are theirs: what they made in sessions, and their keys made.

        `through` leads to the rows that have an owner. What other members of their workspace keep private is
        not theirs.
        """
        member, workspace = f"{through}user", f"{through}workspace_id"
        by_keys = {f"{through}api_key__isnull": False}
        own = Q(**{workspace: self.own}) & (Q(**{member: self.user}) | Q(**by_keys))
        return own | Q(**{f"{workspace}__in": self.shared, member: self.user})


Exporter = Callable[[DataSubject], Iterator[ExportedFile]]
_exporters: dict[str, Exporter] = {}


def register_exporter(app: str, exporter: Exporter) -> None:
    """Register an app when it is ready; the archive is in the order of INSTALLED_APPS."""
    _exporters[app] = exporter


def exported_files(user: User) -> Iterator[ExportedFile]:
    """Yield all that a user can take with them."""
    ids = [one.workspace_id for one in memberships_of(user)]
    own = user_workspace_id(user)
    who = DataSubject(user, own, tuple(id for id in ids if id != own))
    for exporter in _exporters.values():
        yield from exporter(who)


def user_workspace_id(user: User) -> UUID | None:
    return User.objects.filter(pk=user.pk).values_list("personal_workspace", flat=True).first()


def export_account(who: DataSubject) -> Iterator[ExportedFile]:
    """Yield the account, how its user signs in, and their security events. No secret and no digest of one."""
    keys = ApiKey.objects.filter(user=who.user).order_by("pk")
    show_membership = MembershipSerializer(context={"current": who.own}).to_representation
    account = {
        **AccountSerializer(who.user).data,
        "last_login": int(who.user.last_login.timestamp()) if who.user.last_login else None,
        "workspaces": [show_membership(one) for one in memberships_of(who.user)],
        "api_keys": [ExportedKeySerializer().to_representation(key) for key in keys],
        **_ways_to_sign_in(who.user),
    }
    yield ExportedFile("user.json", [msgspec.json.format(msgspec.json.encode(account))])
    events = SecurityEvent.objects.filter(user=who.user)
    yield ExportedFile(
        "security_events.json", json_list({"object": "list"}, "data", map(_event, one_by_one(events)))
    )


def _ways_to_sign_in(user: User) -> dict[str, Any]:
    addresses = EmailAddress.objects.filter(user=user).order_by("pk")
    accounts = SocialAccount.objects.filter(user=user).order_by("pk")
    factors = Authenticator.objects.filter(user=user).order_by("pk")
    sessions = UserSession.objects.filter(user=user).order_by("pk")
    return {
        "addresses": list(addresses.values("email", "verified", "primary")),
        "other_sign_ins": list(accounts.values("provider", "uid", "date_joined", "last_login")),
        "second_factors": list(factors.values("type", "created_at", "last_used_at")),
        "sessions": list(sessions.values("ip", "user_agent", "created_at", "last_seen_at")),
    }


def _event(event: SecurityEvent) -> dict[str, Any]:
    return {
        "at": event.at,
        "kind": event.kind,
        "address": event.address,
        "user_agent": event.user_agent,
        "key": event.key_prefix,
        "details": event.details,
    }


def safe_name(text: str) -> str:
    """Return a file's name without folders, control characters or what turns the direction of text."""
    kept = "".join(c if (c.isprintable() or c == "\u200d") and c not in '/\\:*?"<>|' else "_" for c in text)
    return kept[:MAX_NAME].strip(" .") or "_"


def json_list(head: Mapping[str, Any], key: str, rows: Iterable[Any]) -> Iterator[bytes]:
    """Encode an object piece by piece: the members of `head`, and under `key` the rows, each in its line."""
    yield msgspec.json.encode(head)[:-1] + b',"' + key.encode() + b'":['
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + msgspec.json.encode(row)
    yield b"\n]}\n"


def in_batches(rows: "QuerySet[Any]", column: str = "pk", size: int = BATCH) -> Iterator[list[Any]]:
    """Yield all rows in the order of a unique column, without a query that stays open meanwhile."""
    batch: list[Model] = list(rows.order_by(column)[:size])
    while batch:
        yield batch
        batch = list(rows.filter(**{f"{column}__gt": getattr(batch[-1], column)}).order_by(column)[:size])


def one_by_one(rows: "QuerySet[Any]", column: str = "pk") -> Iterator[Any]:
    for batch in in_batches(rows, column):
        yield from batch
