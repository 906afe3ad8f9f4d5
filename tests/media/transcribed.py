"""Streams of recognition, put together as the service does it."""

from collections.abc import Iterable

from media.speech.recognition.values import Heard, Segment
from media.speech.transcripts import Transcript, TranscriptWriter


def transcript_of(stream: Iterable[Segment | Heard]) -> Transcript:
    writer = TranscriptWriter()
    for item in stream:
        writer.add(item)
    return writer.transcript()
