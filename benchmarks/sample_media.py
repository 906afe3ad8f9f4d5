"""Sounds and pictures to work on, created anew for each run."""

import asyncio
import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from PIL import Image

from media.processing.sandbox import pools
from media.processing.sound.output_formats import RECOGNITION_RATE, SPEECH_RATE
from media.processing.speech.speech_plan import Say
from media.processing.speech.synthesis.job_types import Speak
from media.processing.speech.synthesis.jobs import speak

VOICE = "joe"
SENTENCES = (
    "The old ferry leaves the harbour before the sun rises.",
    "My sister keeps seven brown hens behind her small house.",
    "We walked along the river until the rain finally stopped.",
    "Nobody remembers who planted the tall trees beside our school.",
    "Her train was late because snow had covered the line.",
    "Please put the blue cups back onto the highest shelf.",
    "A good map shows where the road ends and begins.",
    "They sold fresh bread and honey at the market yesterday.",
    "The doctor told him to rest for a whole week.",
    "Every winter the lake freezes and children skate across it.",
)
"""Sentences of ten words each."""

PHONE_RATE = 48_000
"""The rate in Hz at which browsers and phones record."""
KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "aac": ("adts", "aac"),
}
"""Muxer and encoder of each kind that is sent. pcm16 is not listed: the others are made from it."""
LONG_BIT_RATE = 48_000
"""Bits per second: an hour is 21.6 MB, below the size limit."""
PICTURE_SIZE = (4000, 3000)


def speech(seconds: float) -> bytes:
    """The sentences, spoken over and over: 24 kHz mono PCM16."""
    once = asyncio.run(_spoken(SENTENCES))
    size = round(seconds * SPEECH_RATE) * 2
    return (once * (size // len(once) + 1))[:size]


async def _spoken(sentences: Sequence[str]) -> bytes:
    work = Speak(items=[Say(f"{sentence} ") for sentence in sentences], voice=VOICE)
    return b"".join([piece.data async for piece in pools.synthesis.stream(speak, work, seconds=120)])


def write_sound(path: Path, pcm: bytes, kind: str) -> Path:
    """Write the PCM as a file of one of the `KINDS`, as a phone would, or as pcm16."""
    if kind == "pcm16":
        path.write_bytes(pcm)
    else:
        muxer, encoder = KINDS[kind]
        with path.open("wb") as file:
            _encode(file, pcm, muxer, encoder, PHONE_RATE, 64_000, {})
    return path


def write_recording(path: Path, pcm: bytes) -> Path:
    """Write a WAV as recognition takes it."""
    _write_wav(path, _resampled(pcm, RECOGNITION_RATE))
    return path


def first_minutes(path: Path, of: Path, minutes: float) -> Path:
    """Write the beginning of the WAV `of`."""
    with wave.open(str(of)) as whole:
        _write_wav(path, whole.readframes(round(minutes * 60 * RECOGNITION_RATE)))
    return path


def write_long_mp3(path: Path, minute: bytes, minutes: int) -> Path:
    """Write the same minute over and over: MP3 frames are joined by concatenating them."""
    block = io.BytesIO()
    options = {"write_xing": "0", "id3v2_version": "0"}
    _encode(block, minute, "mp3", "libmp3lame", 44_100, LONG_BIT_RATE, options)
    with path.open("wb") as file:
        for _ in range(minutes):
            file.write(block.getvalue())
    return path


def write_picture(path: Path) -> Path:
    """Write a JPEG of 12 megapixels with as much detail as a photograph: 4 MB."""
    width, height = PICTURE_SIZE
    rng = np.random.default_rng(seed=1)
    coarse = rng.integers(0, 255, (height // 50, width // 50, 3), np.uint8)
    image = Image.fromarray(coarse).resize(PICTURE_SIZE, Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 1))
    Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8)).save(path, "JPEG", quality=90)
    return path


def _write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RECOGNITION_RATE, 0, "NONE", ""))
        file.writeframes(pcm)


def _frame(pcm: bytes) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), "s16", "mono")
    frame.sample_rate = SPEECH_RATE
    return frame


def _resampled(pcm: bytes, rate: int) -> bytes:
    resampler = AudioResampler("s16", "mono", rate)
    frames = [*resampler.resample(_frame(pcm)), *resampler.resample(None)]
    return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def _encode(
    sink: io.BufferedIOBase,
    pcm: bytes,
    muxer: str,
    encoder: str,
    rate: int,
    bit_rate: int,
    options: dict[str, str],
) -> None:
    with av.open(sink, "w", format=muxer, container_options=options) as container:
        stream = cast("AudioStream", container.add_stream(encoder, rate=rate, layout="mono"))
        stream.bit_rate = bit_rate
        container.mux(stream.encode(_frame(pcm)))
        container.mux(stream.encode(None))
