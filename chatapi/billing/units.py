"""What is billed: kinds of units that do not overlap, and how many of each were used."""

from dataclasses import dataclass, fields
from typing import NamedTuple

MILLION = 10**6


class Unit(NamedTuple):
    """A kind of unit. `per` is for how many of them prices are written; a price that leaves it out bills it
    like `otherwise`, and not at all where that is None: there it is part of another unit's count, or free."""

    name: str
    label: str
    per: int
    otherwise: str | None


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
        Unit("seconds", "seconds recognised", 1, None),
        Unit("characters", "characters spoken", MILLION, None),
    )
}
"""A new kind of unit is a line here and a column of `Charge` and of the roll-ups."""

MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Units:
    """How many of each kind. No unit is counted twice: `prompt` are the tokens that were neither cached nor
    sound, `completion` those that were neither reasoning nor sound."""

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
        for name in UNIT_NAMES:
            count = getattr(self, name)
            if not 0 <= count <= MOST:
                raise ValueError(f"{count} {UNITS[name].label} cannot be billed")

    @property
    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in UNIT_NAMES}


UNIT_NAMES = tuple(field.name for field in fields(Units))
