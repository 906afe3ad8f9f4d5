"""A Piper voice's network, run so that its first sound is ready before the rest is made.

The network is a VITS: an encoder, which needs all the phonemes, makes a frame for each hundredth of a second
or so, and a decoder turns frames into sound. Voices come as one graph, which is cut between the two here. The
decoder looks only a few frames around, so sound made piece by piece is identical to sound made at once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from media.processing.native_threads import NATIVE_THREADS
from media.processing.speech.synthesis.samples import Samples

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    from piper.config import PiperConfig

DECODER_BEGINS_WITH = "dec.conv_pre.weight"
DECODER_REACH = 14
"""Frames that a decoder looks at on either side: 11 in medium-quality voices, 13 in high-quality ones."""
FIRST_FRAMES = 56
"""0.65 s at Piper's usual 22,050 Hz.

Each further piece is twice as long, so that it is ready before the last one is over, even when other work has
the cores.
"""
MAX_FRAMES = 350
"""4 s: bounds the memory that decoding takes."""


class PiperModel:
    """A model that makes sound from phoneme ids.

    Raises what onnx and onnxruntime raise for files that are not a voice.
    """

    def __init__(self, path: Path, config: "PiperConfig") -> None:
        import onnx

        self._config = config
        self._decoder = None
        self._frames = ""
        model = onnx.load(path)
        decoder = cut_off_decoder(model)
        if decoder is None:
            self.encoder = _create_session(str(path))
            return
        self._frames = model.graph.output[0].name
        self._decoder = _create_session(decoder.SerializeToString())
        content = model.SerializeToString()
        del model
        self.encoder = _create_session(content, is_optimized=False)

    def sound(self, phoneme_ids: list[int], length_scale: float) -> Iterator[Samples]:
        """Yield consecutive pieces at the voice's own rate, the first short.

        There is only one if the graph was not cut.
        """
        feed = self._model_inputs(phoneme_ids, length_scale)
        if self._decoder is None:
            yield _flatten(self.encoder.run(None, feed)[0])
            return
        frames = self.encoder.run([self._frames], feed)[0]
        input_names = {one.name for one in self._decoder.get_inputs()}
        shared_feed = {name: value for name, value in feed.items() if name in input_names}
        for start, end in frame_ranges(frames.shape[-1]):
            first, last = max(0, start - DECODER_REACH), min(end + DECODER_REACH, frames.shape[-1])
            decoded = _flatten(
                self._decoder.run(None, {self._frames: frames[..., first:last], **shared_feed})[0]
            )
            frame_length = len(decoded) // (last - first)
            yield decoded[(start - first) * frame_length : (end - first) * frame_length]

    def _model_inputs(self, phoneme_ids: list[int], length_scale: float) -> dict[str, Any]:
        config = self._config
        feed: dict[str, Any] = {
            "input": np.array([phoneme_ids], np.int64),
            "input_lengths": np.array([len(phoneme_ids)], np.int64),
            "scales": np.array([config.noise_scale, length_scale, config.noise_w_scale], np.float32),
        }
        if config.num_speakers > 1:
            feed["sid"] = np.array([config.default_speaker_id], np.int64)
        return feed


def frame_ranges(frames: int) -> Iterator[tuple[int, int]]:
    """Yield where to decode from and to. What is hardly longer than the first piece is left whole."""
    start, length = 0, FIRST_FRAMES if frames > 2 * FIRST_FRAMES else MAX_FRAMES
    while start < frames:
        end = min(frames, start + length)
        yield start, end
        start, length = end, min(2 * length, MAX_FRAMES)


def cut_off_decoder(model: "onnx.ModelProto") -> "onnx.ModelProto | None":
    """Return the decoder, and leave `model` with the rest, which outputs frames.

    Returns None, and changes nothing, if the decoder is not found: some exporters use other names.
    """
    from onnx.utils import Extractor

    graph = model.graph
    first_nodes = [node for node in graph.node if _is_first_of_decoder(node)]
    weight_names = {weights.name for weights in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weight_names]
    if len(first_nodes) != 1 or graph.quantization_annotation or graph.sparse_initializer:
        return None
    frames = first_nodes[0].input[0]
    if frames in inputs or frames in weight_names:
        return None
    value_infos = {value.name: value for value in graph.value_info}
    if frames not in value_infos:
        value_infos[frames] = graph.value_info.add(name=frames)
        value_infos[frames].type.tensor_type.elem_type = graph.output[0].type.tensor_type.elem_type
    decoder = Extractor(model).extract_model([frames, *inputs], [graph.output[0].name])
    used = {name for node in decoder.graph.node for name in node.input}
    _remove(decoder.graph.input, lambda value: value.name not in used)

    downstream = {frames}
    for node in graph.node:
        if downstream.intersection(node.input):
            downstream.update(node.output)
    downstream.remove(frames)
    _remove(graph.node, lambda node: node.output[0] in downstream)
    used -= {name for node in graph.node for name in node.input}
    _remove(graph.initializer, lambda weights: weights.name in used)
    _remove(graph.input, lambda value: value.name in used and value.name in weight_names)
    graph.output[0].CopyFrom(value_infos[frames])
    return decoder


def _is_first_of_decoder(node: "onnx.NodeProto") -> bool:
    return node.op_type == "Conv" and node.input[1].endswith(DECODER_BEGINS_WITH)


def _remove(items: Any, is_unwanted: Callable[[Any], bool]) -> None:
    """Remove items in place: a copy of the weights would take as much memory again."""
    for index in reversed(range(len(items))):
        if is_unwanted(items[index]):
            del items[index]


def _flatten(sound: Any) -> Samples:
    return np.asarray(sound, np.float32).ravel()


def _create_session(model: str | bytes, *, is_optimized: bool = True) -> "onnxruntime.InferenceSession":
    """Create a session. Optimizing an encoder takes half a second, and makes it no faster. Measured."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = NATIVE_THREADS
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not is_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
