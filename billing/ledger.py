"""The ledger: every operation that moves money. None is ever undone except by another operation."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Abs
from django.utils import timezone

from billing.exceptions import InvalidBillingAction
from billing.models import NO_WORKSPACE, Account, Entry, Transaction, Wallet, account_id
from billing.money import MAX_NANO_PER_WALLET
from billing.wallet_locks import lock_wallets
from core.bulk_sql import Row, insert_rows
from core.ids import new_id
from core.money import MAX_NANO, format_usd

TransactionKind = Transaction.Kind

_COUNTER_ACCOUNTS = {
    TransactionKind.CHARGE: Account.Kind.REVENUE,
    TransactionKind.TOP_UP: Account.Kind.PAYMENT,
    TransactionKind.PROMOTION: Account.Kind.PROMOTION,
    TransactionKind.ADJUSTMENT: Account.Kind.ADJUSTMENT,
}
"""The account on the other side of a wallet's movement."""

REASON_LENGTH, REFERENCE_LENGTH = 500, 200


@dataclass(frozen=True, slots=True)
class Movement:
    """Nano-USD that a wallet gains, or loses if negative."""

    kind: TransactionKind
    workspace_id: UUID
    amount: int
    charge_id: UUID | None = None
    reason: str = ""
    by: str = ""
    reference: str | None = None


def top_up(
    workspace_id: UUID, amount: int, *, reason: str, by: str, reference: str | None = None
) -> Transaction:
    """Credit a payment. A `reference` is credited once; repeating it returns the first transaction."""
    return _move(TransactionKind.TOP_UP, workspace_id, amount, reason, by, reference)


def grant_promotion(
    workspace_id: UUID, amount: int, *, reason: str, by: str, reference: str | None = None
) -> Transaction:
    """Credit promotional money."""
    return _move(TransactionKind.PROMOTION, workspace_id, amount, reason, by, reference)


def adjust(
    workspace_id: UUID, amount: int, *, reason: str, by: str, reference: str | None = None
) -> Transaction:
    return _move(TransactionKind.ADJUSTMENT, workspace_id, amount, reason, by, reference)


_NEVER_NEGATIVE = {TransactionKind.TOP_UP: "top-up", TransactionKind.PROMOTION: "promotion"}


def _move(
    kind: TransactionKind, workspace_id: UUID, amount: int, reason: str, by: str, reference: str | None
) -> Transaction:
    _check_input(amount, reason)
    if amount < 0 and kind in _NEVER_NEGATIVE:
        raise InvalidBillingAction(f"A {_NEVER_NEGATIVE[kind]} is positive; an adjustment may be negative.")
    return _post_once(Movement(kind, workspace_id, amount, None, reason, by, _clean_reference(reference)))


def reverse(transaction_id: UUID, *, reason: str, by: str) -> Transaction:
    """Reverse a transaction; for a charge, this is a refund.

    Raises `InvalidBillingAction` if there is no such transaction, it is a reversal itself, or it was reversed
    before.
    """
    _check_input(1, reason)
    try:
        with transaction.atomic():
            original = Transaction.objects.prefetch_related("entries").get(pk=transaction_id)
            if original.kind == TransactionKind.REVERSAL:
                raise InvalidBillingAction("A reversal is not reversed; make the transaction again.")
            if Transaction.objects.filter(reverses=original).exists():
                raise InvalidBillingAction("This transaction has been reversed already.")
            lock_wallets([original.workspace_id])
            id = new_id()
            reversal = {
                **_row(
                    id, TransactionKind.REVERSAL, original.workspace_id, original.charge_id, timezone.now()
                ),
                "reverses": original.pk,
                "reason": reason.strip(),
                "by": by,
            }
            entries = [_entry(id, entry.account_id, -entry.amount) for entry in original.entries.all()]
            _check_turnover(original.workspace_id, max(abs(entry["amount"]) for entry in entries))
            _seal([reversal], entries)
            return Transaction.objects.get(pk=id)
    except Transaction.DoesNotExist:
        raise InvalidBillingAction("There is no such transaction.") from None
    except IntegrityError as error:
        raise InvalidBillingAction("This transaction has been reversed already.") from error


def post_movements(movements: Sequence[Movement], releases: Mapping[UUID, int] = {}) -> list[UUID]:
    """Write a transaction for each movement, change the wallets' balances, and return the transactions' ids.

    `releases` is what the wallets no longer hold. Runs inside the caller's transaction, which has locked the
    wallets.
    """
    now = timezone.now()
    transactions, entries = [], []
    for movement in movements:
        id = new_id()
        transactions.append(
            {
                **_row(id, movement.kind, movement.workspace_id, movement.charge_id, now),
                "reference": movement.reference,
                "reason": movement.reason,
                "by": movement.by,
            }
        )
        wallet = account_id(Account.Kind.WALLET, movement.workspace_id)
        entries.append(_entry(id, wallet, movement.amount))
        entries.append(_entry(id, account_id(_COUNTER_ACCOUNTS[movement.kind]), -movement.amount))
    _create_missing_accounts(movements)
    _seal(transactions, entries, releases)
    return [row["id"] for row in transactions]


def _row(id: UUID, kind: TransactionKind, workspace_id: UUID, charge_id: UUID | None, at: datetime) -> Row:
    return {
        "id": id,
        "kind": kind.value,
        "workspace_id": workspace_id,
        "charge_id": charge_id,
        "created_at": at,
    }


def _entry(transaction_id: UUID, account: UUID, amount: int) -> Row:
    return {"id": new_id(), "transaction": transaction_id, "account": account, "amount": amount}


def _seal(transactions: Sequence[Row], entries: Sequence[Row], releases: Mapping[UUID, int] = {}) -> None:
    """Insert entries, then the transactions that seal them, and update the wallets.

    In this order, the database can refuse a transaction whose entries do not sum to zero.
    """
    insert_rows(Entry, entries)
    insert_rows(Transaction, transactions)
    workspaces = {
        account_id(Account.Kind.WALLET, row["workspace_id"]): row["workspace_id"] for row in transactions
    }
    gains: dict[UUID, int] = defaultdict(int)
    for entry in entries:
        if entry["account"] in workspaces:
            gains[workspaces[entry["account"]]] += entry["amount"]
    for workspace_id in sorted({*gains, *releases}):
        Wallet.objects.filter(pk=workspace_id).update(
            balance=F("balance") + gains.get(workspace_id, 0), held=F("held") - releases.get(workspace_id, 0)
        )


def _create_missing_accounts(movements: Iterable[Movement]) -> None:
    needed = {(Account.Kind.WALLET, movement.workspace_id) for movement in movements}
    needed |= {(_COUNTER_ACCOUNTS[movement.kind], NO_WORKSPACE) for movement in movements}
    accounts = {account_id(kind, owner): (kind, owner) for kind, owner in needed}
    missing = accounts.keys() - set(Account.objects.filter(id__in=accounts).values_list("id", flat=True))
    new = [Account(id=id, kind=accounts[id][0], workspace_id=accounts[id][1]) for id in sorted(missing)]
    Account.objects.bulk_create(new, ignore_conflicts=True)


def _post_once(movement: Movement) -> Transaction:
    with transaction.atomic():
        lock_wallets([movement.workspace_id])
        if movement.reference:
            existing = Transaction.objects.filter(reference=movement.reference).first()
            if existing is not None:
                return _check_same_payment(existing, movement)
        _check_turnover(movement.workspace_id, abs(movement.amount))
        try:
            with transaction.atomic():
                return Transaction.objects.get(pk=post_movements([movement])[0])
        except IntegrityError:  # another workspace used the same reference at the same moment
            existing = Transaction.objects.filter(reference=movement.reference).first()
            if existing is None or not movement.reference:
                raise
            return _check_same_payment(existing, movement)


def _check_same_payment(existing: Transaction, movement: Movement) -> Transaction:
    wallet = account_id(Account.Kind.WALLET, movement.workspace_id)
    amounts = {entry.account_id: entry.amount for entry in existing.entries.all()}
    if amounts.get(wallet) != movement.amount:
        raise InvalidBillingAction(f"The reference {movement.reference!r} is that of another payment.")
    return existing


def _check_input(amount: int, reason: str) -> None:
    if not reason.strip():
        raise InvalidBillingAction("Say why: a reason is needed.")
    if len(reason.strip()) > REASON_LENGTH:
        raise InvalidBillingAction(f"A reason has at most {REASON_LENGTH} characters.")
    if amount == 0:
        raise InvalidBillingAction("An amount is not zero.")
    if abs(amount) > MAX_NANO:
        raise InvalidBillingAction(f"An amount is at most {format_usd(MAX_NANO)} USD.")


def _check_turnover(workspace_id: UUID, amount: int) -> None:
    """Limit what is moved by hand, whatever its sign, so that no sum over a wallet's entries can overflow."""
    by_hand = Entry.objects.filter(
        transaction__in=Transaction.objects.filter(
            ~Q(kind=TransactionKind.CHARGE), workspace_id=workspace_id
        ),
        account=account_id(Account.Kind.WALLET, workspace_id),
    )
    moved = int(by_hand.aggregate(total=Sum(Abs("amount")))["total"] or 0)
    if moved + amount > MAX_NANO_PER_WALLET:
        raise InvalidBillingAction(
            f"Top-ups, promotions, adjustments and reversals of a workspace come to at most "
            f"{format_usd(MAX_NANO_PER_WALLET)} USD together, whatever their sign. "
            f"{format_usd(MAX_NANO_PER_WALLET - moved)} USD are left of that."
        )


def _clean_reference(reference: str | None) -> str | None:
    reference = (reference or "").strip()
    if len(reference) > REFERENCE_LENGTH:
        raise InvalidBillingAction(f"A reference has at most {REFERENCE_LENGTH} characters.")
    return reference or None
