"""Wallets, read under their locks."""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from billing.models import Budget, Wallet
from billing.money import MAX_NANO_PER_WALLET
from core.bulk_sql import fetch, id_to_driver


class LockedWallet(NamedTuple):
    """A wallet as it is while the caller's transaction holds its lock."""

    balance: int
    held: int
    credit_limit: int | None
    has_budgets: bool

    @property
    def available(self) -> int:
        """What is left to spend. A wallet without a limit ends where its sums would no longer fit."""
        limit = MAX_NANO_PER_WALLET if self.credit_limit is None else self.credit_limit
        return self.balance + limit - self.held


def lock_wallets(
    workspace_ids: Collection[UUID], released: Mapping[UUID, int] = {}
) -> dict[UUID, LockedWallet]:
    """Lock the wallets of these workspaces until the caller's transaction ends, and read them.

    Missing ones are created, and the `released` amounts are taken off their holds. They are locked in one
    fixed order, so that no two transactions wait for each other. One statement per wallet releases, locks and
    reads: its text is always the same, so it stays prepared.
    """
    wallets = {}
    for id in sorted(set(workspace_ids)):
        wallet = _lock_wallet(id, released.get(id, 0))
        if wallet is None:
            new = Wallet(workspace_id=id, credit_limit=settings.CHATAPI_CREDIT_LIMIT)
            Wallet.objects.bulk_create([new], ignore_conflicts=True)
            wallet = _lock_wallet(id, released.get(id, 0))
        if wallet is not None:
            wallets[id] = wallet
    return wallets


_LOCK = (
    f"UPDATE {Wallet._meta.db_table} SET held = held - ? WHERE workspace_id = ?"  # noqa: S608
    " RETURNING balance, held, credit_limit,"
    f" EXISTS (SELECT 1 FROM {Budget._meta.db_table} AS budget WHERE budget.workspace_id = ?)"
)


def _lock_wallet(workspace_id: UUID, released: int) -> LockedWallet | None:
    id = id_to_driver(workspace_id)
    for balance, held, credit_limit, has_budgets in fetch(_LOCK, [released, id, id]):
        return LockedWallet(balance, held, credit_limit, bool(has_budgets))
    return None
