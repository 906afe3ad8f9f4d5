"""Recognizes sound files by their first bytes, and by nothing else."""

from pathlib import Path
from typing import BinaryIO

import msgspec

from media.processing.brands import PICTURE_BRANDS
from media.processing.exceptions import UnreadableMedia
from media.processing.sound.mpeg_headers import begins_with_frames, parse_adts_header, parse_mp3_header

HEAD_BYTES = 16 * 1024
ID3_HEADER = 10


class SoundKind(msgspec.Struct, frozen=True):
    """`name` is the API's name. `demuxer` is the only FFmpeg demuxer that ever opens such a file."""

    name: str
    media_type: str
    demuxer: str


WAV = SoundKind("wav", "audio/wav", "wav")
MP3 = SoundKind("mp3", "audio/mpeg", "mp3")
FLAC = SoundKind("flac", "audio/flac", "flac")
OGG = SoundKind("ogg", "audio/ogg", "ogg")
OPUS = SoundKind("opus", "audio/ogg", "ogg")
WEBM = SoundKind("webm", "audio/webm", "matroska")
MATROSKA = SoundKind("mkv", "audio/x-matroska", "matroska")
MP4 = SoundKind("mp4", "audio/mp4", "mp4")
M4A = SoundKind("m4a", "audio/mp4", "mp4")
QUICKTIME = SoundKind("mov", "video/quicktime", "mov")
AAC = SoundKind("aac", "audio/aac", "aac")
PCM16 = SoundKind("pcm16", "audio/pcm;rate=24000", "s16le")
"""Headerless 24 kHz mono signed 16-bit little-endian: unrecognizable by its bytes, so accepted if claimed."""

CLAIMS = {
    kind.name: kind for kind in (WAV, MP3, FLAC, OGG, OPUS, WEBM, MATROSKA, MP4, M4A, QUICKTIME, AAC, PCM16)
} | {"mpeg": MP3, "mpga": MP3, "oga": OGG, "wave": WAV, "pcm": PCM16}
"""Clients' names for kinds of sound."""

M4A_BRANDS = {b"M4A ", b"M4B ", b"M4P "}

FOREIGN_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"<", "markup (HTML, SVG or XML)"),
    (b"{", "JSON"),
)


def sniff_sound(head: bytes) -> SoundKind | None:
    """Return the kind of sound that a file with the first bytes `head` is, or None if it is not supported.

    Pass `HEAD_BYTES` of it, or the whole file if it is shorter. PCM16 is never recognized by its bytes.
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return WAV
    if head[:4] == b"OggS":
        return OPUS if head[28:36] == b"OpusHead" else OGG
    if head[:4] == b"fLaC":
        return FLAC
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return WEBM if b"webm" in head[:64] else MATROSKA if b"matroska" in head[:64] else None
    if head[4:8] == b"ftyp":
        return _kind_of_brand(head[8:12])
    return _kind_of_frames(head)


def sniff_file(path: str, claimed: str | None) -> SoundKind:
    """Return the kind of the file at `path`.

    `claimed` (a name in `CLAIMS`, or anything else) matters only for headerless PCM. Raises
    `UnreadableMedia`, saying what the file is if that is known, if it is not sound.
    """
    with Path(path).open("rb") as file:
        head = file.read(HEAD_BYTES)
        kind = _sniff_after_tag(head, file) or sniff_sound(head)
    if kind:
        return kind
    if not head:
        raise UnreadableMedia("The sound is empty.")
    claim = CLAIMS.get(claimed or "")
    foreign = describe_foreign_file(head)
    if claim is PCM16 and foreign is None:
        return PCM16
    claim_note = f", though it is said to be {claim.name}" if claim else ""
    if foreign:
        raise UnreadableMedia(f"This is {foreign}, not sound{claim_note}.")
    raise UnreadableMedia(f"These bytes are no kind of sound that is taken{claim_note}.")


def describe_foreign_file(head: bytes) -> str | None:
    """Return what a file is that is not sound, if its first bytes tell: "a PNG picture"."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS:
        return "a HEIC or AVIF picture"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "an AVI video"
    return next((name for signature, name in FOREIGN_SIGNATURES if start.startswith(signature)), None)


def id3_length(head: bytes) -> int:
    """Return the bytes of the ID3v2 tag that `head` begins with, 0 if it begins with none."""
    size = head[6:ID3_HEADER]
    if head[:3] != b"ID3" or len(size) < 4 or head[3] not in (2, 3, 4) or any(byte & 0x80 for byte in size):
        return 0
    length = size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]
    return ID3_HEADER + length + (ID3_HEADER if head[5] & 0x10 else 0)


def _sniff_after_tag(head: bytes, file: BinaryIO) -> SoundKind | None:
    """Return the kind of a file that begins with a tag, or None if it has none.

    A tag sometimes precedes FLAC and ADTS too, and may be longer than any head.
    """
    length = id3_length(head)
    if not length:
        return None
    file.seek(length)
    kind = sniff_sound(file.read(HEAD_BYTES))
    return kind if kind in (FLAC, AAC) else MP3


def _kind_of_brand(brand: bytes) -> SoundKind | None:
    if brand in PICTURE_BRANDS:
        return None
    if brand in M4A_BRANDS:
        return M4A
    return QUICKTIME if brand == b"qt  " else MP4


def _kind_of_frames(head: bytes) -> SoundKind | None:
    if id3_length(head) or begins_with_frames(head, parse_mp3_header):
        return MP3
    return AAC if begins_with_frames(head, parse_adts_header) else None
