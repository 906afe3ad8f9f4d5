"""Cleanup of expired files, assets that nothing holds, and stored bytes without a row."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import Workspace
from media.holders import unheld
from media.models import Asset, File, Rendition, asset_id, rendition_name, storage_name
from media.services import delete_renditions
from media.storage.operations import delete, modified_at, walk

logger = logging.getLogger(__name__)

UNHELD_GRACE = timedelta(hours=1)
"""How long an asset may go unheld.

An upload is registered and held in one transaction, but a fetched file is only remembered.
"""
STRAY_AGE = timedelta(days=1)
MAX_ASSETS_PER_RUN = 1000
LOOKUP_BATCH_SIZE = 500


def delete_unused(now: datetime | None = None, *, limit: int = MAX_ASSETS_PER_RUN) -> int:
    """Delete expired files, then assets that nothing holds, with their bytes; return how many assets."""
    now = now or timezone.now()
    File.objects.filter(expires_at__lte=now).delete()
    unused = unheld(Asset.objects.filter(created_at__lte=now - UNHELD_GRACE)).order_by("created_at")
    freed = 0
    for id in list(unused.values_list("id", flat=True)[:limit]):
        names = delete_dependent_rows(id)
        freed += names is not None and delete_asset(id, names)
    return freed


def postpone_cleanup(workspace_id: UUID, digests: Iterable[str]) -> None:
    """Let the grace of files that nothing holds begin anew: a call that holds none of its files uses them."""
    ids = [asset_id(workspace_id, sha256) for sha256 in digests]
    unheld(Asset.objects.filter(pk__in=ids)).update(created_at=timezone.now())


def delete_asset(id: UUID, names: Iterable[str]) -> bool:
    """Delete an asset and its files, those with these names too; return False if something holds it again."""
    with _lock_unheld(id) as asset:
        if asset is None:
            return False
        try:
            for name in {*names, *_rendition_names(asset), asset.storage_name}:
                delete(name)
        except OSError as error:
            logger.warning("A file could not be freed, and stays as a stray: %s", error)
        asset.delete()
    return True


def delete_dependent_rows(id: UUID) -> list[str] | None:
    """Delete the rows of an asset's renditions and remote copies; return the renditions' storage names.

    Return None if something holds the asset.

    This is committed before any file is deleted. So a process that dies afterwards leaves no rendition that
    is marked ready, and no URL that leads to an asset, whose bytes are gone.
    """
    with _lock_unheld(id) as asset:
        if asset is None:
            return None
        ids = delete_renditions(asset.renditions.all())
        asset.copies_of.all().delete()
    return [rendition_name(asset.workspace_id, id) for id in ids]


def _rendition_names(asset: Asset) -> list[str]:
    ids = asset.renditions.values_list("id", flat=True)
    return [rendition_name(asset.workspace_id, id) for id in ids]


@contextmanager
def _lock_unheld(id: UUID) -> Iterator[Asset | None]:
    """Yield an asset that nothing holds, or can hold before the block ends; None if something holds it."""
    workspace_id = Asset.objects.filter(pk=id).values_list("workspace_id", flat=True).first()
    if workspace_id is None:
        yield None
        return
    with _block_uploads(workspace_id):
        yield unheld(Asset.objects.select_for_update(of=("self",)).filter(pk=id)).first()


@contextmanager
def _block_uploads(workspace_id: UUID) -> Iterator[None]:
    """Block uploads to a workspace for one transaction.

    Whoever stores a file meanwhile waits for its end (`services.workspaces_over_quota`), then checks whether
    the bytes are still there, and stores them again.
    """
    with transaction.atomic():
        list(Workspace.objects.select_for_update(no_key=True).filter(pk=workspace_id).values_list("pk"))
        yield


class StoredName(NamedTuple):
    """A stored file as its name identifies it: its workspace, and the id of the row that would name it."""

    name: str
    workspace_id: UUID
    row_id: UUID


def remove_strays(now: datetime | None = None, *, batch_size: int = LOOKUP_BATCH_SIZE) -> int:
    """Delete bytes that no row names, such as those of a refused request; return how many files."""
    cutoff = (now or timezone.now()) - STRAY_AGE
    return sum(remove_stray(stray, cutoff) for stray in find_strays(cutoff, batch_size))


def find_strays(cutoff: datetime, batch_size: int = LOOKUP_BATCH_SIZE) -> Iterator[StoredName]:
    """Yield what was stored before `cutoff` and has no row; so many are looked up at once."""
    old = (_parse_name(found.name) for found in walk("") if found.modified_at < cutoff)
    ours = (stored for stored in old if stored is not None)
    while batch := list(islice(ours, batch_size)):
        yield from _without_row(batch)


def delete_unregistered(workspace_id: UUID, digests: Iterable[str]) -> None:
    """Delete the bytes of a call that was refused, unless a row names them.

    Whoever stores the same bytes at this moment checks for them again once there is a row.
    """
    for sha256 in digests:
        name = storage_name(workspace_id, sha256)
        remove_stray(StoredName(name, workspace_id, asset_id(workspace_id, sha256)))


def _without_row(batch: Iterable[StoredName]) -> list[StoredName]:
    ids = [stored.row_id for stored in batch]
    known = {
        *Asset.objects.filter(id__in=ids).values_list("id", flat=True),
        *Rendition.objects.filter(id__in=ids).values_list("id", flat=True),
    }
    return [stored for stored in batch if stored.row_id not in known]


def remove_stray(stray: StoredName, cutoff: datetime | None = None) -> bool:
    """Delete a stray after checking again: what was stored meanwhile, or after `cutoff`, is not one."""
    try:
        with _block_uploads(stray.workspace_id):
            if not _without_row([stray]):
                return False
            if cutoff is not None and modified_at(stray.name) >= cutoff:
                return False
            delete(stray.name)
    except FileNotFoundError:
        return False
    except OSError as error:
        logger.warning("A stray could not be removed: %s", error)
        return False
    return True


def _parse_name(name: str) -> StoredName | None:
    """Parse a storage name; None if it is not one of ours."""
    folder, _, rest = name.partition("/")
    key = rest.rpartition("/")[2]
    try:
        workspace_id = UUID(hex=folder)
        if name == storage_name(workspace_id, key):
            return StoredName(name, workspace_id, asset_id(workspace_id, key))
        if name == rendition_name(workspace_id, UUID(hex=key)):
            return StoredName(name, workspace_id, UUID(hex=key))
    except ValueError:
        pass
    return None
