"""Find the completion that a charge is for.

Billing knows only its id; the app that stores completions sets a function that finds one.
"""

from collections.abc import Callable
from uuid import UUID

from django.db.models import Model

_find: Callable[[UUID], Model | None] | None = None


def set_completion_finder(find: Callable[[UUID], Model | None]) -> None:
    """Set the function that finds a stored completion by its id."""
    global _find
    _find = find


def find_charged_completion(id: UUID) -> Model | None:
    """Return the completion that a charge is for; None if it was deleted or is not stored."""
    return _find(id) if _find is not None else None
