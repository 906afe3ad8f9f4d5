"""Transcodes received sound into a format that others accept."""

from pathlib import Path

import msgspec

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.limits import SoundLimits
from media.processing.sound.output_formats import FORMATS, RECOGNITION_RATE, SPEECH_RATE


class Transcode(msgspec.Struct, frozen=True):
    """`format` is a name in `FORMATS`; `out` is the file to write, overwritten if it exists."""

    path: str
    out: str
    format: str
    claimed: str | None = None
    limits: SoundLimits = SoundLimits()


class TranscodedSound(msgspec.Struct, frozen=True):
    """The file that was written: mono at `sample_rate` Hz. `size` is in bytes."""

    media_type: str
    size: int
    milliseconds: int
    sample_rate: int


def transcode_sound(work: Transcode) -> TranscodedSound:
    """Transcode a sound: to WAV at 16 kHz, for recognition, or to any other format at 24 kHz.

    Raises `UnreadableMedia` if too little can be decoded, `MediaTooLarge` where decoding exceeds a limit,
    whatever the file's headers say. `out` does not exist after either. `inspect_sound` checks whether the
    file is complete.
    """
    from media.processing.sound.decoding import decode_to_mono_pcm
    from media.processing.sound.encoders import SAMPLE_BYTES, create_encoder

    format = FORMATS[work.format]
    rate = RECOGNITION_RATE if work.format == "wav" else SPEECH_RATE
    out = Path(work.out)
    written = 0
    try:
        with out.open("wb") as file:
            encoder = create_encoder(file, format, rate)
            for piece in decode_to_mono_pcm(work.path, work.claimed, rate, work.limits):
                encoder.write(piece)
                written += len(piece)
            if not written:
                raise UnreadableMedia("There is no sound in this file.")
            encoder.close()
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return TranscodedSound(
        format.media_type, out.stat().st_size, written * 1000 // (rate * SAMPLE_BYTES), rate
    )
