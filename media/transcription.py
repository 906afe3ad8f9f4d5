"""What was said in a sound, from the `recognition` workshop."""

from collections.abc import AsyncGenerator
from pathlib import Path

from django.conf import settings

from media.processing.sandbox import pools
from media.processing.speech.recognition.job_types import Heard, Segment, Transcribe
from media.processing.speech.recognition.jobs import transcribe
from media.processing.speech.transcripts import Transcript, TranscriptWriter


def listening(
    wav: Path, *, seconds: float, alone: bool = False, **wishes: object
) -> AsyncGenerator[Segment | Heard, None]:
    """What is heard in a 16 kHz mono WAV, as it is heard; `wishes` are those of `Transcribe`."""
    work = Transcribe(
        path=str(wav),
        models_folder=str(settings.DATA_DIR / "models"),
        model_path=settings.CHATAPI_RECOGNITION_MODEL,
        **wishes,  # type: ignore[arg-type]
    )
    return pools.recognition.follow(transcribe, work, seconds=seconds, alone=alone)


def patience(sound_seconds: float) -> float:
    """Seconds that recognition may take: more than the sound lasts."""
    return 60 + 2 * sound_seconds


async def transcribed(wav: Path, *, seconds: float, alone: bool = False) -> Transcript:
    writer = TranscriptWriter()
    async for news in listening(wav, seconds=seconds, alone=alone):
        writer.add(news)
    return writer.transcript()
