"""The models that this process serves. The project sets how to load them; any app may ask for them."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from threading import Lock

from engines.model_registry import Registry

_lock = Lock()
_load: Callable[[], Registry] | None = None
_registry: Registry | None = None
_loop: AbstractEventLoop | None = None


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


def set_engine_loop(loop: AbstractEventLoop | None) -> None:
    """Set the event loop in which this process serves its models, None when it no longer does."""
    global _loop
    _loop = loop


def engine_loop() -> AbstractEventLoop | None:
    """Return the loop to which the engines of this process belong; None if it serves no models."""
    return _loop


def reset_registry() -> None:
    """Forget the registry, so that the next use reads the file again. Engines are not closed."""
    global _registry
    with _lock:
        _registry = None
