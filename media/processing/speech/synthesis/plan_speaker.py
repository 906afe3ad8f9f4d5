"""Speaking a plan, item by item."""

from collections.abc import Iterator
from typing import NamedTuple

from media.processing.speech.speech_plan import Mark, Pause, Say
from media.processing.speech.synthesis.job_types import Speak, SpokenPiece
from media.processing.speech.synthesis.output_track import Track
from media.processing.speech.synthesis.phrase_splitter import split_phrases
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.synthesis.say_as import say_as_words
from media.processing.speech.synthesis.text_cleaning import normalize_text
from media.processing.speech.synthesis.voice_renderer import VoiceRenderer
from media.processing.speech.synthesis.voice_selection import choose_voice, substitute_voice
from media.processing.speech.synthesis.writing_systems import split_by_language
from media.processing.speech.voices.registry import require_voice
from media.processing.speech.voices.voice import Voice

MAX_TOTAL_PAUSE = 60_000
"""The most milliseconds of all pauses in a request."""

SENTENCE_GAP, LINE_GAP, CLAUSE_GAP = 0.3, 0.5, 0.1
"""Seconds between phrases, by how the first one ends."""
SENTENCE_MARKS = ".!?…。！？।؟۔:"
CLAUSE_MARKS = ",;–—)、，；،؛"


class Phrase(NamedTuple):
    """A phrase to speak.

    `transcript` is the plan's text for the words; `gap` is the silence that follows them, in seconds.
    """

    words: str
    transcript: str
    gap: float


def speak_plan(work: Speak) -> Iterator[SpokenPiece]:
    """Yield the sound as pcm16. Raises `VoiceError` if the voice is unknown or refused."""
    voice = require_voice(work.voice, work.voices_folder)
    track = Track()
    pause_budget = MAX_TOTAL_PAUSE
    for item in work.items:
        match item:
            case Mark():
                track.add_mark(item.name)
            case Pause():
                milliseconds = min(max(item.milliseconds, 0), pause_budget)
                pause_budget -= milliseconds
                yield from track.add_pause(milliseconds)
            case Say():
                yield from _say(item, voice, work, track)
    yield from track.end()


def _say(say: Say, default: Voice, work: Speak, track: Track) -> Iterator[SpokenPiece]:
    voice = choose_voice(say, default, work.voices_folder)
    options = VoiceRenderer.for_say(say, voice, work.speed)
    if say.phonemes is not None:
        samples = options.render_phonemes(voice, say.phonemes)
        if len(samples):
            yield from track.add_sound(samples, say.transcript)
            return
    for phrase in _prepare_phrases(say, say.language or voice.language):
        transcript = phrase.transcript
        for samples in _render(phrase.words, voice, options, work.voices_folder):
            yield from track.add_sound(samples, transcript)
            transcript = ""
        track.add_gap(phrase.gap / options.rate)
        yield from track.add_unspoken(transcript)


def _prepare_phrases(say: Say, language: str) -> Iterator[Phrase]:
    text = say.text
    if say.interpret_as is not None:
        text = say_as_words(text, say.interpret_as, say.format, language)
    raw_phrases = list(split_phrases(text)) or [""]
    is_verbatim = say.transcript == text
    for at, raw in enumerate(raw_phrases):
        words, gap = normalize_text(raw, language), _gap(raw)
        if gap == LINE_GAP and words[-1:].isalnum():
            words += "."
        yield Phrase(words, raw if is_verbatim else "" if at else say.transcript, gap)


def _gap(raw: str) -> float:
    said = raw.rstrip()
    if "\n" in raw[len(said) :]:
        return LINE_GAP
    last = said.rstrip("\"'”’»)]*_`」』")[-1:]
    if last and last in SENTENCE_MARKS:
        return SENTENCE_GAP
    return CLAUSE_GAP if last and last in CLAUSE_MARKS else 0.0


def _render(words: str, voice: Voice, options: VoiceRenderer, folder: str | None) -> Iterator[Samples]:
    for run in split_by_language(words, voice.language):
        speaker = voice if run.language is None else substitute_voice(run.language, voice, folder)
        if speaker:
            yield from options.render_words(speaker, run.words)
