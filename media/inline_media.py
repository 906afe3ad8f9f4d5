"""Inline media of a request: strict base64, decoded into bytes that are named by their SHA-256."""

import re
from binascii import Error, a2b_base64
from hashlib import sha256
from mimetypes import MimeTypes
from urllib.parse import urlsplit

from core.blob import Blob
from core.validation import exceptions
from engines.messages import AudioPart, FilePart, ImagePart
from media.processing.sound.output_formats import SOUND_MEDIA_TYPES

_URL_LIMIT = 8192
_TYPES = MimeTypes()
"""Our own instance, since the system's table is read from disk on first use."""
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]{1,100})?(?:;[^,;]{0,100})*?;base64,", re.IGNORECASE)
_FORMAT = re.compile(r"(?:(?:audio|video)/)?([a-z0-9][a-z0-9.+-]*)(?:;.*)?", re.IGNORECASE)


class Uploads:
    """The bytes that one request carries inline, by SHA-256."""

    def __init__(self) -> None:
        self.bytes: dict[str, bytes] = {}

    def add(self, encoded: str, media_type: str) -> Blob:
        try:
            data = a2b_base64(encoded, strict_mode=True)
        except (Error, ValueError):
            raise exceptions.wrong_value("it is not base64") from None
        if not data:
            raise exceptions.wrong_value("it holds no data")
        digest = sha256(data).hexdigest()
        self.bytes[digest] = data
        return Blob(digest, media_type, len(data))

    def image(self, url: str, detail: str | None) -> ImagePart:
        if url[:5].lower() != "data:":
            _check_url(url)
            return ImagePart(url=url, detail=detail)
        header = _DATA_URL.match(url)
        if header is None or not (header[1] or "").lower().startswith("image/"):
            raise exceptions.wrong_value("a data URL must begin with 'data:image/…;base64,'")
        return ImagePart(blob=self.add(url[header.end() :], header[1].lower()), detail=detail)

    def sound(self, data: str, format: str) -> AudioPart:
        """Read a sound. `data` is base64 or a data URL.

        `format` is the sender's claim, a name or a media type, empty if there is none. The bytes will tell
        what the sound really is.
        """
        header = _DATA_URL.match(data)
        claim = format or (header and header[1]) or ""
        name = _FORMAT.fullmatch(claim)
        if claim and name is None:
            raise exceptions.wrong_value(f"{exceptions.quote_value(claim)} is no audio format").at("format")
        kind = name[1].lower() if name else ""
        try:
            blob = self.add(
                data[header.end() :] if header else data, SOUND_MEDIA_TYPES.get(kind, f"audio/{kind}")
            )
        except exceptions.InvalidField as problem:
            raise problem.at("data") from None
        return AudioPart(blob, kind)

    def file(self, data: str | None, filename: str | None, file_id: str | None) -> FilePart:
        if data is None:
            return FilePart(filename=filename, file_id=file_id)
        header = _DATA_URL.match(data)
        guessed = _TYPES.guess_type(filename or "")[0] or "application/octet-stream"
        media_type = (header[1] or guessed).lower() if header else guessed
        blob = self.add(data[header.end() :] if header else data, media_type)
        return FilePart(blob=blob, filename=filename, file_id=file_id)


def _check_url(url: str) -> None:
    if len(url) > _URL_LIMIT:
        raise exceptions.too_long(_URL_LIMIT, len(url))
    try:
        address = urlsplit(url)
        is_address = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise exceptions.wrong_value("it must be an http(s) URL or a data URL")
