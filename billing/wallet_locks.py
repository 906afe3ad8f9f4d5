"""Wallets, read under their locks."""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from billing.models import Budget, Wallet
from core.sql import fetch, stored_id


class LockedWallet(NamedTuple):
    """A wallet as it is while the caller's transaction has its lock."""

    balance: int
    held: int
    credit_limit: int | None
    has_budgets: bool

    @property
    def available(self) -> int | None:
        """None where there is no limit."""
        return None if self.credit_limit is None else self.balance + self.credit_limit - self.held


def lock_wallets(
    workspace_ids: Collection[UUID], given_back: Mapping[UUID, int] = {}
) -> dict[UUID, LockedWallet]:
    """The wallets of these workspaces, made where they are missing, without what of their holds is given
    back; for the caller's transaction alone until its end.

    In one order, so that no two transactions wait for each other. One statement a wallet gives back, locks
    and reads: its text is always the same, and so it stays prepared.
    """
    purses = {}
    for id in sorted(set(workspace_ids)):
        purse = _locked(id, given_back.get(id, 0))
        if purse is None:
            new = Wallet(workspace_id=id, credit_limit=settings.CHATAPI_CREDIT_LIMIT)
            Wallet.objects.bulk_create([new], ignore_conflicts=True)
            purse = _locked(id, given_back.get(id, 0))
        if purse is not None:
            purses[id] = purse
    return purses


_LOCK = (
    f"UPDATE {Wallet._meta.db_table} SET held = held - ? WHERE workspace_id = ?"  # noqa: S608
    " RETURNING balance, held, credit_limit,"
    f" EXISTS (SELECT 1 FROM {Budget._meta.db_table} AS budget WHERE budget.workspace_id = ?)"
)


def _locked(workspace_id: UUID, given_back: int) -> LockedWallet | None:
    id = stored_id(workspace_id)
    for balance, held, credit_limit, has_budgets in fetch(_LOCK, [given_back, id, id]):
        return LockedWallet(balance, held, credit_limit, bool(has_budgets))
    return None
