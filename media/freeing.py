"""Freeing what nothing holds: files that expired, assets without a holder, bytes without a row."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from media.models import Asset, File, Rendition, rendition_name, storage_name
from media.storage import delete, walk

logger = logging.getLogger(__name__)

GRACE = timedelta(hours=1)
"""How long a file may lie without a holder: an upload is registered and held in one transaction, but what
was fetched is only remembered."""
STRAY_AGE = timedelta(days=1)
AT_ONCE = 1000


def free(now: datetime | None = None) -> int:
    """Delete expired files, then assets that nothing holds, with their bytes; gives how many assets."""
    now = now or timezone.now()
    File.objects.filter(expires_at__lte=now).delete()
    unheld = list(_unheld(Asset.objects.filter(created_at__lte=now - GRACE)).values_list("id", flat=True))
    return sum(_free(id) for id in unheld[:AT_ONCE])


def _unheld(assets: QuerySet[Asset]) -> QuerySet[Asset]:
    """Whatever refers to an asset and forbids its deletion holds it; the others go with it."""
    holders = [
        relation
        for relation in Asset._meta.related_objects
        if getattr(relation.on_delete, "__name__", "") == "RESTRICT"
    ]
    held = Q()
    for relation in holders:
        of_asset = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        held |= Q(Exists(of_asset))
    return assets.filter(~held)


def _free(id: UUID) -> bool:
    """One asset, in a transaction of its own: who stores the same bytes meanwhile waits for its end, looks
    then whether they are still there, and stores them again."""
    with transaction.atomic():
        asset = _unheld(Asset.objects.select_for_update(of=("self",)).filter(pk=id)).first()
        if asset is None:
            return False
        names = [
            rendition_name(asset.workspace_id, id) for id in asset.renditions.values_list("id", flat=True)
        ]
        asset.delete()
        try:
            for name in (*names, asset.storage_name):
                delete(name)
        except OSError as error:
            logger.warning("A file could not be freed, and stays as a stray: %s", error)
    return True


def remove_strays(now: datetime | None = None) -> int:
    """Delete bytes that no row names, such as those of a request that was refused; gives how many."""
    now = now or timezone.now()
    removed = 0
    for name, _, modified_at in walk(""):
        if modified_at < now - STRAY_AGE and _is_stray(name):
            delete(name)
            removed += 1
    return removed


def _is_stray(name: str) -> bool:
    folder, *rest = name.split("/")
    try:
        workspace_id = UUID(hex=folder)
        if len(rest) == 2 and rest[0] == "renditions":
            return not Rendition.objects.filter(id=UUID(hex=rest[1])).exists()
    except ValueError:
        return False  # not ours
    sha256 = rest[-1]
    is_ours = name == storage_name(workspace_id, sha256)
    return is_ours and not Asset.objects.filter(workspace_id=workspace_id, sha256=sha256).exists()
