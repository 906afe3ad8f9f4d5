"""The models this process serves, read once from `CHATAPI_MODELS_FILE`."""

from threading import Lock

from django.conf import settings

from chatapi.engines.registry import Registry, load_models

_lock = Lock()
_registry: Registry | None = None


def current_registry() -> Registry:
    """The registry of this process, loaded on first use. Raises `ModelsFileError`, each time anew."""
    global _registry
    with _lock:
        if _registry is None:
            _registry = Registry(load_models(settings.CHATAPI_MODELS_FILE))
        return _registry


def reset_registry() -> None:
    """Forget what was loaded, so that the next use reads the file again. Engines are not closed."""
    global _registry
    with _lock:
        _registry = None
