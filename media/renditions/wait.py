"""Waiting for renditions that workers make, without a thread or a connection meanwhile."""

import asyncio
import time
from collections.abc import Collection
from uuid import UUID

from channels.db import database_sync_to_async

from media.models import Asset, Rendition, renditions_of
from media.processing.exceptions import MediaError
from media.renditions.tasks import enqueue

FIRST_LOOK, LAST_LOOK = 0.03, 0.5
"""Seconds between two looks, at first and at last."""

_State = Rendition.State


class RenditionTimeout(Exception):
    """Workers did not make it in the time that a request may wait."""


class RenditionFailed(MediaError):
    """A rendition that cannot be made; `rendition` says which."""

    def __init__(self, rendition: Rendition) -> None:
        super().__init__(rendition.error)
        self.rendition = rendition


async def wait_for_renditions(wanted: Collection[Rendition], *, seconds: float) -> dict[UUID, Rendition]:
    """These renditions, by id, once all are ready; those that nobody asked for yet are asked for.

    Raises `RenditionFailed` as soon as one cannot be made, and `RenditionTimeout`.
    """
    latest = time.monotonic() + seconds
    found: dict[UUID, Rendition] = await database_sync_to_async(_found_or_begun)(wanted)
    pending = [id for id, row in found.items() if row.state == _State.PENDING]
    await asyncio.to_thread(enqueue, pending, is_awaited=True)
    nap = FIRST_LOOK
    while True:
        for rendition in found.values():
            if rendition.state == _State.FAILED:
                raise RenditionFailed(rendition)
        pending = [id for id, rendition in found.items() if rendition.state == _State.PENDING]
        if not pending:
            return found
        if time.monotonic() > latest:
            raise RenditionTimeout
        await asyncio.sleep(nap)
        nap = min(nap * 1.3, LAST_LOOK)
        found |= await database_sync_to_async(_look)(pending)


def _look(ids: Collection[UUID]) -> dict[UUID, Rendition]:
    rows = Rendition.objects.select_related("asset").filter(id__in=ids)
    return {rendition.id: rendition for rendition in rows}


def _found_or_begun(wanted: Collection[Rendition]) -> dict[UUID, Rendition]:
    found = _look([rendition.id for rendition in wanted])
    missing = [rendition for rendition in wanted if rendition.id not in found]
    fresh = [needed for row in missing for needed in renditions_of(row.asset_id, [row.kind])]
    if fresh:
        kept = set(Asset.objects.filter(id__in={r.asset_id for r in fresh}).values_list("id", flat=True))
        fresh = [rendition for rendition in fresh if rendition.asset_id in kept]
        Rendition.objects.bulk_create(fresh, ignore_conflicts=True)
        found |= {rendition.id: rendition for rendition in fresh}
    return found
