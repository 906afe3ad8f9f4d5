"""Creating renditions: take one that is due, have a sandbox pool create it, save the result.

Any of this may run twice, at once, or die anywhere: a rendition is taken back when its worker falls silent.
Taking one counts an attempt, and the count tells who owns it: a worker that was silent for too long, and lost
it to another, no longer changes anything in it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import msgspec
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from core.value import Value
from media.models import Rendition, rendition_id, source_kind
from media.processing.exceptions import MediaError
from media.processing.sandbox.exceptions import JobInterrupted, SandboxError
from media.renditions.makers import MAKERS, RenditionResult, SourceNotReady

__all__ = [
    "MAKERS",
    "NextRendition",
    "RenditionResult",
    "SourceNotReady",
    "make_if_due",
    "next_try",
    "source_or_self",
    "take_overdue",
]

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
"""How long a worker may be silent before another takes over what it had."""
RENEW_SECONDS = 10.0
ATTEMPTS = 5
BACK_OFF_SECONDS = 3
QUEUED_GRACE = timedelta(seconds=30)
"""How long a rendition that no worker took may wait in the broker before it is requested again."""
LAPSED_GRACE = timedelta(seconds=5)
"""The same for a rendition whose worker fell silent, or that failed and was postponed."""
GAVE_UP = "The file could not be processed."

RenditionState = Rendition.State


class NextRendition(Value, frozen=True):
    """The rendition to create next: `id`, after `seconds`."""

    id: UUID
    seconds: float = 0


def make_if_due(id: UUID) -> NextRendition | None:
    """Create a rendition if it is due; return the one to create next."""
    rendition = _take(id)
    if rendition is None:
        return _next_dependent(id)
    if rendition.attempts > ATTEMPTS:
        logger.error("Rendition %s ended each worker that took it", rendition)
        _fail(rendition, GAVE_UP)
        return _next_dependent(id)
    try:
        with _keep_lease(rendition):
            result = MAKERS[rendition.kind.partition("-")[0]](rendition)
    except SourceNotReady:
        _release(rendition, 0)
        return _request_source(rendition)
    except JobInterrupted as error:
        logger.info("Rendition %s was interrupted: %s", rendition, error)
        _release(rendition, BACK_OFF_SECONDS)
        return NextRendition(id, BACK_OFF_SECONDS)
    except MediaError as problem:
        _fail(rendition, problem.message)
    except (SandboxError, OSError, SoftTimeLimitExceeded) as error:
        logger.warning("Rendition %s could not be made: %s", rendition, error)
        return _postpone(rendition)
    except Exception:
        logger.exception("Rendition %s could not be made", rendition)
        return _postpone(rendition)
    else:
        _owned_row(rendition).update(state=RenditionState.READY, **msgspec.structs.asdict(result))
    return _next_dependent(id)


def source_or_self(id: UUID) -> Rendition | None:
    """Return this rendition, or its source while that is pending: it would be pointless to take this one."""
    rendition = Rendition.objects.select_related("asset").filter(id=id).first()
    if rendition is None or rendition.kind not in Rendition.SOURCE_KINDS:
        return rendition
    needed = rendition_id(rendition.asset_id, source_kind(rendition.kind, rendition.asset))
    return _pending(needed).select_related("asset").first() or rendition


def next_try(id: UUID) -> NextRendition | None:
    """Return when a rendition is due again, in case the worker that took it has died."""
    due_at = _pending(id).values_list("due_at", flat=True).first()
    if due_at is None:
        return None
    return NextRendition(id, max(0.0, (due_at - timezone.now()).total_seconds()))


def take_overdue(limit: int) -> list[UUID]:
    """Return renditions that have been due for longer than a message takes, and mark them as looked at."""
    now = timezone.now()
    lapsed = Q(due_at__lte=now - LAPSED_GRACE, attempts__gt=0)
    due = Rendition.objects.filter(lapsed | Q(due_at__lte=now - QUEUED_GRACE), state=RenditionState.PENDING)
    ids = list(due.order_by("due_at").values_list("id", flat=True)[:limit])
    # a worker that took one meanwhile has moved its `due_at` ahead, and keeps it
    Rendition.objects.filter(id__in=ids, state=RenditionState.PENDING, due_at__lte=now).update(due_at=now)
    return ids


def _request_source(rendition: Rendition) -> NextRendition:
    kind = source_kind(rendition.kind, rendition.asset)
    needed = Rendition(id=rendition_id(rendition.asset_id, kind), asset_id=rendition.asset_id, kind=kind)
    Rendition.objects.bulk_create([needed], ignore_conflicts=True)
    return NextRendition(needed.id)


def _next_dependent(id: UUID) -> NextRendition | None:
    """Return the rendition that is created from this one, once this one is finished."""
    finished = (
        Rendition.objects.filter(id=id).exclude(state=RenditionState.PENDING).select_related("asset").first()
    )
    if finished is None:
        return None
    for kind in Rendition.SOURCE_KINDS:
        if source_kind(kind, finished.asset) == finished.kind:
            dependent = rendition_id(finished.asset_id, kind)
            return NextRendition(dependent) if _pending(dependent).exists() else None
    return None


def _pending(id: UUID) -> QuerySet[Rendition]:
    return Rendition.objects.filter(id=id, state=RenditionState.PENDING)


def _owned_row(rendition: Rendition) -> QuerySet[Rendition]:
    """Select the row, unless another worker has taken it since."""
    return _pending(rendition.id).filter(attempts=rendition.attempts)


def _take(id: UUID) -> Rendition | None:
    now = timezone.now()
    taken = _pending(id).filter(due_at__lte=now).update(due_at=now + LEASE, attempts=F("attempts") + 1)
    return Rendition.objects.select_related("asset").filter(id=id).first() if taken else None


@contextmanager
def _keep_lease(rendition: Rendition) -> Iterator[None]:
    """Keep moving `due_at` ahead for as long as the block runs."""
    is_done = threading.Event()

    def renew() -> None:
        try:
            while not is_done.wait(RENEW_SECONDS):
                _renew(rendition)
        finally:
            connection.close()

    renewer = threading.Thread(target=renew, name="rendition-lease", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        is_done.set()
        renewer.join()


def _renew(rendition: Rendition) -> None:
    try:
        _owned_row(rendition).update(due_at=timezone.now() + LEASE)
    except DatabaseError as error:
        logger.warning("The lease of rendition %s could not be renewed: %s", rendition, error)
        connection.close()  # so that the next try does not get the broken one


def _release(rendition: Rendition, seconds: float) -> None:
    """Undo the attempt: it was not the rendition's fault that it was not created."""
    due_at = timezone.now() + timedelta(seconds=seconds)
    _owned_row(rendition).update(due_at=due_at, attempts=F("attempts") - 1)


def _postpone(rendition: Rendition) -> NextRendition | None:
    if rendition.attempts >= ATTEMPTS:
        _fail(rendition, GAVE_UP)
        return _next_dependent(rendition.id)
    seconds = float(BACK_OFF_SECONDS * 2**rendition.attempts)
    _owned_row(rendition).update(due_at=timezone.now() + timedelta(seconds=seconds))
    return NextRendition(rendition.id, seconds)


def _fail(rendition: Rendition, reason: str) -> None:
    _owned_row(rendition).update(state=RenditionState.FAILED, error=reason[:300])
