"""What a picture file declares about itself, read from its structure before any decoder sees it.

Decoders are lenient where this service must not be: WebP's allocates its canvas while opening, GIF's and
PNG's do not notice that the end of a file is missing, and JPEG's fills missing parts with gray. These walks
are pure Python over a mapped file, touch each block once and allocate nothing.
"""

import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from mmap import mmap

import msgspec

from media.processing.exceptions import MediaTooLarge, UnreadableMedia
from media.processing.pictures.file_types import GIF, JPEG, PNG, WEBP, PictureKind

MAX_SCANS = 100
"""Encoders write about ten scans in a progressive JPEG; each costs a pass over all its pixels."""

MAX_PIECES = 50_000
"""Chunks, segments or blocks in a file. Encoders write a few thousand in 20 MB."""

MAX_GIF_TEXT = 2**20
"""Bytes of one extension block of a GIF, such as a comment, which decoders assemble piece by piece."""

CUT_OFF = "The picture is cut off."
DAMAGED = "The picture is damaged."


class DeclaredSize(msgspec.Struct, frozen=True):
    """The canvas size in pixels, and the number of frames."""

    width: int
    height: int
    frames: int = 1


def read_declared_size(file: mmap, kind: PictureKind) -> DeclaredSize | None:
    """Return what the file declares, or None if only the decoder's own header tells (HEIF, AVIF).

    Raises `UnreadableMedia` if the file is cut off or damaged, `MediaTooLarge` if decoding would never end.
    """
    walk = {PNG: _png, JPEG: _jpeg, GIF: _gif, WEBP: _webp}.get(kind)
    try:
        if walk is not None:
            return walk(file)
        _check_boxes(file)
    except (struct.error, IndexError) as error:
        raise UnreadableMedia(CUT_OFF) from error
    return None


def _png(file: mmap) -> DeclaredSize:
    width = height = 0
    frames = 1
    for count, (name, start, end) in enumerate(_png_chunks(file)):
        _check_pieces(count)
        if name == b"IHDR":
            width, height = struct.unpack_from(">II", file, start)
        elif name == b"acTL":
            frames = max(1, struct.unpack_from(">I", file, start)[0])
        elif name == b"IEND":
            return DeclaredSize(width, height, frames)
        with memoryview(file) as view, view[start - 4 : end] as covered:
            checksum = zlib.crc32(covered)
        if checksum != struct.unpack_from(">I", file, end)[0]:
            raise UnreadableMedia(DAMAGED)
    raise UnreadableMedia(CUT_OFF)


def _png_chunks(file: mmap) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, and where its data begin and end."""
    at = 8
    while at < len(file):
        length, name = struct.unpack_from(">I4s", file, at)
        start, end = at + 8, at + 8 + length
        at = end + 4
        if at > len(file):
            raise UnreadableMedia(CUT_OFF)
        yield name, start, end


_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_JPEG_FILL = re.compile(rb"\xff+([^\xff])")
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def _jpeg(file: mmap) -> DeclaredSize:
    width = height = scans = coded_bytes = 0
    for marker, start, end in _jpeg_segments(file):
        if marker in _JPEG_FRAMES and not width:
            height, width = struct.unpack_from(">HH", file, start + 3)
        elif marker == _JPEG_SCAN:
            scans += 1
            coded_bytes += end - start
        if scans > MAX_SCANS:
            raise MediaTooLarge(f"The picture has more than {MAX_SCANS} scans.")
    # Any coding takes at least one bit per 8×8 block: less means a forged size that would decode to gray.
    if not scans or coded_bytes * 8 < -(-width // 8) * -(-height // 8):
        raise UnreadableMedia(DAMAGED)
    return DeclaredSize(width, height)


def _jpeg_segments(file: mmap) -> Iterator[tuple[int, int, int]]:
    """Yield each marker up to the picture's end, and where its segment begins and ends.

    A scan's segment includes the data it codes.
    """
    at = 2
    for count in itertools.count():
        _check_pieces(count)
        found = _JPEG_FILL.match(file, at)
        if found is None:
            raise UnreadableMedia(DAMAGED if at < len(file) - 1 else CUT_OFF)
        marker, start = found[1][0], found.end()
        if marker == _JPEG_END:
            return
        at = start if marker in _JPEG_STANDALONE else start + struct.unpack_from(">H", file, start)[0]
        if marker == _JPEG_SCAN:
            at = _end_of_scan(file, at)
        yield marker, start, at


def _end_of_scan(file: mmap, at: int) -> int:
    found = _JPEG_MARKER.search(file, at)
    if found is None:
        raise UnreadableMedia(CUT_OFF)
    return found.start()


def _gif(file: mmap) -> DeclaredSize:
    width, height, flags = struct.unpack_from("<HHB", file, 6)
    at = 13 + _color_table_bytes(flags)
    frames = 0
    for count in itertools.count():
        _check_pieces(count)
        match file[at]:
            case 0x3B:
                break
            case 0x21:
                start, at = at, _end_of_blocks(file, at + 2)
                if at - start > MAX_GIF_TEXT:
                    raise MediaTooLarge("The picture's comments are too long.")
            case 0x2C:
                left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", file, at + 1)
                if not frames:  # the canvas grows to hold the first frame
                    width, height = max(width, left + frame_width), max(height, top + frame_height)
                at = _end_of_blocks(file, at + 11 + _color_table_bytes(flags))
                frames += 1
            case _:
                raise UnreadableMedia(DAMAGED)
    return DeclaredSize(width, height, frames)


def _color_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(file: mmap, at: int) -> int:
    while size := file[at]:
        at += size + 1
    return at + 1


def _webp(file: mmap) -> DeclaredSize:
    (size,) = struct.unpack_from("<I", file, 4)
    end = size + 8
    if end > len(file):
        raise UnreadableMedia(CUT_OFF)
    frames, pieces, at = 0, 0, 12
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", file, at)
        frames += name == b"ANMF"
        pieces += 1
        _check_pieces(pieces)
        at += 8 + length + (length & 1)
    return DeclaredSize(*_webp_canvas(file), frames or 1)


def _webp_canvas(file: mmap) -> tuple[int, int]:
    head = file[:30]
    match head[12:16]:
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case _:
            raise UnreadableMedia(DAMAGED)


def _check_boxes(file: mmap) -> None:
    """Check that the boxes of an ISO base media file (HEIF, AVIF) are complete."""
    pieces = at = 0
    while at + 8 <= len(file):
        size, name = struct.unpack_from(">I4s", file, at)
        if not name.isalnum():  # foreign data follow the picture
            return
        if size == 1:
            (size,) = struct.unpack_from(">Q", file, at + 8)
        elif size == 0:  # to the end of the file
            return
        at += max(size, 8)
        if at > len(file):
            raise UnreadableMedia(CUT_OFF)
        pieces += 1
        _check_pieces(pieces)


def _check_pieces(count: int) -> None:
    if count > MAX_PIECES:
        raise MediaTooLarge("The picture is made of too many pieces.")
