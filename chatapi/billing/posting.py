"""Posting: what was settled goes into the ledger and into the roll-ups, in batches, each charge once."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from chatapi.billing import rollups
from chatapi.billing.ledger import Movement, post
from chatapi.billing.models import Charge, Transaction
from chatapi.billing.wallets import locked

BATCH = 250
"""Few enough that calls do not wait long for SQLite's one lock."""


def post_settled() -> int:
    """Post all that is settled; gives how many charges that were. May run twice, die anywhere, and in several
    workers at once: a batch is one transaction, and what another worker has posted is not posted again."""
    posted = 0
    while charges := list(Charge.objects.filter(state=Charge.State.SETTLED).order_by("id")[:BATCH]):
        try:
            _post(charges)
        except _PostedElsewhere:
            continue
        posted += len(charges)
    return posted


class _PostedElsewhere(Exception):
    pass


def _post(charges: Sequence[Charge]) -> None:
    """All that can be computed is before the transaction: meanwhile it holds SQLite's lock."""
    costs: dict[UUID, int] = defaultdict(int)
    movements = []
    for charge in charges:
        if charge.cost:
            costs[charge.workspace_id] += charge.cost
            movement = Movement(Transaction.Kind.CHARGE, charge.workspace_id, -charge.cost, charge.id)
            movements.append(movement)
    sums = rollups.summed(charges)
    settled = Charge.objects.filter(id__in=[charge.id for charge in charges], state=Charge.State.SETTLED)
    with transaction.atomic():
        if settled.update(state=Charge.State.POSTED) != len(charges):
            raise _PostedElsewhere
        locked(costs)
        if movements:
            post(movements, releases=costs)
        rollups.add(sums)
