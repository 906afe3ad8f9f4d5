"""What a user can take with them of files: uploads under their names, and what else their workspace keeps.

Only originals: renditions can be made of them again.
"""

from collections.abc import Iterator
from mimetypes import guess_extension
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.data_export import DataSubject, ExportedFile, json_list, one_by_one, safe_name
from media.api.serializers import FileSerializer
from media.models import Asset, File
from media.storage.operations import open_range

_ADDRESSES = {"url", "thumbnail_url"}


def export_files(who: DataSubject) -> Iterator[ExportedFile]:
    """Yield an index, the uploads, and other files of the user's own workspace, such as spoken answers."""
    yield ExportedFile("files.json", json_list({"object": "list"}, "data", _index(who)))
    for file in one_by_one(_uploads(who)):
        yield _exported(file.asset, _path(file))
    for asset in _others(who):
        yield exported_asset(asset)


def exported_asset(asset: Asset) -> ExportedFile:
    """Return a file that has no name but its content's."""
    return _exported(asset, _path_of_asset(asset))


def without_addresses(shown: Any) -> Any:
    """Return what the API shows, without the addresses of files, which expire within the hour."""
    if isinstance(shown, dict):
        return {key: without_addresses(value) for key, value in shown.items() if key not in _ADDRESSES}
    return [without_addresses(one) for one in shown] if isinstance(shown, list) else shown


def _index(who: DataSubject) -> Iterator[dict[str, Any]]:
    show = FileSerializer().to_representation
    for file in one_by_one(_uploads(who)):
        yield {**without_addresses(show(file)), "sha256": file.asset.sha256, "path": _path(file)}
    for asset in _others(who):
        yield {
            "object": "asset",
            "bytes": asset.size,
            "created_at": int(asset.created_at.timestamp()),
            "media_type": asset.media_type,
            "sha256": asset.sha256,
            "path": _path_of_asset(asset),
        }


def _uploads(who: DataSubject) -> QuerySet[File]:
    files = File.objects.select_related("asset").filter(who.owns())
    return files.exclude(expires_at__lte=timezone.now())


def _others(who: DataSubject) -> Iterator[Asset]:
    if who.own is None:
        return
    uploads = _uploads(who).filter(asset=OuterRef("pk"))
    in_own_conversations = who.owns("conversations__conversation__")
    assets = Asset.objects.filter(in_own_conversations, ~Exists(uploads), workspace_id=who.own)
    yield from one_by_one(assets.distinct(), "sha256")


def _path(file: File) -> str:
    return f"files/{file.public_id}-{safe_name(file.filename)}"


def _path_of_asset(asset: Asset) -> str:
    return f"files/{asset.sha256}{guess_extension(asset.media_type) or ''}"


def _exported(asset: Asset, path: str) -> ExportedFile:
    return ExportedFile(path, open_range(asset.storage_name, 0, asset.size), asset.size)
