"""Statements as accountants take them: a table for spreadsheets, and a page to print."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from io import StringIO
from typing import Any

from django.template.loader import render_to_string

from billing.models import Charge, Transaction
from billing.money import CURRENCY, format_usd
from billing.statements import StatementReport, month_after
from billing.units import UNIT_NAMES, UNITS
from core.ids import PROJECT, public

COLUMNS = ("month", "type", "date", "description", "reference", "requests", *UNIT_NAMES, "amount_usd")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With these a spreadsheet's formulas begin, also in what others have written."""
_CHARGED = dict(Charge.Kind.choices)
_MOVED = {kind: label.capitalize().replace(" ", "-") for kind, label in Transaction.Kind.choices}

Row = Sequence[str | int]


def as_csv(report: StatementReport) -> str:
    """By RFC 4180. The amounts of all rows but the last add up to that of the last."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(report))
    return text.getvalue()


def _rows(report: StatementReport) -> Iterator[Row]:
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
    report: StatementReport,
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


def as_html(report: StatementReport, name: str) -> str:
    """A page by itself: it loads nothing. `name` is the workspace's."""
    return render_to_string("billing/statement.html", _shown(report, name))


def _shown(report: StatementReport, name: str) -> dict[str, Any]:
    statement = report.statement
    usd = _written_alike(report)
    return {
        "name": name,
        "project_id": public(PROJECT, statement.workspace_id),
        "statement": statement,
        "is_closed": report.is_closed,
        "last_day": _last_day(report),
        "currency": CURRENCY,
        "opening": usd(statement.opening),
        "closing": usd(statement.closing),
        "totals": [(f"{label}s", usd(statement.totals[kind])) for kind, label in _MOVED.items()],
        "lines": [
            line | {"kind": _CHARGED[line["kind"]], "used": _used(line), "amount": usd(line["amount"])}
            for line in statement.lines
        ],
        "charged": usd(statement.totals[Transaction.Kind.CHARGE]),
        "movements": [
            (booking.transaction, _MOVED[booking.transaction.kind], usd(booking.amount))
            for booking in report.movements
        ],
        "others": report.others,
        "others_amount": usd(report.others_amount),
    }


def _used(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"{count:,}", UNITS[unit].label) for unit, count in line["units"].items() if count]


def _written_alike(report: StatementReport) -> Callable[[int], str]:
    """How to write amounts so that their points are below each other: with as many decimals as one needs."""
    statement = report.statement
    amounts = [statement.opening, statement.closing, report.others_amount, *statement.totals.values()]
    amounts += [line["amount"] for line in statement.lines]
    amounts += [booking.amount for booking in report.movements]
    decimals = max(len(format_usd(amount).partition(".")[2]) for amount in amounts)

    def written(amount: int) -> str:
        whole, _, rest = format_usd(amount).partition(".")
        return f"{whole}.{rest.ljust(decimals, '0')}"

    return written


def _last_day(report: StatementReport) -> date:
    return month_after(report.statement.month) - timedelta(days=1)
