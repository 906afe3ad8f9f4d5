"""Runs that are admitted and settled without a service, which only the database sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction

from accounts.keys.validation import principal_of_secret
from accounts.principal import Caller
from billing.holds import ChargeRequest, HoldBatch
from billing.prices import free_if_unpriced
from billing.tariffs import Bound
from billing.units import Units
from conversations.admission import admit_all
from conversations.completion_request import CompletionRequest
from conversations.models import Conversation
from conversations.settlement import Settlement, settle_all
from conversations.stored_run import Admission, StoredRun, UnrecognizedSound
from core.ids import new_id
from engines.answers import Choice, Failure, Outcome
from engines.events import Usage
from engines.messages import Message, TextPart
from tests.support.people import Person


@dataclass(eq=False, kw_only=True)
class BareRun(StoredRun):
    """A run; `meanwhile` happens when its place has been read, and before anything of it is written."""

    meanwhile: Callable[[], object] = lambda: None

    def read_history(self, history: tuple[Message, ...]) -> None:
        self.meanwhile()

    def bound(self) -> Bound:
        return Bound(prompt=1, output=1)

    def unrecognized_sounds(self) -> Sequence[UnrecognizedSound]:
        return ()


def admit(
    who: Person,
    conversation: Conversation,
    *texts: str,
    meanwhile: Callable[[], object] = dict,
    **fields: Any,
) -> BareRun:
    """Admit a call to a conversation."""
    request = CompletionRequest(
        messages=tuple(Message("user", (TextPart(text),)) for text in texts),
        dialect="openai",
        conversation_id=conversation.public_id,
        **fields,
    )
    caller = Caller(principal_of_secret(who.key))
    run = BareRun(caller=caller, request=request, model="m", process_id=new_id(), meanwhile=meanwhile)
    free = partial(free_if_unpriced, ["m"])
    run.charge_request = ChargeRequest(
        run.id, "completion", run.workspace_id, None, None, ("m",), run.at, declared=free
    )
    with transaction.atomic(), HoldBatch([run.charge_request], []) as batch:
        [admission] = admit_all([run], batch)
    assert isinstance(admission, Admission), admission
    run.admission = admission
    return run


def settle(*ends: tuple[BareRun, str | Failure]) -> None:
    """Settle these runs at once, each with the words of its answer, or why there is none."""
    settlements = [Settlement(run, _outcome(end), Units()) for run, end in ends]
    with transaction.atomic():
        settle_all(settlements, {run.id: 0 for run, _ in ends})


def _outcome(end: str | Failure) -> Outcome:
    failure = end if isinstance(end, Failure) else None
    said = () if isinstance(end, Failure) else (Choice(0, Message("assistant", (TextPart(end),)), "stop"),)
    state: Any = "failed" if failure else "completed"
    return Outcome(state, said, {}, Usage(), 0, 1, "m", failure, None, datetime.now(UTC))
