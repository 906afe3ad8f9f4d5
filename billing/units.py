"""What is billed: kinds of units that do not overlap, and how many of each were used."""

from typing import NamedTuple

import msgspec

MILLION = 10**6


class Unit(NamedTuple):
    """A kind of unit. Prices are written for `per` of them.

    A price that leaves it out bills it like `fallback`. If that is None, it is not billed: it is part of
    another unit's count, or free.
    """

    name: str
    label: str
    per: int
    fallback: str | None


UNITS = {
    unit.name: unit
    for unit in (
        Unit("prompt", "prompt tokens", MILLION, None),
        Unit("cached", "cached prompt tokens", MILLION, "prompt"),
        Unit("completion", "completion tokens", MILLION, None),
        Unit("reasoning", "reasoning tokens", MILLION, "completion"),
        Unit("audio_in", "audio tokens in", MILLION, "prompt"),
        Unit("audio_out", "audio tokens out", MILLION, None),
        Unit("images", "images", 1, None),
        Unit("seconds", "seconds recognized", 1, None),
        Unit("characters", "characters spoken", MILLION, None),
    )
}
"""A new kind of unit needs a line here, and a column in `Charge` and in the roll-ups."""

MAX_COUNT = 2**31 - 1


class Units(msgspec.Struct, frozen=True):
    """How many units of each kind were used.

    None is counted twice: `prompt` are the tokens that were neither cached nor audio, `completion` those that
    were neither reasoning nor audio.
    """

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    images: int = 0
    seconds: int = 0
    characters: int = 0

    def __post_init__(self) -> None:
        counts = msgspec.structs.astuple(self)
        if min(counts) < 0 or max(counts) > MAX_COUNT:
            wrong = next(name for name, count in self.counts.items() if not 0 <= count <= MAX_COUNT)
            raise ValueError(f"{self.counts[wrong]} {UNITS[wrong].label} cannot be billed")

    @property
    def counts(self) -> dict[str, int]:
        return dict(zip(UNIT_NAMES, msgspec.structs.astuple(self), strict=True))


UNIT_NAMES = Units.__struct_fields__
