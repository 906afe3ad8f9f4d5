"""Wallets, read under their locks."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from chatapi.billing.models import Budget, Wallet
from chatapi.bulk import fetch, stored_id


class Purse(NamedTuple):
    """A wallet as it is while the caller's transaction has its lock."""

    balance: int
    held: int
    credit_limit: int | None
    has_budgets: bool

    @property
    def available(self) -> int | None:
        """None where there is no limit."""
        return None if self.credit_limit is None else self.balance + self.credit_limit - self.held


def locked(workspace_ids: Collection[UUID]) -> dict[UUID, Purse]:
    """The wallets of these workspaces, made where they are missing; for the caller's transaction alone until
    its end. In one order, so that no two transactions wait for each other; SQLite has one writer anyway."""
    purses = {id: purse for id in sorted(set(workspace_ids)) if (purse := _read(id))}
    missing = [id for id in workspace_ids if id not in purses]
    if missing:
        new = [Wallet(workspace_id=id, credit_limit=settings.CHATAPI_CREDIT_LIMIT) for id in sorted(missing)]
        Wallet.objects.bulk_create(new, ignore_conflicts=True)
        return locked(workspace_ids)
    return purses


_WALLET = (
    f"SELECT balance, held, credit_limit, EXISTS (SELECT 1 FROM {Budget._meta.db_table} AS budget"  # noqa: S608
    f" WHERE budget.workspace_id = ?) FROM {Wallet._meta.db_table} WHERE workspace_id = ?"
)


def _read(workspace_id: UUID) -> Purse | None:
    """One statement a wallet: its text is always the same, and so it stays prepared."""
    text = _WALLET if connection.vendor == "sqlite" else f"{_WALLET} FOR UPDATE"
    id = stored_id(workspace_id)
    for balance, held, credit_limit, has_budgets in fetch(text, [id, id]):
        return Purse(balance, held, credit_limit, bool(has_budgets))
    return None
