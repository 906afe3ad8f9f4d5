"""Calls of /v1/audio in the books: what they may cost is held before, and what they did is settled after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.types import Scope

from accounts.authentication import Principal
from billing.holds import ChargeKind, ChargeRequest, ChargeSettlement
from billing.tariffs import Bound
from billing.units import Units
from chatapi.completions.pricing import AUDIO_MODELS
from chatapi.completions.service import SCOPE_KEY, CompletionService
from core.http.body import ClientGone
from core.ids import new_id


class Bill:
    """What was delivered so far."""

    def __init__(self) -> None:
        self.units = Units()


@asynccontextmanager
async def billed(scope: Scope, principal: Principal, kind: ChargeKind, bound: Bound) -> AsyncIterator[Bill]:
    """A call that is paid by what the bill says when the block ends; one that fails costs nothing. Raises
    `ApiError` where it cannot be paid."""
    service: CompletionService = scope[SCOPE_KEY]
    model = AUDIO_MODELS[kind]
    order = ChargeRequest(
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
    hold = await service.hold(order, bound)
    bill, ended = Bill(), "failed"
    try:
        yield bill
        ended = "completed"
    except (ClientGone, asyncio.CancelledError):
        ended = "cancelled"
        raise
    finally:
        units = Units() if ended == "failed" else bill.units
        await service.settle(ChargeSettlement(hold, model, units, ended, datetime.now(UTC)))
