"""A transcript, the form it is kept in, and those in which `/v1/audio/*` gives it out."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

import msgspec

from media.processing.speech.recognition.job_types import Heard, Segment
from media.processing.speech.recognition.languages import language_name

Task = Literal["transcribe", "translate"]
Granularity = Literal["segment", "word"]
SEGMENTS: tuple[Granularity, ...] = ("segment",)


class Transcript(msgspec.Struct, frozen=True):
    """`language` is a code, None where nobody spoke; `duration` is that of the sound, in seconds."""

    text: str
    language: str | None
    duration: float
    segments: list[Segment]


class TranscriptCutShort(Exception):
    """The stream of segments ended without `Heard`."""


class TranscriptWriter:
    """Puts a transcript together from the stream of a recognition, and tells what each segment adds.

    What `add` gave back, joined, is the transcript's text.
    """

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._pieces: list[str] = []
        self._heard: Heard | None = None

    def add(self, item: Segment | Heard) -> str:
        """The text that is new, often empty."""
        if isinstance(item, Heard):
            self._heard = item
            return ""
        self._segments.append(item)
        # space is written before what follows, so that there is none at either end
        piece = item.text.rstrip() if self._pieces else item.text.strip()
        if piece:
            self._pieces.append(piece)
        return piece

    def transcript(self) -> Transcript:
        """Raises TranscriptCutShort."""
        if self._heard is None:
            raise TranscriptCutShort
        return Transcript("".join(self._pieces), self._heard.language, self._heard.duration, self._segments)


def as_content(transcript: Transcript) -> dict[str, Any]:
    """What is kept of the transcript of a sound; times in seconds."""
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
    return {"type": "duration", "seconds": begun_seconds(transcript.duration)}


def begun_seconds(seconds: float) -> int:
    """As OpenAI counts sound that is recognised, and as it is billed."""
    return math.ceil(seconds)


def as_json(transcript: Transcript, task: Task = "transcribe") -> dict[str, Any]:
    return {"text": transcript.text} | _usage_of(transcript, task)


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
        answer["segments"] = [_segment(segment) for segment in transcript.segments]
    if "word" in granularities:
        answer["words"] = [
            {"word": word.word, "start": word.start, "end": word.end}
            for segment in transcript.segments
            for word in segment.words
        ]
    return answer | _usage_of(transcript, task)


def as_text(transcript: Transcript) -> str:
    return transcript.text + "\n"


def as_srt(transcript: Transcript) -> str:
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n\n"
        for number, (start, end, text) in enumerate(_cues(transcript.segments), start=1)
    )


def as_vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(text)}\n\n"
        for start, end, text in _cues(transcript.segments)
    )


# --- events of a stream ---------------------------------------------------------------------------------


def delta_event(piece: str) -> dict[str, Any]:
    return {"type": "transcript.text.delta", "delta": piece}


def done_event(transcript: Transcript) -> dict[str, Any]:
    return {"type": "transcript.text.done", "text": transcript.text, "usage": usage(transcript)}


# ---------------------------------------------------------------------------------------------------------


def _usage_of(transcript: Transcript, task: Task) -> dict[str, Any]:
    """A translation's answer has no usage in OpenAI's specification."""
    return {"usage": usage(transcript)} if task == "transcribe" else {}


def _segment(segment: Segment) -> dict[str, Any]:
    fields = msgspec.structs.asdict(segment)
    del fields["words"]
    return fields


def _cues(segments: Iterable[Segment]) -> Iterator[tuple[int, int, str]]:
    """Start and end in milliseconds, forward only; text in one line, for an empty line would end the cue."""
    now = 0
    for segment in segments:
        text = " ".join(segment.text.split())
        if text:
            start = max(now, round(segment.start * 1000))
            now = max(start, round(segment.end * 1000))
            # SubRip has no escape for it
            yield start, now, text.replace("-->", "->")


def _clock(milliseconds: int, point: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{fraction:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
