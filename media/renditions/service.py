"""Making renditions: take one that is due, have a workshop make it, keep what came of it.

May be run twice, at once, or die anywhere: what is taken is taken back when its worker falls silent. Each
taking counts an attempt, and the count tells whose it is: who was silent for too long, and finds it taken
by another, changes nothing of it any more.
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

from core.values import Value
from media.models import Rendition, made_of, rendition_id
from media.processing.exceptions import MediaError
from media.processing.sandbox.exceptions import JobInterrupted, SandboxError
from media.renditions.makers import MAKERS, RenditionResult, SourceNotReady

__all__ = [
    "MAKERS",
    "NextRendition",
    "RenditionResult",
    "SourceNotReady",
    "first_to_make",
    "make",
    "next_try",
    "overdue",
]

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
"""How long a worker may be silent before another takes what it had."""
RENEW_SECONDS = 10.0
ATTEMPTS = 5
BACK_OFF_SECONDS = 3
QUEUED = timedelta(seconds=30)
"""How long one that nobody took yet may wait in the broker before it is asked for again."""
LAPSED = timedelta(seconds=5)
"""The same for one whose worker fell silent, or that failed and was put off."""
GAVE_UP = "The file could not be processed."

State = Rendition.State


class NextRendition(Value, frozen=True):
    """What is to be made then: `id`, in so many seconds."""

    id: UUID
    seconds: float = 0


def make(id: UUID) -> NextRendition | None:
    """Make a rendition if it is due; gives what is to be made then."""
    rendition = _take(id)
    if rendition is None:
        return _what_waits_for(id)
    if rendition.attempts > ATTEMPTS:
        logger.error("Rendition %s ended each worker that took it", rendition)
        _fail(rendition, GAVE_UP)
        return _what_waits_for(id)
    try:
        with _kept_taken(rendition):
            made = MAKERS[rendition.kind.partition("-")[0]](rendition)
    except SourceNotReady:
        _give_back(rendition, 0)
        return _begin_what_is_needed(rendition)
    except JobInterrupted as error:
        logger.info("Rendition %s was interrupted: %s", rendition, error)
        _give_back(rendition, BACK_OFF_SECONDS)
        return NextRendition(id, BACK_OFF_SECONDS)
    except MediaError as problem:
        _fail(rendition, problem.message)
    except (SandboxError, OSError, SoftTimeLimitExceeded) as error:
        logger.warning("Rendition %s could not be made: %s", rendition, error)
        return _put_off(rendition)
    except Exception:
        logger.exception("Rendition %s could not be made", rendition)
        return _put_off(rendition)
    else:
        _taken(rendition).update(state=State.READY, **msgspec.structs.asdict(made))
    return _what_waits_for(id)


def first_to_make(id: UUID) -> Rendition | None:
    """This one, or what it is made of while that is still to be made: it would only be taken in vain."""
    rendition = Rendition.objects.select_related("asset").filter(id=id).first()
    if rendition is None or rendition.kind not in Rendition.MADE_OF:
        return rendition
    needed = rendition_id(rendition.asset_id, made_of(rendition.kind, rendition.asset))
    return _pending(needed).select_related("asset").first() or rendition


def next_try(id: UUID) -> NextRendition | None:
    """When a rendition is due that somebody has taken, and may have died with."""
    due_at = _pending(id).values_list("due_at", flat=True).first()
    if due_at is None:
        return None
    return NextRendition(id, max(0.0, (due_at - timezone.now()).total_seconds()))


def overdue(limit: int) -> list[UUID]:
    """Renditions that are due for longer than a message takes, marked as looked at."""
    now = timezone.now()
    lapsed = Q(due_at__lte=now - LAPSED, attempts__gt=0)
    due = Rendition.objects.filter(lapsed | Q(due_at__lte=now - QUEUED), state=State.PENDING)
    ids = list(due.order_by("due_at").values_list("id", flat=True)[:limit])
    # who takes one meanwhile has moved its time ahead, and keeps it
    Rendition.objects.filter(id__in=ids, state=State.PENDING, due_at__lte=now).update(due_at=now)
    return ids


def _begin_what_is_needed(rendition: Rendition) -> NextRendition:
    kind = made_of(rendition.kind, rendition.asset)
    needed = Rendition(id=rendition_id(rendition.asset_id, kind), asset_id=rendition.asset_id, kind=kind)
    Rendition.objects.bulk_create([needed], ignore_conflicts=True)
    return NextRendition(needed.id)


def _what_waits_for(id: UUID) -> NextRendition | None:
    """What is made of this one, once that has come to its end."""
    ended = Rendition.objects.filter(id=id).exclude(state=State.PENDING).select_related("asset").first()
    if ended is None:
        return None
    for kind in Rendition.MADE_OF:
        if made_of(kind, ended.asset) == ended.kind:
            waiting = rendition_id(ended.asset_id, kind)
            return NextRendition(waiting) if _pending(waiting).exists() else None
    return None


def _pending(id: UUID) -> QuerySet[Rendition]:
    return Rendition.objects.filter(id=id, state=State.PENDING)


def _taken(rendition: Rendition) -> QuerySet[Rendition]:
    """The row, unless another has taken it since."""
    return _pending(rendition.id).filter(attempts=rendition.attempts)


def _take(id: UUID) -> Rendition | None:
    now = timezone.now()
    taken = _pending(id).filter(due_at__lte=now).update(due_at=now + LEASE, attempts=F("attempts") + 1)
    return Rendition.objects.select_related("asset").filter(id=id).first() if taken else None


@contextmanager
def _kept_taken(rendition: Rendition) -> Iterator[None]:
    """Moves `due_at` ahead for as long as the block runs."""
    is_done = threading.Event()

    def renew() -> None:
        try:
            while not is_done.wait(RENEW_SECONDS):
                _renew(rendition)
        finally:
            connection.close()

    renewing = threading.Thread(target=renew, name="rendition-lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        is_done.set()
        renewing.join()


def _renew(rendition: Rendition) -> None:
    try:
        _taken(rendition).update(due_at=timezone.now() + LEASE)
    except DatabaseError as error:
        logger.warning("The lease of rendition %s could not be renewed: %s", rendition, error)
        connection.close()  # the next try shall not meet the broken one


def _give_back(rendition: Rendition, seconds: float) -> None:
    """As if it had not been tried: it is not its fault that it was not made."""
    due_at = timezone.now() + timedelta(seconds=seconds)
    _taken(rendition).update(due_at=due_at, attempts=F("attempts") - 1)


def _put_off(rendition: Rendition) -> NextRendition | None:
    if rendition.attempts >= ATTEMPTS:
        _fail(rendition, GAVE_UP)
        return _what_waits_for(rendition.id)
    seconds = float(BACK_OFF_SECONDS * 2**rendition.attempts)
    _taken(rendition).update(due_at=timezone.now() + timedelta(seconds=seconds))
    return NextRendition(rendition.id, seconds)


def _fail(rendition: Rendition, reason: str) -> None:
    _taken(rendition).update(state=State.FAILED, error=reason[:300])
