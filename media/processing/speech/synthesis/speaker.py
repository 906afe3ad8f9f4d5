"""Speaks a plan, item after item."""

from collections.abc import Iterator
from typing import NamedTuple

from media.processing.speech.speech_plan import Mark, Pause, Say
from media.processing.speech.synthesis.job_types import Speak, SpokenPiece
from media.processing.speech.synthesis.phrases import phrases
from media.processing.speech.synthesis.rendering import RenderOptions
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.synthesis.say_as import said_as
from media.processing.speech.synthesis.text_normalization import spoken_text
from media.processing.speech.synthesis.track import Track
from media.processing.speech.synthesis.voice_selection import cast, speaker_of
from media.processing.speech.synthesis.writing_systems import runs
from media.processing.speech.voices import Voice, require_voice

LONGEST_PAUSES = 60_000
"""Milliseconds of all pauses of a request."""

SENTENCE_GAP, LINE_GAP, CLAUSE_GAP = 0.3, 0.5, 0.1
"""Seconds between phrases, by what the one before ends with."""
SENTENCE_MARKS = ".!?…。！？।؟۔:"
CLAUSE_MARKS = ",;–—)、，；،؛"


class Phrase(NamedTuple):
    """`transcript` is what the plan has for the words; `gap` the seconds of silence that follow them."""

    words: str
    transcript: str
    gap: float


def spoken(work: Speak) -> Iterator[SpokenPiece]:
    """pcm16. VoiceProblem: the voice is unknown or refused."""
    voice = require_voice(work.voice, work.voices_folder)
    track = Track()
    pauses = LONGEST_PAUSES
    for item in work.items:
        match item:
            case Mark():
                track.mark(item.name)
            case Pause():
                milliseconds = min(max(item.milliseconds, 0), pauses)
                pauses -= milliseconds
                yield from track.pause(milliseconds)
            case Say():
                yield from _say(item, voice, work, track)
    yield from track.end()


def _say(say: Say, default: Voice, work: Speak, track: Track) -> Iterator[SpokenPiece]:
    voice = cast(say, default, work.voices_folder)
    manner = RenderOptions.of(say, voice, work.speed)
    if say.phonemes is not None:
        samples = manner.phonemes(voice, say.phonemes)
        if len(samples):
            yield from track.sound(samples, say.transcript)
            return
    for phrase in _phrases(say, say.language or voice.language):
        transcript = phrase.transcript
        for samples in _sound(phrase.words, voice, manner, work.voices_folder):
            yield from track.sound(samples, transcript)
            transcript = ""
        track.gap(phrase.gap / manner.rate)
        yield from track.said(transcript)


def _phrases(say: Say, language: str) -> Iterator[Phrase]:
    text = say.text
    if say.interpret_as is not None:
        text = said_as(text, say.interpret_as, say.format, language)
    raw_phrases = list(phrases(text)) or [""]
    is_written_so = say.transcript == text
    for at, raw in enumerate(raw_phrases):
        words, gap = spoken_text(raw, language), _gap(raw)
        if gap == LINE_GAP and words[-1:].isalnum():
            words += "."
        yield Phrase(words, raw if is_written_so else "" if at else say.transcript, gap)


def _gap(raw: str) -> float:
    said = raw.rstrip()
    if "\n" in raw[len(said) :]:
        return LINE_GAP
    last = said.rstrip("\"'”’»)]*_`」』")[-1:]
    if last and last in SENTENCE_MARKS:
        return SENTENCE_GAP
    return CLAUSE_GAP if last and last in CLAUSE_MARKS else 0.0


def _sound(words: str, voice: Voice, manner: RenderOptions, folder: str | None) -> Iterator[Samples]:
    for run in runs(words, voice.language):
        speaker = voice if run.language is None else speaker_of(run.language, voice, folder)
        if speaker:
            yield from manner.words(speaker, run.words)
