"""Pages of a query, each starting after a row (keyset pagination).

No page skips or repeats a row, whatever is added or deleted between two of them.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from core.cursors import Cursors
from core.exceptions import BadRequest
from core.value import Value

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)


class PageRequest(Value, frozen=True):
    """A request for a page. `after` is the public id of the previous page's last row, or its cursor."""

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


class CursorPage(Page[Item]):
    """A page of a list whose rows move; `next_cursor` is where its last item was, if more follow."""

    def __init__(self, items: Sequence[Item], next_cursor: str | None) -> None:
        super().__init__(items, has_more=next_cursor is not None)
        self.next_cursor = next_cursor


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
        key = parse(request.after)
        position = (key,) if key is not None and among is None else _position_of(key, among, order)
        if position is None:
            raise no_such_position()
        rows = rows.filter(_beyond(order, position))
    found = list(rows.order_by(*order)[: request.limit + 1])
    return Page(found[: request.limit], has_more=len(found) > request.limit)


def read_moving_page(
    ways: Sequence[QuerySet[Row]],
    request: PageRequest,
    parse: Callable[[str], object | None],
    *,
    order: Sequence[str],
    among: QuerySet[Row],
    cursors: Cursors,
) -> CursorPage[Row]:
    """Read a page of a list whose rows move, such as with each update.

    Its rows are those of all `ways`, each of which is one query, so that each can follow an index of its own.
    `after` is a cursor of the list, which no later move changes, or the id of one of `among`: then the page
    follows where that is now. The rest is as for `read_page`.
    """
    if request.after is not None:
        position = _cursor_position(cursors.open(request.after), among, order)
        if position is None:
            position = _position_of(parse(request.after), among, order)
        if position is None:
            raise no_such_position()
        ways = [rows.filter(_beyond(order, position)) for rows in ways]
    found = _merge([list(rows.order_by(*order)[: request.limit + 1]) for rows in ways], order)
    items = found[: request.limit]
    if len(found) <= request.limit:
        return CursorPage(items, None)
    return CursorPage(items, cursors.seal([getattr(items[-1], column) for column in _columns(order)]))


def _position_of(
    key: object | None, rows: QuerySet[Row] | None, order: Sequence[str]
) -> tuple[Any, ...] | None:
    """Return where the row of this key is now, if it is one of these."""
    if key is None or rows is None:
        return None
    columns = _columns(order)
    return rows.order_by().filter(**{columns[-1]: key}).values_list(*columns).first()


def _cursor_position(
    values: Sequence[str] | None, rows: QuerySet[Row], order: Sequence[str]
) -> tuple[Any, ...] | None:
    if values is None:
        return None
    meta: Any = rows.model._meta
    fields = [meta.pk if column == "pk" else meta.get_field(column) for column in _columns(order)]
    return tuple(field.to_python(value) for field, value in zip(fields, values, strict=True))


def _merge(lists: Sequence[list[Row]], order: Sequence[str]) -> list[Row]:
    """Merge rows that are in order already, each once."""
    if len(lists) == 1:
        return lists[0]
    merged = list({row.pk: row for rows in lists for row in rows}.values())
    for column in reversed(order):
        merged.sort(key=attrgetter(column.removeprefix("-")), reverse=column.startswith("-"))
    return merged


def _columns(order: Sequence[str]) -> list[str]:
    return [column.removeprefix("-") for column in order]


def index_in(items: Sequence[object], wanted: object) -> int:
    """Return where `after` is in a list that was read whole. Raises `BadRequest` if it is not there."""
    if wanted not in items:
        raise no_such_position()
    return items.index(wanted)


def no_such_position() -> BadRequest:
    return BadRequest(
        "Invalid value for 'after': there is no such object in this list, and no page of it ended there.",
        param="after",
    )


def _beyond(order: Sequence[str], position: Sequence[Any]) -> Q:
    """Select what follows a position, in a form that an index on these columns can serve."""
    [first, *rest], [value, *values] = order, position
    lookup = f"{first.removeprefix('-')}__{'lt' if first.startswith('-') else 'gt'}"
    beyond = Q(**{lookup: value})
    return Q(**{f"{lookup}e": value}) & (beyond | _beyond(rest, values)) if rest else beyond
