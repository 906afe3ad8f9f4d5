"""Whether a file is as long as its own structure says: read from the structure alone, nothing is unpacked.

What browsers and phones leave is whole: WAV written to a pipe (sizes unknown), WebM without sizes, duration
or cues, fragmented MP4, Ogg whose last page is not marked as the last.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.ebml import check_matroska
from media.processing.sound.file_types import SoundKind

PIECES = 200_000
"""Chunks, boxes or pages a file may consist of; two hours of any recorder's are below a tenth of it."""
UNKNOWN_SIZE = 0x7FFF_0000
"""From here on a WAV's size is what is written where the length is not known yet."""
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
ESSENTIAL = {b"ftyp", b"moov", b"mdat", b"moof"}
DEEPEST = len(PARENTS)
OGG_HEADER = 27


class CutOff(UnreadableMedia):
    def __init__(self) -> None:
        super().__init__("The sound is cut off.")


class Damaged(UnreadableMedia):
    def __init__(self) -> None:
        super().__init__("The sound is damaged.")


def check_whole(path: str, kind: SoundKind) -> None:
    """Unreadable if the file ends early, or tells of more than it could hold.

    MP3, ADTS and FLAC have no outer structure: their frames are counted by `inspect_sound`.
    """
    check = {"wav": _check_wav, "mp4": _check_mp4, "mov": _check_mp4, "ogg": _check_ogg}.get(kind.demuxer)
    file_path = Path(path)
    size = file_path.stat().st_size
    with file_path.open("rb") as file:
        if check:
            check(file, size)
        elif kind.demuxer == "matroska":
            _check_matroska(file, size)
        elif kind.demuxer == "s16le" and size % 2:
            raise CutOff


def _check_wav(file: BinaryIO, size: int) -> None:
    large: int | None = None
    place = 12
    for _ in range(PIECES):
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            raise CutOff
        name, length = struct.unpack("<4sI", header)
        if name == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
        if name == b"data":
            length = large if large is not None and length == 0xFFFF_FFFF else length
            if length < UNKNOWN_SIZE or large is not None:
                _need(place + 8 + length, size)
            return
        place += 8 + length + length % 2
    raise Damaged


def _check_ogg(file: BinaryIO, size: int) -> None:
    place = 0
    is_packet_open = False
    while place < size:
        file.seek(place)
        header = file.read(OGG_HEADER)
        if header[:4] != b"OggS":
            raise CutOff if len(header) < OGG_HEADER else Damaged
        if len(header) < OGG_HEADER:
            raise CutOff
        lacing = file.read(header[26])
        place += OGG_HEADER + header[26] + sum(lacing)
        _need(place, size)
        is_packet_open = lacing.endswith(b"\xff")
    if is_packet_open:
        raise CutOff


def _check_mp4(file: BinaryIO, size: int) -> None:
    names = set()
    samples = 0
    for name, start, end in _boxes(file, 0, size):
        names.add(name)
        if end > size and name in ESSENTIAL:
            raise CutOff
        if name in (b"moov", b"moof"):
            samples += sum(_samples_said(file, start, end))
        if samples > size:
            raise Damaged
    if b"moov" not in names:
        raise CutOff


def _samples_said(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[int]:
    """The samples that tables tell of. Each takes a byte at least, so more than the file's are forged."""
    for name, inner, inner_end in _boxes(file, start, end):
        if inner_end > end or name == b"cmov" or depth > DEEPEST:
            raise Damaged
        if name in PARENTS:
            yield from _samples_said(file, inner, inner_end, depth + 1)
        elif name in (b"stsz", b"trun"):
            file.seek(inner + (8 if name == b"stsz" else 4))
            yield int.from_bytes(file.read(4), "big")


def _boxes(file: BinaryIO, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of the content of each box; an end may lie beyond the file."""
    for _ in range(PIECES):
        if place + 8 > end:
            return
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(8))
        start = place + 8
        if length == 1:
            length, start = int.from_bytes(file.read(8), "big"), start + 8
        after = end if length == 0 else place + length
        if after < start:
            raise Damaged
        yield name, start, after
        place = after
    raise Damaged


def _check_matroska(file: BinaryIO, size: int) -> None:
    end = check_matroska(file, size)
    if end is None:
        raise Damaged
    _need(end, size)


def _need(length: int, size: int) -> None:
    if length > size:
        raise CutOff
