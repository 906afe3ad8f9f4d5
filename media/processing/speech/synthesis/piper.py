"""The Piper synthesizer: neural voices.

All callers share its models, each of which is checked before it is first loaded.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.packaged_files import file_digest
from media.processing.speech.language_tags import is_same_language
from media.processing.speech.synthesis.ipa import piper_phonemes
from media.processing.speech.synthesis.piper_model import PiperModel
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.voices.voice import Voice, VoiceInvalid

if TYPE_CHECKING:
    from piper.voice import PiperVoice

UNSCALED_PART = 0.25
"""The part of a sentence's length that the model's length scale does not affect. Measured."""
GAIN = 1.7
"""Models speak at half of full scale; a fixed gain keeps short and long sentences equally loud."""
MAX_PHONEMES = 150
"""The most phonemes at once, at the model's own speed: bounds the memory it takes, and keeps.

Measured: 530 MB with 300. Digits make many times more phonemes than letters.
"""

_loaded: dict[str, "PiperSynthesizer"] = {}
_loading = threading.Lock()


def piper_synthesizer(voice: Voice) -> "PiperSynthesizer":
    """Return the voice's synthesizer; a voice that is loaded never waits for one that is not."""
    if voice.source not in _loaded:
        with _loading:
            if voice.source not in _loaded:
                _loaded[voice.source] = PiperSynthesizer(*_load(voice), voice.language)
    return _loaded[voice.source]


class PiperSynthesizer:
    slowest, fastest = 0.5, 2.1
    """Beyond these, single sounds are lost, or the model mumbles."""

    def __init__(self, voice: "PiperVoice", model: PiperModel, language: str) -> None:
        self._voice = voice
        self._model = model
        self._is_english = is_same_language(language, "en")
        self._known = frozenset(voice.config.phoneme_id_map) - {"_", "^", "$"}
        self.sample_rate: int = voice.config.sample_rate

    def speak_words(self, words: str, rate: float) -> Iterator[Samples]:
        plain = words.replace("[[", " ").replace("]]", " ")
        return self._speak([sound for sentence in self._voice.phonemize(plain) for sound in sentence], rate)

    def speak_phonemes(self, ipa: str, rate: float) -> Iterator[Samples]:
        return self._speak(piper_phonemes(ipa, self._known, self._is_english), rate)

    def _speak(self, phonemes: list[str], rate: float) -> Iterator[Samples]:
        scale = (1 / rate - UNSCALED_PART) / (1 - UNSCALED_PART) * self._voice.config.length_scale
        known = [sound for sound in phonemes if sound in self._known]
        for block in _split_blocks(known, max(1, int(MAX_PHONEMES / max(1, scale)))):
            if any(map(str.isalpha, block)):
                for samples in self._model.sound(self._voice.phonemes_to_ids(block), scale):
                    yield samples * np.float32(GAIN)


def _split_blocks(phonemes: list[str], limit: int) -> Iterator[list[str]]:
    """Yield the phonemes in blocks, cut between words if there are too many for one."""
    start = 0
    while len(phonemes) - start > limit:
        spaces = [at for at in range(start, start + limit) if phonemes[at] == " "]
        end = spaces[-1] + 1 if spaces else start + limit
        yield phonemes[start:end]
        start = end
    yield phonemes[start:]


def _load(voice: Voice) -> tuple["PiperVoice", PiperModel]:
    model, config = Path(voice.source), Path(f"{voice.source}.json")
    if voice.digests is not None:
        _check_digest(voice, model, voice.digests.model)
        _check_digest(voice, config, voice.digests.config)
    try:
        return _read_files(model, config)
    except Exception as error:
        raise VoiceInvalid(f"The voice {voice.id!r} cannot be loaded: {error}") from error


def _check_digest(voice: Voice, path: Path, expected: str) -> None:
    try:
        found = file_digest(path)
    except OSError as error:
        raise VoiceInvalid(f"The voice {voice.id!r} cannot be read: {error.strerror}.") from error
    if found != expected:
        raise VoiceInvalid(
            f"The voice {voice.id!r} is not loaded: the SHA-256 of {path.name} is {found}, not {expected}."
        )


def _read_files(path: Path, settings: Path) -> tuple["PiperVoice", PiperModel]:
    from piper.config import PiperConfig
    from piper.voice import PiperVoice

    content: dict[str, Any] = json.loads(settings.read_bytes())
    config = PiperConfig.from_dict(content)
    model = PiperModel(path, config)
    for _ in model.sound([0], 1.0):  # raises now if the settings and the network disagree
        pass
    if not isinstance(config.sample_rate, int):
        raise TypeError(f"audio.sample_rate is {config.sample_rate!r}")
    return PiperVoice(config=config, session=model.encoder), model
