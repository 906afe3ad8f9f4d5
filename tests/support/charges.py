"""Holds and settlements outside a running service."""

from django.db import transaction

from billing.holds import ChargeRequest, ChargeSettlement, Hold, HoldBatch
from billing.tariffs import Bound

MODERATE = Bound(prompt=1000, output=100)


def hold(order: ChargeRequest, bound: Bound = MODERATE) -> Hold:
    with transaction.atomic(), HoldBatch([order], []) as batch:
        return batch.hold(order, lambda: bound)


def settle(*ends: ChargeSettlement) -> None:
    with transaction.atomic(), HoldBatch([], ends):
        pass
