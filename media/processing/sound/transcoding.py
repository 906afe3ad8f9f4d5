"""Transcodes received sound into a format that others accept."""

from itertools import chain
from pathlib import Path

import msgspec

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.limits import SoundLimits
from media.processing.sound.output_formats import FORMATS, RECOGNITION_RATE, SPEECH_RATE, SoundFile


class Transcode(msgspec.Struct, frozen=True):
    """`format` is a name in `FORMATS`; `out` is the file to write, overwritten if it exists."""

    path: str
    out: str
    format: str
    claimed: str | None = None
    limits: SoundLimits = SoundLimits()


def transcode_sound(work: Transcode) -> SoundFile:
    """Transcode a sound: to WAV at 16 kHz, for recognition, or to any other format at 24 kHz.

    Raises `UnreadableMedia` if too little can be decoded, `MediaTooLarge` where decoding exceeds a limit,
    whatever the file's headers say. `out` does not exist after either. `inspect_sound` checks whether the
    file is complete.
    """
    from media.processing.sound.decoding import decode_to_mono_pcm
    from media.processing.sound.encoders import write_sound

    rate = RECOGNITION_RATE if work.format == "wav" else SPEECH_RATE
    out = Path(work.out)
    try:
        pieces = decode_to_mono_pcm(work.path, work.claimed, rate, work.limits)
        first = next(pieces, None)
        if first is None:
            raise UnreadableMedia("There is no sound in this file.")
        return write_sound(out, FORMATS[work.format], rate, chain([first], pieces))
    except BaseException:
        out.unlink(missing_ok=True)
        raise
