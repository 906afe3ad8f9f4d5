"""The registry of all voices. To add one, put a file next to this one and a line in SOURCES."""

from collections.abc import Callable

from media.processing.speech.language_tags import is_same_language, primary_language
from media.processing.speech.voices.espeak import espeak_voice_for, espeak_voices
from media.processing.speech.voices.joe import joe_voices
from media.processing.speech.voices.openai_names import openai_voices
from media.processing.speech.voices.operator_folder import folder_voices
from media.processing.speech.voices.voice import Gender, Voice, VoiceNotFound

SOURCES: tuple[Callable[[], tuple[Voice, ...]], ...] = (
    joe_voices,
    openai_voices,
    espeak_voices,
)


def all_voices(voices_folder: str | None = None) -> tuple[Voice, ...]:
    """Return all voices. The operator's own come first, and win where two have the same id."""
    found: dict[str, Voice] = {}
    for voice in (*folder_voices(voices_folder), *(voice for source in SOURCES for voice in source())):
        found.setdefault(voice.id.lower(), voice)
    return tuple(found.values())


def find_voice(name: str, voices_folder: str | None = None) -> Voice | None:
    wanted = name.lower()
    return next((voice for voice in all_voices(voices_folder) if voice.id.lower() == wanted), None)


def require_voice(name: str, voices_folder: str | None = None) -> Voice:
    voice = find_voice(name, voices_folder)
    if voice is None:
        raise VoiceNotFound(f"There is no voice {name[:64]!r}.")
    return voice


def voice_for_language(
    language: str, gender: Gender | None = None, voices_folder: str | None = None
) -> Voice | None:
    """Return a voice for a language (BCP 47): the operator's own, or else eSpeak NG's."""
    for voice in folder_voices(voices_folder):
        if is_same_language(voice.language, language):
            return voice
    primary = primary_language(language)
    return espeak_voice_for(language, gender) or espeak_voice_for(primary, gender)
