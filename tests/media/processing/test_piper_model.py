"""A voice's network, cut in two so that sound starts early, tested with small graphs of the same design."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from media.processing.speech.synthesis.piper_model import FIRST_FRAMES, MAX_FRAMES, PiperModel, frame_ranges
from media.processing.speech.synthesis.samples import (
    OUTPUT_RATE,
    SETTLING_SAMPLES,
    Samples,
    amplify,
    apply_limiter,
    change_speed,
    resample,
    settling_length,
    shape_stream,
    trim_silence,
)

RATE = 22_050
FRAME_SAMPLES = 4
"""Samples per frame in the small graphs, where each phoneme makes one frame."""
DECODER = "dec.conv_pre.weight"


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(1).normal(0, 0.2, shape).astype(np.float32), name)


def make_voice(
    path: Path,
    speakers: int = 1,
    decoder_begins_with: str = DECODER,
    change: Callable[[onnx.ModelProto], object] = lambda model: None,
) -> PiperModel:
    """With several speakers, the encoder and the decoder both take the speaker's number."""
    node, typed = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Gather", ["voices", "sid" if speakers > 1 else "none"], ["who"]),
        node("Cast", ["input"], ["numbers"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["numbers", "axis"], ["row"]),
        node("Add", ["row", "who"], ["said"]),
        node("Conv", ["said", "encoder"], ["frames"], kernel_shape=[3], pads=[1, 1]),
        node("Conv", ["frames", decoder_begins_with], ["begun"], kernel_shape=[7], pads=[3, 3]),
        node("Add", ["begun", "who"], ["shaped"]),
        node(
            "ConvTranspose",
            ["shaped", "up"],
            ["sound"],
            kernel_shape=[8],
            strides=[FRAME_SAMPLES],
            pads=[2, 2],
        ),
        node("Tanh", ["sound"], ["output"]),
    ]
    inputs = [
        typed("input", TensorProto.INT64, [1, "phonemes"]),
        typed("input_lengths", TensorProto.INT64, [1]),
        typed("scales", TensorProto.FLOAT, [3]),
        *([typed("sid", TensorProto.INT64, [1])] if speakers > 1 else []),
    ]
    constants = [
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array([0], np.int64), "none"),
        weights("voices", speakers, 1, 1),
        weights("encoder", 2, 1, 3),
        weights(decoder_begins_with, 2, 2, 7),
        weights("up", 2, 1, 8),
    ]
    graph = helper.make_graph(
        nodes,
        "voice",
        inputs,
        [typed("output", TensorProto.FLOAT, None)],
        constants,
        value_info=[typed("frames", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    change(model)
    onnx.save(model, path)
    config: Any = SimpleNamespace(
        noise_scale=0.6, noise_w_scale=0.8, num_speakers=speakers, default_speaker_id=speakers - 1
    )
    return PiperModel(path, config)


def phonemes(count: int) -> list[int]:
    return [int(number) for number in np.random.default_rng(count).integers(-3, 3, count)]


@pytest.mark.parametrize("speakers", [1, 3])
@pytest.mark.parametrize(
    "length",
    [1, FIRST_FRAMES, 2 * FIRST_FRAMES + 1, FIRST_FRAMES + MAX_FRAMES + 1, 3 * MAX_FRAMES],
)
def test_sound_made_in_pieces_equals_sound_made_at_once(tmp_path: Path, speakers: int, length: int) -> None:
    cut = make_voice(tmp_path / "cut.onnx", speakers)
    whole = make_voice(tmp_path / "whole.onnx", speakers, decoder_begins_with="an exporter's own name")

    pieces = list(cut.sound(phonemes(length), 1.0))
    at_once = list(whole.sound(phonemes(length), 1.0))

    assert len(at_once) == 1
    assert (len(pieces) > 1) == (length > 2 * FIRST_FRAMES)
    assert len(at_once[0]) == length * FRAME_SAMPLES
    np.testing.assert_allclose(np.concatenate(pieces), at_once[0], atol=1e-6)
    assert np.std(at_once[0]) > 0.05 or length == 1


@pytest.mark.parametrize(
    "frames", [1, 2 * FIRST_FRAMES, 2 * FIRST_FRAMES + 1, MAX_FRAMES, 5 * MAX_FRAMES + 7]
)
def test_every_frame_is_decoded_once(frames: int) -> None:
    spans = list(frame_ranges(frames))
    assert [place for start, end in spans for place in range(start, end)] == list(range(frames))
    assert all(end - start <= MAX_FRAMES for start, end in spans)
    assert (spans[0] == (0, FIRST_FRAMES)) == (frames > 2 * FIRST_FRAMES)


@pytest.mark.parametrize(
    ("semitones", "speed"), [(0, 1.0), (4.8, 1.0), (-3.2, 1.0), (0, 0.4), (0, 2.4), (4.8, 0.6)]
)
def test_sound_processed_in_pieces_has_no_seams(semitones: float, speed: float) -> None:
    """Silence, a loud and clipped voice, a pause as long as a word, a quiet voice, silence."""
    times = np.arange(4 * RATE) / RATE
    voice = sum(
        np.sin(2 * np.pi * 120 * overtone * times + overtone**2) / overtone for overtone in range(1, 60)
    )
    loudness = np.interp(times, [0, 0.2, 0.25, 1.5, 1.6, 2.4, 2.5, 3.8, 3.9], [0, 0, 1, 1, 0, 0, 0.1, 0.1, 0])
    raw: Samples = (np.asarray(voice) * loudness).astype(np.float32)
    shift = 2 ** (semitones / 12)

    def process(sound: Samples) -> Samples:
        heard = change_speed(trim_silence(sound, RATE), speed, RATE)
        return apply_limiter(amplify(resample(heard, RATE * shift, OUTPUT_RATE), 6))

    whole = process(raw)
    for at in range(2000, len(raw), 7919):
        *first, last = shape_stream([raw[:at], raw[at:]], process, settling_length(speed, shift))
        assert all(len(piece) % 3 == 0 for piece in first)
        np.testing.assert_allclose(np.concatenate([*first, last])[: len(whole)], whole, atol=1e-3)


def test_silence_gives_no_pieces() -> None:
    silence: Samples = np.zeros(SETTLING_SAMPLES * 3, np.float32)
    assert list(shape_stream([silence, silence], lambda sound: trim_silence(sound, RATE))) == []
    assert list(shape_stream([], lambda sound: sound)) == []
