"""Sound that was sent, in a format that others take."""

from pathlib import Path

import msgspec

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.limits import SoundLimits
from media.processing.sound.output_formats import FORMATS, RECOGNITION_RATE, SPEECH_RATE


class Transcode(msgspec.Struct, frozen=True):
    """`format` is a name in `FORMATS`; `out` is the file to write, replaced where it exists."""

    path: str
    out: str
    format: str
    claimed: str | None = None
    limits: SoundLimits = SoundLimits()


class SoundMade(msgspec.Struct, frozen=True):
    """A file that was written: mono at `sample_rate` Hz. `size` in bytes."""

    media_type: str
    size: int
    milliseconds: int
    sample_rate: int


def transcode_sound(work: Transcode) -> SoundMade:
    """WAV is made at 16 kHz, for recognition; everything else at 24 kHz.

    Unreadable if too little can be decoded, TooLarge where decoding passes a limit, whatever the file's
    headers say. `out` does not exist after either. Whether the file is whole is for `inspect_sound`.
    """
    from media.processing.sound.decoding import mono_pcm
    from media.processing.sound.encoders import SAMPLE, encoder_into

    format = FORMATS[work.format]
    rate = RECOGNITION_RATE if work.format == "wav" else SPEECH_RATE
    out = Path(work.out)
    written = 0
    try:
        with out.open("wb") as file:
            encoder = encoder_into(file, format, rate)
            for piece in mono_pcm(work.path, work.claimed, rate, work.limits):
                encoder.write(piece)
                written += len(piece)
            if not written:
                raise UnreadableMedia("There is no sound in this file.")
            encoder.close()
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return SoundMade(format.media_type, out.stat().st_size, written * 1000 // (rate * SAMPLE), rate)
