"""PCM pieces in another format, each with what was said in the sound that went into it."""

from collections.abc import Iterator

from media.processing.speech.synthesis.job_types import SpeechFormat, SpokenPiece


def encode_pieces(pieces: Iterator[SpokenPiece], format: SpeechFormat) -> Iterator[SpokenPiece]:
    if format == "pcm16":
        yield from pieces
        return
    from media.processing.sound.speech_encoding import encode_pcm

    pending: list[SpokenPiece] = []

    def sound() -> Iterator[bytes]:
        for piece in pieces:
            pending.append(piece)
            yield piece.data

    length = 0
    for data in encode_pcm(sound(), format):
        joined = _join(pending, data, length)
        length = joined.milliseconds
        pending.clear()
        yield joined
    if pending:
        yield _join(pending, b"", length)


def _join(pieces: list[SpokenPiece], data: bytes, length: int) -> SpokenPiece:
    return SpokenPiece(
        data=data,
        transcript="".join(piece.transcript for piece in pieces),
        marks=[mark for piece in pieces for mark in piece.marks],
        milliseconds=pieces[-1].milliseconds if pieces else length,
    )
