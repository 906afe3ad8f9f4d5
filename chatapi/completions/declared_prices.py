"""What the models file says about prices, and under which names the service's own speech has some."""

from collections.abc import Iterable, Mapping
from typing import Any

from billing.prices import DeclaredPrices
from billing.tariffs import rates_of
from engines.model_spec import ModelSpec

AUDIO_MODELS = {"speech": "speech", "transcription": "transcription"}
"""The names under which the service's own synthesis and recognition have prices, by kind of charge."""


def declared_prices(specs: Iterable[ModelSpec]) -> DeclaredPrices:
    """Return the prices that the models file declares. The file was validated when it was read.

    Models that answer on this machine are free if the file says nothing.
    """
    declared: dict[str, Any] = {}
    for spec in specs:
        if isinstance(spec.price, Mapping):
            declared[spec.id] = rates_of(spec.price)
        elif spec.price == "free" or spec.is_local:
            declared[spec.id] = "free"
    return declared
