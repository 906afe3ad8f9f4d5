"""Prices in the form they are applied: the rate of every unit, for short prompts and long ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from billing.exceptions import InvalidPrice
from billing.money import MAX_NANO_PER_CALL, pico_to_nano_rounded_up, usd_to_pico_rate
from billing.units import UNITS, Units
from core.money import InvalidAmount

Rates = Mapping[str, int]
"""Pico-USD by unit name."""
Tiers = Mapping[int, Rates]
"""Rates by the prompt length, in tokens, from which they apply; there is always one for 0."""


class Bound(NamedTuple):
    """What a call may use at most, as far as that is known before it is made.

    `prompt`, `output` and `spoken` are in tokens; `spoken` is the speech that the service itself makes from
    an answer. The prompt and its `images` are read once by each of the `requests`.
    """

    prompt: int = 0
    requests: int = 1
    output: int = 0
    spoken: int = 0
    images: int = 0
    seconds: int = 0
    characters: int = 0
    hears: bool = False
    speaks: bool = False


_NO_USE = Bound()


@dataclass(frozen=True)
class Tariff:
    """One price of one model. Costs are in nano-USD."""

    price_id: UUID
    model: str
    starts_at: datetime
    is_free: bool
    tiers: Tiers

    def cost(self, units: Units, requests: int = 1) -> int:
        """Return what these units cost, rounded up once, and at most `MAX_NANO_PER_CALL`.

        They are those of `requests` that read the same prompt, whose length decides the tier: a call for
        several answers is several requests where the upstream gives one at a time.
        """
        if self.is_free:
            return 0
        prompt = (units.prompt + units.cached + units.audio_in) // max(1, requests)
        rates = self._complete_tiers[max(start for start in self._complete_tiers if start <= prompt)]
        exact_pico = sum(count * rates[name] for name, count in units.counts.items() if count)
        return min(pico_to_nano_rounded_up(exact_pico), MAX_NANO_PER_CALL)

    def max_cost(self, bound: Bound) -> int:
        """Return the most that a call within the bound can cost."""
        if self.is_free or bound == _NO_USE:
            return 0
        return max(
            _max_cost(rates, bound) for start, rates in self._complete_tiers.items() if start <= bound.prompt
        )

    @cached_property
    def _complete_tiers(self) -> Tiers:
        """Every unit's rate in every tier; what a tier leaves out is the same as in the one before."""
        complete: dict[int, Rates] = {}
        stated: dict[str, int] = {}
        for start in sorted({0, *self.tiers}):
            stated = {**stated, **self.tiers.get(start, {})}
            complete[start] = {name: _rate_of(name, stated) for name in UNITS}
        return complete


def _rate_of(name: str, stated: Rates) -> int:
    if name in stated:
        return stated[name]
    fallback = UNITS[name].fallback
    return 0 if fallback is None else stated.get(fallback, 0)


def _max_cost(rates: Rates, bound: Bound) -> int:
    prompt = max(rates["prompt"], rates["cached"], rates["audio_in"] if bound.hears else 0)
    output = max(rates["completion"], rates["reasoning"], rates["audio_out"] if bound.speaks else 0)
    exact_pico = (
        bound.requests * bound.prompt * prompt
        + bound.output * output
        + bound.spoken * rates["audio_out"]
        + bound.requests * bound.images * rates["images"]
        + bound.seconds * rates["seconds"]
        + bound.characters * rates["characters"]
    )
    return min(pico_to_nano_rounded_up(exact_pico), MAX_NANO_PER_CALL)


def rates_of(amounts: Mapping[str, Decimal | str | int]) -> Rates:
    """Return the rates of a price as people write it: USD per million tokens or characters, image, or second.

    Raises `InvalidPrice`, which names the unit.
    """
    if not amounts:
        raise InvalidPrice(f'A price names a unit at least: {", ".join(UNITS)}; or it is "free".')
    rates = {}
    for name, amount in amounts.items():
        if name not in UNITS:
            raise InvalidPrice(f"There is no unit {str(name)[:40]!r}; there are: {', '.join(UNITS)}.")
        try:
            rates[name] = usd_to_pico_rate(amount, UNITS[name].per)
        except InvalidAmount as error:
            raise InvalidPrice(f"The price of {UNITS[name].label}: {error}") from None
    return rates


def tiers_of(rows: Iterable[tuple[int, str, int]]) -> Tiers:
    """Build tiers from rows of (from how many prompt tokens, unit, pico-USD)."""
    tiers: dict[int, dict[str, int]] = {}
    for start, unit, pico in rows:
        tiers.setdefault(start, {})[unit] = pico
    return tiers


def unpriced_units(output_modalities: Iterable[str], priced: Iterable[str]) -> list[str]:
    """Return the units that a model's price must name but does not: what it leaves out costs nothing."""
    needed = ["prompt", "completion", *(["audio_out"] if "audio" in output_modalities else [])]
    return [name for name in needed if name not in set(priced)]
