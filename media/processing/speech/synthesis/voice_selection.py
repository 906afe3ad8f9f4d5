"""The choice of the voice that speaks an item."""

from media.processing.speech.language_tags import is_same_language
from media.processing.speech.speech_plan import Say
from media.processing.speech.voices.registry import find_voice, voice_for_language
from media.processing.speech.voices.voice import Voice


def choose_voice(say: Say, default: Voice, voices_folder: str | None) -> Voice:
    """Return the item's own voice, or the request's; another if that one does not speak the item's language.

    An unknown voice, or a language that no voice speaks, changes nothing.
    """
    requested = find_voice(say.voice, voices_folder) if say.voice else None
    voice = requested or default
    if not say.language or is_same_language(voice.language, say.language):
        return voice
    return substitute_voice(say.language, voice, voices_folder) or voice


def substitute_voice(language: str, instead_of: Voice, voices_folder: str | None) -> Voice | None:
    return voice_for_language(language, instead_of.gender, voices_folder)
