"""What a user can take with them of what was billed: usage, and the statements of their own workspace."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts.data_export import DataSubject, ExportedFile
from billing.models import Charge, Statement
from billing.statement_exports import as_csv, escape_formula
from billing.statements import find_report
from billing.units import UNIT_NAMES
from core.ids import COMPLETION, KEY, PROJECT, format_id
from core.money import format_usd

COLUMNS = (
    "ended_at",
    "kind",
    "model",
    "completion_id",
    "project_id",
    "api_key_id",
    *UNIT_NAMES,
    "estimated",
    "cost_usd",
)
ROWS = 2000


def export_billing(who: DataSubject) -> Iterator[ExportedFile]:
    """Yield what each call used and cost: all of the user's own workspace, and their own calls in others."""
    yield ExportedFile("usage.csv", _usage(who))
    if who.own is not None:
        months = Statement.objects.filter(workspace_id=who.own).order_by("month")
        for month in months.values_list("month", flat=True):
            if report := find_report(who.own, month):
                name = f"statements/statement-{month:%Y-%m}.csv"
                yield ExportedFile(name, [as_csv(report).encode()])


def _usage(who: DataSubject) -> Iterator[bytes]:
    yield _as_csv([COLUMNS])
    if who.own is not None:
        yield from _charges(Q(workspace_id=who.own))
    for workspace_id in who.shared:
        yield from _charges(Q(workspace_id=workspace_id, user_id=who.user.pk))


def _charges(whose: Q) -> Iterator[bytes]:
    """Yield the rows of ended calls, oldest first, in the order of the index that finds them."""
    since: tuple[datetime, UUID] | None = None
    while True:
        rows = Charge.objects.filter(whose, ended_at__isnull=False)
        if since is not None:
            ended_at, id = since
            later = Q(ended_at__gt=ended_at) | Q(ended_at=ended_at, id__gt=id)
            rows = rows.filter(later, ended_at__gte=ended_at)
        batch = list(rows.order_by("ended_at", "id")[:ROWS])
        if not batch:
            return
        yield _as_csv(map(_row, batch))
        since = batch[-1].ended_at, batch[-1].id  # type: ignore[assignment]  # it has ended


def _row(charge: Charge) -> Sequence[Any]:
    is_completion = charge.kind == Charge.Kind.COMPLETION
    return (
        charge.ended_at and charge.ended_at.isoformat(),
        charge.kind,
        escape_formula(charge.model),
        format_id(COMPLETION, charge.id) if is_completion else "",
        format_id(PROJECT, charge.workspace_id),
        format_id(KEY, charge.key_id) if charge.key_id else "",
        *(getattr(charge, name) for name in UNIT_NAMES),
        charge.is_estimated,
        "" if charge.cost is None else format_usd(charge.cost),
    )


def _as_csv(rows: Any) -> bytes:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
