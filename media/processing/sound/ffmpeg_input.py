"""Opens untrusted files with FFmpeg, using as little of FFmpeg as possible.

Imported only by jobs: it loads FFmpeg.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard

from media.processing.exceptions import MediaTooLarge, NoAudio, UnreadableMedia
from media.processing.sound.file_types import PCM16, SoundKind, sniff_file
from media.processing.sound.limits import LOWEST_SAMPLE_RATE, SoundLimits
from media.processing.sound.truncation import check_whole

PCM = {
    *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
    *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw"),
}
CODECS = PCM | {"mp3", "flac", "opus", "vorbis", "aac", "alac", "amr_nb", "amr_wb"}
PROBE_DECODERS = CODECS - {"alac"} | {"mp3float", "amrnb", "amrwb"}
"""Decoders, by FFmpeg's own names, that may be tried while opening.

ALAC is left out: its header decides how much a try would take.
"""
TIMESTAMPED_DEMUXERS = {"ogg", "matroska", "mp4", "mov", "flac"}
"""Demuxers of files that say when a packet is to be heard."""
PCM16_RATE = 24_000
LARGEST_ALAC_FRAME = 16_384
READ_BYTES = 64 * 1024


class OpenSound(msgspec.Struct):
    """The first audio track of a file.

    `sample_rate` is in Hz; `codec` is one of `CODECS`; `tick` is the unit of its timestamps and durations in
    seconds.
    """

    kind: SoundKind
    codec: str
    channels: int
    sample_rate: int
    container: InputContainer
    stream: AudioStream
    tick: float

    def timestamp(self, pts: int | None) -> float | None:
        """Return when a packet or frame is to be heard, in seconds, if its container says so."""
        return None if pts is None or self.kind.demuxer not in TIMESTAMPED_DEMUXERS else pts * self.tick


@contextmanager
def open_sound(path: str, claimed: str | None, limits: SoundLimits) -> Iterator[OpenSound]:
    """Open the sound at `path` without decoding it.

    Raises `UnreadableMedia`, and `MediaTooLarge` for its bytes, channels or sample rate.
    """
    if Path(path).stat().st_size > limits.bytes:
        raise MediaTooLarge(f"The sound is larger than {_megabytes(limits.bytes)} MB.")
    kind = sniff_file(path, claimed)
    check_whole(path, kind)
    with Path(path).open("rb") as file, _open_container(file, kind) as container:
        yield _check_track(container, kind, limits)


@contextmanager
def _open_container(file: Any, kind: SoundKind) -> Iterator[InputContainer]:
    """Open the file with one demuxer. FFmpeg has no protocol left with which to open anything else."""
    options = {
        "protocol_whitelist": "",
        "format_whitelist": kind.demuxer,
        "codec_whitelist": ",".join(sorted(PROBE_DECODERS)),
    }
    if kind is PCM16:
        options |= {"sample_rate": str(PCM16_RATE), "ch_layout": "mono"}
    try:
        container = av.open(
            file,
            "r",
            format=kind.demuxer,
            container_options=options,
            metadata_errors="replace",
            buffer_size=READ_BYTES,
        )
    except (FFmpegError, ValueError) as error:
        raise UnreadableMedia(f"The sound could not be read as {kind.name}.") from error
    with container:
        yield container


def _check_track(container: InputContainer, kind: SoundKind, limits: SoundLimits) -> OpenSound:
    if not container.streams.audio:
        raise NoAudio(f"There is no sound in this {kind.name} file.")
    stream = container.streams.audio[0]
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "none"
    if codec not in CODECS:
        raise NoAudio(f"The sound's codec ({codec}) is not taken.")
    if codec == "alac" and _alac_frame_samples(context.extradata) > LARGEST_ALAC_FRAME:
        raise UnreadableMedia("The sound is damaged.")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    check_shape(context.layout.nb_channels, context.sample_rate, limits)
    return OpenSound(
        kind=kind,
        codec=codec,
        channels=context.layout.nb_channels,
        sample_rate=context.sample_rate,
        container=container,
        stream=stream,
        tick=float(stream.time_base or 0),
    )


def check_shape(channels: int, sample_rate: int, limits: SoundLimits) -> None:
    if channels < 1 or sample_rate < LOWEST_SAMPLE_RATE:
        raise UnreadableMedia(f"The sound claims {channels} channels at {sample_rate} Hz.")
    if channels > limits.channels:
        raise MediaTooLarge(f"The sound has more than {limits.channels} channels.")
    if sample_rate > limits.sample_rate:
        raise MediaTooLarge(f"The sound has more than {limits.sample_rate} samples a second.")


def check_length(seconds: float, decoded_bytes: float, limits: SoundLimits) -> None:
    if seconds > limits.seconds:
        raise MediaTooLarge(f"The sound is longer than {limits.seconds:g} seconds.")
    if decoded_bytes > limits.decoded_bytes:
        raise MediaTooLarge(f"The sound is larger than {_megabytes(limits.decoded_bytes)} MB when unpacked.")


def _alac_frame_samples(extradata: bytes | None) -> int:
    """Return the most samples that a packet may unpack to, according to the file's header."""
    return int.from_bytes((extradata or b"")[12:16], "big")


def _megabytes(count: int) -> str:
    return f"{count / 2**20:g}"
