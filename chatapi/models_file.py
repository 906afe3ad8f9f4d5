"""The models this process serves, read once from `CHATAPI_MODELS_FILE`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock

from django.conf import settings

from chatapi.billing.problems import InvalidPrice
from chatapi.billing.tariffs import rates_of
from chatapi.billing.units import UNITS
from chatapi.engines.registry import ModelsFileError, ModelSpec, Registry, load_models

_lock = Lock()
_registry: Registry | None = None


def current_registry() -> Registry:
    """The registry of this process, loaded on first use. Raises `ModelsFileError`, each time anew."""
    global _registry
    with _lock:
        if _registry is None:
            _registry = Registry(read_models(settings.CHATAPI_MODELS_FILE))
        return _registry


def reset_registry() -> None:
    """Forget what was loaded, so that the next use reads the file again. Engines are not closed."""
    global _registry
    with _lock:
        _registry = None


def read_models(path: Path | None) -> tuple[ModelSpec, ...]:
    """A models file whose prices are checked too: engines know nothing of them. Raises `ModelsFileError`."""
    specs = load_models(path)
    for problem in _wrong_prices(specs):
        raise ModelsFileError(f"{path}: {problem}")
    return specs


def unpriced_units(spec: ModelSpec, priced: Iterable[str]) -> list[str]:
    """The units that a price of this model must name, and does not: what is left out there costs nothing."""
    needed = ["prompt", "completion", *(["audio_out"] if "audio" in spec.output_modalities else [])]
    return [name for name in needed if name not in set(priced)]


def _wrong_prices(specs: Iterable[ModelSpec]) -> Iterator[str]:
    for spec in specs:
        if not isinstance(spec.price, Mapping):
            continue
        try:
            rates = rates_of(spec.price)
        except InvalidPrice as problem:
            yield f"the price of {spec.id!r}: {problem}"
            continue
        for name in unpriced_units(spec, rates):
            yield f"the price of {spec.id!r} lacks {name} ({UNITS[name].label}); {name} = 0 if they are free"
