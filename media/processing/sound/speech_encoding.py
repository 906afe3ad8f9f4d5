"""Encodes spoken sound, 24 kHz mono PCM16, in the requested format."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from media.processing.sound.output_formats import FORMATS, SAMPLE_BYTES, SPEECH_RATE, SoundFile

PIECE_BYTES = 48 * 1024


class EncodeSound(msgspec.Struct, frozen=True):
    """The PCM is either `pcm` or the file at `path`; `out` is the file to write, overwritten if it exists."""

    out: str
    format: str
    pcm: bytes | None = None
    path: str | None = None


def encode_pcm(pieces: Iterable[bytes], format: str, *, pcm_bytes: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a stream in `format` (one of `STREAMED`), as early as its encoder produces them.

    `pieces` may be split anywhere, even within a sample. `pcm_bytes` is their length if known: a WAV header
    then states it; otherwise its sizes are 0xFFFFFFFF.
    """
    from media.processing.sound.encoders import create_encoder

    sink = Outbox()
    encoder = create_encoder(sink, FORMATS[format], SPEECH_RATE, pcm_bytes)
    for piece in whole_samples(pieces):
        encoder.write(piece)
        yield from sink.take()
    encoder.close()
    yield from sink.take()


def encode_sound(work: EncodeSound) -> SoundFile:
    """Write a whole spoken sound to a file."""
    from media.processing.sound.encoders import write_sound

    return write_sound(Path(work.out), FORMATS[work.format], SPEECH_RATE, whole_samples(_read_pieces(work)))


class Outbox:
    """A sink that cannot seek; what is written can be taken from it, in order."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def take(self) -> Iterator[bytes]:
        chunks, self._chunks = self._chunks, []
        if chunks:
            yield b"".join(chunks)


def whole_samples(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of whole samples; half a sample at the very end is dropped."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) - len(data) % SAMPLE_BYTES
        rest = data[whole:]
        if whole:
            yield data[:whole]


def _read_pieces(work: EncodeSound) -> Iterator[bytes]:
    if work.path is None:
        data = work.pcm or b""
        yield from (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))
        return
    with Path(work.path).open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
