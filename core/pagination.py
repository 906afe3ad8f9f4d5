"""Pages of a query, each starting after a row (keyset pagination).

No page skips or repeats a row, whatever is added or deleted between two of them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from core.exceptions import BadRequest
from core.value import Value

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)


class PageRequest(Value, frozen=True):
    """A request for a page. `after` is the public id of the previous page's last row."""

    limit: int = 20
    descending: bool = True
    after: str | None = None

    def directed(self, *columns: str) -> tuple[str, ...]:
        """Return the columns as `order_by` takes them, in the requested direction."""
        return tuple(f"-{column}" for column in columns) if self.descending else columns


class Page(Generic[Item]):
    """Items in the requested order; `has_more` tells whether more follow."""

    def __init__(self, items: Sequence[Item], *, has_more: bool) -> None:
        self.items = items
        self.has_more = has_more


def read_page(
    rows: QuerySet[Row],
    request: PageRequest,
    parse: Callable[[str], object | None],
    *,
    order: Sequence[str] = (),
    among: QuerySet[Row] | None = None,
) -> Page[Row]:
    """Read a page with one query, and with one more to find the row of `after`.

    `order` is what `order_by` takes, by default the primary key in the requested direction. Its columns are
    never null, and the last is unique: `parse` returns its value for `after`, or None for what cannot be an
    id. `after` must be one of `among`, which filters need not have narrowed. Only where the unique column
    is the whole order can `among` be left out, and the row be gone: a client that deletes what it lists still
    reaches the end.

    Raises `BadRequest` if there is no such row.
    """
    order = order or request.directed("pk")
    if request.after is not None:
        columns = [column.removeprefix("-") for column in order]
        key = parse(request.after)
        position = None if key is None else (key,)
        if position and among is not None:
            position = among.order_by().filter(**{columns[-1]: key}).values_list(*columns).first()
        if position is None:
            raise BadRequest(
                "Invalid value for 'after': there is no such object in this list.", param="after"
            )
        rows = rows.filter(_beyond(order, position))
    found = list(rows.order_by(*order)[: request.limit + 1])
    return Page(found[: request.limit], has_more=len(found) > request.limit)


def _beyond(order: Sequence[str], position: Sequence[Any]) -> Q:
    """Select what follows a position, in a form that an index on these columns can serve."""
    [first, *rest], [value, *values] = order, position
    lookup = f"{first.removeprefix('-')}__{'lt' if first.startswith('-') else 'gt'}"
    beyond = Q(**{lookup: value})
    return Q(**{f"{lookup}e": value}) & (beyond | _beyond(rest, values)) if rest else beyond
