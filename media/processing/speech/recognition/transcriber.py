"""A sound becomes segments of text, a window at a time.

Only imported by jobs, for it loads faster-whisper.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import SpeechTimestampsMap, VadOptions, get_speech_timestamps

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.output_formats import RECOGNITION_RATE as RATE
from media.processing.speech.recognition.job_types import Heard, Segment, Transcribe, Word
from media.processing.speech.recognition.timestamps import Clock
from media.processing.speech.recognition.whisper import Recognizer, recogniser
from media.processing.speech.recognition.windows import AudioWindow, Samples, open_sound, windows

SPEECH = VadOptions(min_speech_duration_ms=100)
"""Without a least duration, single frames of white noise are taken for speech."""
BEAM = 5
"""Whisper's own. It takes up to half as much again as greedy decoding, 0.2 s for a second of sound."""
TEMPERATURES = (0.0, 0.4, 0.8)
"""Tried in turn where a text is repetitive or unlikely. Whisper's own six take 27 s for 30 s of noise."""
NEW_TOKENS = 220
"""The most for 30 s of sound, and all there is room for behind the longest prompt."""
UNSURE = 0.5
"""Text decoded at a higher temperature is no prompt for what follows."""


def listen(work: Transcribe) -> Iterator[Segment | Heard]:
    """Raises Unreadable and ModelUnusable."""
    with open_sound(work.path) as sound:
        listener = _Listener(recogniser(work.models_folder, work.model_path), work)
        end = 0
        for window in windows(sound):
            yield from listener.hear(window)
            end = window.end
        yield Heard(language=listener.language, duration=end / RATE)


class _Listener:
    """Carries from one window to the next what the model has to know of it."""

    def __init__(self, model: Recognizer, work: Transcribe) -> None:
        if work.language is not None and not model.knows(work.language):
            raise UnreadableMedia(
                f"The model does not know the language {work.language}.", code="unknown_language"
            )
        self.language = work.language
        self._model = model
        self._work = work
        # what looks like one of the decoder's control tokens would be taken for it
        self._prompt: str | list[int] = re.sub(r"<\|[^<>|]*\|>", " ", work.prompt or "").strip()
        self._count = 0
        self._clock = Clock()

    def hear(self, window: AudioWindow) -> Iterator[Segment]:
        speech = get_speech_timestamps(window.samples, SPEECH)
        if not speech:
            return
        tokens: list[int] = []
        times = SpeechTimestampsMap(speech, RATE)
        for raw in restore_speech_timestamps(self._decode(window.samples, speech), speech, RATE):
            tokens = [*tokens, *raw.tokens] if raw.temperature <= UNSURE else []
            yield self._segment(raw, window, times.get_original_time(raw.seek / 100))
        self._prompt = tokens

    def _decode(self, samples: Samples, speech: list[dict[str, int]]) -> Iterator[Any]:
        work = self._work
        segments, told = self._model.transcribe(
            np.concatenate([samples[part["start"] : part["end"]] for part in speech]),
            language=self.language,
            task="translate" if work.translate else "transcribe",
            beam_size=BEAM,
            temperature=work.temperature or TEMPERATURES,
            initial_prompt=self._prompt or None,
            word_timestamps=work.words,
            max_new_tokens=NEW_TOKENS,
        )
        self.language = told.language
        yield from segments

    def _segment(self, raw: Any, window: AudioWindow, sought: float) -> Segment:
        offset, limit = window.start / RATE, window.end / RATE
        words = [self._word(word, offset, limit) for word in raw.words or ()]
        if words:
            start, end = words[0].start, words[-1].end
        else:
            start, end = self._clock.span(raw.start + offset, raw.end + offset, limit)
        self._count += 1
        return Segment(
            id=self._count - 1,
            seek=round((offset + sought) * 100),
            start=start,
            end=end,
            text=raw.text,
            tokens=list(raw.tokens),
            temperature=float(raw.temperature),
            avg_logprob=float(raw.avg_logprob),
            compression_ratio=float(raw.compression_ratio),
            no_speech_prob=float(raw.no_speech_prob),
            words=words,
        )

    def _word(self, raw: Any, offset: float, limit: float) -> Word:
        start, end = self._clock.span(float(raw.start) + offset, float(raw.end) + offset, limit)
        return Word(raw.word.strip(), start, end, float(raw.probability))
