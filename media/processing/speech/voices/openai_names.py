"""OpenAI's voice names, so that its clients work unchanged: each is Joe with its own pitch and rate."""

from typing import NamedTuple

import msgspec

from media.processing.speech.voices.joe import joe_voices
from media.processing.speech.voices.voice import Gender, Voice


class VoicePreset(NamedTuple):
    pitch: float
    """In semitones."""
    rate: float
    gender: Gender
    description: str


VOICE_PRESETS: dict[str, VoicePreset] = {
    "alloy": VoicePreset(0.0, 1.0, "neutral", "Joe as he is."),
    "ash": VoicePreset(-0.8, 1.06, "male", "A little lower, brisk."),
    "ballad": VoicePreset(0.7, 0.9, "male", "A little higher, unhurried."),
    "cedar": VoicePreset(-2.4, 0.94, "male", "Low and slow."),
    "coral": VoicePreset(3.2, 1.06, "female", "High and brisk."),
    "echo": VoicePreset(-1.6, 1.0, "male", "Lower."),
    "fable": VoicePreset(1.4, 1.0, "neutral", "Higher."),
    "marin": VoicePreset(4.0, 1.0, "female", "High."),
    "nova": VoicePreset(2.6, 1.12, "female", "Higher, lively."),
    "onyx": VoicePreset(-3.2, 1.0, "male", "Deep."),
    "sage": VoicePreset(2.0, 0.94, "female", "Higher, calm."),
    "shimmer": VoicePreset(4.8, 0.94, "female", "Very high, calm."),
    "verse": VoicePreset(0.7, 1.1, "male", "A little higher, lively."),
}


def openai_voices() -> tuple[Voice, ...]:
    return tuple(
        msgspec.structs.replace(
            base,
            id=name,
            name=name.capitalize(),
            description=preset.description,
            gender=preset.gender,
            pitch=preset.pitch,
            rate=preset.rate,
            alias_of=base.id,
        )
        for base in joe_voices()
        for name, preset in VOICE_PRESETS.items()
    )
