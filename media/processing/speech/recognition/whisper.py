"""The speech model in memory: one, whoever asks.

Only imported by jobs, for it loads faster-whisper.
"""

import ctypes
import threading
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim

from media.processing.speech.recognition.model_files import embedded_model, own_model

THREADS = 2
"""Processor cores that a recognition uses."""

LARGE = 2**20
"""Bytes from which memory is given back as soon as it is free."""
M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""

Features = np.ndarray[Any, np.dtype[np.float32]]


class Recognizer(WhisperModel):  # type: ignore[misc]  # the package has no types
    """Does not encode the beginning of a sound a second time after having told its language by it.

    Encoding takes a second, whatever the length: for a short sound that is half of all the work.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            str(folder), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True
        )
        self.folder = folder
        self._last = threading.local()

    def detect_language(self, features: Features, **_: Any) -> tuple[str, float, list[tuple[str, float]]]:
        """Of the first 30 seconds, given a spectrum of (mels, frames): code, probability, all of them."""
        # without the last frame, as transcribing has it: only then are both spectra the same
        frames = min(self.feature_extractor.nb_max_frames, features.shape[-1] - 1)
        beginning = pad_or_trim(features[..., :frames])
        encoded = super().encode(beginning)
        self._last.beginning, self._last.encoded = beginning, encoded
        found = [(token[2:-2], chance) for token, chance in self.model.detect_language(encoded)[0]]
        return (*found[0], found)

    def encode(self, features: Features) -> Any:
        beginning, encoded = (
            self._last.__dict__.pop("beginning", None),
            self._last.__dict__.pop("encoded", None),
        )
        if beginning is not None and np.array_equal(beginning, features):
            return encoded
        return super().encode(features)

    def knows(self, language: str) -> bool:
        if not self.model.is_multilingual:
            return language == "en"
        return self.hf_tokenizer.token_to_id(f"<|{language}|>") is not None


_loading = threading.Lock()
_loaded: dict[str, Recognizer] = {}


def recogniser(models_folder: str, model_path: str | None) -> Recognizer:
    """The model, which is checked and loaded at the first call. Raises ModelUnusable."""
    place = model_path or models_folder
    with _loading:
        if place not in _loaded:
            _loaded.clear()
            _give_memory_back()
            folder = own_model(Path(model_path)) if model_path else embedded_model(Path(models_folder))
            _loaded[place] = Recognizer(folder)
        return _loaded[place]


def _give_memory_back() -> None:
    """glibc would keep the spectra of past windows: twice the memory after an hour of sound."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
