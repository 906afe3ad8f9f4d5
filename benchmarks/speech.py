"""What the speech workshops take for their work, and what the bare models take for the same."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from media.sound.formats import SPEECH_RATE
from media.speech.plan import Say
from media.speech.recognition.jobs import transcribe, warm_recogniser
from media.speech.recognition.values import Heard, Transcribe, WarmRecogniser
from media.speech.synthesis.jobs import speak, warm_voice
from media.speech.synthesis.values import Speak, WarmVoice
from media.workshop import Workshop, shops

from .findings import Finding
from .first_sound import measure_first_sounds
from .material import SENTENCES, VOICE, first_minutes, speech, write_recording
from .processes import children, peak_megabytes
from .yardsticks import Yardstick, yardstick

RECORDING_SECONDS = 30
SHORT_SECONDS = 7
SECONDS = 600.0


class Plan(msgspec.Struct):
    """`sentences` are spoken in each round; `minutes` of sound are heard once, for the memory it takes."""

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
    with own_child(shops.synthesis) as child:
        loading = shops.synthesis.ask_blocking(warm_voice, WarmVoice(VOICE), seconds=SECONDS)
        ours, theirs = [], []
        for _ in range(plan.rounds):
            ours.append(asyncio.run(_spoken_factor(sentences)))
            theirs.append(bare.measure(" ".join(sentences)).factor)
        peak = peak_megabytes(child)
    return [
        Finding("synthesis, seconds a second of sound", ours, theirs, "≤ 0.2", 3),
        Finding("  loading the voice, s", [loading.seconds], digits=2),
        Finding("  peak memory of its process, MB", [peak]),
    ]


async def _spoken_factor(sentences: tuple[str, ...]) -> float:
    work = Speak(items=[Say(f"{sentence} ") for sentence in sentences], voice=VOICE)
    began, size = time.perf_counter(), 0
    async for piece in shops.synthesis.follow(speak, work, seconds=SECONDS):
        size += len(piece.data)
    return (time.perf_counter() - began) / (size / 2 / SPEECH_RATE)


def _recognition(folder: Path, plan: Plan) -> list[Finding]:
    minute = speech(60)
    recordings = {
        seconds: write_recording(folder / f"{seconds}.wav", minute[: seconds * SPEECH_RATE * 2])
        for seconds in (SHORT_SECONDS, RECORDING_SECONDS)
    }
    shops.synthesis.close()
    models = str(folder / "recognition")
    findings = []
    with own_child(shops.recognition) as child:
        ready = shops.recognition.ask_blocking(warm_recogniser, WarmRecogniser(models), seconds=SECONDS)
        with yardstick("whisper", ready.folder) as bare:
            for seconds, path in recordings.items():
                ours, theirs = _heard_in_turn(path, models, -(-plan.rounds // 2), bare)
                name = f"recognition of {seconds} s, seconds a second of sound"
                findings.append(Finding(name, ours, theirs, "≤ 0.7", 3))
        long = write_recording(folder / "long.wav", minute * round(plan.minutes + 0.5))
        factor = asyncio.run(
            _heard_factor(first_minutes(folder / "beginning.wav", long, plan.minutes), models)
        )
        peak = peak_megabytes(child)
    return [
        *findings,
        Finding(f"  of {plan.minutes:g} minutes", [factor], digits=3),
        Finding("  loading the model, s", [ready.seconds], digits=2),
        Finding("  peak memory of its process, MB", [peak]),
    ]


def _heard_in_turn(path: Path, models: str, rounds: int, bare: Yardstick) -> tuple[list[float], list[float]]:
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(asyncio.run(_heard_factor(path, models)))
        theirs.append(bare.measure(str(path)).factor)
    return ours, theirs


async def _heard_factor(path: Path, models: str) -> float:
    work = Transcribe(path=str(path), models_folder=models)
    began, duration = time.perf_counter(), 0.0
    async for piece in shops.recognition.follow(transcribe, work, seconds=SECONDS):
        if isinstance(piece, Heard):
            duration = piece.duration
    return (time.perf_counter() - began) / duration


@contextmanager
def own_child(workshop: Workshop) -> Iterator[int]:
    """The process id of its one child, which is new, and ends with this."""
    workshop.close()
    before = children()
    asyncio.run(workshop.warm())
    (child,) = children() - before
    try:
        yield child
    finally:
        workshop.close()
