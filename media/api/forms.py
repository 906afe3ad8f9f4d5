"""Multipart forms with one file: streamed to the disk and digested on the way, everything bounded."""

import asyncio
import hashlib
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from chatapi.completions.body import ClientGone
from chatapi.engines.values import Value
from chatapi.errors import ApiError, BadRequest, BodyTooLarge
from media.temporary import temporary_folder

MAX_FIELDS = 64
FIELD_BYTES = 16 * 1024
SURROUNDINGS = 1024 * 1024
"""Bytes that a body may have beside its file."""
NAME_LENGTH = 255
PIECE = 256 * 1024
STALLED_SECONDS = 30.0
UPLOAD_SECONDS = 1800.0

_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that show a name in another order than it has."""


class Upload(Value, frozen=True):
    """A file that was sent; `path` is there for as long as its form is."""

    path: Path
    filename: str
    size: int
    sha256: str


class Form:
    """The fields in the order they came, and the part named `file`."""

    def __init__(self, fields: list[tuple[str, str]], file: Upload | None) -> None:
        self._fields = fields
        self._file = file

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._fields}

    @property
    def file(self) -> Upload:
        """Raises `BadRequest` where there is none, or it is empty."""
        if self._file is None:
            raise BadRequest(
                "Missing required parameter: 'file'.", param="file", code="missing_required_parameter"
            )
        if not self._file.size:
            raise BadRequest("Invalid value for 'file': the file is empty.", param="file", code="empty_file")
        return self._file

    def text(self, name: str) -> str | None:
        """The one value of a field; None where it is absent. Raises `BadRequest` where there are several."""
        values = self.texts(name)
        if len(values) > 1:
            raise BadRequest(f"Invalid value for '{name}': it was sent more than once.", param=name)
        return values[0] if values else None

    def texts(self, name: str) -> list[str]:
        return [value for key, value in self._fields if key == name]


@asynccontextmanager
async def read_form(scope: Scope, receive: Receive, max_file: int) -> AsyncIterator[Form]:
    """The form of a request's body, whose file has at most `max_file` bytes and goes with the block.

    Raises `BadRequest` for what is no form or comes too slowly, `BodyTooLarge` as soon as it is known to be
    too large, and `ClientGone`.
    """
    headers = Headers(scope=scope)
    parser = _Parser(_boundary(headers), max_file)
    if _declared_length(headers) > max_file + SURROUNDINGS:
        raise BodyTooLarge(max_file)
    manager = temporary_folder()
    folder = await asyncio.to_thread(manager.__enter__)
    try:
        yield await _read(parser, receive, folder / "upload")
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


async def _read(parser: "_Parser", receive: Receive, path: Path) -> Form:
    writer = _Writer(path)
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            while True:
                piece, is_last = await _piece(receive)
                data = parser.take(piece)
                if data:
                    await asyncio.to_thread(writer.write, data)
                if is_last:
                    break
        data = parser.finish()
        await asyncio.to_thread(writer.write, data)
        return Form(parser.fields, writer.upload(parser.filename))
    except TimeoutError:
        raise _too_slow() from None
    finally:
        writer.close()


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    async with asyncio.timeout(STALLED_SECONDS):
        message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    return message.get("body", b""), not message.get("more_body", False)


class _Writer:
    """Writes and digests; called in a thread, one call at a time."""

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
        """What was written; None where the form held no file."""
        if filename is None:
            return None
        return Upload(self._path, filename, self._size, self._digest.hexdigest())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Parser:
    """Takes the body apart: fields are kept, the file's bytes are given back as they come."""

    def __init__(self, boundary: bytes, max_file: int) -> None:
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self._max_file = max_file
        self._pending = bytearray()
        self._size = self._around = 0
        self._parts = 0
        self._is_whole = False
        self._header = self._value = b""
        self._disposition = b""
        self._field: str | None = None
        self._data = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._take_header,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _no_form() from error

    def take(self, piece: bytes) -> bytes:
        """Bytes of the file to be written now, if so many wait."""
        before = self._size
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _no_form() from error
        self._around += len(piece) - (self._size - before)
        if self._around > SURROUNDINGS:
            raise BodyTooLarge(self._max_file)
        return self._flush() if len(self._pending) >= PIECE else b""

    def finish(self) -> bytes:
        """What is left of the file. Raises `BadRequest` where the form has no end."""
        if not self._is_whole:
            raise BadRequest("The form is cut off: it has no last boundary.", code="invalid_form")
        return self._flush()

    def _flush(self) -> bytes:
        data = bytes(self._pending)
        self._pending.clear()
        return data

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise BadRequest(f"A form has at most {MAX_FIELDS} fields.", code="invalid_form")
        self._header = self._value = self._disposition = b""
        self._data.clear()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        if name is None:
            raise BadRequest("A part of the form has no name.", code="invalid_form")
        self._field = _decoded(name)
        if b"filename" in options:
            self._begin_file(_decoded(options[b"filename"]))

    def _begin_file(self, filename: str) -> None:
        if self._field != "file":
            raise BadRequest(
                "A file was sent under another name than 'file'.", param=_shown_name(self._field or "")
            )
        if self.filename is not None:
            raise BadRequest("Invalid value for 'file': one file at a time.", param="file")
        self.filename = clean_name(filename)
        self._field = None

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        length = end - start
        if self._field is None:
            self._size += length
            if self._size > self._max_file:
                raise BodyTooLarge(self._max_file)
            self._pending += memoryview(data)[start:end]
        elif len(self._data) + length > FIELD_BYTES:
            raise BadRequest(
                f"A field has at most {FIELD_BYTES} bytes.",
                param=_shown_name(self._field),
                code="string_above_max_length",
            )
        else:
            self._data += data[start:end]

    def _end_part(self) -> None:
        if self._field == "file":
            raise BadRequest(
                "Invalid type for 'file': expected a file, but got a text.",
                param="file",
                code="invalid_type",
            )
        if self._field is not None:
            self.fields.append((self._field, _decoded(bytes(self._data))))

    def _end(self) -> None:
        self._is_whole = True


def clean_name(filename: str) -> str:
    """A file's name as it was given, without what cannot be seen; it is a label, and never a path."""
    seen = (c for c in filename if unicodedata.category(c) not in _UNSEEN and c not in _TURNING)
    return "".join(seen).strip()[:NAME_LENGTH] or "upload"


def _boundary(headers: Headers) -> bytes:
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadRequest(
            "The body must be sent without a content-encoding.", status=415, code="unsupported_encoding"
        )
    kind, options = parse_options_header(headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise BadRequest(
            "The body must be a form: multipart/form-data.", status=415, code="unsupported_media_type"
        )
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequest("The form's content-type names no boundary.", code="invalid_form")
    return boundary


def _declared_length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _decoded(text: bytes) -> str:
    """Without the NUL that no database takes."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    return decoded.replace("\0", "")


def _shown_name(name: str) -> str:
    return clean_name(name)[:100]


def _no_form() -> ApiError:
    return BadRequest("The body is no valid form.", code="invalid_form")


def _too_slow() -> ApiError:
    return BadRequest("The upload did not come in time.", status=408, code="request_timeout")
