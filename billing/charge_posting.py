"""Posting: settled charges go into the ledger and the roll-ups, in batches, each charge once."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from billing import rollups
from billing.ledger import Movement, post_movements
from billing.models import Charge, Transaction
from billing.wallet_locks import lock_wallets

BATCH = 250
"""Small enough that calls do not wait long for SQLite's only lock."""


def post_settled() -> int:
    """Post all settled charges and return how many there were.

    May run twice, die anywhere, and run in several workers at once: a batch is one transaction, and what
    another worker has posted is not posted again.
    """
    posted = 0
    settled = Charge.objects.filter(state=Charge.State.SETTLED).order_by("id")
    while charges := list(settled.values_list("id", "workspace_id", "cost")[:BATCH]):
        try:
            _post(charges)
        except _PostedElsewhere:
            continue
        posted += len(charges)
    return posted


class _PostedElsewhere(Exception):
    pass


def _post(charges: Sequence[tuple[UUID, UUID, int | None]]) -> None:
    """Post a batch. As much as possible is computed before the transaction, which holds SQLite's lock."""
    costs: dict[UUID, int] = defaultdict(int)
    movements = []
    for id, workspace_id, cost in charges:
        if cost:
            costs[workspace_id] += cost
            movements.append(Movement(Transaction.Kind.CHARGE, workspace_id, -cost, id))
    batch = Charge.objects.filter(id__in=[id for id, _, _ in charges])
    sums = rollups.sum_charges(batch)
    with transaction.atomic():
        settled = batch.filter(state=Charge.State.SETTLED)
        if settled.update(state=Charge.State.POSTED) != len(charges):
            raise _PostedElsewhere
        lock_wallets(costs)
        if movements:
            post_movements(movements, releases=costs)
        rollups.add_sums(sums)
