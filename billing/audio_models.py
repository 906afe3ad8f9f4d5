"""The names under which the service's own synthesis and recognition have prices, and charges for them."""

from datetime import UTC, datetime
from functools import partial
from typing import Literal
from uuid import UUID

from billing.holds import ChargeRequest
from billing.prices import free_if_unpriced
from core.ids import new_id

AudioKind = Literal["speech", "transcription"]
AUDIO_MODELS: dict[AudioKind, str] = {"speech": "speech", "transcription": "transcription"}
"""By kind of charge."""


def audio_charge_request(
    kind: AudioKind,
    workspace_id: UUID,
    user_id: int | None,
    key_id: UUID | None,
    token_id: UUID | None,
    *,
    process_id: UUID | None = None,
    what: str = "This call",
    tells_amounts: bool = False,
) -> ChargeRequest:
    """Return a request to be charged now for speech or recognition: free until somebody prices them."""
    model = AUDIO_MODELS[kind]
    return ChargeRequest(
        charge_id=new_id(),
        kind=kind,
        workspace_id=workspace_id,
        user_id=user_id,
        key_id=key_id,
        models=(model,),
        at=datetime.now(UTC),
        process_id=process_id,
        declared=partial(free_if_unpriced, [model]),
        what=what,
        token_id=token_id,
        tells_amounts=tells_amounts,
    )
