"""Wallets, read under their locks."""

from collections.abc import Collection
from uuid import UUID

from django.conf import settings

from chatapi.billing.models import Wallet


def locked(workspace_ids: Collection[UUID]) -> dict[UUID, Wallet]:
    """The wallets of these workspaces, made where they are missing; for the caller's transaction alone until
    its end. In one order, so that no two transactions wait for each other; SQLite has one writer anyway."""
    if not workspace_ids:
        return {}
    wallets = _read(workspace_ids)
    missing = [id for id in workspace_ids if id not in wallets]
    if missing:
        new = [Wallet(workspace_id=id, credit_limit=settings.CHATAPI_CREDIT_LIMIT) for id in sorted(missing)]
        Wallet.objects.bulk_create(new, ignore_conflicts=True)
        wallets = _read(workspace_ids)
    return wallets


def _read(workspace_ids: Collection[UUID]) -> dict[UUID, Wallet]:
    rows = Wallet.objects.select_for_update().filter(workspace_id__in=workspace_ids).order_by("workspace_id")
    return {wallet.workspace_id: wallet for wallet in rows}
