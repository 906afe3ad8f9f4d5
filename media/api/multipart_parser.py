"""A parser for multipart forms that arrive in pieces, with everything in them bounded."""

import unicodedata

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers

from core.exceptions import BadRequest, BodyTooLarge

MAX_FIELDS = 64
FIELD_BYTES = 16 * 1024
MAX_OVERHEAD_BYTES = 1024 * 1024
"""Bytes that a body may have besides its file."""
MAX_NAME_LENGTH = 255
FLUSH_BYTES = 256 * 1024

_INVISIBLE = {"Cc", "Cs", "Zl", "Zp"}
_BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that make a name appear in a different order."""


class FormParser:
    """A parser that keeps a form's fields, and returns the file's bytes as they arrive."""

    def __init__(self, boundary: bytes, max_file: int) -> None:
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self._max_file = max_file
        self._pending = bytearray()
        self._size = self._overhead = 0
        self._parts = 0
        self._is_complete = False
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
            raise _invalid_form() from error

    def feed(self, piece: bytes) -> bytes:
        """Parse a piece of the body; return the file's bytes to write now, if enough have accumulated."""
        before = self._size
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _invalid_form() from error
        self._overhead += len(piece) - (self._size - before)
        if self._overhead > MAX_OVERHEAD_BYTES:
            raise BodyTooLarge(self._max_file)
        return self._flush() if len(self._pending) >= FLUSH_BYTES else b""

    def finish(self) -> bytes:
        """Return the rest of the file. Raises `BadRequest` if the form has no end."""
        if not self._is_complete:
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
        self._field = _decode(name)
        if b"filename" in options:
            self._begin_file(_decode(options[b"filename"]))

    def _begin_file(self, filename: str) -> None:
        if self._field != "file":
            raise BadRequest(
                "A file was sent under another name than 'file'.", param=_display_name(self._field or "")
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
                param=_display_name(self._field),
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
            self.fields.append((self._field, _decode(bytes(self._data))))

    def _end(self) -> None:
        self._is_complete = True


def boundary_of(headers: Headers) -> bytes:
    kind, options = parse_options_header(headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise BadRequest(
            "The body must be a form: multipart/form-data.", status=415, code="unsupported_media_type"
        )
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequest("The form's content-type names no boundary.", code="invalid_form")
    return boundary


def clean_name(filename: str) -> str:
    """Return a file's name without invisible characters; it is a label, never a path."""
    visible = (c for c in filename if unicodedata.category(c) not in _INVISIBLE and c not in _BIDI_CONTROLS)
    return "".join(visible).strip()[:MAX_NAME_LENGTH] or "upload"


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _display_name(name: str) -> str:
    return clean_name(name)[:100]


def _invalid_form() -> BadRequest:
    return BadRequest("The body is no valid form.", code="invalid_form")
