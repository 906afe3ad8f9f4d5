"""Loading of the models file: engines check its models, billing checks its prices."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from django.conf import settings

from billing.exceptions import InvalidPrice
from billing.tariffs import rates_of, unpriced_units
from billing.units import UNITS
from engines.model_registry import Registry
from engines.model_spec import ModelSpec
from engines.models_file import ModelsFileError, load_models


def load_registry() -> Registry:
    """Read the file that `CHATAPI_MODELS_FILE` names. Raises `ModelsFileError`."""
    return Registry(read_models(settings.CHATAPI_MODELS_FILE), Path(settings.DATA_DIR))


def read_models(path: Path | None) -> tuple[ModelSpec, ...]:
    """Read a models file and check its prices, which engines know nothing about. Raises `ModelsFileError`."""
    specs = load_models(path)
    for problem in _price_errors(specs):
        raise ModelsFileError(f"{path}: {problem}")
    return specs


def _price_errors(specs: Iterable[ModelSpec]) -> Iterator[str]:
    for spec in specs:
        if not isinstance(spec.price, Mapping):
            continue
        try:
            rates = rates_of(spec.price)
        except InvalidPrice as problem:
            yield f"the price of {spec.id!r}: {problem}"
            continue
        for name in unpriced_units(spec.output_modalities, rates):
            yield f"the price of {spec.id!r} lacks {name} ({UNITS[name].label}); {name} = 0 if they are free"
