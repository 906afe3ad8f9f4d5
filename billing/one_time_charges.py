"""What is charged for once, however often it is made, and only when it is made: without a hold before it."""

from uuid import UUID

from django.db import transaction

from billing.holds import ChargeRequest, ChargeSettlement, HoldBatch
from billing.models import OneTimeCharge
from billing.tariffs import Bound
from billing.units import Units


def check_affordable(once: UUID, request: ChargeRequest, bound: Bound) -> None:
    """Check that this can be paid for, unless it has been. Holds nothing.

    Raises `Unaffordable` or `Unpriced`.
    """
    if OneTimeCharge.objects.filter(id=once).exists():
        return
    with transaction.atomic(), HoldBatch([request], []) as batch:
        batch.check(request, batch.max_cost(request, lambda: bound))


def charge_once(once: UUID, request: ChargeRequest, units: Units) -> None:
    """Charge for what has been made, unless it was charged for before, or is free.

    Runs inside the caller's transaction, which ought to be what keeps the thing made. `units` are seconds or
    characters. Raises `Unaffordable` or `Unpriced`.
    """
    if OneTimeCharge.objects.filter(id=once).exists():
        return
    bound = Bound(seconds=units.seconds, characters=units.characters)
    with HoldBatch([request], []) as batch:
        if batch.is_free(request):
            return
        hold = batch.hold(request, lambda: bound)
    end = ChargeSettlement(hold, request.models[0], units, "completed", request.at)
    with HoldBatch([], [end]):
        OneTimeCharge.objects.create(id=once, charge_id=request.charge_id)
