"""What was said in a sound, from the `recognition` workshop."""

from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
from django.conf import settings

from media.speech.recognition.jobs import transcribe
from media.speech.recognition.values import Heard, Segment, Transcribe
from media.workshop import shops


class Passage(msgspec.Struct, frozen=True):
    """Times are in seconds."""

    start: float
    end: float
    text: str


class Transcript(msgspec.Struct, frozen=True):
    text: str
    language: str | None
    seconds: float
    passages: list[Passage]


def listening(wav: Path, *, seconds: float, **wishes: object) -> AsyncGenerator[Segment | Heard, None]:
    """What is heard in a 16 kHz mono WAV, as it is heard; `wishes` are those of `Transcribe`."""
    work = Transcribe(
        path=str(wav),
        models_folder=str(settings.DATA_DIR / "models"),
        model_path=settings.CHATAPI_RECOGNITION_MODEL,
        **wishes,  # type: ignore[arg-type]
    )
    return shops.recognition.follow(transcribe, work, seconds=seconds)


async def transcribed(wav: Path, *, seconds: float) -> Transcript:
    passages: list[Passage] = []
    heard = Heard(None, 0.0)
    async for news in listening(wav, seconds=seconds):
        if isinstance(news, Heard):
            heard = news
        else:
            passages.append(Passage(round(news.start, 2), round(news.end, 2), news.text.strip()))
    text = " ".join(passage.text for passage in passages)
    return Transcript(text, heard.language, heard.duration, passages)
