"""The model that finds and reads lines of text (PP-OCR by RapidOCR). Imported by job functions only.

Its networks lie in the package; their paths are told, so that nothing is ever fetched.
"""

import threading
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import rapidocr
from PIL import Image
from rapidocr.utils.output import RapidOCROutput

from media.processing.pictures.text_lines import Box, TextLine

THREADS = 2
MIN_CONFIDENCE = 0.6
DETECTION_SIDE = 1280
"""Lines are found in a copy of at most so many pixels a side, and read from the whole. Measured on letters of
12 pixels in 2048×2048: all are found still, in half the memory (555 MB)."""

_MODELS = Path(rapidocr.__file__).parent / "models"
_MARGIN = 32
"""Pixels of plain ground around the picture: text at its very edge is found better."""
_GRID = 32
_SMALL_SIDE = 400
_MOST_ENLARGED = 2.0
_SURE = 0.85
"""Mean confidence below which a picture is read upside down too."""

_lock = threading.Lock()


def recognized_lines(image: Image.Image, size: tuple[int, int], max_side: int) -> list[TextLine]:
    """Lines in no order, their boxes in pixels of a picture of `size`, of which `image` (RGB) is a copy.

    One picture at a time is read: more would only share the same threads.
    """
    image = _enlarged(image, max_side)
    lines = _lines(image)
    if lines and _mean_confidence(lines) < _SURE:
        lines = max(lines, _lines(image.transpose(Image.Transpose.ROTATE_180)), key=_mean_confidence)
    across, down = size[0] / image.width, size[1] / image.height
    return [
        TextLine(line.text, line.confidence, _scaled(line.box, across, down))
        for line in lines
        if line.confidence >= MIN_CONFIDENCE
    ]


def _lines(image: Image.Image) -> list[TextLine]:
    """Whatever is taken for a line, as sure as may be; boxes in pixels of `image`."""
    canvas = np.ascontiguousarray(np.asarray(_on_grid(image))[:, :, ::-1])
    with _lock:
        found = _model()(canvas)
    if not isinstance(found, RapidOCROutput) or found.boxes is None:
        return []
    return [
        TextLine(text.strip(), round(float(score), 3), _box(corners - _MARGIN, image))
        for corners, text, score in zip(found.boxes, found.txts or (), found.scores or (), strict=True)
        if text.strip()
    ]


def _mean_confidence(lines: list[TextLine]) -> float:
    letters = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / letters if letters else 0.0


@cache
def _model() -> rapidocr.RapidOCR:
    cv2.setNumThreads(THREADS)
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.text_score": 0.0,
            # Its classifier turns good lines upside down; whole pictures are turned instead.
            "Global.use_cls": False,
            # Sizes are settled here: RapidOCR's own can blow a narrow picture up to gigabytes.
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
            "Det.model_path": str(_MODELS / "PP-OCRv6_det_small.onnx"),
            "Rec.model_path": str(_MODELS / "PP-OCRv6_rec_small.onnx"),
            # Batches are padded to their longest line: 280 MB more, and no sooner done.
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _enlarged(image: Image.Image, max_side: int) -> Image.Image:
    """Small pictures, whose letters are mostly small too, up to twice as large."""
    short, long = sorted(image.size)
    factor = min(_MOST_ENLARGED, _SMALL_SIDE / short, max_side / long)
    if factor <= 1:
        return image
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def _on_grid(image: Image.Image) -> Image.Image:
    """On a ground of its corner's colour, both sides multiples of what the network's steps are."""
    width, height = (-(-(side + 2 * _MARGIN) // _GRID) * _GRID for side in image.size)
    canvas = Image.new("RGB", (width, height), image.getpixel((0, 0)))
    canvas.paste(image, (_MARGIN, _MARGIN))
    return canvas


def _box(corners: np.ndarray, image: Image.Image) -> Box:
    left, top = np.clip(corners.min(axis=0), 0, image.size)
    right, bottom = np.clip(corners.max(axis=0), 0, image.size)
    return round(left), round(top), round(right), round(bottom)


def _scaled(box: Box, across: float, down: float) -> Box:
    left, top, right, bottom = box
    return round(left * across), round(top * down), round(right * across), round(bottom * down)
