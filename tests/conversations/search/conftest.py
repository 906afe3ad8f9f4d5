"""Each search is tried twice: of what is indexed, and of what is not indexed yet."""

from collections.abc import Callable

import pytest

from tests.support.searching import index_all


@pytest.fixture(params=["indexed", "not indexed yet"])
def settle_index(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Return what brings the index to where the test wants it."""
    return index_all if request.param == "indexed" else lambda: None
