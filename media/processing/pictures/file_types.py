"""Recognizes supported pictures by their first bytes, and names what is refused.

File names and declared media types are never consulted.
"""

import re

import msgspec

from media.processing.brands import AVIF_BRANDS, HEIC_BRANDS, STRUCTURAL_BRANDS
from media.processing.exceptions import UnreadableMedia

HEAD_BYTES = 4096
"""How many of a file's first bytes `sniff_picture` and `unsupported_error` need."""


class PictureKind(msgspec.Struct, frozen=True):
    """`plugin` is Pillow's name for the one decoder that may open such a file."""

    name: str
    media_type: str
    plugin: str


PNG = PictureKind("png", "image/png", "PNG")
JPEG = PictureKind("jpeg", "image/jpeg", "JPEG")
WEBP = PictureKind("webp", "image/webp", "WEBP")
GIF = PictureKind("gif", "image/gif", "GIF")
HEIC = PictureKind("heic", "image/heic", "HEIF")
HEIF = PictureKind("heif", "image/heif", "HEIF")
AVIF = PictureKind("avif", "image/avif", "AVIF")

SUPPORTED = "PNG, JPEG, WebP, GIF, HEIC and AVIF"

_FOREIGN_SIGNATURES = {
    b"%PDF-": "a PDF document",
    b"%!PS": "an EPS (PostScript) file",
    b"\xc5\xd0\xd3\xc6": "an EPS (PostScript) file",
    b"8BPS": "a Photoshop (PSD) file",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"II+\x00": "a TIFF picture",
    b"MM\x00+": "a TIFF picture",
    b"\x00\x00\x01\x00": "an icon (ICO)",
    b"\x00\x00\x02\x00": "a cursor (CUR)",
    b"BM": "a BMP picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL picture",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip-compressed data",
    b"\x1aE\xdf\xa3": "a Matroska or WebM recording",
    b"OggS": "an Ogg recording",
    b"ID3": "an MP3 recording",
    b"iVBORw0KGgo": "base64 text that was not decoded",
    b"/9j/": "base64 text that was not decoded",
    b"R0lGOD": "base64 text that was not decoded",
    b"UklGR": "base64 text that was not decoded",
    b"data:": "a data URL that was not decoded",
}
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}
_SVG = re.compile(r"<(?:\w+:)?svg[\s>/]", re.IGNORECASE)
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|title)\b", re.I | re.S)
_XML = re.compile(r"\s*<(?:\?xml\b|!DOCTYPE\b)", re.IGNORECASE)


def sniff_picture(head: bytes) -> PictureKind | None:
    """Return the kind of picture that begins with `head` (at least 12 bytes), or None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _sniff_box_file(head)
    return None


def picture_kind(head: bytes) -> PictureKind:
    """Like `sniff_picture`, but raise `UnreadableMedia` that names what the file is instead."""
    kind = sniff_picture(head)
    if kind is None:
        raise unsupported_error(head)
    return kind


def unsupported_error(head: bytes) -> UnreadableMedia:
    """Return the error for a file that begins with `head` and is not a supported picture."""
    if not head:
        return UnreadableMedia("The picture is empty.")
    name = _describe_foreign(head)
    description = f"This is {name}" if name else "This is no picture of a known kind"
    return UnreadableMedia(f"{description}; {SUPPORTED} pictures are taken.", code="unsupported_media_type")


def _sniff_box_file(head: bytes) -> PictureKind | None:
    major, compatible = head[8:12], _compatible_brands(head)
    if major in AVIF_BRANDS:
        return AVIF
    if major in HEIC_BRANDS:
        return HEIC
    if major in STRUCTURAL_BRANDS:
        if compatible & AVIF_BRANDS:
            return AVIF
        return HEIC if compatible & HEIC_BRANDS else HEIF
    return None


def _compatible_brands(head: bytes) -> frozenset[bytes]:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return frozenset(head[at : at + 4] for at in range(16, end - 3, 4))


def _describe_foreign(head: bytes) -> str | None:
    for signature, name in _FOREIGN_SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 or QuickTime file"
    if head[:4] == b"RIFF":
        return "a RIFF file (such as WAV or AVI)"
    return _describe_markup(head)


def _describe_markup(head: bytes) -> str | None:
    encoding = next((e for mark, e in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), "utf-8")
    text = head[:HEAD_BYTES].decode(encoding, errors="replace").removeprefix("\ufeff")
    if _HTML.match(text):
        return "an HTML page"
    if _SVG.search(text):
        return "an SVG drawing"
    return "an XML document" if _XML.match(text) else None
