"""The transcription of a sound into segments, a window at a time.

Imported only by jobs, because it loads faster-whisper.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import SpeechTimestampsMap, VadOptions, get_speech_timestamps

from media.processing.exceptions import UnreadableMedia
from media.processing.sound.output_formats import RECOGNITION_RATE as RATE
from media.processing.speech.recognition.job_types import RecognitionEnd, Segment, Transcribe, Word
from media.processing.speech.recognition.timestamp_clamping import Clock
from media.processing.speech.recognition.whisper import Recognizer, load_recognizer
from media.processing.speech.recognition.windows import AudioWindow, Samples, open_sound, read_windows

VAD_OPTIONS = VadOptions(min_speech_duration_ms=100)
"""Without a minimum duration, single frames of white noise are taken for speech."""
BEAM_SIZE = 5
"""Whisper's own value. It takes up to 50 % longer than greedy decoding: 0.2 s for a second of sound."""
TEMPERATURES = (0.0, 0.4, 0.8)
"""Tried in turn when a text is repetitive or unlikely. Whisper's own six take 27 s for 30 s of noise."""
MAX_NEW_TOKENS = 220
"""The most tokens for 30 s of sound, and all that fit after the longest prompt."""
MAX_PROMPT_TEMPERATURE = 0.5
"""Text decoded at a higher temperature is not used as a prompt for what follows."""


def transcribe_sound(work: Transcribe) -> Iterator[Segment | RecognitionEnd]:
    """Yield the segments of a sound, then `RecognitionEnd`. Raises `UnreadableMedia` and `ModelUnusable`."""
    with open_sound(work.path) as sound:
        transcriber = _WindowTranscriber(load_recognizer(work.models_folder, work.model_path), work)
        end = 0
        for window in read_windows(sound):
            yield from transcriber.transcribe_window(window)
            end = window.end
        yield RecognitionEnd(language=transcriber.language, duration=end / RATE)


class _WindowTranscriber:
    """A transcriber that carries from one window to the next what the model has to know of it."""

    def __init__(self, model: Recognizer, work: Transcribe) -> None:
        if work.language is not None and not model.knows(work.language):
            raise UnreadableMedia(
                f"The model does not know the language {work.language}.", code="unknown_language"
            )
        self.language = work.language
        self._model = model
        self._work = work
        # text that looks like one of the decoder's control tokens would be taken for one
        self._prompt: str | list[int] = re.sub(r"<\|[^<>|]*\|>", " ", work.prompt or "").strip()
        self._segment_count = 0
        self._clock = Clock()

    def transcribe_window(self, window: AudioWindow) -> Iterator[Segment]:
        speech = get_speech_timestamps(window.samples, VAD_OPTIONS)
        if not speech:
            return
        tokens: list[int] = []
        times = SpeechTimestampsMap(speech, RATE)
        for raw in restore_speech_timestamps(self._decode(window.samples, speech), speech, RATE):
            tokens = [*tokens, *raw.tokens] if raw.temperature <= MAX_PROMPT_TEMPERATURE else []
            yield self._segment(raw, window, times.get_original_time(raw.seek / 100))
        self._prompt = tokens

    def _decode(self, samples: Samples, speech: list[dict[str, int]]) -> Iterator[Any]:
        work = self._work
        segments, info = self._model.transcribe(
            np.concatenate([samples[part["start"] : part["end"]] for part in speech]),
            language=self.language,
            task="translate" if work.translate else "transcribe",
            beam_size=BEAM_SIZE,
            temperature=work.temperature or TEMPERATURES,
            initial_prompt=self._prompt or None,
            word_timestamps=work.words,
            max_new_tokens=MAX_NEW_TOKENS,
        )
        self.language = info.language
        yield from segments

    def _segment(self, raw: Any, window: AudioWindow, seek_seconds: float) -> Segment:
        offset, limit = window.start / RATE, window.end / RATE
        words = [self._word(word, offset, limit) for word in raw.words or ()]
        if words:
            start, end = words[0].start, words[-1].end
        else:
            start, end = self._clock.place_span(raw.start + offset, raw.end + offset, limit)
        self._segment_count += 1
        return Segment(
            id=self._segment_count - 1,
            seek=round((offset + seek_seconds) * 100),
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
        start, end = self._clock.place_span(float(raw.start) + offset, float(raw.end) + offset, limit)
        return Word(raw.word.strip(), start, end, float(raw.probability))
