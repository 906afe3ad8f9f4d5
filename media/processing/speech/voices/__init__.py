from media.processing.speech.voices.registry import (
    find_voice,
    is_same_language,
    primary_language,
    require_voice,
    voice_for_language,
    voices,
)
from media.processing.speech.voices.voice import (
    Digests,
    Gender,
    Voice,
    VoiceError,
    VoiceInvalid,
    VoiceNotFound,
)

__all__ = [
    "Digests",
    "Gender",
    "Voice",
    "VoiceError",
    "VoiceInvalid",
    "VoiceNotFound",
    "find_voice",
    "is_same_language",
    "primary_language",
    "require_voice",
    "voice_for_language",
    "voices",
]
