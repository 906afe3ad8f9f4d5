from media.processing.speech.language_tags import is_same_language, primary_language
from media.processing.speech.voices.registry import all_voices, find_voice, require_voice, voice_for_language
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
    "all_voices",
    "find_voice",
    "is_same_language",
    "primary_language",
    "require_voice",
    "voice_for_language",
]
