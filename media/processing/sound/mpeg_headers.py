"""Headers of the frames in MP3 and ADTS files. Source: ISO/IEC 11172-3, 13818-3 and 13818-7."""

from collections.abc import Callable

import msgspec

MPEG_1, MPEG_2, MPEG_25 = 3, 2, 0
LAYER_3 = 1
SAMPLE_RATES = (44_100, 48_000, 32_000)
BIT_RATES = {
    MPEG_1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    MPEG_2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s of layer III by the header's index, which starts at 1."""
ADTS_RATES = 13
MIN_FRAMES = 3


class FrameHeader(msgspec.Struct, frozen=True):
    """`length` is in bytes and includes the header; frames of one stream share their `family`."""

    length: int
    samples: int
    family: tuple[int, ...]
    side_bytes: int = 0


class Mp3Tag(msgspec.Struct, frozen=True):
    """The number of `frames` that follow, and of `bytes` including the tag's own frame; 0: not given."""

    frames: int
    bytes: int


def parse_mp3_header(data: bytes | memoryview) -> FrameHeader | None:
    """Parse the first four bytes of `data`; return None if no layer III frame begins there."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bits, rate = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or layer != LAYER_3 or bits in (0, 15) or rate == 3 or data[3] & 3 == 2:
        return None
    is_mpeg_1 = version == MPEG_1
    is_mono = data[3] >> 6 == 3
    bit_rate = BIT_RATES[MPEG_1 if is_mpeg_1 else MPEG_2][bits - 1] * 1000
    sample_rate = SAMPLE_RATES[rate] // {MPEG_1: 1, MPEG_2: 2, MPEG_25: 4}[version]
    samples = 1152 if is_mpeg_1 else 576
    length = samples // 8 * bit_rate // sample_rate + (data[2] >> 1 & 1)
    side_bytes = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    return FrameHeader(length, samples, (version, rate), side_bytes)


def parse_adts_header(data: bytes | memoryview) -> FrameHeader | None:
    """Parse the first seven bytes of `data`; return None if no ADTS frame begins there."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    rate = data[2] >> 2 & 15
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if rate >= ADTS_RATES or length < 7:
        return None
    return FrameHeader(length, 1024 * (1 + (data[6] & 3)), (rate,))


def begins_with_frames(head: bytes, header: Callable[[bytes], FrameHeader | None]) -> bool:
    """Whether `head` consists of frames that follow directly on each other. A single one has to fill it."""
    position, count, family = 0, 0, None
    while count < MIN_FRAMES and position + 7 <= len(head):
        frame = header(head[position : position + 7])
        if frame is None or family not in (None, frame.family):
            return False
        family = frame.family
        position, count = position + frame.length, count + 1
    return count > 1 or (count == 1 and position == len(head))


def parse_xing_tag(frames: bytes) -> Mp3Tag | None:
    """Parse the Xing or Info tag; None unless it is in the first frame of `frames` (after padding)."""
    first = frames.lstrip(b"\0")
    header = parse_mp3_header(first)
    tag = first[4 + header.side_bytes :][:16] if header else b""
    if len(tag) < 16 or tag[:4] not in (b"Xing", b"Info"):
        return None
    fields = [int.from_bytes(tag[8:12], "big"), int.from_bytes(tag[12:16], "big")]
    has_frames, has_bytes = tag[7] & 1, tag[7] & 2
    return Mp3Tag(
        frames=fields.pop(0) if has_frames else 0,
        bytes=fields.pop(0) if has_bytes else 0,
    )
