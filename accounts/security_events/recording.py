"""The one way to record a security event: a row, and a line in the log."""

import json
import logging
import re
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from accounts.client_address import client_address
from accounts.models import ApiKey, User
from accounts.security_events.models import USER_AGENT_LENGTH, SecurityEvent
from core.redaction import redact
from core.value import Value

logger = logging.getLogger("accounts.security")

Kind = SecurityEvent.Kind

ROWS_A_MINUTE = 30
"""How many events of a kind that strangers cause are stored for one user in a minute. All are logged."""

_CAUSED_BY_STRANGERS = {Kind.SIGN_IN_FAILED, Kind.KEY_USED_FROM_NEW_ADDRESS}
_OF_EVENTS = {"user", "email", "by", "key_id", "workspace", "address", "user_agent"}
_PLAIN = re.compile(r"[\w.@:+/-]+")


class Origin(Value, frozen=True):
    """Where something was done from, and by which signed-in user."""

    address: str | None = None
    user_agent: str = ""
    user_id: int | None = None


def origin_of(request: HttpRequest | None) -> Origin:
    if request is None:
        return Origin()
    user = getattr(request, "user", None)
    return Origin(
        client_address(request),
        clean_user_agent(request.META.get("HTTP_USER_AGENT", "")),
        user.pk if user is not None and user.is_authenticated else None,
    )


def clean_user_agent(text: str) -> str:
    """Return what a client calls itself, bounded, without control characters and secrets."""
    return redact("".join(filter(str.isprintable, text[: 2 * USER_AGENT_LENGTH])))[:USER_AGENT_LENGTH]


def record(
    kind: Kind,
    *,
    user: User | None = None,
    request: HttpRequest | None = None,
    origin: Origin | None = None,
    key: ApiKey | None = None,
    workspace_id: UUID | None = None,
    **details: Any,
) -> None:
    """Record a security event in this transaction, and log it once that is committed.

    `user` is whose account it is; the request's user, if another, did it. The workspace of a key need not be
    named. `details` are small JSON values, no secrets, and not what a stranger typed.
    """
    origin = origin or origin_of(request)
    stored: Any = details or None
    event = SecurityEvent(
        kind=kind,
        user=user,
        by_id=origin.user_id if user is None or origin.user_id != user.pk else None,
        workspace_id=key.workspace_id if key else workspace_id,
        key_id=key.pk if key else None,
        key_prefix=key.prefix if key else "",
        address=origin.address,
        user_agent=origin.user_agent,
        details=stored,
    )
    if kind not in _CAUSED_BY_STRANGERS or not _exceeds_row_limit(event):
        event.save(force_insert=True)
    level = logging.WARNING if kind in _CAUSED_BY_STRANGERS else logging.INFO
    transaction.on_commit(partial(logger.log, level, "%s", _line(event)))


def erase_personal_parts(user: User) -> None:
    """Erase from the events what is about a user who is about to be deleted."""
    rows = SecurityEvent.objects.filter(Q(user=user) | Q(by=user))
    rows.update(address=None, user_agent="")
    rows.filter(user=user).update(user=None, details=None)
    rows.filter(by=user).update(by=None)


def delete_old_events(days: int) -> None:
    """Delete the events that are older than so many days, a few at a time."""
    # an hour more: the database refuses by its own clock
    before = timezone.now() - timedelta(days=days, hours=1)
    while ids := list(SecurityEvent.objects.filter(at__lt=before).values_list("pk", flat=True)[:1000]):
        SecurityEvent.objects.filter(pk__in=ids).delete()


def _exceeds_row_limit(event: SecurityEvent) -> bool:
    since = timezone.now() - timedelta(minutes=1)
    recent = SecurityEvent.objects.filter(user=event.user, at__gt=since, kind=event.kind)
    return len(recent.values_list("pk")[:ROWS_A_MINUTE]) == ROWS_A_MINUTE


def _line(event: SecurityEvent) -> str:
    details = event.details or {}
    fields: dict[str, object] = {
        "user": event.user_id,
        "email": event.user.email if event.user else None,
        "by": event.by_id,
        "key_id": event.key_id,
        "workspace": event.workspace_id,
        "address": event.address,
        **{name: value for name, value in details.items() if name not in _OF_EVENTS},
        "user_agent": event.user_agent,
    }
    written = (f"{name}={_quoted(value)}" for name, value in fields.items() if value not in (None, ""))
    return " ".join((event.kind, *written))


def _quoted(value: object) -> str:
    """Return a value on one line, in quotes if it could be taken for another field."""
    text = str(value) if isinstance(value, str | int | UUID) else json.dumps(value)
    text = "".join(filter(str.isprintable, text))
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
