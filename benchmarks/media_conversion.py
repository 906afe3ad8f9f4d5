"""The time and memory that the file pool takes for sounds and pictures."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.findings_table import Finding
from benchmarks.fresh_worker import fresh_worker
from benchmarks.processes import peak_megabytes
from benchmarks.sample_media import KINDS, speech, write_long_mp3, write_picture, write_sound
from media.processing.pictures.inspection import InspectPicture, inspect_picture
from media.processing.pictures.rendering import RenderPicture, render_picture
from media.processing.sandbox import pools
from media.processing.sandbox.pool import SandboxPool
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sound.inspection import InspectSound, inspect_sound
from media.processing.sound.output_formats import FORMATS
from media.processing.sound.transcoding import Transcode, transcode_sound
from media.processing.sound.waveform_peaks import SoundPeaks, sound_peaks

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

SECONDS = 600.0
OUTPUT_FORMATS = tuple(name for name in FORMATS if name != "pcm")


class Plan(msgspec.Struct):
    """What to measure: conversions of `seconds` of speech, and of an MP3 of `minutes`."""

    rounds: int
    seconds: int
    minutes: int


def measure_conversions(folder: Path, plan: Plan) -> list[Finding]:
    pcm = speech(60)
    pools.synthesis.close()
    return [
        *_long_mp3(write_long_mp3(folder / "long.mp3", pcm, plan.minutes), plan),
        *_sounds(folder, pcm, plan),
        *_pictures(write_picture(folder / "picture.jpg"), plan),
    ]


def _long_mp3(path: Path, plan: Plan) -> list[Finding]:
    """Measure a long MP3 in a fresh worker process, so that its peak memory is this work's own."""
    files = SandboxPool(PoolConfig(name="files", threads=pools.FILES_THREADS, memory=pools.FILES_MEMORY))
    made = str(path.with_suffix(".wav"))
    with fresh_worker(files) as worker:
        idle = peak_megabytes(worker)
        inspected = _timed(files, inspect_sound, InspectSound(str(path)))
        transcoded = _timed(files, transcode_sound, Transcode(str(path), made, "wav"))
        peak = peak_megabytes(worker)
        drawn = _timed(files, sound_peaks, SoundPeaks(str(path)))
        peak_drawn = peak_megabytes(worker)
    return [
        Finding(f"MP3 of {plan.minutes} minutes to wav: peak memory of the process, MB", [peak], aim="≤ 300"),
        Finding("  before any work, MB", [idle]),
        Finding("  with its waveform after that, MB", [peak_drawn], aim="≤ 300"),
        Finding("  times real time", [plan.minutes * 60 / transcoded]),
        Finding("  inspection, s", [inspected], digits=2),
        Finding("  waveform, s", [drawn], digits=2),
    ]


def _sounds(folder: Path, pcm: bytes, plan: Plan) -> list[Finding]:
    material = (pcm * (plan.seconds // 60 + 1))[: plan.seconds * 48_000]
    taken = {kind: write_sound(folder / f"sent.{kind}", material, kind) for kind in (*KINDS, "pcm16")}
    jobs = {f"{kind} to wav": (path, kind, "wav") for kind, path in taken.items()}
    jobs |= {
        f"wav to {format}": (taken["wav"], "wav", format) for format in OUTPUT_FORMATS if format != "wav"
    }
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(plan.rounds + 1):
        for name, (path, kind, format) in jobs.items():
            work = Transcode(str(path), str(folder / f"made.{format}"), format, claimed=kind)
            seconds = _timed(pools.files, transcode_sound, work)
            if number:  # the first round has to load FFmpeg
                rates[name].append(plan.seconds / seconds)
    return [Finding(f"{name}, times real time", values) for name, values in rates.items()]


def _pictures(path: Path, plan: Plan) -> list[Finding]:
    thumbnail = str(path.with_suffix(".webp"))
    model = RenderPicture(str(path), str(path.with_suffix(".out")))
    small = RenderPicture(str(path), thumbnail, purpose="thumbnail")
    jobs: dict[str, Callable[[], float]] = {
        "inspection": partial(_timed, pools.files, inspect_picture, InspectPicture(str(path))),
        "rendering for a model": partial(_timed, pools.files, render_picture, model),
        "thumbnail": partial(_timed, pools.files, render_picture, small),
    }
    for job in jobs.values():
        job()
    return [
        Finding(f"JPEG of 12 megapixels: {name}, s", [job() for _ in range(plan.rounds)], digits=3)
        for name, job in jobs.items()
    ]


def _timed(target: SandboxPool, job: Callable[[A], R], work: A) -> float:
    began = time.perf_counter()
    target.run_blocking(job, work, seconds=SECONDS)
    return time.perf_counter() - began
