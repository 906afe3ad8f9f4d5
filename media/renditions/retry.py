"""Retrying failed renditions, for example after a bug was fixed, or because they can be paid for now."""

from collections.abc import Collection
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from media.models import Rendition, Requester, rendition_id, source_kind
from media.renditions.tasks import notify_workers
from media.services import lock_renditions


def retry_failed(renditions: Collection[Rendition]) -> int:
    """Have the failed ones among these renditions created again, and their sources if those failed too.

    Returns how many are pending again.
    """
    chosen = [rendition for rendition in renditions if rendition.state == Rendition.State.FAILED]
    needed = [
        rendition_id(rendition.asset_id, source_kind(rendition.kind, rendition.asset))
        for rendition in chosen
        if rendition.kind in Rendition.SOURCE_KINDS
    ]
    with transaction.atomic():
        wanted = [*needed, *(rendition.id for rendition in chosen)]
        ids = lock_renditions(Rendition.objects.filter(id__in=wanted, state=Rendition.State.FAILED))
        _retry(Rendition.objects.filter(id__in=ids))
        transaction.on_commit(partial(notify_workers, len(ids)))
    return len(ids)


def retry_unpaid(
    ids: Collection[UUID],
    requester: Requester,
    priority: Rendition.Priority = Rendition.Priority.BACKGROUND,
) -> None:
    """Have those that nobody could pay for created for somebody who may be able to.

    The caller notifies workers.
    """
    unpaid = Rendition.objects.filter(
        id__in=ids, state=Rendition.State.FAILED, error_code__in=Rendition.UNPAID_CODES
    )
    with transaction.atomic(savepoint=False):
        if found := lock_renditions(unpaid):
            rows = Rendition.objects.filter(id__in=found)
            _retry(rows, priority, **requester._asdict())


def _retry(
    renditions: QuerySet[Rendition],
    priority: Rendition.Priority = Rendition.Priority.BACKGROUND,
    **changes: object,
) -> None:
    renditions.update(
        state=Rendition.State.PENDING,
        error="",
        error_code="",
        attempts=0,
        due_at=timezone.now(),
        priority=priority,
        **changes,
    )
