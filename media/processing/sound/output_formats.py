"""The formats in which sound is produced."""

import msgspec

from media.processing.sound import file_types

SPEECH_RATE = 24_000
"""Hz of spoken answers, and of every format made from them."""
RECOGNITION_RATE = 16_000
"""Hz of the WAV that recognition and upstreams accept."""


SAMPLE_BYTES = 2
WAV_HEADER = 44
"""Bytes."""


class SoundFile(msgspec.Struct, frozen=True):
    """A file that was written: mono at `sample_rate` Hz. `size` is in bytes."""

    media_type: str
    size: int
    milliseconds: int
    sample_rate: int


class SoundFormat(msgspec.Struct, frozen=True):
    """`muxer` and `encoder` are FFmpeg's names, empty if FFmpeg is not needed. `bit_rate` is in bit/s."""

    name: str
    media_type: str
    muxer: str = ""
    encoder: str = ""
    bit_rate: int = 0
    options: dict[str, str] = {}


WAV = SoundFormat("wav", file_types.WAV.media_type)
PCM16 = SoundFormat("pcm16", file_types.PCM16.media_type)
FORMATS = {
    "wav": WAV,
    "pcm16": PCM16,
    "pcm": PCM16,
    "mp3": SoundFormat("mp3", file_types.MP3.media_type, "mp3", "libmp3lame", 64_000, {"id3v2_version": "0"}),
    "opus": SoundFormat(
        "opus", file_types.OPUS.media_type, "ogg", "libopus", 32_000, {"page_duration": "100000"}
    ),
    "flac": SoundFormat(
        "flac", file_types.FLAC.media_type, "flac", "flac", 0, {"metadata_header_padding": "0"}
    ),
    "aac": SoundFormat("aac", file_types.AAC.media_type, "adts", "aac", 64_000),
    "m4a": SoundFormat("m4a", file_types.M4A.media_type, "ipod", "aac", 64_000),
}
"""By the names of `audio.format` and `response_format`. M4A cannot be streamed: its index is at the end."""
STREAMED = tuple(name for name in FORMATS if name != "m4a")

PCM16_BYTES_PER_MILLISECOND = 2 * SPEECH_RATE // 1000
PCM16_MEDIA_TYPE = PCM16.media_type
"""It names the rate, because samples without a header do not."""
SOUND_MEDIA_TYPES = {name: sound_format.media_type for name, sound_format in FORMATS.items()}
"""Media types by the names of `audio.format`."""


def recognition_seconds(size: int) -> float:
    """Return the seconds of sound in a WAV for recognition that has so many bytes."""
    return max(0, size - WAV_HEADER) / (RECOGNITION_RATE * SAMPLE_BYTES)


def sound_media_type(format: str) -> str:
    """Return the media type of the format with this name; that of arbitrary bytes if the name is unknown."""
    return SOUND_MEDIA_TYPES.get(format, "application/octet-stream")
