"""Checks what a sound file is and whether it is accepted, decoding no more than an instant of it."""

import msgspec

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.limits import SoundLimits
from media.processing.sound.output_formats import RECOGNITION_RATE

SHORT_SECONDS = 0.1
"""A sound this short may decode to nothing: encoder padding is cut off, and filters delay the rest."""


class InspectSound(msgspec.Struct, frozen=True):
    """`claimed` is the client's name for the format (`wav`, `pcm16`, …), or None."""

    path: str
    claimed: str | None = None
    limits: SoundLimits = SoundLimits()


class SoundFacts(msgspec.Struct, frozen=True):
    """`kind` and `media_type` describe the actual bytes, whatever was claimed; `codec` is FFmpeg's name."""

    kind: str
    media_type: str
    codec: str
    milliseconds: int
    channels: int
    sample_rate: int


def inspect_sound(work: InspectSound) -> SoundFacts:
    """Check a sound file and return what it is.

    Raises `UnreadableMedia` if it is not sound, damaged or cut off, `MediaTooLarge` if it exceeds
    `work.limits`.
    """
    from media.processing.sound.duration import measure_seconds
    from media.processing.sound.ffmpeg_input import open_sound

    with open_sound(work.path, work.claimed, work.limits) as sound:
        seconds = measure_seconds(sound, work.path, work.limits)
        if seconds < SHORT_SECONDS:
            _check_audible(work)
        return SoundFacts(
            kind=sound.kind.name,
            media_type=sound.kind.media_type,
            codec=sound.codec,
            milliseconds=max(1, round(seconds * 1000)),
            channels=sound.channels,
            sample_rate=sound.sample_rate,
        )


def _check_audible(work: InspectSound) -> None:
    from media.processing.sound.decoding import decode_to_mono_pcm

    if not any(decode_to_mono_pcm(work.path, work.claimed, RECOGNITION_RATE, work.limits)):
        raise UnreadableMedia("There is no sound in this file.")
