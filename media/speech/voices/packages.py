"""Where an installed package's files lie, found without running its code."""

from importlib.util import find_spec
from pathlib import Path


def package_folder(package: str) -> Path | None:
    """The folder of a top-level package; None where it is not installed."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
