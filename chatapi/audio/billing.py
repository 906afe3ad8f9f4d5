"""Billing of /v1/audio calls: hold what a call may cost before it, settle what it did cost after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.types import Scope

from accounts.permissions import Permission
from accounts.principal import Principal
from billing.audio_models import AUDIO_MODELS, AudioKind, audio_charge_request
from billing.holds import ChargeSettlement
from billing.tariffs import Bound
from billing.units import Units
from chatapi.completions.service import CompletionService
from conversations.running_answers import SCOPE_KEY
from core.http.asgi_endpoint import Sender
from core.http.body import ClientDisconnected


class Bill:
    """The units delivered so far."""

    def __init__(self) -> None:
        self.units = Units()


@asynccontextmanager
async def bill_call(
    scope: Scope, send: Sender, principal: Principal, kind: AudioKind, bound: Bound
) -> AsyncIterator[Bill]:
    """Charge a call for what the bill says when the block ends.

    A call that fails before its response has begun costs nothing.

    Raises `ApiError` if the call cannot be paid for.
    """
    service: CompletionService = scope[SCOPE_KEY]
    send.call.model = AUDIO_MODELS[kind]
    charge_request = audio_charge_request(
        kind,
        principal.workspace_id,
        principal.user_id,
        principal.key_id,
        principal.token_id,
        process_id=service.process_id,
        tells_amounts=principal.may(Permission.BILLING),
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
        units = bill.units if send.has_begun or outcome != "failed" else Units()
        await service.settle(ChargeSettlement(hold, AUDIO_MODELS[kind], units, outcome, datetime.now(UTC)))
