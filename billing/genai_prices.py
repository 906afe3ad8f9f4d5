"""Prices from the `genai-prices` package, as it is installed: nothing is asked of any network.

A price is taken over exactly or not at all. What the package prices and this service does not count is
refused, unless calls of a model here can never lead to it, or the operator leaves it out on purpose.
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
from billing.money import InvalidAmount, pico_of
from billing.prices import add_price, tariff_of
from billing.tariffs import Tiers
from billing.units import UNITS

SOURCE = "genai-prices"

UNIT_OF = {
    "input_mtok": "prompt",
    "cache_read_mtok": "cached",
    "input_audio_mtok": "audio_in",
    "output_mtok": "completion",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_out",
}
"""The package's kinds of units that are counted here. Both write USD for a million."""

Rate = Decimal | TieredPrices


@dataclass(frozen=True, slots=True)
class PriceLookup:
    """A model of ours, and how the package may know it: by a name, at a provider that is named or known by
    its address, or else at the one whose models have such names."""

    model: str
    reference: str
    provider_id: str | None = None
    base_url: str | None = None
    hears: bool = False
    sees: bool = False
    speaks: bool = False


@dataclass(frozen=True, slots=True)
class PackagePrice:
    """What the package says of a model: `versions` from now (None) or a later moment on. `remarks` are what
    a provider charges for that is billed to nobody here."""

    name: str
    versions: Sequence[tuple[datetime | None, Tiers]]
    remarks: Sequence[str]

    @property
    def source(self) -> str:
        return f"{SOURCE} {__version__} {self.name}"[:200]


# --- what the package says ------------------------------------------------------------------------


def package_price_for(wanted: PriceLookup, now: datetime, left_out: Collection[str] = ()) -> PackagePrice:
    """`left_out` are kinds of units by the package's names. Raises `InvalidPrice` that says what hinders."""
    provider, model, remarks = _found(wanted)
    name = f"{provider.id}/{model.id}"
    versions: list[tuple[datetime | None, Tiers]] = []
    for starts_at in (None, *_later_starts(model, now)):
        price = model.get_prices(starts_at or now)
        try:
            tiers = _tiers_of(price, model, wanted, left_out)
        except InvalidPrice as problem:
            raise InvalidPrice(f"{name}: {problem}") from None
        if not versions or versions[-1][1] != tiers:
            versions.append((starts_at, tiers))
        remarks += [remark for remark in _remarks_on(price, left_out) if remark not in remarks]
    return PackagePrice(name, versions, [*remarks, *_other_rates(model)])


def _found(wanted: PriceLookup) -> tuple[Provider, ModelInfo, list[str]]:
    book = get_snapshot()
    ways: list[tuple[str | None, str | None]] = [(wanted.provider_id, None)]
    if wanted.provider_id is None and wanted.base_url:
        ways.insert(0, (None, wanted.base_url))
    for provider_id, address in ways:
        try:
            provider = book.find_provider(wanted.reference.lower(), provider_id, address)
        except LookupError:
            continue
        model = provider.find_model(wanted.reference, all_providers=book.providers)
        if model is None:  # the price of the same model elsewhere is another price
            raise InvalidPrice(f"{provider.name} has no model {wanted.reference!r} in {SOURCE}.")
        by_name = not provider_id and not address and wanted.base_url
        told = f"{wanted.base_url} is no provider's address: found at {provider.name} by the model's name."
        return provider, model, [told] if by_name else []
    if wanted.provider_id is not None:
        raise InvalidPrice(f"There is no provider {wanted.provider_id!r} in {SOURCE}.")
    raise InvalidPrice(
        f"No provider of {SOURCE} is known by the address {wanted.base_url} or the name "
        f"{wanted.reference!r}. Say which model it is: MODEL=PROVIDER/NAME."
    )


def _later_starts(model: ModelInfo, now: datetime) -> list[datetime]:
    """When its price changes. Raises `InvalidPrice` where that is each day."""
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


def _tiers_of(price: ModelPrice, model: ModelInfo, wanted: PriceLookup, left_out: Collection[str]) -> Tiers:
    stated: dict[str, Rate] = {key: rate for key, rate in vars(price).items() if rate is not None}
    for key in ("input_mtok", "output_mtok"):
        if key not in stated:
            raise InvalidPrice(f"it has no {key}. If it is free, write that into the models file.")
    for key in sorted(stated.keys() - UNIT_OF.keys() - set(left_out)):
        if hindrance := _hindrance(key, stated, model, wanted):
            raise InvalidPrice(f"{hindrance} --leave-out {key} imports the price without.")
    counted = {UNIT_OF[key]: rate for key, rate in stated.items() if key in UNIT_OF}
    if wanted.speaks:  # here sound is not billed as text where nothing is said of it
        counted.setdefault("audio_out", counted["completion"])
    tiers: dict[int, dict[str, int]] = {}
    for unit, rate in counted.items():
        for start, usd in _steps(rate):
            tiers.setdefault(start, {})[unit] = _pico(unit, usd)
    return tiers


def _steps(rate: Rate) -> Iterator[tuple[int, Decimal]]:
    """From how many tokens of the prompt on: the package's tiers begin above their start, ours at it."""
    if isinstance(rate, Decimal):
        yield 0, rate
        return
    yield 0, rate.base
    for tier in rate.tiers:
        yield tier.start + 1, tier.price


def _pico(unit: str, usd: Decimal) -> int:
    try:
        return pico_of(usd, UNITS[unit].per)
    except InvalidAmount as problem:
        raise InvalidPrice(f"{UNITS[unit].label}: {problem}") from None


# --- what it prices, and nobody counts here -------------------------------------------------------

_COVERING = {
    "cache_write_mtok": "input_mtok",
    "cache_audio_read_mtok": "cache_read_mtok",
    "cache_image_read_mtok": "cache_read_mtok",
    "input_image_mtok": "input_mtok",
    "output_image_mtok": "output_mtok",
    "output_video_mtok": "output_mtok",
    "output_citation_mtok": "output_mtok",
}
"""What such tokens are billed as here: harmless where they cost the same."""

_NEVER: frozenset[str] = frozenset(
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
"""Nothing that is sent from here leads to these: no cache of a chosen age, no video, no tools of a provider's
own but web searches."""

_MARKED = "claude"
"""Models that write to their cache what is marked for it alone; nothing is, from here."""

_ASKED_FOR = {"web_searches_kcount": "web searches, which clients ask for by `web_search_options`"}

_ONLY_IF: Mapping[str, Sequence[str]] = {
    "cache_audio_read_mtok": ("hears",),
    "audio_hours": ("hears", "speaks"),
    "input_audio_hours": ("hears",),
    "output_audio_hours": ("speaks",),
    "input_image_mtok": ("sees",),
    "cache_image_read_mtok": ("sees",),
}


def _hindrance(key: str, stated: Mapping[str, Rate], model: ModelInfo, wanted: PriceLookup) -> str | None:
    """Why the price is not exact without this; None where it is."""
    if key == "cache_write_mtok" and _MARKED in model.id:
        return None
    if key in _NEVER or key in _ASKED_FOR:
        return None
    if key in _ONLY_IF and not any(getattr(wanted, sense) for sense in _ONLY_IF[key]):
        return None
    covering = stated.get(_COVERING.get(key, ""))
    if stated[key] == (covering or 0):
        return None
    if key == "cache_write_mtok":
        return "tokens written to a cache cost extra, and the usage that comes here does not tell of them."
    if key == "requests_kcount":
        return "each request costs extra, which is no unit here."
    return f"it prices {key}, which is no unit here."


def _remarks_on(price: ModelPrice, left_out: Collection[str]) -> Iterator[str]:
    for key, what in _ASKED_FOR.items():
        if vars(price).get(key):
            yield f"Billed to nobody here: {what}."
    for key in left_out:
        if vars(price).get(key):
            yield f"Left out, and billed to nobody here: {key}."


def _other_rates(model: ModelInfo) -> Iterator[str]:
    """Batches are no business of chat completions; the default tier is the standard one."""
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
    """What the price book lacks of an offer. Raises `InvalidPrice` where somebody else's price stands in the
    way: one that begins later, or, unless it may be replaced, one that was not imported."""
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


def take_over(model: str, offer: PackagePrice, *, replace: bool, now: datetime | None = None) -> int:
    """Add what the book lacks, all of it or nothing; gives how many versions that were. Raises
    `InvalidPrice`."""
    with transaction.atomic():
        missing = missing_versions(model, offer, now or timezone.now(), replace=replace)
        for starts_at, tiers in missing:
            add_price(model, tiers, starts_at=starts_at, source=offer.source)
    return len(missing)
