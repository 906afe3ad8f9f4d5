"""Writing files: bytes into the storage, rows for what is kept and what is to be rendered.

An asset is registered in the transaction that makes something hold it. Its bytes are stored before that: a
file without a row takes up space until the sweep, but a row without its file would be a lie.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import Workspace
from accounts.principal import Principal
from core.blob import Blob
from core.exceptions import ApiError, ServiceUnavailable
from core.value import Value
from media.models import (
    NOBODY,
    Asset,
    RemoteCopy,
    Rendition,
    Requester,
    asset_id,
    planned_renditions,
    remote_copy_id,
    storage_name,
)
from media.storage.operations import delete_tree, exists, save_file
from media.storage.operations import size as size_of

logger = logging.getLogger(__name__)

RenditionKind = Rendition.Kind

PICTURE_RENDITIONS = (RenditionKind.PICTURE, RenditionKind.THUMBNAIL)
SOUND_RENDITIONS = (RenditionKind.WAV, RenditionKind.TRANSCRIPT)
SPEECH_RENDITIONS = (RenditionKind.OPUS, RenditionKind.MP3, RenditionKind.PEAKS)


class StoredFile(Value, frozen=True):
    """A file that was inspected and stored. `renditions` are the kinds to create from it, for `requester`."""

    blob: Blob
    width: int | None = None
    height: int | None = None
    milliseconds: int | None = None
    renditions: tuple[str, ...] = ()
    requester: Requester = NOBODY


def store_bytes(workspace_id: UUID, contents: Mapping[str, bytes]) -> None:
    """Write files under their SHA-256 (the mapping's keys); the same bytes twice are one file.

    Raises `ServiceUnavailable` if the storage fails, for example on a full disk.
    """
    try:
        for sha256, data in contents.items():
            name = storage_name(workspace_id, sha256)
            if not _is_complete(name, len(data)):
                default_storage.save(name, ContentFile(data))
    except OSError as error:
        raise _storage_failed(error) from error


def store_file(workspace_id: UUID, sha256: str, path: Path) -> None:
    """Do the same for a file on the disk."""
    try:
        name = storage_name(workspace_id, sha256)
        if not _is_complete(name, path.stat().st_size):
            save_file(name, path)
    except OSError as error:
        raise _storage_failed(error) from error


def _is_complete(name: str, size: int) -> bool:
    """Tell whether a file is complete; one of another size is left from a failed write, and is replaced."""
    return exists(name) and size_of(name) == size


def _storage_failed(error: OSError) -> ServiceUnavailable:
    logger.error("A file could not be stored: %s", error)
    return ServiceUnavailable("The file could not be stored. Try again.", code="storage")


def read_bytes(workspace_id: UUID, blob: Blob) -> bytes:
    """Return the bytes of a workspace's blob. Raises `FileNotFoundError`."""
    return read_stored(storage_name(workspace_id, blob.sha256))


def read_stored(name: str) -> bytes:
    with default_storage.open(name) as file:
        return bytes(file.read())


def register_files(files: Iterable[tuple[UUID, StoredFile]]) -> None:
    """Create the missing rows for stored files and their renditions, inside the caller's transaction."""
    known = {(workspace_id, file.blob.sha256): file for workspace_id, file in files}
    if not known:
        return
    planned = [(_asset(workspace_id, file), file) for (workspace_id, _), file in known.items()]
    Asset.objects.bulk_create((asset for asset, _ in planned), ignore_conflicts=True)
    renditions = [
        row
        for asset, file in planned
        for row in planned_renditions(asset, file.renditions, requester=file.requester)
    ]
    Rendition.objects.bulk_create(renditions, ignore_conflicts=True)


def _asset(workspace_id: UUID, file: StoredFile) -> Asset:
    return Asset(
        id=asset_id(workspace_id, file.blob.sha256),
        workspace_id=workspace_id,
        sha256=file.blob.sha256,
        media_type=file.blob.media_type,
        size=file.blob.size,
        width=file.width,
        height=file.height,
        milliseconds=file.milliseconds,
        created_at=timezone.now(),
    )


def record_copies(who: Principal, fetched: Mapping[str, str]) -> None:
    """Record which asset was found at each URL (the mapping's keys) just now."""
    RemoteCopy.objects.bulk_create(
        [
            RemoteCopy(
                id=remote_copy_id(who, url),
                asset_id=asset_id(who.workspace_id, sha256),
                fetched_at=timezone.now(),
            )
            for url, sha256 in fetched.items()
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["asset", "fetched_at"],
    )


def workspaces_over_quota(files: Sequence[tuple[UUID, StoredFile]]) -> set[UUID]:
    """Return the workspaces whose quota these files would exceed, together with what is stored already.

    Must run inside a transaction, which then locks the workspaces: two simultaneous uploads are both counted.
    """
    if not files:
        return set()
    added: dict[UUID, dict[str, int]] = defaultdict(dict)
    for workspace_id, file in files:
        added[workspace_id][file.blob.sha256] = file.blob.size
    quotas = dict(
        Workspace.objects.select_for_update(of=("self",))
        .filter(pk__in=added)
        .values_list("pk", "media_quota")
    )
    return {
        workspace_id
        for workspace_id, sizes in added.items()
        if _usage_with(workspace_id, sizes) > _quota(quotas.get(workspace_id))
    }


def check_storage_quota(files: Sequence[tuple[UUID, StoredFile]], *, param: str | None = None) -> None:
    """Raise `ApiError` if a workspace has no room for its files."""
    if not files:
        return
    with transaction.atomic():
        if workspaces_over_quota(files):
            raise quota_exceeded(param=param)


def _quota(own: int | None) -> int:
    return settings.CHATAPI_MEDIA_QUOTA_BYTES if own is None else own


def _usage_with(workspace_id: UUID, sizes: dict[str, int]) -> int:
    assets = Asset.objects.filter(workspace_id=workspace_id)
    known = set(assets.filter(sha256__in=sizes).values_list("sha256", flat=True))
    fresh = sum(size for sha256, size in sizes.items() if sha256 not in known)
    used: int = assets.aggregate(used=Sum("size", default=0))["used"]
    return used + fresh if fresh else 0


def quota_exceeded(*, param: str | None = None) -> ApiError:
    return ApiError(
        "The workspace has no room left for this file. Delete files or conversations, or ask for more.",
        status=413,
        type="invalid_request_error",
        code="storage_quota_exceeded",
        param=param,
    )


def lock_renditions(renditions: QuerySet[Rendition]) -> list[UUID]:
    """Lock rows until the end of the transaction, in the order of all who change several; return their ids.

    The order is by asset, and a source before what is created from it. Without one, two that change the same
    rows may each wait for the other.
    """
    has_source = ExpressionWrapper(Q(kind__in=Rendition.SOURCE_KINDS), output_field=BooleanField())
    in_order = renditions.order_by("asset_id", has_source, "id")
    return list(in_order.select_for_update().values_list("id", flat=True))


def delete_renditions(renditions: QuerySet[Rendition]) -> list[UUID]:
    """Delete rows inside the caller's transaction; return their ids."""
    ids = lock_renditions(renditions)
    renditions.delete()
    return ids


def delete_workspace_renditions(workspace_id: UUID) -> None:
    delete_renditions(Rendition.objects.filter(workspace_id=workspace_id))


def delete_workspace_files(workspace_id: UUID) -> None:
    """Delete every file of a deleted workspace; what the storage refuses to delete is logged, and stays."""
    try:
        delete_tree(workspace_id.hex)
    except OSError as error:
        logger.error("The files of workspace %s could not all be deleted: %s", workspace_id, error)
