"""Decodes any sound to mono PCM, mixed down and resampled piece by piece.

Imported only by jobs: it loads FFmpeg.
"""

from collections.abc import Iterator

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.duration import read_packets
from media.processing.sound.ffmpeg_input import OpenSound, check_length, check_shape, open_sound
from media.processing.sound.limits import SoundLimits
from media.processing.sound.output_formats import SAMPLE_BYTES
from media.processing.sound.timestamp_gaps import Timeline

SILENCE = bytes(32 * 1024)
MAX_BROKEN_SHARE = 0.5
"""The share of the packets that may fail to decode before the whole sound is refused."""


class Undecodable(UnreadableMedia):
    def __init__(self) -> None:
        super().__init__("The sound could not be decoded.")


def decode_to_mono_pcm(path: str, claimed: str | None, rate: int, limits: SoundLimits) -> Iterator[bytes]:
    """Yield the sound at `path` as signed 16-bit little-endian samples at `rate` Hz.

    Each piece holds whole samples. Gaps between timestamps are filled with silence. Whatever the headers
    said, this raises `MediaTooLarge` where the sound exceeds a limit, and `UnreadableMedia` if more than half
    of it fails to decode.
    """
    with open_sound(path, claimed, limits) as sound:
        converter, timeline, unpacked = Converter(rate), Timeline(), 0
        for frame in _decode_frames(sound):
            channels = frame.layout.nb_channels
            check_shape(channels, frame.sample_rate, limits)
            unpacked += frame.samples * channels * frame.format.bytes
            gap = timeline.add(sound.timestamp(frame.pts), frame.samples / frame.sample_rate)
            check_length(timeline.position, unpacked, limits)
            yield from _silence(round(gap * rate) * SAMPLE_BYTES)
            yield from converter.convert(frame)
        yield from converter.flush()


class Converter:
    """Converts frames of any shape, even one that changes midway, to mono 16-bit samples at `rate` Hz."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._shape: tuple[object, ...] = ()
        self._resampler: AudioResampler | None = None

    def convert(self, frame: AudioFrame) -> Iterator[bytes]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self.flush()
            self._resampler, self._shape = AudioResampler("s16", "mono", self._rate), shape
        frame.pts = None
        yield from self._resample(frame)

    def flush(self) -> Iterator[bytes]:
        yield from self._resample(None)

    def _resample(self, frame: AudioFrame | None) -> Iterator[bytes]:
        if self._resampler is None:
            return
        try:
            resampled = self._resampler.resample(frame)
        except (FFmpegError, ValueError) as error:
            raise Undecodable from error
        for piece in resampled:
            if piece is not None and piece.samples:
                yield bytes(piece.planes[0])[: piece.samples * SAMPLE_BYTES]


def _decode_frames(sound: OpenSound) -> Iterator[AudioFrame]:
    packets = broken = frames = 0
    context = sound.stream.codec_context
    for packet in read_packets(sound):
        packets += 1
        try:
            decoded = context.decode(packet)
        except FFmpegError:
            broken += 1
            continue
        frames += len(decoded)
        yield from decoded
    try:
        yield from context.decode(None)
    except FFmpegError:
        broken += 1
    if not frames or broken > packets * MAX_BROKEN_SHARE:
        raise Undecodable


def _silence(count: int) -> Iterator[bytes]:
    while count > 0:
        yield SILENCE[:count]
        count -= len(SILENCE)
