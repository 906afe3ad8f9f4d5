"""A price as it is used: the rate of every unit, for short prompts and long ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from billing.exceptions import InvalidPrice
from billing.money import MOST_A_CALL, InvalidAmount, nano_rounded_up, pico_of
from billing.units import UNITS, Units

Rates = Mapping[str, int]
"""Pico-USD by the names of units."""
Tiers = Mapping[int, Rates]
"""Rates by the length, in tokens, from which on a prompt has them; there is one of 0."""


class Bound(NamedTuple):
    """What a call may use at most, as far as that can be known before it is made. Tokens; `spoken` are
    those of the sound that the service makes of an answer itself."""

    prompt: int = 0
    output: int = 0
    spoken: int = 0
    images: int = 0
    seconds: int = 0
    characters: int = 0
    hears: bool = False
    speaks: bool = False


_FREE = Bound()


@dataclass(frozen=True)
class Tariff:
    """One price of one model. Costs are in nano-USD."""

    price_id: UUID
    model: str
    starts_at: datetime
    is_free: bool
    tiers: Tiers

    def cost(self, units: Units) -> int:
        """What so much use costs, rounded up once; MOST_A_CALL at most."""
        if self.is_free:
            return 0
        whole_prompt = units.prompt + units.cached + units.audio_in
        rates = self._complete[max(start for start in self._complete if start <= whole_prompt)]
        exactly = sum(count * rates[name] for name, count in units.counts.items() if count)
        return min(nano_rounded_up(exactly), MOST_A_CALL)

    def most(self, bound: Bound) -> int:
        """What a call within the bound costs at most."""
        if self.is_free or bound == _FREE:
            return 0
        return max(_most(rates, bound) for start, rates in self._complete.items() if start <= bound.prompt)

    @cached_property
    def _complete(self) -> Tiers:
        """Every unit's rate in every tier: what a tier leaves out is as in the one before."""
        complete: dict[int, Rates] = {}
        stated: dict[str, int] = {}
        for start in sorted({0, *self.tiers}):
            stated = {**stated, **self.tiers.get(start, {})}
            complete[start] = {name: _rate_of(name, stated) for name in UNITS}
        return complete


def _rate_of(name: str, stated: Rates) -> int:
    if name in stated:
        return stated[name]
    otherwise = UNITS[name].otherwise
    return 0 if otherwise is None else stated.get(otherwise, 0)


def _most(rates: Rates, bound: Bound) -> int:
    prompt = max(rates["prompt"], rates["cached"], rates["audio_in"] if bound.hears else 0)
    output = max(rates["completion"], rates["reasoning"], rates["audio_out"] if bound.speaks else 0)
    exactly = (
        bound.prompt * prompt
        + bound.output * output
        + bound.spoken * rates["audio_out"]
        + bound.images * rates["images"]
        + bound.seconds * rates["seconds"]
        + bound.characters * rates["characters"]
    )
    return min(nano_rounded_up(exactly), MOST_A_CALL)


def rates_of(written: Mapping[str, Decimal | str | int]) -> Rates:
    """The rates of a price as people write it: USD for a million tokens or characters, for an image, for a
    second. Raises `InvalidPrice` that names the unit."""
    if not written:
        raise InvalidPrice(f'A price names a unit at least: {", ".join(UNITS)}; or it is "free".')
    rates = {}
    for name, amount in written.items():
        if name not in UNITS:
            raise InvalidPrice(f"There is no unit {str(name)[:40]!r}; there are: {', '.join(UNITS)}.")
        try:
            rates[name] = pico_of(amount, UNITS[name].per)
        except InvalidAmount as problem:
            raise InvalidPrice(f"The price of {UNITS[name].label}: {problem}") from None
    return rates


def tiers_of(rows: Iterable[tuple[int, str, int]]) -> Tiers:
    """Of rows of (from how many prompt tokens, unit, pico-USD)."""
    tiers: dict[int, dict[str, int]] = {}
    for start, unit, pico in rows:
        tiers.setdefault(start, {})[unit] = pico
    return tiers


def unpriced_units(output_modalities: Iterable[str], priced: Iterable[str]) -> list[str]:
    """Units that a model's price must name and does not: whatever it leaves out costs nothing."""
    needed = ["prompt", "completion", *(["audio_out"] if "audio" in output_modalities else [])]
    return [name for name in needed if name not in set(priced)]
