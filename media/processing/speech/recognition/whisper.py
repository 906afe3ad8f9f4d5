"""The speech model in memory: a single one for all callers.

Imported only by jobs, because it loads faster-whisper.
"""

import ctypes
import threading
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim

from media.processing.native_threads import NATIVE_THREADS
from media.processing.speech.recognition.model_files import embedded_model, own_model

MMAP_THRESHOLD = 2**20
"""Allocations of at least this many bytes are given back as soon as they are free."""
M_MMAP_THRESHOLD = -3
"""From glibc's malloc.h."""

Features = np.ndarray[Any, np.dtype[np.float32]]


class Recognizer(WhisperModel):  # type: ignore[misc]  # the package has no types
    """A model that does not encode the beginning of a sound again after detecting its language from it.

    Encoding takes a second, whatever the length: for a short sound that is half of all the work.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            str(folder), device="cpu", compute_type="int8", cpu_threads=NATIVE_THREADS, local_files_only=True
        )
        self.folder = folder
        self._last = threading.local()

    def detect_language(self, features: Features, **_: Any) -> tuple[str, float, list[tuple[str, float]]]:
        """Return the most likely language, its probability, and those of all languages.

        Looks at the first 30 seconds of a spectrum of (mels, frames).
        """
        # without the last frame, as in transcription: only then are both spectra the same
        frames = min(self.feature_extractor.nb_max_frames, features.shape[-1] - 1)
        beginning = pad_or_trim(features[..., :frames])
        encoded = super().encode(beginning)
        self._last.beginning, self._last.encoded = beginning, encoded
        found = [(token[2:-2], probability) for token, probability in self.model.detect_language(encoded)[0]]
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


def load_recognizer(models_folder: str, model_path: str | None) -> Recognizer:
    """Return the model, which is checked and loaded at the first call. Raises `ModelUnusable`."""
    location = model_path or models_folder
    with _loading:
        if location not in _loaded:
            _loaded.clear()
            _return_freed_memory()
            folder = own_model(Path(model_path)) if model_path else embedded_model(Path(models_folder))
            _loaded[location] = Recognizer(folder)
        return _loaded[location]


def _return_freed_memory() -> None:
    """Make glibc give back the memory of past windows' spectra.

    It would keep it: twice the memory after an hour of sound.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
