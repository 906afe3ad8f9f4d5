"""What the models file says about prices."""

from collections.abc import Iterable, Mapping
from typing import Any

from billing.prices import DeclaredPrices, free_if_unpriced
from billing.tariffs import rates_of
from engines.model_spec import ModelSpec


def declared_prices(specs: Iterable[ModelSpec]) -> DeclaredPrices:
    """Return the prices that the models file declares. The file was validated when it was read.

    Models that answer on this machine are free if the file says nothing, and neither does the price book.
    """
    declared: dict[str, Any] = {}
    local = []
    for spec in specs:
        if isinstance(spec.price, Mapping):
            declared[spec.id] = rates_of(spec.price)
        elif spec.price == "free":
            declared[spec.id] = "free"
        elif spec.is_local:
            local.append(spec.id)
    return {**declared, **free_if_unpriced(local)} if local else declared
