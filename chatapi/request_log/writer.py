"""Writing records of calls: a row and a line of the log for each, and counts of those that have none."""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import Error, transaction
from django.db.models import F
from django.utils import timezone

from accounts.keys.validation import principals_of_digests
from accounts.models import ApiKey
from chatapi.models import RequestCount, RequestRecord
from chatapi.request_log.cleaning import (
    clean_client_request_id,
    clean_code,
    clean_method,
    clean_param,
)
from chatapi.request_log.recorder import Batch, Recorder
from chatapi.request_log.routes import route_of
from core.bulk_sql import Row, insert_rows
from core.http.call_record import CallPrincipal, CallRecord
from core.ids import KEY, PROJECT, REQUEST, format_id, format_user_id, moment_of

logger = logging.getLogger(__name__)
call_log = logging.getLogger("chatapi.calls")
"""A line of JSON a call; the lines of many calls are one record."""

PREFIX_SECONDS = 60.0
"""How long the prefix of a key is remembered: it changes when the key is rolled."""
REMEMBERED_PREFIXES = 10_000
DIGESTS_AT_ONCE = 500

Kind = RequestCount.Kind
_encoder = msgspec.json.Encoder()


class RequestWriter:
    """Stores and logs records of calls, in one thread. It remembers the prefixes of keys for a while."""

    def __init__(self) -> None:
        self._prefixes: dict[UUID | None, str] = {}
        self._forgotten_at = 0.0

    def store(self, batch: Batch) -> None:
        """Write a batch: the log, then all rows in one transaction. Raises what the database raises."""
        keeps_rows, logs = settings.CHATAPI_REQUESTS_KEPT_DAYS > 0, call_log.isEnabledFor(logging.INFO)
        if batch.lost:
            logger.warning("%d calls were not recorded: there were too many, or no database", batch.lost)
        if not (keeps_rows or logs):
            return
        found: list[CallRecord] = []
        problem: Error | None = None
        try:
            found = _identify(batch.unidentified)
            self._remember_prefixes([*batch.calls, *found])
        except Error as error:
            problem = error  # the log is written even so
        rows, lines = self._format([*batch.calls, *found])
        if logs and lines:
            call_log.info(_encoder.encode_lines(lines).decode().rstrip())
        if problem is not None:
            raise problem
        if keeps_rows:
            unauthenticated = batch.unauthenticated + len(batch.unidentified) - len(found)
            with transaction.atomic():
                for _, alike in groupby(sorted(rows, key=len), len):
                    insert_rows(RequestRecord, list(alike))
                _count(Kind.UNAUTHENTICATED, unauthenticated)
                _count(Kind.LOST, batch.lost)

    def _format(self, calls: Iterable[CallRecord]) -> "tuple[list[Row], list[CallLine]]":
        """Return a row and a line for each call. What many have in common is made once."""
        owners: dict[int, _Owner] = {}
        rows, lines = list[Row](), list[CallLine]()
        for call in calls:
            who = call.principal
            if who is None:
                continue
            owner = owners.get(id(who)) or owners.setdefault(id(who), self._owner(who))
            row = _row(call, owner)
            rows.append(row)
            lines.append(_line(row, owner))
        return rows, lines

    def _owner(self, who: CallPrincipal) -> "_Owner":
        user = who.owner_id
        return _Owner(
            {
                "workspace": who.workspace_id,
                "api_key": who.key_id,
                "key_prefix": self._prefixes.get(who.key_id, ""),
            },
            {"user": user, "end_user": who.end_user},
            format_id(PROJECT, who.workspace_id),
            format_id(KEY, who.key_id) if who.key_id else "",
            format_user_id(user) if user else "",
        )

    def _remember_prefixes(self, calls: Iterable[CallRecord]) -> None:
        now = time.monotonic()
        if now > self._forgotten_at + PREFIX_SECONDS or len(self._prefixes) > REMEMBERED_PREFIXES:
            self._prefixes.clear()
            self._forgotten_at = now
        ids = {call.principal.key_id for call in calls if call.principal is not None}
        unknown = [id for id in ids if id is not None and id not in self._prefixes]
        if unknown:
            self._prefixes |= dict(ApiKey.objects.filter(pk__in=unknown).values_list("pk", "prefix"))


class _Owner(NamedTuple):
    """Whose a call is: columns of the row, those that most leave out, and what the line says."""

    columns: Row
    rare_columns: Row
    workspace: str
    key: str
    user: str


def _row(call: CallRecord, owner: _Owner) -> Row:
    status, sent_id = call.status, call.client_request_id
    is_failure = call.code is not None or (status is not None and status >= 400)
    row = {
        "id": call.id,
        **owner.columns,
        "method": clean_method(call.method),
        "route": route_of(call.path),
        "model": call.model or "",
        "completion_id": call.completion_id or "",
        "status": status,
        "milliseconds": call.milliseconds,
    }
    if is_failure or sent_id or owner.user or owner.rare_columns["end_user"]:
        row |= {
            **owner.rare_columns,
            "code": clean_code(call) if is_failure else "",
            "param": clean_param(call.param),
            "upstream_failure": call.upstream_failure or "",
            "client_request_id": clean_client_request_id(sent_id),
        }
    return row


def _identify(calls: Sequence[CallRecord]) -> list[CallRecord]:
    """Find out whose calls these were by the digests of their secrets; return those of valid ones."""
    digests = list({call.secret_digest for call in calls if call.secret_digest})
    for start in range(0, len(digests), DIGESTS_AT_ONCE):
        owners = principals_of_digests(digests[start : start + DIGESTS_AT_ONCE])
        for call in calls:
            call.principal = call.principal or owners.get(call.secret_digest or "")
    return [call for call in calls if call.principal is not None]


def _count(kind: Kind, count: int) -> None:
    if count:
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        RequestCount.objects.bulk_create([RequestCount(hour=hour, kind=kind, count=0)], ignore_conflicts=True)
        RequestCount.objects.filter(hour=hour, kind=kind).update(count=F("count") + count)


# --- the log ----------------------------------------------------------------------------------------


class CallLine(msgspec.Struct, omit_defaults=True):
    """A line of the log; what it does not say is left out."""

    time: datetime
    request: str
    method: str
    route: str
    status: int | None
    ms: int
    workspace: str
    code: str = ""
    param: str = ""
    key: str = ""
    key_prefix: str = ""
    user: str = ""
    model: str = ""
    completion: str = ""
    upstream_failure: str = ""
    client_request_id: str = ""


def _line(row: Row, owner: _Owner) -> CallLine:
    id, say = row["id"], row.get
    return CallLine(
        moment_of(id),
        format_id(REQUEST, id),
        row["method"],
        row["route"],
        row["status"],
        row["milliseconds"],
        owner.workspace,
        say("code", ""),
        say("param", ""),
        owner.key,
        row["key_prefix"],
        owner.user,
        row["model"],
        row["completion_id"],
        say("upstream_failure", ""),
        say("client_request_id", ""),
    )


call_recorder = Recorder(RequestWriter().store)
"""That of this process."""
