"""What is written about assets: the bytes into the storage, a row for each."""

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from chatapi.engines.values import Blob
from chatapi.errors import ServiceUnavailable
from media.models import Asset

logger = logging.getLogger(__name__)


def _path(workspace_id: UUID, sha256: str) -> str:
    return f"{workspace_id.hex}/{sha256[:2]}/{sha256}"


def store_bytes(workspace_id: UUID, contents: Mapping[str, bytes]) -> None:
    """Write files under their SHA-256 (the mapping's keys); the same bytes twice are one file.

    The rows are `register_blobs`'s: a file without a row costs room, a row without its file would lie.
    Raises `ServiceUnavailable` where the storage fails, such as on a full disk.
    """
    try:
        for sha256, data in contents.items():
            _store(_path(workspace_id, sha256), data)
    except OSError as error:
        logger.error("A file could not be stored: %s", error)
        raise ServiceUnavailable("The file could not be stored. Try again.", code="storage") from error


def _store(path: str, data: bytes) -> None:
    """A file of another size is the ruin of a write that failed, and is replaced."""
    if not (default_storage.exists(path) and default_storage.size(path) == len(data)):
        default_storage.save(path, ContentFile(data))


def read_bytes(workspace_id: UUID, blob: Blob) -> bytes:
    """The bytes of a workspace's blob. Raises `FileNotFoundError`."""
    with default_storage.open(_path(workspace_id, blob.sha256)) as file:
        return bytes(file.read())


def register_blobs(blobs: Iterable[tuple[UUID, Blob]]) -> None:
    """A row for each stored file that has none yet. Runs inside the caller's transaction."""
    assets = {
        (workspace_id, blob.sha256): Asset(
            workspace_id=workspace_id, sha256=blob.sha256, media_type=blob.media_type, size=blob.size
        )
        for workspace_id, blob in blobs
    }
    if assets:
        Asset.objects.bulk_create(assets.values(), ignore_conflicts=True)


def delete_files(workspace_id: UUID) -> None:
    """Delete every file of a workspace that is gone. What the storage refuses is logged, and stays."""
    try:
        _delete_folder(workspace_id.hex)
    except OSError as error:
        logger.error("The files of workspace %s could not all be deleted: %s", workspace_id, error)


def _delete_folder(path: str) -> None:
    try:
        folders, files = default_storage.listdir(path)
    except FileNotFoundError:
        return
    for name in files:
        default_storage.delete(f"{path}/{name}")
    for name in folders:
        _delete_folder(f"{path}/{name}")
    default_storage.delete(path)
