"""Statements: a month (UTC) of a workspace's ledger, by when money moved.

A statement opens with the previous one's closing balance. Once a month is over nothing moves in it any more,
so its statement is created once and never changes; a month that is not closed has a preview.
"""

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Sum
from django.utils import timezone

from billing.database_snapshot import snapshot
from billing.models import Account, Charge, Entry, Statement, Transaction, Wallet, account_id
from billing.reconciliation import CHUNK, Discrepancy
from billing.rollups import CHARGE_SUMS
from billing.selectors import WalletMovement, transactions_of, wallet_movements
from billing.units import UNIT_NAMES
from billing.wallet_locks import lock_wallets
from core.ids import derive_id
from core.pagination import Page, PageRequest, read_page

logger = logging.getLogger(__name__)

TransactionKind = Transaction.Kind

CLOSING_DELAY = timedelta(minutes=10)
"""How long after its end a month is closed, since the clocks of several machines differ."""
RUN_SECONDS = 60.0
"""How long one run creates statements; the next one continues from there."""
MAX_LISTED_MOVEMENTS = 1000
"""How many movements other than charges a statement lists; the others are summed up."""


@dataclass(frozen=True, slots=True)
class StatementReport:
    """A statement with everything it shows.

    `movements` are those other than charges; `others` counts those too many to list, and `others_amount` is
    their sum in nano-USD.
    """

    statement: Statement
    is_closed: bool
    movements: Sequence[WalletMovement]
    others: int
    others_amount: int


def create_missing_statements(seconds: float = RUN_SECONDS) -> int:
    """Create the statements of all months that are over and have none, and return how many.

    May run twice, die anywhere, and run in several workers at once.
    """
    deadline = time.monotonic() + seconds
    made = 0
    last = month_before(month_of(timezone.now() - CLOSING_DELAY))
    for workspace_id, created_at in _workspaces_without_statement(last):
        try:
            for month in _missing_months(workspace_id, month_of(created_at), last):
                close_month(workspace_id, month)
                made += 1
                if time.monotonic() > deadline:
                    return made
        except Exception:  # one workspace's failure must not stop the others
            logger.exception("The statements of workspace %s could not be made", workspace_id)
    return made


def find_report(
    workspace_id: UUID, month: date, *, listed: int = MAX_LISTED_MOVEMENTS
) -> StatementReport | None:
    """Return the statement of a month, or a preview of it, with at most `listed` movements.

    None for a month before the workspace's first, or after the current one.
    """
    with snapshot():
        statement = Statement.objects.filter(workspace_id=workspace_id, month=month).first()
        is_closed = statement is not None
        if statement is None:
            if not _first_month(workspace_id) <= month <= month_of(timezone.now()):
                return None
            statement = _build_statement(workspace_id, month)
        return _report(statement, is_closed=is_closed, most=listed)


def statement_page(workspace_id: UUID, page: PageRequest) -> Page[Statement]:
    """Return the statements of closed months; a month is the id of its statement."""
    rows = Statement.objects.filter(workspace_id=workspace_id).defer("lines")
    return read_page(rows, page, parse_month, order=page.directed("month"))


# --- months ---------------------------------------------------------------------------------------

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def parse_month(text: str) -> date | None:
    """Return the first day of a month such as `2026-01`; None if it is none."""
    found = _MONTH.fullmatch(text)
    return date(int(found[1]), int(found[2]), 1) if found and int(found[1]) else None


def month_of(at: datetime) -> date:
    """Return the first day of a time's month."""
    return at.astimezone(UTC).date().replace(day=1)


def month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def month_after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def start_of(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


# --- creating -------------------------------------------------------------------------------------


def _workspaces_without_statement(month: date) -> Sequence[tuple[UUID, datetime]]:
    """Return workspaces without a statement of this month whose wallet is old enough to have one."""
    existing = Statement.objects.filter(workspace_id=OuterRef("workspace_id"), month=month)
    wallets = Wallet.objects.filter(~Exists(existing), created_at__lt=start_of(month_after(month)))
    return list(wallets.order_by("workspace_id").values_list("workspace_id", "created_at"))


def _missing_months(workspace_id: UUID, first: date, last: date) -> Iterator[date]:
    made = Statement.objects.filter(workspace_id=workspace_id).order_by("-month")
    newest = made.values_list("month", flat=True).first()
    month = first if newest is None else month_after(newest)
    while month <= last:
        yield month
        month = month_after(month)


def close_month(workspace_id: UUID, month: date) -> None:
    """Create the statement of a month that is over, unless it has one.

    Whoever moves money holds the wallet's lock from before reading the clock until the commit. So after
    holding that lock once past the month's end, we see everything that moved in it.
    """
    with transaction.atomic():
        lock_wallets([workspace_id])
    with snapshot():
        statement = _build_statement(workspace_id, month)
    Statement.objects.bulk_create([statement], ignore_conflicts=True)


def _build_statement(workspace_id: UUID, month: date) -> Statement:
    opening = _opening_balance(workspace_id, month)
    totals = totals_of(workspace_id, month)
    return Statement(
        id=derive_id(workspace_id, f"statement of {month:%Y-%m}"),
        workspace_id=workspace_id,
        month=month,
        opening=opening,
        closing=opening + sum(totals.values()),
        totals=totals,
        lines=lines_of(workspace_id, month),
        created_at=timezone.now(),
    )


def _opening_balance(workspace_id: UUID, month: date) -> int:
    before = Statement.objects.filter(workspace_id=workspace_id, month=month_before(month))
    closing = before.values_list("closing", flat=True).first()
    return balance_before(workspace_id, month) if closing is None else closing


def balance_before(workspace_id: UUID, month: date) -> int:
    """Return the wallet's balance in the ledger when the month began."""
    entries = Entry.objects.filter(
        account_id=account_id(Account.Kind.WALLET, workspace_id), transaction__created_at__lt=start_of(month)
    )
    return int(entries.aggregate(total=Sum("amount"))["total"] or 0)


def totals_of(workspace_id: UUID, month: date) -> dict[str, int]:
    """Return what the wallet gained in the month, by every kind of transaction."""
    rows = transactions_of(workspace_id).filter(**_within_month(month))
    own = Q(entries__account_id=account_id(Account.Kind.WALLET, workspace_id))
    sums = rows.values_list("kind").annotate(total=Sum("entries__amount", filter=own))
    return {**{kind.value: 0 for kind in TransactionKind}, **{kind: int(total) for kind, total in sums}}


def lines_of(workspace_id: UUID, month: date) -> list[dict[str, Any]]:
    """Return what the month's charges were for, by model and kind.

    Each was posted at what it cost, so the lines add up to the charges' total, even if one ended before
    midnight and was posted after it.
    """
    posted = transactions_of(workspace_id, [TransactionKind.CHARGE]).filter(**_within_month(month))
    charges = Charge.objects.filter(id__in=posted.values("charge_id"))
    rows: list[Any] = list(charges.values("model", "kind").annotate(**CHARGE_SUMS).order_by("model", "kind"))
    return [
        {
            "model": row["model"],
            "kind": row["kind"],
            "requests": row["sum_of_requests"],
            "units": {name: int(row[f"sum_of_{name}"]) for name in UNIT_NAMES},
            "amount": -int(row["sum_of_cost"]),
        }
        for row in rows
    ]


def _within_month(month: date) -> dict[str, datetime]:
    return {"created_at__gte": start_of(month), "created_at__lt": start_of(month_after(month))}


# --- reading --------------------------------------------------------------------------------------


def _first_month(workspace_id: UUID) -> date:
    wallet = Wallet.objects.filter(pk=workspace_id).first()
    return month_of(wallet.created_at if wallet else timezone.now())


def _report(statement: Statement, *, is_closed: bool, most: int) -> StatementReport:
    kinds = [kind for kind in TransactionKind if kind != TransactionKind.CHARGE]
    rows = transactions_of(statement.workspace_id, kinds).filter(**_within_month(statement.month))
    listed = wallet_movements(statement.workspace_id, rows.order_by("created_at", "id")[:most])
    others = rows.count() - len(listed) if len(listed) == most else 0
    moved = sum(amount for kind, amount in statement.totals.items() if kind != TransactionKind.CHARGE)
    rest = moved - sum(movement.amount for movement in listed)
    return StatementReport(statement, is_closed, listed, others, rest)


# --- verifying ------------------------------------------------------------------------------------


def discrepancies() -> Iterator[Discrepancy]:
    """Yield statements that do not match the ledger. Iterate over it within a `snapshot`."""
    last: Statement | None = None
    for statement in Statement.objects.order_by("workspace_id", "month").iterator(CHUNK):
        workspace_id, month = statement.workspace_id, statement.month
        follows = last and (last.workspace_id, last.month) == (workspace_id, month_before(month))
        opening = last.closing if last and follows else balance_before(workspace_id, month)
        totals, lines = totals_of(workspace_id, month), lines_of(workspace_id, month)
        name = f"statement {month:%Y-%m} of workspace {workspace_id}"
        if (statement.opening, statement.totals) != (opening, totals):
            yield Discrepancy(name, "its opening or its totals are not the ledger's")
        if statement.closing != statement.opening + sum(statement.totals.values()):
            yield Discrepancy(name, "it does not close with what it opens with and what moved")
        if statement.lines != lines or sum(line["amount"] for line in lines) != totals["charge"]:
            yield Discrepancy(name, "its lines are not what was charged for")
        last = statement
