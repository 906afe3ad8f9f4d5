"""What a power cut may not undo."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make what was created in a folder, or renamed into it, survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
