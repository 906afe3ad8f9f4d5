"""Which server processes live, and what a dead one left in progress."""

import logging
import os
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing.holds import ChargeSettlement, Hold, HoldBatch, charge_request_of
from billing.models import Charge
from billing.prices import tariffs_of
from billing.units import Units
from chatapi.completions.pricing import units_of
from chatapi.completions.runs import journal
from chatapi.completions.runs.journal import RunProgress
from conversations.models import Completion, ServerProcess
from conversations.settlement import billed
from core.sql import update_rows
from engines.events import Usage

logger = logging.getLogger(__name__)

SILENCE = timedelta(seconds=60)
JOURNAL_PATIENCE = timedelta(hours=1)
"""How long the journal of a process is waited for that died on another machine: that machine, or whoever has
its data folder, bills what it left."""
BATCH = 200
NOBODY = UUID(int=0)
_here: set[UUID] = set()
"""The processes that this very process stands for: they live, however long it was held up."""


def say_alive(process_id: UUID) -> None:
    """To be called every few seconds by each process that makes completions."""
    _here.add(process_id)
    ServerProcess.objects.update_or_create(
        id=process_id,
        defaults={"seen_at": timezone.now()},
        create_defaults={"host": socket.gethostname(), "pid": os.getpid()},
    )


def say_farewell(process_id: UUID) -> None:
    _here.discard(process_id)
    ServerProcess.objects.filter(id=process_id).delete()


def journal_path(process_id: UUID) -> Path:
    """Where a process notes how far its answers have come."""
    return Path(settings.DATA_DIR) / "journals" / process_id.hex


def settle_interrupted() -> int:
    """Mark and bill what dead processes left in progress; gives how many were marked. May run twice, die
    anywhere, and in several processes at once.

    A process is dead when it has been silent for a minute, or at once where this very machine can
    tell that it is gone. Its answers are billed as its journal tells: those of which something had gone out,
    by what had been made. Where the journal lies on another machine, it is waited for.
    """
    owners = _owners()  # read first: who owns something has said before that it lives
    processes = {process.id: process for process in ServerProcess.objects.all()}
    living = {id for id, process in processes.items() if _lives(process)}
    dead = owners - living
    settled = _mark_interrupted(dead)
    waiting = {id for id in dead if id in processes and _journal_may_come(processes[id])}
    held = Charge.objects.filter(state=Charge.State.HELD).filter(_owned_by(dead - waiting, "process_id"))
    while charges := list(held[:BATCH]):
        _settle(charges)
    ServerProcess.objects.filter(id__in=processes.keys() - living - waiting).delete()
    _forget_journals(living | waiting)
    if settled:
        logger.warning("%d completions of a process that died are marked interrupted", settled)
    return settled


def _owners() -> set[UUID | None]:
    """The processes that something in progress belongs to, as far as that is known."""
    completions = Completion.objects.filter(state=Completion.State.IN_PROGRESS)
    charges = Charge.objects.filter(state=Charge.State.HELD)
    return {
        *completions.values_list("process", flat=True).distinct(),
        *charges.values_list("process_id", flat=True).distinct(),
    }


def _owned_by(processes: Collection[UUID | None], field: str) -> Q:
    named = Q(**{f"{field}__in": [id for id in processes if id is not None]})
    return named | Q(**{field: None}) if None in processes else named


def _journal_may_come(process: ServerProcess) -> bool:
    return (
        process.host != socket.gethostname()
        and process.seen_at > timezone.now() - JOURNAL_PATIENCE
        and not journal_path(process.id).exists()
    )


def _mark_interrupted(dead: Collection[UUID | None]) -> int:
    abandoned = Completion.objects.filter(state=Completion.State.IN_PROGRESS)
    return abandoned.filter(_owned_by(dead, "process")).update(
        state=Completion.State.INTERRUPTED,
        ended_at=timezone.now(),
        usage_estimated=True,
        idempotency_key=None,  # a repeat is meant to succeed
    )


def _settle(charges: Sequence[Charge]) -> None:
    """Once each, whoever else does the same: the books see to that."""
    told = {id: _told(id) for charge in charges if (id := charge.process_id)}
    ends, rows = [], {}
    for charge in charges:
        progress = told.get(charge.process_id or charge.id, {}).get(charge.id)
        usage = progress.usage if progress and progress.has_begun else Usage()
        images = progress.images if progress and progress.has_begun else 0
        ends.append(_end(charge, progress, units_of(usage, images)))
        rows[charge.id] = usage
    with transaction.atomic():
        books = HoldBatch([], ends)
        update_rows(Completion, [({"id": id}, billed(rows[id], cost)) for id, cost in books.costs.items()])
        books.write()


def _end(charge: Charge, progress: RunProgress | None, units: Units) -> ChargeSettlement:
    order = charge_request_of(charge)
    price_id, model = charge.price_id, charge.model
    if progress is not None and progress.was_asked:
        asked_at = tariffs_of([progress.price_id]) if progress.price_id else {}
        for tariff in asked_at.values():
            price_id, model = tariff.price_id, tariff.model
        if progress.price_id is None:  # unlike a price that is nobody's: then the promised one stands
            price_id = None
    hold = Hold(order, {model: price_id} if price_id else {}, charge.held)
    return ChargeSettlement(hold, model, units, "interrupted", timezone.now(), is_estimated=True)


def _told(process_id: UUID) -> dict[UUID, RunProgress]:
    try:
        return journal.read(journal_path(process_id))
    except FileNotFoundError:
        return {}


def _forget_journals(wanted: Collection[UUID]) -> None:
    """All but these, and those of which something is not settled yet."""
    kept = {id.hex for id in (*wanted, *_owners()) if id}
    for path in journal_path(NOBODY).parent.glob("*"):
        with suppress(FileNotFoundError):  # another process forgets it, too
            if path.name not in kept and _is_old(path) and not journal.is_written(path):
                path.unlink()


def _is_old(path: Path) -> bool:
    """Not that of a process that was begun after the living were counted."""
    return path.stat().st_mtime < time.time() - SILENCE.total_seconds()


def _lives(process: ServerProcess) -> bool:
    if process.id in _here:
        return True
    if process.seen_at < timezone.now() - SILENCE:
        return False
    return process.host != socket.gethostname() or _is_running(process.pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
