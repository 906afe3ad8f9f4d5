from media.speech.voices.registry import (
    find_voice,
    is_same_language,
    primary_language,
    require_voice,
    voice_for_language,
    voices,
)
from media.speech.voices.values import Digests, Gender, Voice, VoiceNotFound, VoiceProblem, VoiceRefused

__all__ = [
    "Digests",
    "Gender",
    "Voice",
    "VoiceNotFound",
    "VoiceProblem",
    "VoiceRefused",
    "find_voice",
    "is_same_language",
    "primary_language",
    "require_voice",
    "voice_for_language",
    "voices",
]
