"""Creating renditions: take one that is due, have a sandbox pool create it, save the result.

Any of this may run twice, at once, or die anywhere: a rendition is taken back when its worker falls silent.
Taking one counts an attempt, and the count tells who owns it: a worker that was silent for too long, and lost
it to another, no longer changes anything in it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Least
from django.utils import timezone

from billing.api_errors import billing_api_error
from billing.exceptions import BillingError
from core.bulk_sql import fetch, id_from_driver, id_to_driver
from core.value import Value
from media.models import Rendition, planned_renditions, rendition_id, source_kind
from media.processing.exceptions import MediaError
from media.processing.sandbox.exceptions import JobInterrupted, SandboxError
from media.renditions.makers import MAKERS, Maker, RenditionResult, SourceNotReady
from media.renditions.transcript_billing import charge_transcript

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
"""How long a worker may be silent before another takes over what it had."""
RENEW_SECONDS = 10.0
ATTEMPTS = 5
BACK_OFF_SECONDS = 3
OVERDUE_GRACE = timedelta(seconds=5)
"""How long a rendition may be due before the sweep asks workers to look for it."""
GAVE_UP = "The file could not be processed."

NO_WORKSPACE = UUID(int=0)
"""Comes before all workspaces."""

RenditionState = Rendition.State


class NextRendition(Value, frozen=True):
    """A rendition that workers should look for in `seconds`."""

    id: UUID
    seconds: float = 0


class Line(NamedTuple):
    """Renditions that are taken in turn. `served` is the workspace that was served last."""

    priority: int
    lane: str
    served: UUID | None = None


def take_due(lines: Iterable[Line]) -> Rendition | None:
    """Take a rendition that is due, from the first of these lines that has one.

    It is the oldest of the next workspace that has one: workspaces take turns in the order of their ids.
    """
    turns: list[Line] = []
    for line in lines:
        turns += [line, line._replace(served=None)] if line.served else [line]
    while (id := _find_due(turns)) is not None:
        rendition = _pending().filter(id=id).select_related("asset").first()
        if rendition is not None and _lease(rendition):
            return rendition
    return None


def _find_due(turns: Sequence[Line]) -> UUID | None:
    """Find the first rendition in one statement, which takes no lock.

    The ORM would take a millisecond to build the query of each turn, which the database answers in 20 µs.
    """
    if not turns:
        return None
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    parameters = [
        value
        for turn in turns
        for value in (now, turn.priority, turn.lane, id_to_driver(turn.served or NO_WORKSPACE))
    ]
    rows = fetch(_find_statement(len(turns)), parameters)
    return id_from_driver(rows[0][0]) if rows else None


@lru_cache
def _find_statement(turns: int) -> str:
    first = """
        SELECT * FROM (
            SELECT {turn} AS turn, id FROM media_rendition
            WHERE state = 'pending' AND due_at <= ? AND priority = ? AND lane = ? AND workspace_id > ?
            ORDER BY workspace_id, due_at LIMIT 1
        ) AS turn_{turn}"""
    firsts = " UNION ALL ".join(first.format(turn=turn) for turn in range(turns))
    return f"SELECT id FROM ({firsts}) AS firsts ORDER BY turn LIMIT 1"  # noqa: S608  # constant


def make(
    rendition: Rendition,
    makers: Mapping[str, Maker] = MAKERS,
    lease: Callable[[Rendition], AbstractContextManager[None]] | None = None,
) -> NextRendition | None:
    """Create a rendition that was taken; return what is due because of that, or is to be tried again."""
    if rendition.attempts > ATTEMPTS:
        logger.error("Rendition %s ended each worker that took it", rendition)
        return _fail(rendition, GAVE_UP)
    try:
        with (lease or keep_lease)(rendition):
            result = makers[rendition.kind.partition("-")[0]](rendition)
        return _keep(rendition, result)
    except SourceNotReady:
        return _wait_for_source(rendition)
    except JobInterrupted as error:
        logger.info("Rendition %s was interrupted: %s", rendition, error)
        return _release(rendition, BACK_OFF_SECONDS)
    except MediaError as problem:
        return _fail(rendition, problem.message, problem.code)
    except BillingError as problem:
        refusal = billing_api_error(problem)
        return _fail(rendition, refusal.message, refusal.code)
    except (SandboxError, OSError, SoftTimeLimitExceeded) as error:
        logger.warning("Rendition %s could not be made: %s", rendition, error)
        return _postpone(rendition)
    except Exception:
        logger.exception("Rendition %s could not be made", rendition)
        return _postpone(rendition)


def overdue_priorities(limit: int) -> list[int]:
    """Return the priorities of renditions that have been due for longer than a message takes."""
    due = _pending().filter(due_at__lte=timezone.now() - OVERDUE_GRACE)
    return list(due.order_by("priority").values_list("priority", flat=True)[:limit])


def _pending() -> QuerySet[Rendition]:
    return Rendition.objects.filter(state=RenditionState.PENDING)


def _owned_row(rendition: Rendition) -> QuerySet[Rendition]:
    """Select the row, unless another worker has taken it since."""
    return _pending().filter(id=rendition.id, attempts=rendition.attempts)


def _lease(rendition: Rendition) -> bool:
    """Take a rendition, unless another worker has since it was read."""
    now = timezone.now()
    row = _owned_row(rendition).filter(due_at__lte=now)
    rendition.attempts += 1
    return bool(row.update(due_at=now + LEASE, attempts=rendition.attempts))


@contextmanager
def keep_lease(
    rendition: Rendition, *, seconds: float | None = None, renew: Callable[[Rendition], object] | None = None
) -> Iterator[None]:
    """Keep moving `due_at` ahead for as long as the block runs, every `seconds`."""
    is_done = threading.Event()

    def renew_until_done() -> None:
        try:
            while not is_done.wait(seconds or RENEW_SECONDS):
                _try_to(renew or _renew, rendition)
        finally:
            connection.close()

    renewer = threading.Thread(target=renew_until_done, name="rendition-lease", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        is_done.set()
        renewer.join()


def _try_to(renew: Callable[[Rendition], object], rendition: Rendition) -> None:
    try:
        renew(rendition)
    except DatabaseError as error:
        logger.warning("The lease of rendition %s could not be renewed: %s", rendition, error)
        connection.close()  # so that the next try does not get the broken one


def _renew(rendition: Rendition) -> None:
    _owned_row(rendition).update(due_at=timezone.now() + LEASE)


def _wait_for_source(rendition: Rendition) -> NextRendition:
    """Undo the attempt; the rendition is due again when its source is finished.

    Whoever finishes the source changes both rows too, and in the same order. So either this finds the source
    finished, or that finds this waiting.
    """
    [source] = planned_renditions(rendition.asset, [source_kind(rendition.kind, rendition.asset)])
    with transaction.atomic():
        Rendition.objects.bulk_create([source], ignore_conflicts=True)
        is_pending = _pending().filter(id=source.id).update(priority=Least(F("priority"), rendition.priority))
        due_at = None if is_pending else timezone.now()
        _owned_row(rendition).update(due_at=due_at, attempts=F("attempts") - 1)
    return NextRendition(source.id if is_pending else rendition.id)


def _release(rendition: Rendition, seconds: float) -> NextRendition:
    """Undo the attempt: it was not the rendition's fault that it was not created."""
    due_at = timezone.now() + timedelta(seconds=seconds)
    _owned_row(rendition).update(due_at=due_at, attempts=F("attempts") - 1)
    return NextRendition(rendition.id, seconds)


def _postpone(rendition: Rendition) -> NextRendition | None:
    if rendition.attempts >= ATTEMPTS:
        return _fail(rendition, GAVE_UP)
    seconds = float(BACK_OFF_SECONDS * 2**rendition.attempts)
    _owned_row(rendition).update(due_at=timezone.now() + timedelta(seconds=seconds))
    return NextRendition(rendition.id, seconds)


def _fail(rendition: Rendition, reason: str, code: str | None = None) -> NextRendition | None:
    return _finish(rendition, state=RenditionState.FAILED, error=reason[:300], error_code=code or "")


def _keep(rendition: Rendition, result: RenditionResult) -> NextRendition | None:
    outcome = msgspec.structs.asdict(result)
    seconds = outcome.pop("seconds")
    return _finish(rendition, seconds, state=RenditionState.READY, **outcome)


def _finish(rendition: Rendition, billed_seconds: int = 0, **outcome: Any) -> NextRendition | None:
    """Save the outcome; return the rendition that is created from this one, which is due now."""
    kinds = [kind for kind in Rendition.SOURCE_KINDS if source_kind(kind, rendition.asset) == rendition.kind]
    with transaction.atomic():
        if billed_seconds:  # before the row is changed: an admission, too, locks the wallet first
            charge_transcript(rendition, billed_seconds)
        if not _owned_row(rendition).update(**outcome):
            transaction.set_rollback(True)
            return None
        for kind in kinds:
            dependent = rendition_id(rendition.asset_id, kind)
            waiting = _pending().filter(id=dependent, due_at=None)
            if waiting.update(due_at=timezone.now()):
                return NextRendition(dependent)
    return None
