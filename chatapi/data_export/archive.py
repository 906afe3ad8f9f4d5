"""A ZIP archive that is written piece by piece, so that it may be larger than memory."""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from accounts.data_export import ExportedFile

logger = logging.getLogger(__name__)

MAX_BYTES = 4 * 2**30
"""The size from which on uploads and sounds are left out. S3 takes 5 GiB in one request."""


def write_archive(
    path: Path, files: Iterable[ExportedFile], on_progress: Callable[[], None], max_bytes: int = MAX_BYTES
) -> int:
    """Write all files, and a list of those that had no room or are no longer stored; return the size.

    `on_progress` is called for each piece, and stops the work by raising.
    """
    names: set[str] = set()
    left_out: list[dict[str, str]] = []
    with path.open("wb") as target, ZipFile(target, "w", allowZip64=True) as archive:
        for file in files:
            on_progress()
            if file.name in names:
                continue
            names.add(file.name)
            reason = _add(archive, target, file, on_progress, max_bytes)
            if reason is not None:
                left_out.append({"path": file.name, "reason": reason})
        note = json.dumps({"created_at": int(datetime.now(UTC).timestamp()), "left_out": left_out}, indent=1)
        archive.writestr(_entry("export.json", ZIP_DEFLATED), note)
    return path.stat().st_size


def _add(
    archive: ZipFile, target: BinaryIO, file: ExportedFile, on_progress: Callable[[], None], max_bytes: int
) -> str | None:
    """Add a file; return why it was left out, if it was."""
    if file.size is not None and target.tell() + file.size > max_bytes:
        return "The archive would be too large. Download the file by itself."
    pieces = iter(file.pieces)
    try:
        first = next(pieces, b"")
    except FileNotFoundError:
        return "The file is no longer stored."
    kind = ZIP_DEFLATED if file.size is None else ZIP_STORED  # pictures and sounds are compressed already
    with archive.open(_entry(file.name, kind), "w", force_zip64=True) as entry:
        entry.write(first)
        for piece in pieces:
            on_progress()
            entry.write(piece)
    return None


def _entry(name: str, kind: int) -> ZipInfo:
    entry = ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    entry.compress_type = kind
    entry.external_attr = 0o600 << 16
    return entry
