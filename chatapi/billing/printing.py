"""Statements as accountants take them: a table for spreadsheets, and a page to print."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from io import StringIO
from typing import Any

from django.template.loader import render_to_string

from chatapi.billing.models import Charge, Transaction
from chatapi.billing.money import CURRENCY, format_usd
from chatapi.billing.statements import Report, month_after
from chatapi.billing.units import UNIT_NAMES, UNITS
from chatapi.identifiers import PROJECT, public

COLUMNS = ("month", "type", "date", "description", "reference", "requests", *UNIT_NAMES, "amount_usd")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With these a spreadsheet's formulas begin, also in what others have written."""
_CHARGED = dict(Charge.Kind.choices)
_MOVED = dict(Transaction.Kind.choices)

Row = Sequence[str | int]


def as_csv(report: Report) -> str:
    """By RFC 4180. The amounts of all rows but the last add up to that of the last."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(report))
    return text.getvalue()


def _rows(report: Report) -> Iterator[Row]:
    statement = report.statement
    yield _row(report, "opening", f"{statement.month}", "Opening balance", amount=statement.opening)
    for line in statement.lines:
        units = [line["units"][name] for name in UNIT_NAMES]
        what = f"{line['model']}, {line['kind']}"
        yield _row(report, "charge", "", what, "", line["requests"], units, amount=line["amount"])
    for booking in report.movements:
        made = booking.transaction
        day = f"{made.created_at:%Y-%m-%d}"
        yield _row(report, made.kind, day, made.reason, made.reference or "", amount=booking.amount)
    if report.others:
        yield _row(report, "others", "", f"{report.others} more movements", amount=report.others_amount)
    yield _row(report, "closing", f"{_last_day(report)}", "Closing balance", amount=statement.closing)


def _row(
    report: Report,
    type: str,
    day: str,
    description: str,
    reference: str = "",
    requests: int | str = "",
    units: Iterable[int | str] = ("",) * len(UNIT_NAMES),
    *,
    amount: int,
) -> Row:
    month = f"{report.statement.month:%Y-%m}"
    return (month, type, day, _inert(description), _inert(reference), requests, *units, format_usd(amount))


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def as_html(report: Report, name: str) -> str:
    """A page by itself: it loads nothing. `name` is the workspace's."""
    return render_to_string("billing/statement.html", _shown(report, name))


def _shown(report: Report, name: str) -> dict[str, Any]:
    statement = report.statement
    used = [unit for unit in UNIT_NAMES if any(line["units"][unit] for line in statement.lines)]
    return {
        "name": name,
        "project_id": public(PROJECT, statement.workspace_id),
        "statement": statement,
        "is_closed": report.is_closed,
        "last_day": _last_day(report),
        "currency": CURRENCY,
        "opening": format_usd(statement.opening),
        "closing": format_usd(statement.closing),
        "totals": [(label, format_usd(statement.totals[kind])) for kind, label in _MOVED.items()],
        "units": [UNITS[unit].label for unit in used],
        "lines": [
            line
            | {
                "kind": _CHARGED[line["kind"]],
                "units": [line["units"][unit] for unit in used],
                "amount": format_usd(line["amount"]),
            }
            for line in statement.lines
        ],
        "charged": format_usd(statement.totals[Transaction.Kind.CHARGE]),
        "movements": [
            (booking.transaction, _MOVED[booking.transaction.kind], format_usd(booking.amount))
            for booking in report.movements
        ],
        "others": report.others,
        "others_amount": format_usd(report.others_amount),
    }


def _last_day(report: Report) -> date:
    return month_after(report.statement.month) - timedelta(days=1)
