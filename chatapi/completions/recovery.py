"""Settlement of what a dead server process left in progress."""

import logging
import socket
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing.holds import ChargeSettlement, Hold, HoldBatch, charge_request_of
from billing.models import Charge
from billing.prices import tariffs_of
from billing.units import Units
from chatapi.completions.billable_usage import billing_units
from chatapi.completions.process_heartbeats import HEARTBEAT_TIMEOUT, is_alive, journal_path
from chatapi.completions.runs import crash_journal
from chatapi.completions.runs.crash_journal import RunProgress
from conversations.models import Completion, Conversation, ServerProcess
from conversations.settlement import show_earlier_answers, usage_columns
from core.bulk_sql import Increase, update_rows
from core.files import delete_abandoned
from engines.events import Usage

logger = logging.getLogger(__name__)

JOURNAL_WAIT = timedelta(hours=1)
"""How long to wait for the journal of a process that died on another machine.

That machine, or whoever has its data folder, bills what it left.
"""
BATCH = 200
NIL_ID = UUID(int=0)


def settle_interrupted() -> int:
    """Mark and bill what dead processes left in progress. Returns how many completions were marked.

    It may run twice, die anywhere, and run in several processes at once.

    A process is dead when it has been silent for a minute, or at once if this machine can tell that it is
    gone. Its answers are billed according to its journal: if anything was sent, for what had been generated.
    If the journal is on another machine, we wait for it.
    """
    owners = _owners()  # read first: a process records that it is alive before it owns anything
    processes = {process.id: process for process in ServerProcess.objects.all()}
    living = {id for id, process in processes.items() if is_alive(process)}
    dead = owners - living
    settled = _mark_interrupted(dead)
    waiting = {id for id in dead if id in processes and _is_journal_expected(processes[id])}
    held = Charge.objects.filter(state=Charge.State.HELD).filter(_owned_by(dead - waiting, "process_id"))
    while charges := list(held[:BATCH]):
        _settle_charges(charges)
    ServerProcess.objects.filter(id__in=processes.keys() - living - waiting).delete()
    _delete_journals(living | waiting)
    if settled:
        logger.warning("%d completions of a process that died are marked interrupted", settled)
    return settled


def _owners() -> set[UUID | None]:
    """Return the processes that own something in progress, None for one that is not known."""
    completions = Completion.objects.filter(state=Completion.State.IN_PROGRESS)
    charges = Charge.objects.filter(state=Charge.State.HELD)
    return {
        *completions.values_list("process", flat=True).distinct(),
        *charges.values_list("process_id", flat=True).distinct(),
    }


def _owned_by(processes: Collection[UUID | None], field: str) -> Q:
    condition = Q(**{f"{field}__in": [id for id in processes if id is not None]})
    return condition | Q(**{field: None}) if None in processes else condition


def _is_journal_expected(process: ServerProcess) -> bool:
    return (
        process.host != socket.gethostname()
        and process.seen_at > timezone.now() - JOURNAL_WAIT
        and not journal_path(process.id).exists()
    )


def _mark_interrupted(dead: Collection[UUID | None]) -> int:
    abandoned = Completion.objects.filter(state=Completion.State.IN_PROGRESS)
    abandoned = abandoned.filter(_owned_by(dead, "process"))
    now, marked = timezone.now(), 0
    while batch := list(abandoned.order_by("pk").values_list("pk", "conversation", "prompt")[:BATCH]):
        ids, conversations, prompts = map(set, zip(*batch, strict=True))
        with transaction.atomic():
            marked += abandoned.filter(pk__in=ids).update(
                state=Completion.State.INTERRUPTED,
                ended_at=now,
                usage_estimated=True,
                idempotency_key=None,  # a repeated call is meant to succeed
            )
            _show_earlier_answers(conversations - {None}, prompts - {None}, now)
    return marked


def _show_earlier_answers(conversations: Collection[UUID], prompts: Collection[UUID], now: datetime) -> None:
    """Show again what was shown before one of these prompts was to be answered anew, where it is the head.

    Lists say of all these conversations that they changed.
    """
    changed = Conversation.objects.filter(pk__in=conversations)
    list(changed.order_by("pk").select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))
    changed.update(updated_at=now)
    interrupted = Completion.objects.filter(state=Completion.State.INTERRUPTED)
    show_earlier_answers(changed.filter(head__in=prompts), interrupted)


def _settle_charges(charges: Sequence[Charge]) -> None:
    """Settle each charge once, whoever else does the same: `HoldBatch` ensures that."""
    progress_by_process = {id: _read_progress(id) for charge in charges if (id := charge.process_id)}
    settlements, usages = [], {}
    for charge in charges:
        progress = progress_by_process.get(charge.process_id or charge.id, {}).get(charge.id)
        usage = progress.usage if progress and progress.has_begun else Usage()
        images = progress.images if progress and progress.has_begun else 0
        units = billing_units(usage, images)
        settlements.append(_build_settlement(charge, progress, units, is_estimated=usage.estimated))
        usages[charge.id] = usage
    now = timezone.now()
    with transaction.atomic(), HoldBatch([], settlements) as batch:
        update_rows(
            Completion, [({"id": id}, usage_columns(usages[id], cost)) for id, cost in batch.costs.items()]
        )
        conversations = Completion.objects.filter(id__in=batch.costs, conversation__isnull=False)
        update_rows(
            Conversation,
            [
                ({"id": conversation_id}, {"cost": Increase(batch.costs[id] or 0), "updated_at": now})
                for id, conversation_id in conversations.values_list("id", "conversation_id")
            ],
        )


def _build_settlement(
    charge: Charge, progress: RunProgress | None, units: Units, *, is_estimated: bool
) -> ChargeSettlement:
    order = charge_request_of(charge)
    price_id, model = charge.price_id, charge.model
    if progress is not None and progress.was_asked:
        tariffs = tariffs_of([progress.price_id]) if progress.price_id else {}
        for tariff in tariffs.values():
            price_id, model = tariff.price_id, tariff.model
        if progress.price_id is None:  # it has none; for one that is unknown, the promised price stands
            price_id = None
    hold = Hold(order, {model: price_id} if price_id else {}, charge.held)
    return ChargeSettlement(
        hold,
        model,
        units,
        "interrupted",
        timezone.now(),
        is_estimated=is_estimated,
        requests=progress.requests if progress else 1,
    )


def _read_progress(process_id: UUID) -> dict[UUID, RunProgress]:
    try:
        return crash_journal.read(journal_path(process_id))
    except FileNotFoundError:
        return {}


def _delete_journals(wanted: Collection[UUID]) -> None:
    """Delete all journals but the wanted ones, and those with something that is not settled yet."""
    kept = {id.hex for id in (*wanted, *_owners()) if id}
    unwanted = [path for path in journal_path(NIL_ID).parent.glob("*") if path.name not in kept]
    # a younger one may belong to a process that started after the living ones were listed
    delete_abandoned(unwanted, HEARTBEAT_TIMEOUT, is_in_use=crash_journal.is_in_use)
