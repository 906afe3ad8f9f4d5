"""The query parameters that a route knows. Any other is refused: ignoring a filter would show too much."""

from collections.abc import Iterator

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter

from core.exceptions import BadRequest

_MAX_SHOWN = 100
_all_names: set[str] = set()


class QueryParameters:
    """The query parameters of a route, which are known by being documented.

    An array is also taken as `name[]`, and a deep object only as `name[key]`.
    """

    def __init__(self, *parameters: OpenApiParameter) -> None:
        self.documentation = list(parameters)
        self._names = {name for parameter in parameters for name in _names_of(parameter)}
        _all_names.update(self._names)
        self._repeated = {name for one in parameters if _is_array(one) for name in _names_of(one)}
        self._objects = tuple(f"{one.name}[" for one in parameters if _is_object(one))

    def check(self, query: QueryDict) -> None:
        """Raise `BadRequest` for the first parameter that is not known, or has two values and takes one."""
        for name in query:
            if name.startswith(self._objects) and name.endswith("]"):
                continue
            shown = name[:_MAX_SHOWN]
            if name not in self._names:
                raise BadRequest(
                    f"Unsupported parameter: '{shown}': it is not known here.",
                    param=shown,
                    code="unsupported_parameter",
                )
            if name not in self._repeated and len(query.getlist(name)) > 1:
                raise BadRequest(
                    f"Invalid value for '{shown}': it was sent twice. Send it once.", param=shown
                )


NO_PARAMETERS = QueryParameters()


def known_parameters() -> frozenset[str]:
    """Return the names that any route knows."""
    return frozenset(_all_names)


def _names_of(parameter: OpenApiParameter) -> Iterator[str]:
    if _is_object(parameter):
        return
    yield parameter.name
    if _is_array(parameter):
        yield f"{parameter.name}[]"


def _is_array(parameter: OpenApiParameter) -> bool:
    return parameter.many or (isinstance(parameter.type, dict) and parameter.type.get("type") == "array")


def _is_object(parameter: OpenApiParameter) -> bool:
    return parameter.style == "deepObject"
