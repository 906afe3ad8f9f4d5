"""Real recordings of a spoken sentence, made by Chromium 156's MediaRecorder."""

from pathlib import Path

import pytest

from media.processing.sound.inspection import InspectSound, inspect_sound
from media.processing.sound.limits import SoundLimits
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.speech.recognition.job_types import Transcribe
from media.processing.speech.recognition.jobs import transcribe
from tests.support.sounds import loudness, samples_of_wav
from tests.support.transcription import transcript_of

RECORDED = Path(__file__).parents[2] / "support" / "recordings"
NAMES = {"chromium.webm": "audio/webm", "chromium.mp4": "audio/mp4"}
LIMITS = SoundLimits()


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_recognized_by_its_bytes(name: str) -> None:
    facts = inspect_sound(InspectSound(str(RECORDED / name), None, LIMITS))

    assert (facts.media_type, facts.codec, facts.channels) == (NAMES[name], "opus", 2)
    assert facts.milliseconds == pytest.approx(2_600, abs=200)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_can_be_transcoded(tmp_path: Path, name: str) -> None:
    wav = tmp_path / "sound.wav"
    made = transcode_sound(Transcode(str(RECORDED / name), str(wav), "wav", limits=LIMITS))

    assert made.milliseconds == pytest.approx(2_600, abs=200)
    assert loudness(samples_of_wav(wav)[1]) > 500


@pytest.mark.speech_model
@pytest.mark.xdist_group("models")
@pytest.mark.parametrize("name", ["chromium.webm", pytest.param("chromium.mp4", marks=pytest.mark.long)])
def test_a_recording_is_transcribed(tmp_path: Path, models_folder: Path, name: str) -> None:
    wav, models = tmp_path / "sound.wav", str(models_folder)
    transcode_sound(Transcode(str(RECORDED / name), str(wav), "wav", limits=LIMITS))

    heard = transcript_of(transcribe(Transcribe(path=str(wav), models_folder=models, language="en")))

    assert heard.text == "The train leaves at noon."
