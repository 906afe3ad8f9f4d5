"""Headers of the frames that MP3 and ADTS files consist of. Source: ISO/IEC 11172-3, 13818-3 and 13818-7."""

from collections.abc import Callable

import msgspec

MPEG_1, MPEG_2, MPEG_25 = 3, 2, 0
LAYER_3 = 1
SAMPLE_RATES = (44_100, 48_000, 32_000)
BIT_RATES = {
    MPEG_1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    MPEG_2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s of layer III by the header's index, from 1 on."""
ADTS_RATES = 13
FRAMES_WANTED = 3


class FrameHeader(msgspec.Struct, frozen=True):
    """`length` in bytes, the header's own included; frames of one stream share their `family`."""

    length: int
    samples: int
    family: tuple[int, ...]
    side_bytes: int = 0


class Mp3Tag(msgspec.Struct, frozen=True):
    """How many `frames` follow, and how many `bytes` there are with the tag's own frame; 0: not said."""

    frames: int
    bytes: int


def mp3_header(data: bytes | memoryview) -> FrameHeader | None:
    """What the four bytes at the beginning of `data` say; None where no layer III frame begins."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bits, rate = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or layer != LAYER_3 or bits in (0, 15) or rate == 3 or data[3] & 3 == 2:
        return None
    is_first = version == MPEG_1
    is_mono = data[3] >> 6 == 3
    bit_rate = BIT_RATES[MPEG_1 if is_first else MPEG_2][bits - 1] * 1000
    sample_rate = SAMPLE_RATES[rate] // {MPEG_1: 1, MPEG_2: 2, MPEG_25: 4}[version]
    samples = 1152 if is_first else 576
    length = samples // 8 * bit_rate // sample_rate + (data[2] >> 1 & 1)
    side_bytes = (17 if is_mono else 32) if is_first else (9 if is_mono else 17)
    return FrameHeader(length, samples, (version, rate), side_bytes)


def adts_header(data: bytes | memoryview) -> FrameHeader | None:
    """What the seven bytes at the beginning of `data` say; None where no ADTS frame begins."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    rate = data[2] >> 2 & 15
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if rate >= ADTS_RATES or length < 7:
        return None
    return FrameHeader(length, 1024 * (1 + (data[6] & 3)), (rate,))


def begins_with_frames(head: bytes, header: Callable[[bytes], FrameHeader | None]) -> bool:
    """Whether `head` consists of frames, each where the one before ends. One alone has to fill it."""
    place, found, family = 0, 0, None
    while found < FRAMES_WANTED and place + 7 <= len(head):
        frame = header(head[place : place + 7])
        if frame is None or family not in (None, frame.family):
            return False
        family = frame.family
        place, found = place + frame.length, found + 1
    return found > 1 or (found == 1 and place == len(head))


def tag_of(frames: bytes) -> Mp3Tag | None:
    """What the Xing or Info tag says, if `frames` begins (behind padding) with the frame that holds one."""
    first = frames.lstrip(b"\0")
    header = mp3_header(first)
    tag = first[4 + header.side_bytes :][:16] if header else b""
    if len(tag) < 16 or tag[:4] not in (b"Xing", b"Info"):
        return None
    fields = [int.from_bytes(tag[8:12], "big"), int.from_bytes(tag[12:16], "big")]
    has_frames, has_bytes = tag[7] & 1, tag[7] & 2
    return Mp3Tag(
        frames=fields.pop(0) if has_frames else 0,
        bytes=fields.pop(0) if has_bytes else 0,
    )
