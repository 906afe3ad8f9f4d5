"""Prices from the installed `genai-prices` package; no network is used.

A price is imported exactly or not at all. A price with a kind of fee that this service does not count is
refused, unless calls of the model here can never incur that fee, or the operator leaves it out on purpose.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from django.db import transaction
from django.utils import timezone
from genai_prices import __version__
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from billing.exceptions import InvalidPrice
from billing.models import Price
from billing.money import usd_to_pico_rate
from billing.prices import add_price, tariff_of
from billing.tariffs import Tiers
from billing.units import UNITS
from core.money import InvalidAmount

SOURCE = "genai-prices"

UNIT_OF = {
    "input_mtok": "prompt",
    "cache_read_mtok": "cached",
    "input_audio_mtok": "audio_in",
    "output_mtok": "completion",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_out",
}
"""Our unit for each of the package's kinds that is counted here. Both sides write USD per million."""

Rate = Decimal | TieredPrices


@dataclass(frozen=True, slots=True)
class PriceLookup:
    """One of our models, and how to find it in the package: by name (`reference`), at a provider.

    The provider is named, found by its address, or else the one whose models have such names.
    """

    model: str
    reference: str
    provider_id: str | None = None
    base_url: str | None = None
    hears: bool = False
    sees: bool = False
    speaks: bool = False


@dataclass(frozen=True, slots=True)
class PackagePrice:
    """The package's price of a model: `versions` that begin now (None) or later.

    `remarks` name what a provider charges for and nobody is billed for here.
    """

    name: str
    versions: Sequence[tuple[datetime | None, Tiers]]
    remarks: Sequence[str]

    @property
    def source(self) -> str:
        return f"{SOURCE} {__version__} {self.name}"[:200]


# --- reading the package --------------------------------------------------------------------------


def find_package_price(lookup: PriceLookup, now: datetime, left_out: Collection[str] = ()) -> PackagePrice:
    """Return the package's price of a model. Raises `InvalidPrice`, which says why there is none.

    `left_out` are kinds of units, by the package's names.
    """
    provider, model, remarks = _find_in_package(lookup)
    name = f"{provider.id}/{model.id}"
    versions: list[tuple[datetime | None, Tiers]] = []
    for starts_at in (None, *_later_starts(model, now)):
        price = model.get_prices(starts_at or now)
        try:
            tiers = _tiers_of(price, model, lookup, left_out)
        except InvalidPrice as error:
            raise InvalidPrice(f"{name}: {error}") from None
        if not versions or versions[-1][1] != tiers:
            versions.append((starts_at, tiers))
        remarks += [remark for remark in _remarks_on(price, left_out) if remark not in remarks]
    return PackagePrice(name, versions, [*remarks, *_other_rates(model)])


def _find_in_package(lookup: PriceLookup) -> tuple[Provider, ModelInfo, list[str]]:
    snapshot = get_snapshot()
    attempts: list[tuple[str | None, str | None]] = [(lookup.provider_id, None)]
    if lookup.provider_id is None and lookup.base_url:
        attempts.insert(0, (None, lookup.base_url))
    for provider_id, address in attempts:
        try:
            provider = snapshot.find_provider(lookup.reference.lower(), provider_id, address)
        except LookupError:
            continue
        model = provider.find_model(lookup.reference, all_providers=snapshot.providers)
        if model is None:  # another provider's price of the same model is not its price
            raise InvalidPrice(f"{provider.name} has no model {lookup.reference!r} in {SOURCE}.")
        by_name = not provider_id and not address and lookup.base_url
        note = f"{lookup.base_url} is no provider's address: found at {provider.name} by the model's name."
        return provider, model, [note] if by_name else []
    if lookup.provider_id is not None:
        raise InvalidPrice(f"There is no provider {lookup.provider_id!r} in {SOURCE}.")
    raise InvalidPrice(
        f"No provider of {SOURCE} is known by the address {lookup.base_url} or the name "
        f"{lookup.reference!r}. Say which model it is: MODEL=PROVIDER/NAME."
    )


def _later_starts(model: ModelInfo, now: datetime) -> list[datetime]:
    """Return when the model's price changes. Raises `InvalidPrice` if that happens every day."""
    if isinstance(model.prices, ModelPrice):
        return []
    starts = set()
    for price in model.prices:
        if isinstance(price.constraint, TimeOfDateConstraint):
            raise InvalidPrice(
                f"{model.id} has other prices at other times of the day, which are not kept here."
            )
        if isinstance(price.constraint, StartDateConstraint):
            starts.add(datetime.combine(price.constraint.start_date, time(), UTC))
    return sorted(start for start in starts if start > now)


def _tiers_of(price: ModelPrice, model: ModelInfo, lookup: PriceLookup, left_out: Collection[str]) -> Tiers:
    stated: dict[str, Rate] = {key: rate for key, rate in vars(price).items() if rate is not None}
    for key in ("input_mtok", "output_mtok"):
        if key not in stated:
            raise InvalidPrice(f"it has no {key}. If it is free, write that into the models file.")
    for key in sorted(stated.keys() - UNIT_OF.keys() - set(left_out)):
        if reason := _reason_to_refuse(key, stated, model, lookup):
            raise InvalidPrice(f"{reason} --leave-out {key} imports the price without.")
    counted = {UNIT_OF[key]: rate for key, rate in stated.items() if key in UNIT_OF}
    if lookup.speaks:  # here, audio without a rate of its own is not billed as text, so state that rate
        counted.setdefault("audio_out", counted["completion"])
    tiers: dict[int, dict[str, int]] = {}
    for unit, rate in counted.items():
        for start, usd in _steps(rate):
            tiers.setdefault(start, {})[unit] = _pico_rate(unit, usd)
    return tiers


def _steps(rate: Rate) -> Iterator[tuple[int, Decimal]]:
    """Yield each rate with the number of prompt tokens from which it applies.

    The package's tiers begin above their start, ours at it.
    """
    if isinstance(rate, Decimal):
        yield 0, rate
        return
    yield 0, rate.base
    for tier in rate.tiers:
        yield tier.start + 1, tier.price


def _pico_rate(unit: str, usd: Decimal) -> int:
    try:
        return usd_to_pico_rate(usd, UNITS[unit].per)
    except InvalidAmount as error:
        raise InvalidPrice(f"{UNITS[unit].label}: {error}") from None


# --- what the package prices and we do not count --------------------------------------------------

_BILLED_AS = {
    "cache_write_mtok": "input_mtok",
    "cache_audio_read_mtok": "cache_read_mtok",
    "cache_image_read_mtok": "cache_read_mtok",
    "input_image_mtok": "input_mtok",
    "output_image_mtok": "output_mtok",
    "output_video_mtok": "output_mtok",
    "output_citation_mtok": "output_mtok",
}
"""What these tokens are billed as here, which is harmless if they cost the same."""

_NEVER_INCURRED: frozenset[str] = frozenset(
    {
        "cache_write_5m_mtok",
        "cache_write_1h_mtok",
        "input_video_mtok",
        "cache_video_read_mtok",
        "input_document_kpages",
        "input_annotated_document_kpages",
        "storage_searches_kcount",
        "social_searches_kcount",
        "code_executions_kcount",
        "rerank_searches_kcount",
    }
)
"""Fees that our requests never incur: they use no cache of a chosen age, no video, and none of a provider's
own tools except web searches."""

_EXPLICIT_CACHING = "claude"
"""Models that cache only what is marked for it; our requests mark nothing."""

_REQUESTED_BY_CLIENTS = {"web_searches_kcount": "web searches, which clients ask for by `web_search_options`"}

_ONLY_IF: Mapping[str, Sequence[str]] = {
    "cache_audio_read_mtok": ("hears",),
    "audio_hours": ("hears", "speaks"),
    "input_audio_hours": ("hears",),
    "output_audio_hours": ("speaks",),
    "input_image_mtok": ("sees",),
    "cache_image_read_mtok": ("sees",),
}


def _reason_to_refuse(
    key: str, stated: Mapping[str, Rate], model: ModelInfo, lookup: PriceLookup
) -> str | None:
    """Return why the price would be inexact without this kind, or None if it would be exact."""
    if key == "cache_write_mtok" and _EXPLICIT_CACHING in model.id:
        return None
    if key in _NEVER_INCURRED or key in _REQUESTED_BY_CLIENTS:
        return None
    if key in _ONLY_IF and not any(getattr(lookup, sense) for sense in _ONLY_IF[key]):
        return None
    billed_as = stated.get(_BILLED_AS.get(key, ""))
    if stated[key] == (billed_as or 0):
        return None
    if key == "cache_write_mtok":
        return "tokens written to a cache cost extra, and the usage that comes here does not tell of them."
    if key == "requests_kcount":
        return "each request costs extra, which is no unit here."
    return f"it prices {key}, which is no unit here."


def _remarks_on(price: ModelPrice, left_out: Collection[str]) -> Iterator[str]:
    for key, what in _REQUESTED_BY_CLIENTS.items():
        if vars(price).get(key):
            yield f"Billed to nobody here: {what}."
    for key in left_out:
        if vars(price).get(key):
            yield f"Left out, and billed to nobody here: {key}."


def _other_rates(model: ModelInfo) -> Iterator[str]:
    """Remark on other rates that are billed at the standard ones here.

    Batches do not concern chat completions, and the default tier is the standard one.
    """
    whens = {
        f"{key}={value}" for variant in model.price_variants or () for key, value in variant.when.items()
    }
    others = sorted(whens - {"processing=batch", "service_tier=default"})
    if others:
        yield f"Billed at the standard rates here: {', '.join(others)}."


# --- the price book -------------------------------------------------------------------------------


def missing_versions(
    model: str, offer: PackagePrice, now: datetime, *, replace: bool
) -> Sequence[tuple[datetime | None, Tiers]]:
    """Return the versions of an offer that the price book lacks.

    Raises `InvalidPrice` if another price is in the way: one that begins later or, without `replace`, one
    that was not imported.
    """
    prices = list(Price.objects.filter(model=model).order_by("starts_at").prefetch_related("rates"))
    missing: list[tuple[datetime | None, Tiers]] = []
    for starts_at, tiers in offer.versions:
        before = [price for price in prices if price.starts_at <= (starts_at or now)]
        in_force = missing[-1][1] if missing else _tiers_in_force(before)
        if in_force == tiers:
            continue
        if before and not replace and not before[-1].source.startswith(SOURCE):
            raise InvalidPrice(
                f"it has a price already (source: {before[-1].source or 'unknown'}). Name the model to "
                "replace it."
            )
        if later := [price for price in prices if price.starts_at > (starts_at or now)]:
            raise InvalidPrice(
                f"a price is in the book that begins at {later[0].starts_at:%Y-%m-%d %H:%M} UTC."
            )
        missing.append((starts_at, tiers))
    return missing


def _tiers_in_force(prices: Sequence[Price]) -> Tiers | None:
    if not prices or prices[-1].is_free:
        return None
    return tariff_of(prices[-1]).tiers


def import_missing_versions(
    model: str, offer: PackagePrice, *, replace: bool, now: datetime | None = None
) -> int:
    """Add the versions that the price book lacks, all or none, and return how many. Raises `InvalidPrice`."""
    with transaction.atomic():
        missing = missing_versions(model, offer, now or timezone.now(), replace=replace)
        for starts_at, tiers in missing:
            add_price(model, tiers, starts_at=starts_at, source=offer.source)
    return len(missing)
