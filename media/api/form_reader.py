"""Multipart forms with one file, streamed to the disk and hashed on the way, with everything bounded."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from core.exceptions import BadRequest, BodyTooLarge, RateLimited
from core.http.body import ClientDisconnected, declared_length, reject_encoded_body
from core.value import Value
from media.api.multipart_parser import MAX_OVERHEAD_BYTES, FormParser, boundary_of
from media.temporary_folders import async_temporary_folder

STALLED_SECONDS = 30.0
UPLOAD_SECONDS = 1800.0
MAX_OPEN_FORMS = 16
"""How many of a workspace's forms this process reads or works on at once, to bound what is on the disk."""

_open_forms: Counter[UUID] = Counter()


class Upload(Value, frozen=True):
    """An uploaded file; `path` exists as long as its form does."""

    path: Path
    filename: str
    size: int
    sha256: str


class Form:
    """The form's fields in the order they came, and the part named `file`."""

    def __init__(self, fields: list[tuple[str, str]], file: Upload | None) -> None:
        self._fields = fields
        self._file = file

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._fields}

    @property
    def file(self) -> Upload:
        """The uploaded file. Raises `BadRequest` if there is none, or it is empty."""
        if self._file is None:
            raise BadRequest(
                "Missing required parameter: 'file'.", param="file", code="missing_required_parameter"
            )
        if not self._file.size:
            raise BadRequest("Invalid value for 'file': the file is empty.", param="file", code="empty_file")
        return self._file

    def text(self, name: str) -> str | None:
        """Return the one value of a field; None if it is absent. Raises `BadRequest` if there are several."""
        values = self.texts(name)
        if len(values) > 1:
            raise BadRequest(f"Invalid value for '{name}': it was sent more than once.", param=name)
        return values[0] if values else None

    def texts(self, name: str) -> list[str]:
        """Return the values of a field. Raises `BadRequest` for a NUL, which no database accepts."""
        values = [value for key, value in self._fields if key == name]
        if any("\0" in value for value in values):
            raise BadRequest(f"Invalid value for '{name}': it holds a NUL character.", param=name)
        return values


@asynccontextmanager
async def read_form(
    workspace_id: UUID,
    scope: Scope,
    receive: Receive,
    max_file: int,
    *,
    stalled_seconds: float = STALLED_SECONDS,
    upload_seconds: float = UPLOAD_SECONDS,
) -> AsyncIterator[Form]:
    """Read the form in a request's body; its file, of at most `max_file` bytes, is deleted after the block.

    All of it may take `upload_seconds`, and each wait for more of it `stalled_seconds`. Raises `BadRequest`
    for a body that is not a form or comes too slowly, `BodyTooLarge` as soon as it is known to be too
    large, `RateLimited` if the workspace sends too many at once, and `ClientDisconnected`.
    """
    reject_encoded_body(scope)
    parser = FormParser(boundary_of(Headers(scope=scope)), max_file)
    if (declared_length(scope) or 0) > max_file + MAX_OVERHEAD_BYTES:
        raise BodyTooLarge(max_file)
    with _form_slot(workspace_id):
        async with async_temporary_folder() as folder:
            try:
                async with asyncio.timeout(upload_seconds):
                    form = await _read(parser, receive, folder / "upload", stalled_seconds)
            except TimeoutError:
                raise BadRequest(
                    "The upload did not come in time.", status=408, code="request_timeout"
                ) from None
            yield form


@contextmanager
def _form_slot(workspace_id: UUID) -> Iterator[None]:
    if _open_forms[workspace_id] >= MAX_OPEN_FORMS:
        raise RateLimited(f"Send at most {MAX_OPEN_FORMS} files at once.", retry_after=1)
    _open_forms[workspace_id] += 1
    try:
        yield
    finally:
        _open_forms[workspace_id] -= 1
        if not _open_forms[workspace_id]:
            del _open_forms[workspace_id]


async def _read(parser: FormParser, receive: Receive, path: Path, stalled_seconds: float) -> Form:
    writer = _Writer(path)
    try:
        while True:
            async with asyncio.timeout(stalled_seconds):
                piece, is_last = await _receive_piece(receive)
            data = parser.feed(piece)
            if data:
                await asyncio.to_thread(writer.write, data)
            if is_last:
                break
        data = parser.finish()
        await asyncio.to_thread(writer.write, data)
        return Form(parser.fields, writer.upload(parser.filename))
    finally:
        writer.close()


async def _receive_piece(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnected
    return message.get("body", b""), not message.get("more_body", False)


class _Writer:
    """A writer that also hashes; called in a thread, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("xb")
        self._file.write(data)
        self._file.flush()
        self._digest.update(data)
        self._size += len(data)

    def upload(self, filename: str | None) -> Upload | None:
        """Return what was written; None if the form had no file."""
        if filename is None:
            return None
        return Upload(self._path, filename, self._size, self._digest.hexdigest())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
