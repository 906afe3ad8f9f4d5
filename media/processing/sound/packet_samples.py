"""How long a packet's sound is, read from the packet itself wherever its container could lie."""

from media.processing.sound.mpeg_headers import parse_mp3_header

MAX_OPUS_SAMPLES = 5_760
OPUS_SILK = (480, 960, 1920, 2880)
OPUS_HYBRID = (480, 960)
OPUS_CELT = (120, 240, 480, 960)
PCM_BYTES = {"alaw": 1, "mulaw": 1, "u8": 1, "s8": 1}

MIN_SAMPLES = {"aac": 480, "amr_nb": 160, "amr_wb": 320, "vorbis": 32, "alac": 1}
"""The fewest samples a packet unpacks to, whatever its container says."""


def count_samples(codec: str, packet: memoryview, channels: int) -> int | None:
    """Return the samples (per channel) in a packet of `codec`, or None if only its container knows."""
    if codec.startswith("pcm_"):
        return len(packet) // (channels * pcm_sample_bytes(codec))
    if codec == "opus":
        return count_opus_samples(packet)
    if codec == "flac":
        return count_flac_samples(packet)
    if codec == "mp3":
        header = parse_mp3_header(packet)
        return header.samples if header else 0
    return None


def pcm_sample_bytes(codec: str) -> int:
    """Return the bytes of one sample: 2 for `pcm_s16le`."""
    name = codec.removeprefix("pcm_")
    return PCM_BYTES.get(name) or int("".join(filter(str.isdigit, name))) // 8


def count_opus_samples(packet: memoryview) -> int:
    """Count the samples at 48 kHz. Source: RFC 6716, 3.1."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame = OPUS_SILK[config & 3]
    elif config < 16:
        frame = OPUS_HYBRID[config & 1]
    else:
        frame = OPUS_CELT[config & 3]
    frames = (1, 2, 2)[code] if code < 3 else (packet[1] & 63 if len(packet) > 1 else 0)
    return min(frame * frames, MAX_OPUS_SAMPLES)


def count_flac_samples(packet: memoryview) -> int:
    """Return the block size in a frame's header. Source: RFC 9639, 9.1."""
    if len(packet) < 6 or packet[0] != 0xFF or packet[1] & 0xFC != 0xF8:
        return 0
    code = packet[2] >> 4
    if code < 6:
        return (0, 192, 576, 1152, 2304, 4608)[code]
    if code > 7:
        return 256 << (code - 8)
    position = 4 + _coded_number_bytes(packet[4])
    size = bytes(packet[position : position + code - 5])
    return int.from_bytes(size, "big") + 1


def _coded_number_bytes(first: int) -> int:
    """Return the length of a number in UTF-8's style, told by the leading ones of its first byte."""
    return max(1, 8 - (first ^ 0xFF).bit_length())
