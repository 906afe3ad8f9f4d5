"""How many examples Hypothesis tries."""

from hypothesis import settings


def examples(thorough: int) -> int:
    """Return so many in `make test-long` and in a search, and a quarter of it in `make test`."""
    return thorough // 4 if settings.get_current_profile_name() == "repeatable" else thorough
