"""Checks whether a file is as long as its own structure says, without unpacking anything.

What browsers and phones record counts as complete: WAV written to a pipe (sizes unknown), WebM without
sizes, duration or cues, fragmented MP4, Ogg whose last page is not marked as the last.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.ebml import check_matroska
from media.processing.sound.file_types import SoundKind

MAX_PIECES = 200_000
"""How many chunks, boxes or pages a file may have; two hours from any recorder have less than a tenth."""
UNKNOWN_SIZE = 0x7FFF_0000
"""A WAV size from here on means that its length was not yet known."""
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
ESSENTIAL = {b"ftyp", b"moov", b"mdat", b"moof"}
MAX_DEPTH = len(PARENTS)
OGG_HEADER = 27


class CutOff(UnreadableMedia):
    def __init__(self) -> None:
        super().__init__("The sound is cut off.")


class Damaged(UnreadableMedia):
    def __init__(self) -> None:
        super().__init__("The sound is damaged.")


def check_whole(path: str, kind: SoundKind) -> None:
    """Raise `UnreadableMedia` if the file ends early, or declares more than it could hold.

    MP3, ADTS and FLAC have no outer structure: `inspect_sound` counts their frames.
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
    ds64_length: int | None = None
    position = 12
    for _ in range(MAX_PIECES):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            raise CutOff
        name, length = struct.unpack("<4sI", header)
        if name == b"ds64":
            ds64_length = int.from_bytes(file.read(16)[8:], "little")
        if name == b"data":
            length = ds64_length if ds64_length is not None and length == 0xFFFF_FFFF else length
            if length < UNKNOWN_SIZE or ds64_length is not None:
                _require_length(position + 8 + length, size)
            return
        position += 8 + length + length % 2
    raise Damaged


def _check_ogg(file: BinaryIO, size: int) -> None:
    position = 0
    is_packet_open = False
    while position < size:
        file.seek(position)
        header = file.read(OGG_HEADER)
        if header[:4] != b"OggS":
            raise CutOff if len(header) < OGG_HEADER else Damaged
        if len(header) < OGG_HEADER:
            raise CutOff
        lacing = file.read(header[26])
        position += OGG_HEADER + header[26] + sum(lacing)
        _require_length(position, size)
        is_packet_open = lacing.endswith(b"\xff")
    if is_packet_open:
        raise CutOff


def _check_mp4(file: BinaryIO, size: int) -> None:
    names = set()
    samples = 0
    for name, start, end in _read_boxes(file, 0, size):
        names.add(name)
        if end > size and name in ESSENTIAL:
            raise CutOff
        if name in (b"moov", b"moof"):
            samples += sum(_declared_samples(file, start, end))
        if samples > size:
            raise Damaged
    if b"moov" not in names:
        raise CutOff


def _declared_samples(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[int]:
    """Yield the sample counts that tables declare.

    Each sample takes at least a byte, so a count beyond the file's size is forged.
    """
    for name, inner, inner_end in _read_boxes(file, start, end):
        if inner_end > end or name == b"cmov" or depth > MAX_DEPTH:
            raise Damaged
        if name in PARENTS:
            yield from _declared_samples(file, inner, inner_end, depth + 1)
        elif name in (b"stsz", b"trun"):
            file.seek(inner + (8 if name == b"stsz" else 4))
            yield int.from_bytes(file.read(4), "big")


def _read_boxes(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box's name, and where its content begins and ends; the end may lie beyond the file."""
    for _ in range(MAX_PIECES):
        if position + 8 > end:
            return
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        start = position + 8
        if length == 1:
            length, start = int.from_bytes(file.read(8), "big"), start + 8
        next_box = end if length == 0 else position + length
        if next_box < start:
            raise Damaged
        yield name, start, next_box
        position = next_box
    raise Damaged


def _check_matroska(file: BinaryIO, size: int) -> None:
    end = check_matroska(file, size)
    if end is None:
        raise Damaged
    _require_length(end, size)


def _require_length(length: int, size: int) -> None:
    if length > size:
        raise CutOff
