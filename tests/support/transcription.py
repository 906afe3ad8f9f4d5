"""Assembling a recognition stream into a transcript, as the service does."""

from collections.abc import Iterable

from media.processing.speech.recognition.job_types import RecognitionEnd, Segment
from media.processing.speech.transcripts import Transcript, TranscriptBuilder


def transcript_of(stream: Iterable[Segment | RecognitionEnd]) -> Transcript:
    writer = TranscriptBuilder()
    for item in stream:
        writer.add(item)
    return writer.transcript()
