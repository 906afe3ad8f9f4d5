"""Posting: what was settled goes into the ledger and into the roll-ups, in batches, each charge once."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from chatapi.billing import rollups
from chatapi.billing.ledger import Movement, post
from chatapi.billing.models import Charge, Transaction
from chatapi.billing.wallets import locked

BATCH = 500


def post_settled() -> int:
    """Post all that is settled; gives how many charges that were. May run twice, die anywhere, and in several
    workers at once: each batch is one transaction, and no two workers take the same charge."""
    posted = 0
    while count := _post_batch():
        posted += count
    return posted


def _post_batch() -> int:
    with transaction.atomic():
        charges = list(_to_post())
        if not charges:
            return 0
        costs: dict[UUID, int] = defaultdict(int)
        for charge in charges:
            if charge.cost:
                costs[charge.workspace_id] += charge.cost
        locked(costs)
        movements = [
            Movement(Transaction.Kind.CHARGE, charge.workspace_id, -charge.cost, charge.id)
            for charge in charges
            if charge.cost
        ]
        if movements:
            post(movements, releases=costs)
        rollups.add(charges)
        _mark_posted(charges)
        return len(charges)


def _to_post() -> QuerySet[Charge]:
    settled = Charge.objects.filter(state=Charge.State.SETTLED).order_by("id")
    return settled.select_for_update(skip_locked=True)[:BATCH]


def _mark_posted(charges: Sequence[Charge]) -> None:
    ids = [charge.id for charge in charges]
    Charge.objects.filter(id__in=ids).update(state=Charge.State.POSTED)
