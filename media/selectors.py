"""Queries about files; everything here is scoped to one workspace."""

from collections.abc import Collection
from uuid import UUID

from django.utils import timezone

from accounts.ownership import visible_to
from accounts.principal import Principal
from billing.models import OneTimeCharge
from core.blob import Blob
from core.ids import FILE, parse_id
from media.models import Asset, File, RemoteCopy, Rendition, asset_id, remote_copy_id, rendition_id
from media.services import StoredFile
from media.storage.operations import exists


def stored_file(asset: Asset) -> StoredFile:
    blob = Blob(asset.sha256, asset.media_type, asset.size)
    return StoredFile(blob, asset.width, asset.height, asset.milliseconds)


def known_files(workspace_id: UUID, digests: Collection[str]) -> dict[str, StoredFile]:
    """Return the files that were inspected before and are still stored, by SHA-256."""
    assets = Asset.objects.filter(workspace_id=workspace_id, sha256__in=digests)
    return {asset.sha256: stored_file(asset) for asset in assets if _is_stored(asset)}


def sound_milliseconds(workspace_id: UUID, digests: Collection[str]) -> dict[str, int]:
    """Return the lengths of sounds by SHA-256, without those that are unknown."""
    assets = Asset.objects.filter(workspace_id=workspace_id, sha256__in=digests)
    lengths = assets.values_list("sha256", "milliseconds")
    return {sha256: milliseconds for sha256, milliseconds in lengths if milliseconds is not None}


def recognized_sounds(workspace_id: UUID, digests: Collection[str]) -> set[str]:
    """Return those of these sounds whose transcript is there, or was paid for when it was made before."""
    assets = {asset_id(workspace_id, sha256): sha256 for sha256 in digests}
    ids = {rendition_id(asset, Rendition.Kind.TRANSCRIPT): sha256 for asset, sha256 in assets.items()}
    ready = Rendition.objects.filter(id__in=ids, state=Rendition.State.READY).values_list("id", flat=True)
    paid = OneTimeCharge.objects.filter(id__in=ids).values_list("id", flat=True)
    return {ids[id] for id in (*ready, *paid)}


def last_remote_copy(who: Principal, url: str) -> RemoteCopy | None:
    """Return what was last fetched from this URL, if it is still stored."""
    copies = RemoteCopy.objects.select_related("asset").filter(id=remote_copy_id(who, url))
    return next((copy for copy in copies if _is_stored(copy.asset)), None)


def find_file(who: Principal, file_id: str) -> File | None:
    """Return the file; None if it does not exist, has expired, or the caller does not see it."""
    id = parse_id(FILE, file_id)
    if id is None:
        return None
    files = File.objects.select_related("asset").filter(visible_to(who), id=id)
    return files.exclude(expires_at__lte=timezone.now()).first()


def find_file_asset(who: Principal, file_id: str) -> Asset | None:
    file = find_file(who, file_id)
    return file.asset if file else None


def file_counts_of_workspaces(workspace_ids: Collection[UUID]) -> dict[str, int]:
    """Count these workspaces' files, for `accounts.deletion` to tell what would be deleted with them."""
    return {"files": Asset.objects.filter(workspace__in=workspace_ids).count()}


def _is_stored(asset: Asset) -> bool:
    return exists(asset.storage_name)
