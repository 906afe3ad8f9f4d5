"""Report to a payment provider's meter what workspaces spent: hourly sums, each exactly once.

A row is committed before its sum is sent, and marked after. If a process dies in between, the next run sends
the sum again under the same identifier, which the meter recognizes. It remembers identifiers for only a day:
what may have arrived before that is not sent again, but shown to a human.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.db.models import Max, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import ngettext

from billing import operator_alerts
from billing.exceptions import InvalidBillingAction
from billing.models import Alert, MeterEvent, UsageRollup, Wallet
from core.ids import derive_id
from core.money import format_usd

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
REPORTING_DELAY = timedelta(minutes=10)
"""How long after its end an hour is reported. What is posted later is reported as another part of it."""
RECENT_WINDOW, MAX_AGE = timedelta(days=2), timedelta(days=34)
"""How far back a regular run looks, and a thorough one. Stripe refuses what is older than 35 days."""
IDENTIFIER_LIFETIME = timedelta(hours=23)
"""How long to rely on Stripe's memory: it remembers an identifier for at least 24 hours."""
MAX_EVENT_NANO = 10**15 - 1
"""The most to send at once, in nano-USD: Stripe refuses values of more than 15 digits."""
OVERDUE_AFTER = HOUR
RUN_SECONDS, RUN_EVENTS = 240, 5000
WALLET_BATCH = 50
_HOUR_FORMAT = "%Y%m%dT%H"
_IDENTIFIER = re.compile(r"chatapi-([0-9a-f]{32})-(\d{8}T\d{2})-(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What a customer spent in an hour, or a part of that sum, in nano-USD."""

    identifier: str
    customer: str
    amount: int
    hour: datetime


class Meter(Protocol):
    def send(self, reading: MeterReading) -> None:
        """Return once the meter has the reading, from now or from before. Raises `MeterError`."""

    def close(self) -> None: ...


class MeterError(Exception):
    """The meter has not accepted a reading; if `is_unsure`, it may have.

    If `is_general`, other readings would fail now, too. The message contains no secrets.
    """

    def __init__(self, message: str, *, is_unsure: bool = False, is_general: bool = False) -> None:
        super().__init__(message)
        self.is_unsure = is_unsure
        self.is_general = is_general


def export(meter: Meter, since: timedelta) -> None:
    """Report what was spent in the closed hours of the last `since` and not reported yet.

    May run twice, die anywhere, and run in several workers at once.
    """
    record_due_events(since)
    problem = send_due_events(meter)
    _alert_overdue(problem)


# --- collecting what to send ----------------------------------------------------------------------


def record_due_events(since: timedelta) -> None:
    """Commit a row for each sum that has to be sent."""
    now = timezone.now()
    customers = list(_customers().items())
    for start in range(0, len(customers), WALLET_BATCH):
        due = due_events(
            dict(customers[start : start + WALLET_BATCH]), now - since, now - HOUR - REPORTING_DELAY
        )
        MeterEvent.objects.bulk_create(due, batch_size=500, ignore_conflicts=True)


def _customers() -> dict[UUID, str]:
    return dict(Wallet.objects.exclude(stripe_customer="").values_list("workspace_id", "stripe_customer"))


def due_events(customers: Mapping[UUID, str], first: datetime, last: datetime) -> Iterator[MeterEvent]:
    """Yield events for what was spent and not reported yet.

    What was reported is read before what was spent: if another worker reports something in between, its part
    has the same number as this one, and the difference is left to the next run.
    """
    recorded_rows = MeterEvent.objects.filter(workspace_id__in=customers, hour__gte=first)
    recorded = {
        (workspace_id, hour): (amount, parts)
        for workspace_id, hour, amount, parts in recorded_rows.values_list("workspace_id", "hour").annotate(
            amount=Sum("amount"), parts=Max("part")
        )
    }
    hours = UsageRollup.objects.filter(
        workspace_id__in=customers, width=UsageRollup.Width.HOUR, starts_at__gte=first, starts_at__lte=last
    )
    for workspace_id, hour, spent in hours.values_list("workspace_id", "starts_at").annotate(
        cost=Sum("cost")
    ):
        amount, last_part = recorded.get((workspace_id, hour), (0, -1))
        yield from _parts(workspace_id, hour, spent - amount, last_part + 1, customers[workspace_id])


def _parts(workspace_id: UUID, hour: datetime, amount: int, part: int, customer: str) -> Iterator[MeterEvent]:
    while amount > 0:
        part_amount = min(amount, MAX_EVENT_NANO)
        yield MeterEvent(
            id=derive_id(workspace_id, f"{hour.isoformat()} {part}"),
            workspace_id=workspace_id,
            hour=hour,
            part=part,
            amount=part_amount,
            customer=customer,
        )
        amount, part = amount - part_amount, part + 1


# --- sending --------------------------------------------------------------------------------------


def send_due_events(meter: Meter) -> MeterError | None:
    """Send what is not marked as sent. Return the last error, if there was any."""
    ends_at = time.monotonic() + RUN_SECONDS
    now = timezone.now()
    due = _unsent().filter(hour__gte=now - MAX_AGE).exclude(tried_at__lt=now - IDENTIFIER_LIFETIME)
    customers = _customers()
    problem = None
    for event in list(due.order_by("hour", "workspace_id", "part")[:RUN_EVENTS]):
        if time.monotonic() > ends_at:
            break
        if event.tried_at is None:  # a mistyped customer may have been corrected
            event.customer = customers.get(event.workspace_id, event.customer)
        try:
            _send(meter, event)
        except MeterError as error:
            problem = error
            logger.warning("%s was not told to the meter: %s", identifier_of(event), error)
            if error.is_general:
                break
    return problem


def _send(meter: Meter, event: MeterEvent) -> None:
    now = timezone.now()
    row = MeterEvent.objects.filter(pk=event.pk, sent_at=None)
    if not row.update(tried_at=Coalesce("tried_at", now), customer=event.customer):
        return  # another worker has sent it
    try:
        meter.send(MeterReading(identifier_of(event), event.customer, event.amount, event.hour))
    except MeterError as problem:
        if problem.is_unsure:
            row.update(tried_at=Coalesce("tried_at", now))
        else:
            row.filter(tried_at=now).update(tried_at=None)  # unless an earlier try may have succeeded
        raise
    row.update(sent_at=timezone.now())


def identifier_of(event: MeterEvent) -> str:
    return f"chatapi-{event.workspace_id.hex}-{event.hour.astimezone(UTC):{_HOUR_FORMAT}}-{event.part}"


def _unsent() -> QuerySet[MeterEvent]:
    return MeterEvent.objects.filter(sent_at=None)


# --- what is left to a human ----------------------------------------------------------------------


def overdue_events() -> QuerySet[MeterEvent]:
    """Return the events that should have been sent by now."""
    return (
        _unsent()
        .filter(created_at__lt=timezone.now() - OVERDUE_AFTER)
        .order_by("hour", "workspace_id", "part")
    )


def describe_delay(event: MeterEvent) -> str:
    """Say in a word or two why an event was not sent."""
    if event.tried_at and event.tried_at < timezone.now() - IDENTIFIER_LIFETIME:
        return "in doubt"
    return "too old" if event.hour < timezone.now() - MAX_AGE else "to be sent"


def settle(identifier: str, *, arrived: bool) -> None:
    """Record what a human found out. Raises `InvalidBillingAction`.

    The event `arrived` (or was billed in another way), or has to be sent again.
    """
    event = _find_event(identifier)
    row = _unsent().filter(pk=event.pk)
    if not (row.update(sent_at=timezone.now()) if arrived else row.update(tried_at=None)):
        raise InvalidBillingAction(f"{identifier} has been sent.")


def _find_event(identifier: str) -> MeterEvent:
    parts = _IDENTIFIER.fullmatch(identifier)
    try:
        if parts is None:
            raise ValueError
        hour = datetime.strptime(parts[2], _HOUR_FORMAT).replace(tzinfo=UTC)
        return MeterEvent.objects.get(workspace_id=UUID(parts[1]), hour=hour, part=int(parts[3]))
    except (ValueError, MeterEvent.DoesNotExist):
        raise InvalidBillingAction(f"There is no meter event {identifier[:100]!r}.") from None


def _alert_overdue(problem: MeterError | None) -> None:
    events = list(overdue_events()[:RUN_EVENTS])
    if not events:
        operator_alerts.sync_alerts(Alert.Kind.EXPORT, {})
        return
    n, total = len(events), sum(event.amount for event in events)
    sums = ngettext("%d sum", "%d sums", n) % n
    lines = [
        f"Stripe's meter has yet to be told {sums}, {format_usd(total)} USD.",
        f"The first is {identifier_of(events[0])}.",
    ]
    reasons = [describe_delay(event) for event in events]
    if count := reasons.count("in doubt"):
        lines.append(f"Not sent again, since they may have arrived: {count} (`manage.py meter_events`).")
    if count := reasons.count("too old"):
        lines.append(f"Older than Stripe takes: {count} (`manage.py meter_events`).")
    if problem:
        lines.append(f"The last problem: {problem}")
    operator_alerts.sync_alerts(Alert.Kind.EXPORT, {"stripe": " ".join(lines)})
