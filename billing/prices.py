"""The price book: add prices, and find what a model costs at a given time."""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from billing.exceptions import InvalidPrice
from billing.models import Price, Rate
from billing.money import MAX_PICO
from billing.tariffs import Rates, Tariff, Tiers, tiers_of
from billing.units import UNITS
from core.ids import new_id

logger = logging.getLogger(__name__)

MAX_BACKDATING = timedelta(seconds=5)
"""How far in the past a price may begin, since clocks differ and "now" may have been written a moment ago."""
MAX_ADVANCE = timedelta(days=366)
"""How far ahead a price may begin; limited since no other can begin before it, nor can it be withdrawn."""
MAX_TIERS = 10
CACHE_SECONDS = 1.0
_TICK = timedelta(microseconds=1)

DeclaredPrices = Mapping[str, Literal["free"] | Rates]
"""What the models file says about prices, by model."""

_tariff_cache: dict[UUID, Tariff] = {}
"""Tariffs by price id. They never change."""
_TARIFF_CACHE_LIMIT = 10_000


def add_price(
    model: str, tiers: Tiers | None, *, starts_at: datetime | None = None, source: str = ""
) -> Price:
    """Add what `model` costs from `starts_at` on (or now); `tiers` None: free. Raises `InvalidPrice`."""
    now = timezone.now()
    starts_at = starts_at or now
    _check(model, tiers, starts_at, now)
    price = Price(
        id=new_id(), model=model, starts_at=starts_at, is_free=tiers is None, source=source, created_at=now
    )
    rates = [
        Rate(price=price, unit=unit, pico_usd=pico, from_prompt_tokens=start)
        for start, rates in (tiers or {}).items()
        for unit, pico in rates.items()
    ]
    try:
        with transaction.atomic():
            last = Price.objects.filter(model=model).aggregate(last=Max("starts_at"))["last"]
            if last is not None and last >= starts_at:
                raise InvalidPrice(
                    f"{model!r} has a price that begins at {last:%Y-%m-%d %H:%M:%S} UTC already; "
                    "the next one begins later."
                )
            Rate.objects.bulk_create(rates)  # before the price, which seals them
            price.save(force_insert=True)
            clear_price_cache()
            transaction.on_commit(clear_price_cache)  # again, since somebody may have read the book meanwhile
    except IntegrityError as error:  # another process added one at the same moment
        raise InvalidPrice(f"{model!r} has just been given another price.") from error
    return price


def _check(model: str, tiers: Tiers | None, starts_at: datetime, now: datetime) -> None:
    if not 0 < len(model) <= 200:
        raise InvalidPrice("A model's name has 1 to 200 characters.")
    if starts_at < now - MAX_BACKDATING:
        raise InvalidPrice("A price does not begin in the past: what was billed stays as it was.")
    if starts_at > now + MAX_ADVANCE:
        raise InvalidPrice(
            "A price begins within a year: it cannot be withdrawn, nor can one begin before it."
        )
    if tiers is None:
        return
    if not tiers.get(0):
        raise InvalidPrice(f"A price names a unit at least: {', '.join(UNITS)}; or it is free.")
    if len(tiers) > MAX_TIERS:
        raise InvalidPrice(f"A price has at most {MAX_TIERS} tiers.")
    for start, rates in tiers.items():
        if not 0 <= start < 2**31:
            raise InvalidPrice(f"A tier begins at 0 tokens or more, unlike {start}.")
        for unit, pico in rates.items():
            if unit not in UNITS:
                raise InvalidPrice(f"There is no unit {unit[:40]!r}; there are: {', '.join(UNITS)}.")
            if not 0 <= pico <= MAX_PICO:
                raise InvalidPrice(f"{pico} pico-USD for {UNITS[unit].label} is out of bounds.")


def current_tariffs(models: Collection[str], at: datetime) -> dict[str, Tariff]:
    """Return what these models cost at a given time, without those that have no price.

    This takes one query, and another if a price is met for the first time.
    """
    return _pick_tariffs(_read_starts(models), at)


def cached_current_tariffs(models: Collection[str], at: datetime) -> dict[str, Tariff]:
    """Do the same for the hot path, from what was read within the last second.

    A price that another process adds is seen that much later; one that is scheduled takes effect on time.
    """
    now = time.monotonic()
    unread = [model for model in models if _starts_cache.get(model, _NOT_CACHED).until < now]
    if unread:
        for model, starts in _read_starts(unread).items():
            _starts_cache[model] = _CachedStarts(now + CACHE_SECONDS, starts)
    return _pick_tariffs({model: _starts_cache[model].prices for model in models}, at)


def _pick_tariffs(starts: Mapping[str, Sequence[tuple[datetime, UUID]]], at: datetime) -> dict[str, Tariff]:
    found = {}
    for model, prices in starts.items():
        id = next((id for starts_at, id in prices if starts_at <= at), None)
        if id is not None:
            found[model] = id
    tariffs = tariffs_of(found.values())
    return {model: tariffs[id] for model, id in found.items() if id in tariffs}


class _CachedStarts(NamedTuple):
    """When the prices of a model begin, newest first; valid `until` a time of the monotonic clock."""

    until: float
    prices: list[tuple[datetime, UUID]]


_NOT_CACHED = _CachedStarts(-1, [])
_starts_cache: dict[str, _CachedStarts] = {}


def _read_starts(models: Collection[str]) -> dict[str, list[tuple[datetime, UUID]]]:
    starts: dict[str, list[tuple[datetime, UUID]]] = {model: [] for model in models}
    rows = Price.objects.filter(model__in=models).order_by("-starts_at")
    for model, starts_at, id in rows.values_list("model", "starts_at", "id"):
        starts[model].append((starts_at, id))
    return starts


def clear_price_cache() -> None:
    """Make the next look-up read the price book again. Call this after changing it."""
    _starts_cache.clear()


def tariffs_of(ids: Iterable[UUID]) -> dict[UUID, Tariff]:
    """Return the tariffs of these prices, without prices that do not exist."""
    wanted = set(ids)
    unknown = [id for id in wanted if id not in _tariff_cache]
    if unknown:
        if len(_tariff_cache) > _TARIFF_CACHE_LIMIT:
            _tariff_cache.clear()
        for price in Price.objects.filter(id__in=unknown).prefetch_related("rates"):
            _tariff_cache[price.id] = tariff_of(price)
    return {id: _tariff_cache[id] for id in wanted if id in _tariff_cache}


def tariff_of(price: Price) -> Tariff:
    rows = ((rate.from_prompt_tokens, rate.unit, rate.pico_usd) for rate in price.rates.all())
    return Tariff(price.id, price.model, price.starts_at, price.is_free, tiers_of(rows))


def add_declared_prices(prices: DeclaredPrices, *, source: str = "models file") -> list[Price]:
    """Make the price book match the models file: a price that differs from the model's last becomes its next.

    If one is already scheduled, which cannot be withdrawn, the new price begins right after that one.
    May run twice, or in several processes at once.
    """
    added = []
    for model, declared in prices.items():
        tiers: Tiers | None = None if declared == "free" else {0: declared}
        last = _latest_price(model)
        if last is not None and _has_tiers(last, tiers):
            continue
        scheduled = last is not None and last.starts_at > timezone.now()
        try:
            starts_at = last.starts_at + _TICK if last and scheduled else None
            added.append(add_price(model, tiers, starts_at=starts_at, source=source))
        except InvalidPrice:
            if (last := _latest_price(model)) is None or not _has_tiers(last, tiers):
                raise  # otherwise another process was faster
        if last is not None and scheduled:
            logger.warning("The price of %r in the %s waits for one of %s", model, source, last.starts_at)
    return added


def mark_free_if_unpriced(models: Iterable[str]) -> None:
    """Mark these models as free unless they are in the price book already."""
    add_declared_prices(free_if_unpriced(models), source="answers on this machine")


def free_if_unpriced(models: Iterable[str]) -> DeclaredPrices:
    """Declare these models free, but for those in the price book, even if their first price is yet to begin.

    A declared price follows the last of the book, so it would end that one as soon as it begins.
    """
    wanted = set(models)
    priced = set(Price.objects.filter(model__in=wanted).values_list("model", flat=True))
    return dict.fromkeys(sorted(wanted - priced), "free")


def _latest_price(model: str) -> Price | None:
    return Price.objects.filter(model=model).order_by("-starts_at").first()


def _has_tiers(price: Price, tiers: Tiers | None) -> bool:
    tariff = tariff_of(price)
    return tariff.is_free if tiers is None else (not tariff.is_free and tariff.tiers == tiers)
