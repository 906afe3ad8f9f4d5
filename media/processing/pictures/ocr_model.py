"""The model that finds and reads lines of text (PP-OCR through RapidOCR). Imported only by job functions.

Its networks are part of the package, and their paths are passed to it, so that nothing is ever downloaded.
"""

import threading
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import rapidocr
from PIL import Image
from rapidocr.utils.output import RapidOCROutput

from media.processing.native_threads import NATIVE_THREADS
from media.processing.pictures.text_line import Box, TextLine

MIN_CONFIDENCE = 0.6
DETECTION_SIDE = 1280
"""Lines are found in a copy of at most this many pixels a side, and read from the full picture.

Measured with letters of 12 pixels in 2048×2048: all are still found, with half the memory (555 MB).
"""

_MODEL_FOLDER = Path(rapidocr.__file__).parent / "models"
_MARGIN = 32
"""Pixels of plain background around the picture, which help to find text at its very edge."""
_GRID = 32
_ENLARGE_BELOW = 400
_MAX_ENLARGEMENT = 2.0
_CONFIDENT = 0.85
"""If the mean confidence is below this, the picture is read upside down too."""

_lock = threading.Lock()


def recognize_lines(image: Image.Image, size: tuple[int, int], max_side: int) -> list[TextLine]:
    """Return the lines in no particular order, with boxes in pixels of a picture of `size`.

    `image` (RGB) is a copy of that picture. Only one picture is read at a time: more would share the same
    threads.
    """
    image = _enlarge_small(image, max_side)
    lines = _find_lines(image)
    if lines and _mean_confidence(lines) < _CONFIDENT:
        lines = max(lines, _find_lines(image.transpose(Image.Transpose.ROTATE_180)), key=_mean_confidence)
    x_factor, y_factor = size[0] / image.width, size[1] / image.height
    return [
        TextLine(line.text, line.confidence, _scale_box(line.box, x_factor, y_factor))
        for line in lines
        if line.confidence >= MIN_CONFIDENCE
    ]


def _find_lines(image: Image.Image) -> list[TextLine]:
    """Return everything taken for a line, at any confidence, with boxes in pixels of `image`."""
    canvas = np.ascontiguousarray(np.asarray(_pad_to_grid(image))[:, :, ::-1])
    with _lock:
        found = _load_model()(canvas)
    if not isinstance(found, RapidOCROutput) or found.boxes is None:
        return []
    return [
        TextLine(text.strip(), round(float(score), 3), _bounding_box(corners - _MARGIN, image))
        for corners, text, score in zip(found.boxes, found.txts or (), found.scores or (), strict=True)
        if text.strip()
    ]


def _mean_confidence(lines: list[TextLine]) -> float:
    letters = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / letters if letters else 0.0


@cache
def _load_model() -> rapidocr.RapidOCR:
    cv2.setNumThreads(NATIVE_THREADS)
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.text_score": 0.0,
            # Its classifier turns upright lines upside down; whole pictures are turned instead.
            "Global.use_cls": False,
            # Sizes are set here: RapidOCR's own scaling can blow a narrow picture up to gigabytes.
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
            "Det.model_path": str(_MODEL_FOLDER / "PP-OCRv6_det_small.onnx"),
            "Rec.model_path": str(_MODEL_FOLDER / "PP-OCRv6_rec_small.onnx"),
            # Batches are padded to their longest line: 280 MB more, and no faster.
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": NATIVE_THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _enlarge_small(image: Image.Image, max_side: int) -> Image.Image:
    """Enlarge small pictures, whose letters are usually small too, up to twice their size."""
    short, long = sorted(image.size)
    factor = min(_MAX_ENLARGEMENT, _ENLARGE_BELOW / short, max_side / long)
    if factor <= 1:
        return image
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def _pad_to_grid(image: Image.Image) -> Image.Image:
    """Pad with the color of the corner, so that both sides are multiples of the network's stride."""
    width, height = (-(-(side + 2 * _MARGIN) // _GRID) * _GRID for side in image.size)
    canvas = Image.new("RGB", (width, height), image.getpixel((0, 0)))
    canvas.paste(image, (_MARGIN, _MARGIN))
    return canvas


def _bounding_box(corners: np.ndarray, image: Image.Image) -> Box:
    left, top = np.clip(corners.min(axis=0), 0, image.size)
    right, bottom = np.clip(corners.max(axis=0), 0, image.size)
    return round(left), round(top), round(right), round(bottom)


def _scale_box(box: Box, x_factor: float, y_factor: float) -> Box:
    left, top, right, bottom = box
    return round(left * x_factor), round(top * y_factor), round(right * x_factor), round(bottom * y_factor)
