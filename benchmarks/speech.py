"""What the speech pools take for their work, and what the bare models take for the same."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.bare_models import Timing, Yardstick, yardstick
from benchmarks.findings_table import Finding
from benchmarks.first_sound import measure_first_sounds
from benchmarks.fresh_worker import fresh_worker
from benchmarks.processes import cpu_seconds, peak_megabytes
from benchmarks.sample_media import SENTENCES, VOICE, first_minutes, speech, write_recording
from media.processing.sandbox import pools
from media.processing.sound.output_formats import SPEECH_RATE
from media.processing.speech.recognition.job_types import RecognitionEnd, Transcribe, WarmRecognizer
from media.processing.speech.recognition.jobs import transcribe, warm_recognizer
from media.processing.speech.speech_plan import Say
from media.processing.speech.synthesis.job_types import Speak, WarmVoice
from media.processing.speech.synthesis.jobs import speak, warm_voice

RECORDING_SECONDS = 30
SHORT_SECONDS = 7
SECONDS = 600.0


class Plan(msgspec.Struct):
    """`sentences` are spoken in each round; `minutes` of sound are transcribed once, to measure memory."""

    rounds: int
    sentences: int
    minutes: float


def measure_speech(folder: Path, plan: Plan) -> list[Finding]:
    with yardstick("piper") as piper:
        sounds = measure_first_sounds(folder, 2 * plan.rounds, piper)
        findings = [*sounds.findings(), *_synthesis(plan, piper)]
    return [*findings, *_recognition(folder, plan)]


def _synthesis(plan: Plan, bare: Yardstick) -> list[Finding]:
    sentences = SENTENCES[: plan.sentences]
    ours, theirs = [], []
    with fresh_worker(pools.synthesis) as worker:
        loading = pools.synthesis.run_blocking(warm_voice, WarmVoice(VOICE), seconds=SECONDS)
        for _ in range(plan.rounds):
            ours.append(_taken(worker, _speak(sentences)))
            theirs.append(bare.measure(" ".join(sentences)))
        peak = peak_megabytes(worker)
    return [
        *_compared("synthesis", ours, theirs, "≤ 0.2"),
        Finding("  loading the voice, s", [loading.seconds], digits=2),
        Finding("  peak memory of its process, MB", [peak]),
    ]


async def _speak(sentences: tuple[str, ...]) -> float:
    """Speak the sentences. Return the seconds of sound."""
    work = Speak(items=[Say(f"{sentence} ") for sentence in sentences], voice=VOICE)
    pieces = pools.synthesis.stream(speak, work, seconds=SECONDS)
    return sum([len(piece.data) async for piece in pieces]) / 2 / SPEECH_RATE


def _recognition(folder: Path, plan: Plan) -> list[Finding]:
    minute = speech(60)
    recordings = {
        seconds: write_recording(folder / f"{seconds}.wav", minute[: seconds * SPEECH_RATE * 2])
        for seconds in (SHORT_SECONDS, RECORDING_SECONDS)
    }
    long = write_recording(folder / "long.wav", minute * round(plan.minutes + 0.5))
    beginning = first_minutes(folder / "beginning.wav", long, plan.minutes)
    pools.synthesis.close()
    models = str(folder / "recognition")
    findings = []
    with fresh_worker(pools.recognition) as worker:
        ready = pools.recognition.run_blocking(warm_recognizer, WarmRecognizer(models), seconds=SECONDS)
        with yardstick("whisper", ready.folder) as bare:
            for seconds, path in recordings.items():
                ours, theirs = [], []
                for _ in range(-(-plan.rounds // 2)):
                    ours.append(_taken(worker, _transcribe(path, models)))
                    theirs.append(bare.measure(str(path)))
                findings += _compared(f"recognition of {seconds} s", ours, theirs, "≤ 0.7")
        whole = _taken(worker, _transcribe(beginning, models))
        peak = peak_megabytes(worker)
    return [
        *findings,
        Finding(f"  of {plan.minutes:g} minutes", [whole.factor], digits=3),
        Finding("  loading the model, s", [ready.seconds], digits=2),
        Finding("  peak memory of its process, MB", [peak]),
    ]


async def _transcribe(path: Path, models: str) -> float:
    """Transcribe the recording. Return the seconds of sound."""
    work = Transcribe(path=str(path), models_folder=models)
    pieces = pools.recognition.stream(transcribe, work, seconds=SECONDS)
    return sum([piece.duration async for piece in pieces if isinstance(piece, RecognitionEnd)])


def _taken(worker: int, work: Coroutine[Any, Any, float]) -> Timing:
    began, cpu = time.perf_counter(), cpu_seconds(worker)
    sound = asyncio.run(work)
    whole = time.perf_counter() - began
    return Timing(whole, whole, cpu_seconds(worker) - cpu, sound)


def _compared(name: str, ours: Sequence[Timing], theirs: Sequence[Timing], aim: str) -> list[Finding]:
    factor, bare_factor = ([taken.factor for taken in side] for side in (ours, theirs))
    cpu, bare_cpu = ([taken.cpu_factor for taken in side] for side in (ours, theirs))
    return [
        Finding(f"{name}, seconds a second of sound", factor, bare_factor, aim, digits=3),
        Finding("  of all cores", cpu, bare_cpu, digits=3),
    ]
