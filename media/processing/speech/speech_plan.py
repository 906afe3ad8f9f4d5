"""The speech plan, as pure values: what SSML is parsed into, and what synthesis takes."""

from typing import Literal

import msgspec

InterpretAs = Literal[
    "characters", "cardinal", "ordinal", "digits", "fraction", "date", "time", "telephone", "currency"
]


_DATES = "mdy dmy ymd ydm md dm ym my d m y"
DATE_FORMATS = frozenset(_DATES.split())
TIME_FORMATS = frozenset({"hms12", "hms24"})


class SpeechPlanValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base class of the plan's items: immutable, and compared by content."""


class Say(SpeechPlanValue, frozen=True, tag="say"):
    """Words spoken in one manner.

    `text` is spoken; `written` is what the transcript has instead, where that differs (`sub`). `rate` is a
    factor of the voice's own; `pitch` (semitones) and `volume` (decibels) are relative to it. `phonemes`
    (IPA) are spoken instead of `text`. `language` is a BCP 47 tag, and `voice` a registered name or an alias;
    None means the request's.
    """

    text: str
    written: str | None = None
    voice: str | None = None
    language: str | None = None
    rate: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0
    is_silent: bool = False
    """`volume="silent"`: it takes up its time, but is not heard."""
    interpret_as: InterpretAs | None = None
    format: str | None = None
    """The `format` of `say-as`, such as `mdy` or `hms24`."""
    phonemes: str | None = None

    @property
    def transcript(self) -> str:
        return self.text if self.written is None else self.written


class Pause(SpeechPlanValue, frozen=True, tag="pause"):
    milliseconds: int


class Mark(SpeechPlanValue, frozen=True, tag="mark"):
    """A position whose time in the sound is wanted."""

    name: str


SpeechItem = Say | Pause | Mark
