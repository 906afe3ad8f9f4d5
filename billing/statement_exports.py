"""Statements for accountants: a table for spreadsheets, and a page to print."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from io import StringIO
from typing import Any

from django.http import HttpResponse
from django.template.loader import render_to_string

from billing.models import Charge, Transaction
from billing.statements import StatementReport, month_after
from billing.units import UNIT_NAMES, UNITS
from core.ids import PROJECT, format_id
from core.money import CURRENCY, format_usd

COLUMNS = ("month", "type", "date", "description", "reference", "requests", *UNIT_NAMES, "amount_usd")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet's formulas begin with, also in text that others have written."""
_CHARGE_LABELS = dict(Charge.Kind.choices)
_TRANSACTION_LABELS = {kind: label.capitalize().replace(" ", "-") for kind, label in Transaction.Kind.choices}

Row = Sequence[str | int]


def as_csv(report: StatementReport) -> str:
    """Write a statement as CSV (RFC 4180). The amounts of all rows but the last add up to the last one's."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(report))
    return text.getvalue()


def csv_response(report: StatementReport) -> HttpResponse:
    name = f"statement-{report.statement.month:%Y-%m}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(as_csv(report), content_type="text/csv; charset=utf-8", headers=headers)


def _rows(report: StatementReport) -> Iterator[Row]:
    statement = report.statement
    yield _row(report, "opening", f"{statement.month}", "Opening balance", amount=statement.opening)
    for line in statement.lines:
        units = [line["units"][name] for name in UNIT_NAMES]
        what = f"{line['model']}, {line['kind']}"
        yield _row(report, "charge", "", what, "", line["requests"], units, amount=line["amount"])
    for movement in report.movements:
        made = movement.transaction
        day = f"{made.created_at:%Y-%m-%d}"
        yield _row(report, made.kind, day, made.reason, made.reference or "", amount=movement.amount)
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
    return (
        month,
        type,
        day,
        escape_formula(description),
        escape_formula(reference),
        requests,
        *units,
        format_usd(amount),
    )


def escape_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def as_html(report: StatementReport, name: str) -> str:
    """Render a page, which loads one stylesheet and no script. `name` is the workspace's."""
    return render_to_string("billing/statement.html", _page_context(report, name))


def _page_context(report: StatementReport, name: str) -> dict[str, Any]:
    statement = report.statement
    usd = _aligned_formatter(report)
    return {
        "name": name,
        "project_id": format_id(PROJECT, statement.workspace_id),
        "statement": statement,
        "is_closed": report.is_closed,
        "last_day": _last_day(report),
        "currency": CURRENCY,
        "opening": usd(statement.opening),
        "closing": usd(statement.closing),
        "totals": [(f"{label}s", usd(statement.totals[kind])) for kind, label in _TRANSACTION_LABELS.items()],
        "lines": [
            line
            | {"kind": _CHARGE_LABELS[line["kind"]], "used": _used_units(line), "amount": usd(line["amount"])}
            for line in statement.lines
        ],
        "charged": usd(statement.totals[Transaction.Kind.CHARGE]),
        "movements": [
            (movement.transaction, _TRANSACTION_LABELS[movement.transaction.kind], usd(movement.amount))
            for movement in report.movements
        ],
        "others": report.others,
        "others_amount": usd(report.others_amount),
    }


def _used_units(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"{count:,}", UNITS[unit].label) for unit, count in line["units"].items() if count]


def _aligned_formatter(report: StatementReport) -> Callable[[int], str]:
    """Return a formatter that aligns decimal points: all amounts get as many decimals as any one needs."""
    statement = report.statement
    amounts = [statement.opening, statement.closing, report.others_amount, *statement.totals.values()]
    amounts += [line["amount"] for line in statement.lines]
    amounts += [movement.amount for movement in report.movements]
    decimals = max(len(format_usd(amount).partition(".")[2]) for amount in amounts)

    def format_aligned(amount: int) -> str:
        whole, _, rest = format_usd(amount).partition(".")
        return f"{whole}.{rest.ljust(decimals, '0')}"

    return format_aligned


def _last_day(report: StatementReport) -> date:
    return month_after(report.statement.month) - timedelta(days=1)
