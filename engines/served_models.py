"""The models that this process serves. The project sets how to load them; any app may ask for them."""

from collections.abc import Callable
from threading import Lock

from engines.model_registry import Registry

_lock = Lock()
_load: Callable[[], Registry] | None = None
_registry: Registry | None = None


def set_registry_loader(load: Callable[[], Registry]) -> None:
    """Set the function that makes the registry on first use."""
    global _load
    _load = load


def current_registry() -> Registry:
    """Return the registry of this process, loaded on first use.

    Raises `ModelsFileError`, again on every call until loading succeeds.
    """
    global _registry
    with _lock:
        if _registry is None:
            if _load is None:
                raise RuntimeError("nothing says how models are loaded: is chatapi among INSTALLED_APPS?")
            _registry = _load()
        return _registry


def reset_registry() -> None:
    """Forget the registry, so that the next use reads the file again. Engines are not closed."""
    global _registry
    with _lock:
        _registry = None
