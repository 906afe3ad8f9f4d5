"""The completions that charges are for: billing knows their ids; who stores them says how to find one."""

from collections.abc import Callable
from uuid import UUID

from django.db.models import Model

_find: Callable[[UUID], Model | None] | None = None


def find_completions_with(find: Callable[[UUID], Model | None]) -> None:
    """Set what finds a stored completion by its id."""
    global _find
    _find = find


def charged_completion(id: UUID) -> Model | None:
    """The completion that a charge is for; None where it was deleted, or is stored nowhere."""
    return _find(id) if _find is not None else None
