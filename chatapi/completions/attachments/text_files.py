"""What a model without file input is given of a call's files: their text, up to a limit.

Each text waits in memory until its upstream has taken it.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from core.blob import Blob
from engines.base import InvalidRequest
from engines.messages import FilePart, Message
from media.models import storage_name
from media.storage.operations import open_range

TEXT_LIMIT = 200_000
"""The most characters of a text file that a model without file input is given."""
TOTAL_TEXT_LIMIT = 4_000_000
"""The same for all text files of a call together; a file that is named twice counts twice."""

_CHARACTER_BYTES = 4
"""The most bytes that a character takes in UTF-8."""
_REPLACED = len("\ufffd".encode())
"""The bytes of the character that replaces what cannot be decoded."""


NamedFile = tuple[str, str | None]
"""The SHA-256 of a file's bytes and its name: the same bytes may be sent under several."""


async def read_text_files(messages: Sequence[Message], workspace_id: UUID) -> dict[NamedFile, str]:
    """Return the contents of the text files, for a model that takes no files.

    Raises `InvalidRequest` if they are too long together.
    """
    texts: dict[NamedFile, str] = {}
    length = 0
    for part in (part for message in messages for part in message.parts):
        if not isinstance(part, FilePart) or (blob := part.blob) is None:
            continue
        file = blob.sha256, part.filename
        if file not in texts:
            texts[file] = await asyncio.to_thread(_read_text, blob, part.filename, workspace_id)
        length += len(texts[file])
        if length > TOTAL_TEXT_LIMIT:
            raise InvalidRequest(
                f"The text files of this call are too long: a model is given {TOTAL_TEXT_LIMIT} characters.",
                code="media_too_large",
            )
    return texts


def _read_text(blob: Blob, filename: str | None, workspace_id: UUID) -> str:
    length = min(blob.size, TEXT_LIMIT * _CHARACTER_BYTES)
    text = b"".join(open_range(storage_name(workspace_id, blob.sha256), 0, length)).decode(errors="replace")
    is_cut = length < blob.size or len(text) > TEXT_LIMIT
    return _frame(text[:TEXT_LIMIT], blob, filename, is_cut=is_cut)


def _frame(text: str, blob: Blob, filename: str | None, *, is_cut: bool) -> str:
    cut = f"\n[Cut: the file has {blob.size} bytes.]" if is_cut else ""
    return f"[File {filename or 'without a name'}:]\n{text}{cut}\n[End of the file.]"


def max_text_bytes(blob: Blob, filename: str | None, data: bytes | None) -> int:
    """Return the most bytes of UTF-8 that a model without file input is given of a file.

    `data` are its bytes, if they are at hand. Each byte that cannot be decoded becomes a character of three.
    """
    limit = TEXT_LIMIT * _CHARACTER_BYTES
    text = blob.size if data is not None and (blob.size >= limit or _is_text(data)) else _REPLACED * blob.size
    return min(text, limit) + len(_frame("", blob, filename, is_cut=True).encode())


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
