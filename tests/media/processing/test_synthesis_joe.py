"""Joe's voice, synthesized by the real model."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime import InferenceSession
from piper.config import PiperConfig

from media.processing.speech.speech_plan import Say
from media.processing.speech.synthesis.job_types import WarmVoice
from media.processing.speech.synthesis.jobs import warm_voice
from media.processing.speech.synthesis.piper_model import PiperModel
from media.processing.speech.voices.registry import require_voice
from media.processing.speech.voices.voice import VoiceInvalid
from tests.support.speech_measures import TEN_WORDS, Spoken, synthesize

pytestmark = [pytest.mark.speech_model, pytest.mark.xdist_group("models")]


@pytest.fixture(scope="module")
def usual() -> Spoken:
    assert warm_voice(WarmVoice("joe")).seconds > 0
    return synthesize(TEN_WORDS, voice="joe")


def test_joe_speaks(usual: Spoken) -> None:
    assert 2.4 < usual.seconds < 4.5
    assert 0.05 < usual.loudness < 0.3
    assert 80 < usual.pitch < 160
    assert np.abs(usual.samples).max() < 0.98
    assert usual.transcript == TEN_WORDS


@pytest.mark.parametrize("rate", [0.5, 2.0, 3.0])
def test_rate_scales_the_duration(usual: Spoken, rate: float) -> None:
    """Joe takes 3.1 to 3.3 s at the normal rate, and up to a sixth more than he should at fast ones."""
    assert synthesize(Say(TEN_WORDS, rate=rate), voice="joe").seconds == pytest.approx(
        usual.seconds / rate, rel=0.25
    )


def test_an_octave_doubles_the_fundamental_and_does_not_change_the_duration(usual: Spoken) -> None:
    shifted = synthesize(Say(TEN_WORDS, pitch=12), voice="joe")
    assert shifted.pitch == pytest.approx(2 * usual.pitch, rel=0.15)
    assert shifted.seconds == pytest.approx(usual.seconds, rel=0.12)


def test_openais_voices_differ_in_pitch(usual: Spoken) -> None:
    low, high = synthesize(TEN_WORDS, voice="onyx"), synthesize(TEN_WORDS, voice="shimmer")
    assert low.pitch < 0.96 * usual.pitch
    assert high.pitch > 1.1 * usual.pitch


def test_the_first_sound_comes_before_the_rest_is_made(usual: Spoken) -> None:
    first, *_, last = usual.pieces
    assert 0.3 < first.milliseconds / 1000 < 0.7
    assert last.milliseconds / 1000 == pytest.approx(usual.seconds, abs=0.001)
    assert first.transcript == TEN_WORDS


def test_sound_made_in_pieces_equals_sound_made_at_once() -> None:
    """With all randomness off: the decoder uses only the frames it is given."""
    path = require_voice("joe").source
    config = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_bytes()))
    config.noise_scale = config.noise_w_scale = 0.0
    inputs = {
        "input": np.array([range(1, 100)], np.int64),
        "input_lengths": np.array([99], np.int64),
        "scales": np.array([0, 1, 0], np.float32),
    }
    at_once = InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)[0].ravel()

    pieces = list(PiperModel(Path(path), config).sound(list(range(1, 100)), 1.0))

    assert len(pieces) >= 2
    np.testing.assert_allclose(np.concatenate(pieces), at_once, atol=1e-5)


def test_phonemes_reach_the_model(usual: Spoken) -> None:
    said = synthesize(Say("x", phonemes="təˈmeɪtoʊ təˈmeɪtoʊ"), voice="joe")
    assert 0.6 < said.seconds < 2.5
    assert synthesize(Say("x", phonemes="∆∆"), voice="joe").seconds < 0.6


def test_espeak_and_joe_share_a_process(usual: Spoken) -> None:
    """Piper bundles its own eSpeak NG, with different data."""
    german = Say("Guten Tag, wie geht es Ihnen?", language="de")
    alone = synthesize(german, voice="joe")
    with ThreadPoolExecutor(3) as pool:
        mixed = [pool.submit(synthesize, item, voice="joe") for item in (german, Say("One, two."), german)]
    assert mixed[0].result().resembles(alone)
    assert mixed[2].result().resembles(alone)
    assert 0.5 < mixed[1].result().seconds < 2.5


@pytest.mark.parametrize("wrong", [{"num_speakers": 4}, {"audio": {"sample_rate": "22050"}}])
def test_an_operators_voice_with_mismatched_settings_is_refused_before_it_speaks(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    model = tmp_path / "marie.onnx"
    model.symlink_to(require_voice("joe").source)
    settings = json.loads(Path(f"{require_voice('joe').source}.json").read_bytes())
    Path(f"{model}.json").write_text(json.dumps({**settings, **wrong}))
    with pytest.raises(VoiceInvalid, match="'marie' cannot be loaded"):
        synthesize("Hello.", voice="marie", voices_folder=str(tmp_path))


def test_piper_markup_in_text_is_not_interpreted(usual: Spoken) -> None:
    """As a command it would be one short word; read aloud it is four characters."""
    assert synthesize("[[", voice="joe").seconds == 0
    obeyed = synthesize(Say("x", phonemes="bcd0"), voice="joe")
    assert synthesize("[[bcd0]]", voice="joe").seconds > obeyed.seconds + 0.3
