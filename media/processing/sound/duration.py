"""Measures the true length of a sound by adding up its packets, without decoding them.

Imported only by jobs: it loads FFmpeg.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.ffmpeg_input import OpenSound, check_length
from media.processing.sound.file_types import HEAD_BYTES, id3_length
from media.processing.sound.limits import SoundLimits
from media.processing.sound.mpeg_headers import (
    FrameHeader,
    Mp3Tag,
    parse_adts_header,
    parse_mp3_header,
    parse_xing_tag,
)
from media.processing.sound.packet_samples import MIN_SAMPLES, count_samples, pcm_sample_bytes
from media.processing.sound.timestamp_gaps import Timeline
from media.processing.sound.truncation import CutOff, Damaged

DECODED_SAMPLE_BYTES = 4
"""Bytes: decoders of lossy codecs produce floats."""
COUNT_TOLERANCE = 0.01
"""The share by which an MP3's own count may be wrong in a complete file."""


class MeasuredSound(msgspec.Struct):
    """What a file turned out to contain.

    `last` is the beginning of its last packet, and `last_length` that packet's length in bytes. `end` is
    where that packet's sound ends by its timestamp, in samples.
    """

    packets: int = 0
    samples: int = 0
    end: int = 0
    last: bytes = b""
    last_length: int = 0


def measure_seconds(sound: OpenSound, path: str, limits: SoundLimits) -> float:
    """Return the seconds of sound.

    Raises `MediaTooLarge` as soon as it exceeds a limit, `UnreadableMedia` if it is cut off or there is none.
    """
    found, timeline = MeasuredSound(), Timeline()
    width = pcm_sample_bytes(sound.codec) if sound.codec.startswith("pcm_") else DECODED_SAMPLE_BYTES
    for packet in read_packets(sound):
        view = memoryview(packet)
        samples = _packet_samples(sound, packet, view)
        timeline.add(sound.timestamp(packet.pts), samples / sound.sample_rate)
        found.packets += 1
        found.samples += samples
        found.last, found.last_length = bytes(view[:8]), len(view)
        found.end = (packet.pts or 0) + samples
        check_length(timeline.position, found.samples * sound.channels * width, limits)
    if not found.samples:
        raise UnreadableMedia("There is no sound in this file.")
    _check_ending(sound, path, found)
    return timeline.position


def read_packets(sound: OpenSound) -> Iterator["Packet[AudioStream]"]:
    """Yield the packets of the sound. Raises `UnreadableMedia` where their container breaks off."""
    try:
        for packet in sound.container.demux(sound.stream):
            if packet.size:
                yield packet
    except FFmpegError as error:
        raise Damaged from error


def _packet_samples(sound: OpenSound, packet: "Packet[AudioStream]", view: memoryview) -> int:
    exact = count_samples(sound.codec, view, sound.channels)
    if exact is not None:
        return exact
    declared = round((packet.duration or 0) * sound.tick * sound.sample_rate)
    return max(declared, MIN_SAMPLES.get(sound.codec, 1))


def _check_ending(sound: OpenSound, path: str, found: MeasuredSound) -> None:
    """Raise `CutOff` if the file ends early.

    A file without an outer structure ends early if frames, or the end of the last one, are missing.
    """
    demuxer = sound.kind.demuxer
    if demuxer == "flac":
        is_cut = found.end < _declared_flac_samples(path)
    elif demuxer == "mp3":
        declared = parse_xing_tag(_read_after_tag(path))
        is_cut = (
            _is_short(declared, path, found) if declared else _is_partial(parse_mp3_header(found.last), found)
        )
    else:
        is_cut = demuxer == "aac" and _is_partial(parse_adts_header(found.last), found)
    if is_cut:
        raise CutOff


def _is_partial(header: FrameHeader | None, found: MeasuredSound) -> bool:
    return header is not None and found.last_length < header.length


def _is_short(declared: Mp3Tag, path: str, found: MeasuredSound) -> bool:
    """Whether the file has less than its tag declares.

    The byte count is more reliable than the frame count: a flaw in the middle costs some frames.
    """
    if declared.bytes:
        return Path(path).stat().st_size < declared.bytes * (1 - COUNT_TOLERANCE)
    return found.packets < declared.frames * (1 - COUNT_TOLERANCE) - 1


def _declared_flac_samples(path: str) -> int:
    """Return the declared number of samples, 0 if the encoder did not know. Source: RFC 9639, 8.2."""
    return int.from_bytes(_read_after_tag(path)[21:26], "big") & (1 << 36) - 1


def _read_after_tag(path: str) -> bytes:
    with Path(path).open("rb") as file:
        file.seek(id3_length(file.read(HEAD_BYTES)))
        return file.read(HEAD_BYTES)
