"""Encodes mono 16-bit PCM into files and streams of each format.

Imported only by jobs and the synthesis pool: it loads FFmpeg.
"""

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from media.processing.sound.output_formats import (
    PCM16,
    SAMPLE_BYTES,
    WAV,
    WAV_HEADER,
    SoundFile,
    SoundFormat,
)

UNKNOWN_SIZE = 0xFFFF_FFFF


class ByteSink(Protocol):
    """A destination for bytes. If it has `seek`, its header is corrected at the end."""

    def write(self, data: bytes, /) -> int: ...


class SoundEncoder(Protocol):
    def write(self, pcm: bytes) -> None:
        """Encode whole samples."""

    def close(self) -> None:
        """Write what is left, and the header's lengths if the sink can seek."""


def create_encoder(
    sink: ByteSink, format: SoundFormat, rate: int, pcm_bytes: int | None = None
) -> SoundEncoder:
    """Create an encoder for samples at `rate` Hz. `pcm_bytes` is how many are to come, if known."""
    if format == PCM16:
        return PlainEncoder(sink)
    if format == WAV:
        return WavEncoder(sink, rate, pcm_bytes)
    return FFmpegEncoder(sink, format, rate)


def write_sound(out: Path, format: SoundFormat, rate: int, pieces: Iterable[bytes]) -> SoundFile:
    """Write a whole sound, in pieces of whole samples, to a file with a header that gives its length."""
    written = 0
    with out.open("wb") as file:
        encoder = create_encoder(file, format, rate)
        for piece in pieces:
            encoder.write(piece)
            written += len(piece)
        encoder.close()
    milliseconds = written * 1000 // (rate * SAMPLE_BYTES)
    return SoundFile(format.media_type, out.stat().st_size, milliseconds, rate)


class PlainEncoder:
    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink

    def write(self, pcm: bytes) -> None:
        self._sink.write(pcm)

    def close(self) -> None:
        pass


class WavEncoder:
    """Writes WAV files and streams.

    While the length is unknown, the header says so as FFmpeg's does; players take that for a stream.
    """

    def __init__(self, sink: ByteSink, rate: int, pcm_bytes: int | None) -> None:
        self._sink, self._rate, self._written = sink, rate, 0
        sink.write(wav_header(rate, pcm_bytes))

    def write(self, pcm: bytes) -> None:
        self._written += self._sink.write(pcm)

    def close(self) -> None:
        seek = getattr(self._sink, "seek", None)
        if seek:
            seek(0)
            self._sink.write(wav_header(self._rate, self._written))


class FFmpegEncoder:
    def __init__(self, sink: ByteSink, format: SoundFormat, rate: int) -> None:
        options = {"flush_packets": "1", "fflags": "+bitexact", **format.options}
        self._container = av.open(sink, "w", format=format.muxer, container_options=options)
        stream = self._container.add_stream(format.encoder, rate=rate, layout="mono")
        self._stream = cast("AudioStream", stream)
        if format.bit_rate:
            self._stream.bit_rate = format.bit_rate
        self._rate, self._samples = rate, 0

    def write(self, pcm: bytes) -> None:
        count = len(pcm) // SAMPLE_BYTES
        frame = AudioFrame("s16", "mono", count)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
        self._samples += count
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def wav_header(rate: int, pcm_bytes: int | None) -> bytes:
    """Return the 44 bytes of a header. If `pcm_bytes` is None, its sizes are unknown (0xFFFFFFFF)."""
    data, riff = (UNKNOWN_SIZE,) * 2 if pcm_bytes is None else (pcm_bytes, pcm_bytes + WAV_HEADER - 8)
    shape = (1, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, SAMPLE_BYTES * 8)
    return struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", riff, b"WAVEfmt ", 16, *shape, b"data", data)
