"""Writing records of calls: a row and a line of the log for each, and counts of those that have none."""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
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
    clean_model,
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
        calls = [*batch.calls, *found]
        rows = [self._row(call, call.principal) for call in calls if call.principal is not None]
        if logs and rows:
            call_log.info(_encoder.encode_lines(map(_line, rows)).decode().rstrip())
        if problem is not None:
            raise problem
        if keeps_rows:
            unauthenticated = batch.unauthenticated + len(batch.unidentified) - len(found)
            with transaction.atomic():
                insert_rows(RequestRecord, rows)
                _count(Kind.UNAUTHENTICATED, unauthenticated)
                _count(Kind.LOST, batch.lost)

    def _row(self, call: CallRecord, who: CallPrincipal) -> Row:
        sent_id, model = call.client_request_id, call.model
        is_failure = call.code is not None or (call.status or 0) >= 400
        return {
            "id": call.id,
            "workspace": who.workspace_id,
            "api_key": who.key_id,
            "user": who.owner_id,
            "end_user": who.end_user,
            "key_prefix": self._prefixes.get(who.key_id, ""),
            "method": clean_method(call.method),
            "route": route_of(call.path),
            "model": clean_model(model) if model else "",
            "completion_id": call.completion_id or "",
            "status": call.status,
            "code": clean_code(call) if is_failure else "",
            "param": clean_param(call.param) if call.param else "",
            "upstream_failure": call.upstream_failure or "",
            "milliseconds": call.milliseconds,
            "client_request_id": clean_client_request_id(sent_id) if sent_id else "",
        }

    def _remember_prefixes(self, calls: Iterable[CallRecord]) -> None:
        now = time.monotonic()
        if now > self._forgotten_at + PREFIX_SECONDS or len(self._prefixes) > REMEMBERED_PREFIXES:
            self._prefixes.clear()
            self._forgotten_at = now
        ids = {call.principal.key_id for call in calls if call.principal is not None}
        unknown = [id for id in ids if id is not None and id not in self._prefixes]
        if unknown:
            self._prefixes |= dict(ApiKey.objects.filter(pk__in=unknown).values_list("pk", "prefix"))


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


def _line(row: Row) -> CallLine:
    id, key, user = row["id"], row["api_key"], row["user"]
    return CallLine(
        moment_of(id),
        format_id(REQUEST, id),
        row["method"],
        row["route"],
        row["status"],
        row["milliseconds"],
        format_id(PROJECT, row["workspace"]),
        row["code"],
        row["param"],
        format_id(KEY, key) if key else "",
        row["key_prefix"],
        format_user_id(user) if user else "",
        row["model"],
        row["completion_id"],
        row["upstream_failure"],
        row["client_request_id"],
    )


call_recorder = Recorder(RequestWriter().store)
"""That of this process."""
