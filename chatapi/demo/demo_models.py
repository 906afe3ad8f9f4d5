"""The models of the demo, and what they cost."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from billing.models import Price, Rate
from billing.prices import clear_price_cache, tariff_of
from billing.tariffs import Rates, Tariff, rates_of
from chatapi.demo.rows import Milliseconds, as_milliseconds
from core.ids import new_id

MODELS: dict[str, Mapping[str, str] | None] = {
    "demo-large": {"prompt": "2.5", "cached": "1.25", "completion": "10"},
    "demo-small": {"prompt": "0.15", "cached": "0.075", "completion": "0.6"},
    "demo-reasoning": {"prompt": "1.1", "cached": "0.55", "completion": "4.4", "reasoning": "4.4"},
    "demo-voice": {"prompt": "2.5", "completion": "10", "audio_in": "40", "audio_out": "80"},
    "demo-local": None,
}
"""USD for a million tokens; None: free."""
SHARES = {"demo-large": 30, "demo-small": 45, "demo-reasoning": 12, "demo-voice": 3, "demo-local": 10}
_LATER = {"demo-small": {"prompt": "0.1", "cached": "0.05", "completion": "0.4"}}
"""Prices that changed in the middle of the time."""
_SOURCE = "seed_demo"


class PricedModels(NamedTuple):
    """Which price each model had at a time."""

    tariffs: Mapping[str, Sequence[tuple[Milliseconds, Tariff]]]
    """The newest first, each with when it began."""

    def at(self, model: str, moment: Milliseconds) -> Tariff:
        """Return the price in force, of which there is one."""
        return next(tariff for begin, tariff in self.tariffs[model] if begin <= moment)


def price_models(begin: datetime, end: datetime) -> PricedModels:
    """Put the models into the price book from a time on, unless an earlier demo did; return their prices."""
    for model, amounts in MODELS.items():
        if not Price.objects.filter(model=model).exists():
            _add(model, begin, rates_of(amounts) if amounts else None)
            if model in _LATER:
                _add(model, begin + (end - begin) / 2, rates_of(_LATER[model]))
    clear_price_cache()
    prices = Price.objects.filter(model__in=MODELS).prefetch_related("rates").order_by("-starts_at")
    found: dict[str, list[tuple[Milliseconds, Tariff]]] = {model: [] for model in MODELS}
    for price in prices:
        found[price.model].append((as_milliseconds(price.starts_at), tariff_of(price)))
    return PricedModels(found)


def _add(model: str, starts_at: datetime, rates: Rates | None) -> None:
    """Add a price that began in the past, as `billing.prices.add_price` does not: nothing was billed yet."""
    price = Price(
        id=new_id(),
        model=model,
        starts_at=starts_at - timedelta(hours=1),
        is_free=rates is None,
        source=_SOURCE,
        created_at=starts_at,
    )
    units = (rates or {}).items()
    Rate.objects.bulk_create([Rate(price=price, unit=unit, pico_usd=pico) for unit, pico in units])
    price.save(force_insert=True)
