"""Waiting for renditions that workers create, without holding a thread or a connection meanwhile."""

import asyncio
import time
from collections.abc import Collection
from uuid import UUID

from channels.db import database_sync_to_async

from media.models import NOBODY, Asset, Rendition, Requester, planned_renditions
from media.processing.exceptions import MediaError
from media.renditions.retry import retry_unpaid
from media.renditions.tasks import notify_workers

FIRST_DELAY, MAX_DELAY = 0.03, 0.5
"""Seconds between two checks, at first and at last."""

_State = Rendition.State
_AWAITED = Rendition.Priority.AWAITED


class RenditionTimeout(Exception):
    """Workers did not create the rendition in the time that a request may wait."""


class RenditionFailed(MediaError):
    """A rendition cannot be created; `rendition` says which."""

    def __init__(self, rendition: Rendition) -> None:
        super().__init__(rendition.error, code=rendition.error_code)
        self.rendition = rendition


async def wait_for_renditions(
    wanted: Collection[Rendition], *, seconds: float, requester: Requester = NOBODY
) -> dict[UUID, Rendition]:
    """Return these renditions, by id, once all are ready.

    Those that nobody has requested yet, or could pay for, are requested for `requester`: once, if who had
    requested one before turns out meanwhile to be unable to pay.

    Raises `RenditionFailed` as soon as one cannot be created, and `RenditionTimeout`.
    """
    deadline = time.monotonic() + seconds
    found: dict[UUID, Rendition] = await database_sync_to_async(_find_or_create)(wanted, requester)
    pending = [id for id, row in found.items() if row.state == _State.PENDING]
    await asyncio.to_thread(notify_workers, len(pending), _AWAITED)
    delay, is_retried = FIRST_DELAY, False
    while True:
        failed = [rendition for rendition in found.values() if rendition.state == _State.FAILED]
        for rendition in failed:
            if is_retried or not _is_unpaid_by_another(rendition, requester):
                raise RenditionFailed(rendition)
        if failed:
            is_retried = True
            found |= await _retry([rendition.id for rendition in failed], requester)
            continue
        pending = [id for id, rendition in found.items() if rendition.state == _State.PENDING]
        if not pending:
            return found
        if time.monotonic() > deadline:
            raise RenditionTimeout
        await asyncio.sleep(delay)
        delay = min(delay * 1.3, MAX_DELAY)
        found |= await database_sync_to_async(_fetch)(pending)


def _is_unpaid_by_another(rendition: Rendition, requester: Requester) -> bool:
    """Whether somebody else, who had it created first, could not pay: their limits are not this one's."""
    return rendition.is_unpaid and rendition.requester != requester


async def _retry(ids: Collection[UUID], requester: Requester) -> dict[UUID, Rendition]:
    await database_sync_to_async(retry_unpaid)(ids, requester, _AWAITED)
    await asyncio.to_thread(notify_workers, len(ids), _AWAITED)
    found: dict[UUID, Rendition] = await database_sync_to_async(_fetch)(ids)
    return found


def _fetch(ids: Collection[UUID]) -> dict[UUID, Rendition]:
    rows = Rendition.objects.select_related("asset").filter(id__in=ids)
    return {rendition.id: rendition for rendition in rows}


def _find_or_create(wanted: Collection[Rendition], requester: Requester) -> dict[UUID, Rendition]:
    """Return the rows, and let those that are missing or pending be created before all else."""
    found = _fetch([rendition.id for rendition in wanted])
    if unpaid := [id for id, row in found.items() if row.is_unpaid]:
        retry_unpaid(unpaid, requester, _AWAITED)
        found |= _fetch(unpaid)
    missing = [rendition for rendition in wanted if rendition.id not in found]
    assets = {row.asset_id: row.asset for row in found.values()}
    assets |= Asset.objects.in_bulk([row.asset_id for row in missing])
    pending = [row for row in found.values() if row.state == _State.PENDING and row.priority != _AWAITED]
    planned = [
        awaited
        # rows are locked by asset, and a source before what is created from it: so does whoever finishes one
        for row in sorted([*pending, *missing], key=lambda row: row.asset_id)
        if row.asset_id in assets
        for awaited in planned_renditions(assets[row.asset_id], [row.kind], _AWAITED, requester)
    ]
    Rendition.objects.bulk_create(
        {row.id: row for row in planned}.values(),
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["priority"],
    )
    ids = {row.id for row in missing}
    return found | {row.id: row for row in planned if row.id in ids}
