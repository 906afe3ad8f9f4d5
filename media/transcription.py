"""Transcription of sounds by the function that CHATAPI_RECOGNIZER names: by default, the sandbox pool's."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from media.processing.sandbox import pools
from media.processing.speech.recognition.job_types import RecognitionEnd, Segment, Transcribe
from media.processing.speech.recognition.jobs import transcribe
from media.processing.speech.transcripts import Transcript, TranscriptBuilder


class Recognizer(Protocol):
    """What recognizes speech, within `seconds`; `alone` asks for a process of its own."""

    def __call__(
        self, work: Transcribe, *, seconds: float, alone: bool
    ) -> AsyncGenerator[Segment | RecognitionEnd, None]: ...


def stream_transcription(
    wav: Path, *, seconds: float, alone: bool = False, **options: object
) -> AsyncGenerator[Segment | RecognitionEnd, None]:
    """Yield what is heard in a 16 kHz mono WAV, as it is heard; `options` are fields of `Transcribe`."""
    work = Transcribe(
        path=str(wav),
        models_folder=str(settings.DATA_DIR / "models"),
        model_path=settings.CHATAPI_RECOGNITION_MODEL,
        **options,  # type: ignore[arg-type]
    )
    recognizer: Recognizer = import_string(settings.CHATAPI_RECOGNIZER)
    return recognizer(work, seconds=seconds, alone=alone)


def recognize(
    work: Transcribe, *, seconds: float, alone: bool
) -> AsyncGenerator[Segment | RecognitionEnd, None]:
    return pools.recognition.stream(transcribe, work, seconds=seconds, alone=alone)


def transcription_timeout(sound_seconds: float) -> float:
    """Return the seconds that recognition may take: more than the sound lasts."""
    return 60 + 2 * sound_seconds


async def transcribe_file(wav: Path, *, seconds: float, alone: bool = False) -> Transcript:
    writer = TranscriptBuilder()
    async for item in stream_transcription(wav, seconds=seconds, alone=alone):
        writer.add(item)
    return writer.transcript()
