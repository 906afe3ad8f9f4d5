"""Transcripts: the form they are stored in, and the formats that `/v1/audio/*` returns."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal
from xml.sax.saxutils import escape

import msgspec

from media.processing.speech.recognition.job_types import RecognitionEnd, Segment
from media.processing.speech.recognition.languages import language_name

Task = Literal["transcribe", "translate"]
Granularity = Literal["segment", "word"]
SEGMENTS: tuple[Granularity, ...] = ("segment",)


class Transcript(msgspec.Struct, frozen=True):
    """The text of a sound, with its segments.

    `language` is a code, or None if nobody spoke; `duration` is the length of the sound in seconds.
    """

    text: str
    language: str | None
    duration: float
    segments: list[Segment]


class TranscriptCutShort(Exception):
    """The stream of segments ended without `RecognitionEnd`."""


class TranscriptBuilder:
    """A builder that assembles a transcript from a recognition's stream, and tells what each segment adds.

    The results of `add`, joined, are the transcript's text.
    """

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._pieces: list[str] = []
        self._end: RecognitionEnd | None = None

    def add(self, item: Segment | RecognitionEnd) -> str:
        """Add an item and return the new text, which is often empty."""
        if isinstance(item, RecognitionEnd):
            self._end = item
            return ""
        self._segments.append(item)
        # only the space between two pieces is kept, so that the text has none at either end
        piece = item.text.rstrip() if self._pieces else item.text.strip()
        if piece:
            self._pieces.append(piece)
        return piece

    def transcript(self) -> Transcript:
        """Return the transcript. Raises `TranscriptCutShort` if the stream lacks its `RecognitionEnd`."""
        if self._end is None:
            raise TranscriptCutShort
        return Transcript("".join(self._pieces), self._end.language, self._end.duration, self._segments)


def transcript_content(transcript: Transcript) -> dict[str, Any]:
    """Return what is stored of a sound's transcript; times are in seconds."""
    return {
        "text": transcript.text,
        "language": transcript.language,
        "seconds": transcript.duration,
        "passages": [
            {"start": round(segment.start, 2), "end": round(segment.end, 2), "text": segment.text.strip()}
            for segment in transcript.segments
        ],
    }


# --- whole answers --------------------------------------------------------------------------------------


def usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": round_up_seconds(transcript.duration)}


def round_up_seconds(seconds: float) -> int:
    """Round up to whole seconds, as OpenAI counts recognized sound and as it is billed."""
    return math.ceil(seconds)


def as_json(transcript: Transcript, task: Task = "transcribe") -> dict[str, Any]:
    return {"text": transcript.text} | _usage_fields(transcript, task)


def as_verbose_json(
    transcript: Transcript, task: Task = "transcribe", granularities: Collection[Granularity] = SEGMENTS
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "task": task,
        "language": "english" if task == "translate" else language_name(transcript.language),
        "duration": transcript.duration,
        "text": transcript.text,
    }
    if "segment" in granularities:
        answer["segments"] = [_segment_fields(segment) for segment in transcript.segments]
    if "word" in granularities:
        answer["words"] = [
            {"word": word.word, "start": word.start, "end": word.end}
            for segment in transcript.segments
            for word in segment.words
        ]
    return answer | _usage_fields(transcript, task)


def as_text(transcript: Transcript) -> str:
    return transcript.text + "\n"


def as_srt(transcript: Transcript) -> str:
    return "".join(
        f"{number}\n{_format_time(start, ',')} --> {_format_time(end, ',')}\n{text}\n\n"
        for number, (start, end, text) in enumerate(_cues(transcript.segments), start=1)
    )


def as_vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{_format_time(start, '.')} --> {_format_time(end, '.')}\n{escape(text)}\n\n"
        for start, end, text in _cues(transcript.segments)
    )


# --- events of a stream ---------------------------------------------------------------------------------


def delta_event(piece: str) -> dict[str, Any]:
    return {"type": "transcript.text.delta", "delta": piece}


def done_event(transcript: Transcript) -> dict[str, Any]:
    return {"type": "transcript.text.done", "text": transcript.text, "usage": usage(transcript)}


# ---------------------------------------------------------------------------------------------------------


def _usage_fields(transcript: Transcript, task: Task) -> dict[str, Any]:
    """Return the usage, unless it is a translation: OpenAI's specification gives those none."""
    return {"usage": usage(transcript)} if task == "transcribe" else {}


def _segment_fields(segment: Segment) -> dict[str, Any]:
    fields = msgspec.structs.asdict(segment)
    del fields["words"]
    return fields


def _cues(segments: Iterable[Segment]) -> Iterator[tuple[int, int, str]]:
    """Yield each cue's start and end in milliseconds, only moving forward, and its text.

    The text is on one line, because an empty line would end the cue.
    """
    now = 0
    for segment in segments:
        text = " ".join(segment.text.split())
        if text:
            start = max(now, round(segment.start * 1000))
            now = max(start, round(segment.end * 1000))
            # SubRip cannot escape an arrow
            yield start, now, text.replace("-->", "->")


def _format_time(milliseconds: int, point: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{fraction:03}"
