"""Billing of /v1/audio calls: hold what a call may cost before it, settle what it did cost after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.types import Scope

from accounts.principal import Principal
from billing.holds import ChargeKind, ChargeRequest, ChargeSettlement
from billing.tariffs import Bound
from billing.units import Units
from chatapi.completions.declared_prices import AUDIO_MODELS
from chatapi.completions.service import SCOPE_KEY, CompletionService
from core.http.body import ClientDisconnected
from core.ids import new_id


class Bill:
    """The units delivered so far."""

    def __init__(self) -> None:
        self.units = Units()


@asynccontextmanager
async def bill_call(
    scope: Scope, principal: Principal, kind: ChargeKind, bound: Bound
) -> AsyncIterator[Bill]:
    """Charge a call for what the bill says when the block ends; a failed call costs nothing.

    Raises `ApiError` if the call cannot be paid for.
    """
    service: CompletionService = scope[SCOPE_KEY]
    model = AUDIO_MODELS[kind]
    charge_request = ChargeRequest(
        charge_id=new_id(),
        kind=kind,
        workspace_id=principal.workspace_id,
        user_id=principal.user_id,
        key_id=principal.key_id,
        models=(model,),
        at=datetime.now(UTC),
        process_id=service.process_id,
        declared=lambda: {model: "free"},
    )
    hold = await service.hold(charge_request, bound)
    bill, outcome = Bill(), "failed"
    try:
        yield bill
        outcome = "completed"
    except (ClientDisconnected, asyncio.CancelledError):
        outcome = "cancelled"
        raise
    finally:
        units = Units() if outcome == "failed" else bill.units
        await service.settle(ChargeSettlement(hold, model, units, outcome, datetime.now(UTC)))
