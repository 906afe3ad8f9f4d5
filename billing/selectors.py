"""What a workspace may see of its money. Everything here is scoped to one workspace."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum

from billing.models import Account, Budget, Charge, Entry, Spend, Transaction, Wallet, account_id
from core.ids import TRANSACTION, parse_id
from core.pagination import Page, PageRequest, read_page

TransactionKind = Transaction.Kind


@dataclass(frozen=True, slots=True)
class WalletMovement:
    """A transaction as its workspace sees it.

    `amount` is what the wallet gained, in nano-USD; `charge` is what was charged for, or refunded.
    """

    transaction: Transaction
    amount: int
    charge: Charge | None
    reversed_by: UUID | None


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget in its current period: from `starts_on` to the day before `ends_before` (UTC).

    `used` is in nano-USD and includes what is held.
    """

    budget: Budget
    used: int
    starts_on: date
    ends_before: date

    @property
    def remaining(self) -> int:
        return max(0, self.budget.limit - self.used)


def wallet_of(workspace_id: UUID) -> Wallet:
    """Return the workspace's wallet, or an unsaved one if nothing has moved yet."""
    found = Wallet.objects.filter(pk=workspace_id).first()
    return found or Wallet(workspace_id=workspace_id, credit_limit=settings.CHATAPI_CREDIT_LIMIT)


def budgets_of(workspace_id: UUID, today: date) -> list[BudgetUse]:
    """Return the workspace's own budgets, then those of its keys."""
    budgets = Budget.objects.filter(workspace_id=workspace_id)
    ordered = sorted(budgets, key=lambda budget: (str(budget.key_id or ""), budget.period))
    spends = Spend.objects.filter(
        scope_id__in={budget.scope_id for budget in ordered}, day__gte=today.replace(day=1), day__lte=today
    )
    return [_budget_use(budget, list(spends), today) for budget in ordered]


def _budget_use(budget: Budget, spends: Iterable[Spend], today: date) -> BudgetUse:
    first, end = today, today + timedelta(days=1)
    if budget.period == Budget.Period.MONTH:
        first = today.replace(day=1)
        end = (first + timedelta(days=31)).replace(day=1)
    used = sum(spend.amount for spend in spends if spend.scope_id == budget.scope_id and spend.day >= first)
    return BudgetUse(budget, used, first, end)


def budget_of_key(key_id: UUID) -> str | None:
    """Return, in words, that a key has a budget of its own; None if it has none."""
    return "a budget of its own" if Budget.objects.filter(key_id=key_id).exists() else None


def spent_of_tokens(token_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return what the calls with these end-user tokens cost and hold, in nano-USD."""
    spends = Spend.objects.filter(scope_id__in=token_ids).values_list("scope_id")
    return dict.fromkeys(token_ids, 0) | dict(spends.annotate(total=Sum("amount")))


def transaction_page(
    workspace_id: UUID, request: PageRequest, kinds: Collection[str] = ()
) -> Page[WalletMovement]:
    page = read_page(
        _with_amounts(workspace_id, transactions_of(workspace_id, kinds)),
        request,
        partial(parse_id, TRANSACTION),
        order=request.directed("created_at", "id"),
        among=transactions_of(workspace_id),
    )
    return Page(_movements(page.items), has_more=page.has_more)


def transaction_of(workspace_id: UUID, id: UUID | None) -> WalletMovement | None:
    """Return one transaction; None also if it is another workspace's."""
    found = wallet_movements(workspace_id, transactions_of(workspace_id).filter(id=id)) if id else ()
    return found[0] if found else None


def transactions_of(workspace_id: UUID, kinds: Collection[str] = ()) -> "QuerySet[Transaction]":
    rows = Transaction.objects.filter(workspace_id=workspace_id)
    if kinds:
        rows = rows.filter(kind__in=kinds)
        if TransactionKind.CHARGE not in kinds:
            rows = rows.exclude(
                kind=TransactionKind.CHARGE
            )  # matches the index of the few that are not charges
    return rows


def wallet_movements(workspace_id: UUID, rows: "QuerySet[Transaction]") -> list[WalletMovement]:
    """Return a slice of this workspace's transactions as movements, with two queries."""
    return _movements(list(_with_amounts(workspace_id, rows)))


def _with_amounts(workspace_id: UUID, rows: "QuerySet[Transaction]") -> "QuerySet[Transaction]":
    entry = Entry.objects.filter(
        transaction=OuterRef("pk"), account_id=account_id(Account.Kind.WALLET, workspace_id)
    )
    return rows.annotate(gained=Subquery(entry.values("amount")), reversal_id=F("reversed_by"))


def _movements(found: Sequence[Transaction]) -> list[WalletMovement]:
    ids = [row.charge_id for row in found if row.charge_id]
    charges = Charge.objects.only("kind", "model").in_bulk(ids)
    return [
        WalletMovement(
            transaction=row,
            amount=getattr(row, "gained"),  # noqa: B009 (annotated)
            charge=charges.get(row.charge_id) if row.charge_id else None,
            reversed_by=getattr(row, "reversal_id"),  # noqa: B009
        )
        for row in found
    ]
