"""The fixtures of tests that run jobs in their own process."""

from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Where the service puts its models: joined and loaded once for all tests of a worker."""
    return Path(settings.DATA_DIR) / "models"
