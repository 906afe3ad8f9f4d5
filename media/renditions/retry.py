"""Retrying failed renditions, for example after a bug was fixed."""

from collections.abc import Collection
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from media.models import Rendition, rendition_id, source_kind
from media.renditions.tasks import notify_workers


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
        failed = Rendition.objects.select_for_update().filter(
            id__in=[*needed, *(rendition.id for rendition in chosen)], state=Rendition.State.FAILED
        )
        ids: list[UUID] = list(failed.values_list("id", flat=True))
        Rendition.objects.filter(id__in=ids).update(
            state=Rendition.State.PENDING,
            error="",
            attempts=0,
            due_at=timezone.now(),
            priority=Rendition.Priority.BACKGROUND,
        )
        transaction.on_commit(partial(notify_workers, len(ids)))
    return len(ids)
