"""The real model recognizes speech, and nothing in what is not speech."""

import time
import wave
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media.processing.exceptions import UnreadableMedia
from media.processing.speech.recognition.job_types import Segment, Transcribe, WarmRecognizer
from media.processing.speech.recognition.jobs import transcribe, warm_recognizer
from media.processing.speech.transcripts import Transcript
from tests.support.speech_samples import RATE, Pcm, speak_english, speak_in
from tests.support.transcription import transcript_of
from tests.support.word_error_rate import word_error_rate

pytestmark = [pytest.mark.speech_model, pytest.mark.xdist_group("models")]

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Please remind me to call the dentist tomorrow at half past nine.",
    "The weather will be cold and windy, with heavy rain in the evening.",
)


PAUSE = np.zeros(RATE, np.int16)


class Speech:
    """Runs recognition on sounds."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder = folder
        self.models = str(models)

    def work(self, pcm: NDArray[Any], **options: Any) -> Transcribe:
        path = self.folder / "sound.wav"
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(pcm.astype("<i2").tobytes())
        return Transcribe(path=str(path), models_folder=self.models, **options)

    def heard(self, pcm: NDArray[Any], **options: Any) -> Transcript:
        return transcript_of(transcribe(self.work(pcm, **options)))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Speech:
    speech = Speech(tmp_path_factory.mktemp("speech"), models_folder)
    ready = warm_recognizer(WarmRecognizer(models_folder=speech.models))
    assert ready.folder == str(Path(speech.models) / "whisper-base")
    assert ready.seconds > 0
    return speech


@pytest.fixture(scope="module")
def three() -> Pcm:
    """The three sentences, each after a second of silence."""
    return np.concatenate([part for text in SENTENCES for part in (PAUSE, speak_english(text))])


@pytest.fixture(scope="module")
def transcript(speech: Speech, three: Pcm) -> Transcript:
    return speech.heard(three, words=True)


def test_the_transcript_is_what_was_said(transcript: Transcript, three: Pcm) -> None:
    assert word_error_rate(" ".join(SENTENCES), transcript.text) <= 0.1
    assert transcript.language == "en"
    assert transcript.duration == pytest.approx(len(three) / RATE)


def test_segments_are_numbered_and_in_order(transcript: Transcript) -> None:
    segments = transcript.segments
    assert len(segments) >= 3
    assert [segment.id for segment in segments] == list(range(len(segments)))
    for segment in segments:
        assert segment.temperature == 0
        assert -1 < segment.avg_logprob < 0
        assert 0 <= segment.no_speech_prob < 0.5
        assert 0 < segment.compression_ratio < 2.4
        assert segment.tokens
        assert 0 <= segment.seek <= segment.end * 100


def test_words_have_their_times(transcript: Transcript) -> None:
    words = [word for segment in transcript.segments for word in segment.words]
    times = [time for word in words for time in (word.start, word.end)]

    # compared without spaces: the two halves of a hyphenated word are two words
    assert "".join(word.word for word in words) == transcript.text.replace(" ", "")
    assert times == sorted(times)
    # a second of silence comes first, and no word ends after the sound
    assert 0.5 < times[0] < 1.5
    assert transcript.duration - 1 < times[-1] <= transcript.duration
    assert all(0 < word.probability <= 1 for word in words)


def test_a_prompt_determines_the_spelling(speech: Speech) -> None:
    """Without it: Catherine and Geoffrey. If obeyed, the token in the prompt would end the text at once."""
    heard = speech.heard(
        speak_english("I met Catherine and Geoffrey at the party."),
        language="en",
        prompt="Kathryn and Jeffery went to the party. <|endoftext|>",
    )
    assert "Kathryn and Jeffery" in heard.text


@pytest.mark.long
def test_a_temperature_is_used(speech: Speech) -> None:
    heard = speech.heard(speak_english(SENTENCES[0]), language="en", temperature=0.2)
    assert {round(segment.temperature, 3) for segment in heard.segments} == {0.2}


def test_another_language_is_detected_and_translated(speech: Speech) -> None:
    german = speak_in("de", "Guten Tag, mein Name ist Peter. Ich wohne in Berlin.")

    translated = speech.heard(german, translate=True)

    assert translated.language == "de"
    assert "my name is Peter" in translated.text


def test_a_language_unknown_to_the_model_is_refused(speech: Speech) -> None:
    with pytest.raises(UnreadableMedia, match="does not know the language yue") as refused:
        speech.heard(PAUSE, language="yue")
    assert refused.value.code == "unknown_language"


SECONDS = np.arange(10 * RATE) / RATE
RANDOM = np.random.default_rng(7)


@pytest.mark.parametrize(
    "pcm",
    [
        pytest.param(np.zeros(10 * RATE), id="silence"),
        pytest.param(20_000 * np.sin(2 * np.pi * 440 * SECONDS), id="tone"),
        pytest.param(5_000 * np.sign(np.sin(2 * np.pi * 120 * SECONDS)), id="hum"),
        pytest.param(RANDOM.normal(0, 300, 10 * RATE), id="hiss"),
        pytest.param(RANDOM.normal(0, 9_000, 10 * RATE).clip(-32768, 32767), id="roar"),
        pytest.param(np.zeros(0), id="nothing"),
        pytest.param(np.full(1, 30_000), id="one sample"),
    ],
)
def test_nothing_is_recognized_if_nobody_speaks(speech: Speech, pcm: NDArray[np.float64]) -> None:
    heard = speech.heard(pcm)

    assert (heard.text, heard.segments, heard.language) == ("", [], None)
    assert heard.duration == len(pcm) / RATE


@pytest.mark.long  # test_recognition_windows.py holds where a sound is cut
def test_a_sentence_minutes_later_has_the_right_time(speech: Speech) -> None:
    """Across two cuts, the language and the numbering continue, and the silence costs next to nothing."""
    sentence = speak_english(SENTENCES[0])
    silence = np.zeros(150 * RATE, np.int16)

    first, second = speech.heard(np.concatenate((sentence, silence, sentence, silence))).segments

    assert first.start < 0.5
    later = len(sentence) / RATE + 150
    assert later - 0.5 < second.start < later + 0.5
    assert later + 1 < second.end <= later + len(sentence) / RATE + 0.5
    assert (first.id, second.id) == (0, 1)
    assert abs(second.seek - later * 100) < 100


def test_closing_the_stream_stops_recognition(speech: Speech) -> None:
    sentence = np.concatenate((speak_english(SENTENCES[0]), np.zeros(130 * RATE, np.int16)))
    stream = transcribe(speech.work(np.tile(sentence, 3), language="en"))
    assert isinstance(stream, Generator)

    first = next(stream)
    started = time.monotonic()
    stream.close()

    assert isinstance(first, Segment)
    assert time.monotonic() - started < 2
    assert list(stream) == []
