"""A file storage that fails, or that lets something else happen, at the worst moment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.files.base import File

from media.storage.disk import WholeFileStorage


class HookedStorage(WholeFileStorage):
    """A storage on the disk that calls these functions with a file's name before or after it acts."""

    def __init__(
        self,
        location: Path,
        on_save: Callable[[str], object] = lambda name: None,
        on_delete: Callable[[str], object] = lambda name: None,
        after_delete: Callable[[str], object] = lambda name: None,
    ) -> None:
        super().__init__(location)
        self._on_save = on_save
        self._on_delete = on_delete
        self._after_delete = after_delete

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        self._on_save(name)
        return super()._save(name, content)

    def delete(self, name: str) -> None:
        self._on_delete(name)
        super().delete(name)
        self._after_delete(name)


def hook_storage(settings: Any, location: Path, **hooks: Callable[[str], object]) -> None:
    """Store files in this folder, with these hooks, until the settings change again."""
    options = {"location": location, **hooks}
    backend = f"{__name__}.HookedStorage"
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": backend, "OPTIONS": options}}
