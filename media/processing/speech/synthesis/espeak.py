"""The eSpeak NG synthesizer: every language, through its C library.

The library has one state for the whole process, hence a lock.
"""

import ctypes
import threading
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from media.processing.speech.synthesis.ipa import espeak_mnemonics
from media.processing.speech.synthesis.samples import Samples
from media.processing.speech.voices.voice import Voice, VoiceInvalid

SYNCHRONOUS = 2
DO_NOT_EXIT = 0x8000
UTF8, PHONEMES = 0x01, 0x100
"""Without PHONEMES (and eSpeak's flag for SSML, which is never set), nothing in a text is a command."""
RATE_PARAMETER = 1
BY_CHARACTER = 1
WORDS_PER_MINUTE = 175
GAIN = 0.85

Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

_lock = threading.Lock()


class EspeakLibrary:
    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate: int = self._library.espeak_Initialize(SYNCHRONOUS, 0, data, DO_NOT_EXIT)
        if self.sample_rate <= 0:
            raise VoiceInvalid("eSpeak NG does not find its data.")
        self._pieces: list[bytes] = []
        self._callback = Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: int | None) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, count * 2))
        return 0

    def speak(self, voice: str, text: bytes, words_per_minute: int, flags: int) -> bytes:
        with _lock:
            self._pieces.clear()
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise VoiceInvalid(f"eSpeak NG does not know its voice {voice!r}.")
            self._library.espeak_SetParameter(RATE_PARAMETER, words_per_minute, 0)
            self._library.espeak_Synth(text, len(text) + 1, 0, BY_CHARACTER, 0, flags, None, None)
            return b"".join(self._pieces)


@lru_cache(maxsize=1)
def _shared_library() -> EspeakLibrary:
    return EspeakLibrary()


def espeak_synthesizer(voice: Voice) -> "EspeakSynthesizer":
    with _lock:
        library = _shared_library()
    return EspeakSynthesizer(library, voice.source)


class EspeakSynthesizer:
    slowest, fastest = 0.5, 2.0
    """Beyond these, eSpeak does not do what it is told."""

    def __init__(self, library: EspeakLibrary, voice: str) -> None:
        self._library = library
        self._voice = voice
        self.sample_rate = library.sample_rate

    def speak_words(self, words: str, rate: float) -> Iterator[Samples]:
        return self._speak(words, rate, UTF8)

    def speak_phonemes(self, ipa: str, rate: float) -> Iterator[Samples]:
        if mnemonics := espeak_mnemonics(ipa):
            yield from self._speak(f"[[{mnemonics}]]", rate, UTF8 | PHONEMES)

    def _speak(self, text: str, rate: float, flags: int) -> Iterator[Samples]:
        encoded = text.replace("\0", " ").encode("utf-8", "ignore")
        pcm = self._library.speak(self._voice, encoded, round(WORDS_PER_MINUTE * rate), flags)
        yield np.frombuffer(pcm, "<i2").astype(np.float32) * np.float32(GAIN / 32768)
