"""A Piper voice's network, run so that its first sound comes before the rest is made.

The network is a VITS: an encoder, which needs all the phonemes, gives a frame for each hundredth of a second
or so, and a decoder makes sound of frames. Voices come as one graph; here it is cut between the two. The
decoder looks only some frames around, so that sound made piece by piece is the very same as made at once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from media.processing.speech.synthesis.samples import Samples

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    from piper.config import PiperConfig

THREADS = 2
"""Measured on two cores: 1.6 times as fast as one; more gain little, as sentences are short."""
DECODER_BEGINS_WITH = "dec.conv_pre.weight"
REACH = 14
"""Frames that a decoder looks at on either side: 11 in voices of medium quality, 13 in those of high."""
FIRST_FRAMES = 56
"""0.65 s at Piper's usual 22,050 Hz. Each further piece is twice as long, so that it is there before the last
one is over, also where other work has the cores."""
MOST_FRAMES = 350
"""4 s: bounds the memory that decoding takes."""


class PiperModel:
    """Sound by phoneme ids. Raises what onnx and onnxruntime raise for files that are no voice."""

    def __init__(self, path: Path, config: "PiperConfig") -> None:
        import onnx

        self._config = config
        self._decoder = None
        self._frames = ""
        model = onnx.load(path)
        decoder = cut_off_decoder(model)
        if decoder is None:
            self.encoder = _session(str(path))
            return
        self._frames = model.graph.output[0].name
        self._decoder = _session(decoder.SerializeToString())
        content = model.SerializeToString()
        del model
        self.encoder = _session(content, is_optimised=False)

    def sound(self, phoneme_ids: list[int], length_scale: float) -> Iterator[Samples]:
        """Consecutive pieces at the voice's own rate, the first short; one where the graph was not cut."""
        asked = self._asked(phoneme_ids, length_scale)
        if self._decoder is None:
            yield _flat(self.encoder.run(None, asked)[0])
            return
        frames = self.encoder.run([self._frames], asked)[0]
        wanted = {one.name for one in self._decoder.get_inputs()}
        beside = {name: value for name, value in asked.items() if name in wanted}
        for start, end in cuts(frames.shape[-1]):
            first, last = max(0, start - REACH), min(end + REACH, frames.shape[-1])
            made = _flat(self._decoder.run(None, {self._frames: frames[..., first:last], **beside})[0])
            a_frame = len(made) // (last - first)
            yield made[(start - first) * a_frame : (end - first) * a_frame]

    def _asked(self, phoneme_ids: list[int], length_scale: float) -> dict[str, Any]:
        config = self._config
        asked: dict[str, Any] = {
            "input": np.array([phoneme_ids], np.int64),
            "input_lengths": np.array([len(phoneme_ids)], np.int64),
            "scales": np.array([config.noise_scale, length_scale, config.noise_w_scale], np.float32),
        }
        if config.num_speakers > 1:
            asked["sid"] = np.array([config.default_speaker_id], np.int64)
        return asked


def cuts(frames: int) -> Iterator[tuple[int, int]]:
    """Where to decode from and to. What is hardly longer than the first piece is left whole."""
    start, length = 0, FIRST_FRAMES if frames > 2 * FIRST_FRAMES else MOST_FRAMES
    while start < frames:
        end = min(frames, start + length)
        yield start, end
        start, length = end, min(2 * length, MOST_FRAMES)


def cut_off_decoder(model: "onnx.ModelProto") -> "onnx.ModelProto | None":
    """The decoder; `model` is left with the rest, and gives frames.

    None, with nothing changed, where the decoder is not found: some exporters give other names.
    """
    from onnx.utils import Extractor

    graph = model.graph
    begins = [node for node in graph.node if _is_first_of_decoder(node)]
    given = {weights.name for weights in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in given]
    if len(begins) != 1 or graph.quantization_annotation or graph.sparse_initializer:
        return None
    frames = begins[0].input[0]
    if frames in inputs or frames in given:
        return None
    described = {value.name: value for value in graph.value_info}
    if frames not in described:
        described[frames] = graph.value_info.add(name=frames)
        described[frames].type.tensor_type.elem_type = graph.output[0].type.tensor_type.elem_type
    decoder = Extractor(model).extract_model([frames, *inputs], [graph.output[0].name])
    used = {name for node in decoder.graph.node for name in node.input}
    _leave_out(decoder.graph.input, lambda value: value.name not in used)

    behind = {frames}
    for node in graph.node:
        if behind.intersection(node.input):
            behind.update(node.output)
    behind.remove(frames)
    _leave_out(graph.node, lambda node: node.output[0] in behind)
    used -= {name for node in graph.node for name in node.input}
    _leave_out(graph.initializer, lambda weights: weights.name in used)
    _leave_out(graph.input, lambda value: value.name in used and value.name in given)
    graph.output[0].CopyFrom(described[frames])
    return decoder


def _is_first_of_decoder(node: "onnx.NodeProto") -> bool:
    return node.op_type == "Conv" and node.input[1].endswith(DECODER_BEGINS_WITH)


def _leave_out(items: Any, is_unwanted: Callable[[Any], bool]) -> None:
    """In place: a copy of the weights would take as much memory again."""
    for at in reversed(range(len(items))):
        if is_unwanted(items[at]):
            del items[at]


def _flat(sound: Any) -> Samples:
    return np.asarray(sound, np.float32).ravel()


def _session(model: str | bytes, *, is_optimised: bool = True) -> "onnxruntime.InferenceSession":
    """Optimising an encoder takes half a second, and makes it no faster. Measured."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not is_optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
