"""The field for scopes in the body of a request."""

from collections.abc import Iterable
from typing import Any

from accounts.permissions import Scope
from core.validation.fields import EnumField, ListField


class ScopesField(ListField):
    def __init__(self, scopes: Iterable[Scope] = Scope, **kwargs: Any) -> None:
        super().__init__(
            child=EnumField([*scopes]), min_length=1, max_length=len(Scope), required=False, **kwargs
        )

    def run_validation(self, data: Any = None) -> list[Any]:
        return [Scope(name) for name in super().run_validation(data)]
