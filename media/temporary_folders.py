"""Temporary folders on the disk that holds the data, not in a `/tmp` that may be in memory."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import mkdtemp

from django.conf import settings

from core.files import delete_abandoned


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder for the block; one left behind by a killed process is deleted a day later."""
    folder = _make()
    try:
        yield folder
    finally:
        _remove(folder)


@asynccontextmanager
async def async_temporary_folder() -> AsyncIterator[Path]:
    """Do the same on the event loop, which never waits for the disk."""
    folder = await asyncio.to_thread(_make)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(_remove, folder))


def _make() -> Path:
    parent = Path(settings.DATA_DIR) / "tmp"
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    delete_abandoned(parent.iterdir())
    return Path(mkdtemp(dir=parent))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
