"""Many rows in one prepared statement, for the writes that every completion makes.

The ORM builds, for each row, a model instance, an SQL expression a column and the statement's text
anew: most of what an admission cost (docs/decisions/0004-group-commit.md). Here a statement is made
once; the fields still say how a value is stored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models

_SIZES = (64, 32, 16, 8, 4, 2, 1)

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]


class _Statement(NamedTuple):
    """`converters` spell the first parameters (None: as they are); `constants` are the others."""

    text: str
    converters: tuple[Convert | None, ...]
    constants: tuple[Any, ...] = ()

    def parameters(self, values: Iterable[Any]) -> list[Any]:
        pairs = zip(self.converters, values, strict=True)
        return [*(convert(value) if convert else value for convert, value in pairs), *self.constants]


def insert_rows(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert rows, mappings of the same fields in the same order; a field left out gets its default.

    Few statements: SQLite gives up the interpreter's lock for each, and must wait for it again. Few
    texts of them: each is kept prepared.
    """
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            some = rows[start : start + size]
            start += size
            statement = _insertion(model, tuple(some[0]), size, connection.vendor)
            _execute(statement.text, [value for row in some for value in statement.parameters(row.values())])


def update_rows(model: type[models.Model], changes: Sequence[tuple[Row, Row]]) -> list[bool]:
    """For each pair, set the second mapping's fields on the rows of which the first mapping is true;
    whether there were any."""
    return [_update_row(model, where, values) > 0 for where, values in changes]


def execute(text: str, parameters: Sequence[Any]) -> int:
    """A statement of which the text is always the same, with `?` for each parameter; the number of rows."""
    return _execute(_placed(text, connection.vendor), parameters)


def fetch(text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of such a statement, as the driver gives them."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        rows: list[tuple[Any, ...]] = connection.connection.execute(
            _placed(text, connection.vendor), parameters
        ).fetchall()
    return rows


def fetch_as(make: Callable[..., models.QuerySet[Any, Any]], *values: Any) -> list[tuple[Any, ...]]:
    """The rows, as the driver gives them, of the query that `make` makes of these values, text or times.

    To make one takes the ORM ten times as long as it takes the database to answer, so it is asked once, with
    values that stand for all.
    """
    text, parameters = _made(make, tuple(map(type, values)), connection.vendor)
    given = [_naive_text(value) if type(value) is datetime and _is_sqlite() else value for value in values]
    return fetch(text, [given[place] if is_value else place for is_value, place in parameters])


@lru_cache
def _made(
    make: Callable[..., models.QuerySet[Any, Any]], types: tuple[type, ...], vendor: str
) -> tuple[str, list[tuple[bool, Any]]]:
    """The statement's text, and of each parameter either which value it is, or what it always is."""
    stand_ins = [_STAND_INS[type](number) for number, type in enumerate(types)]
    text, parameters = make(*stand_ins).query.sql_with_params()
    places = {str(stand_in): number for number, stand_in in enumerate(stand_ins)}
    places |= {_naive_text(one) or "": n for n, one in enumerate(stand_ins) if isinstance(one, datetime)}
    return text.replace("%s", "?"), [
        (True, places[str(parameter)]) if str(parameter) in places else (False, parameter)
        for parameter in parameters
    ]


_STAND_INS: dict[type, Callable[[int], Any]] = {
    str: lambda number: f"stands for value {number}",
    datetime: lambda number: datetime(9999, 1, 1 + number, tzinfo=UTC),
}


def _is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def stored_id(id: UUID) -> Any:
    """As the database's driver takes it."""
    return id if connection.features.has_native_uuid_field else id.hex


def as_uuid(stored: Any) -> UUID:
    """As the driver gave it."""
    return stored if isinstance(stored, UUID) else UUID(hex=stored)


@lru_cache
def _placed(text: str, vendor: str) -> str:
    return text if vendor == "sqlite" else text.replace("?", "%s")


def _update_row(model: type[models.Model], where: Row, values: Row) -> int:
    statement = _update(model, tuple(where), tuple(values), connection.vendor)
    return _execute(statement.text, statement.parameters((*values.values(), *where.values())))


def _execute(text: str, parameters: Sequence[Any]) -> int:
    """The number of rows. By the driver itself: Django's cursor for SQLite rewrites the place holders of
    each text anew."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        count: int = connection.connection.execute(text, parameters).rowcount
    return count


def _place() -> str:
    return "?" if _is_sqlite() else "%s"


@lru_cache
def _insertion(model: type[models.Model], names: tuple[str, ...], count: int, vendor: str) -> _Statement:
    others = [field for field in model._meta.concrete_fields if field.name not in names]
    columns = [_column(model, name) for name in (*names, *(field.name for field in others))]
    places = f"({', '.join([_place()] * len(columns))})"
    return _Statement(
        f"INSERT INTO {_table(model)} ({', '.join(columns)}) VALUES {', '.join([places] * count)}",  # noqa: S608
        tuple(_converter(model, name) for name in names),
        tuple(field.get_db_prep_save(field.get_default(), connection) for field in others),
    )


@lru_cache
def _update(
    model: type[models.Model], where: tuple[str, ...], changed: tuple[str, ...], vendor: str
) -> _Statement:
    assignments = ", ".join(f"{_column(model, name)} = {_place()}" for name in changed)
    conditions = " AND ".join(f"{_column(model, name)} = {_place()}" for name in where)
    return _Statement(
        f"UPDATE {_table(model)} SET {assignments} WHERE {conditions}",  # noqa: S608 (our own names)
        tuple(_converter(model, name) for name in (*changed, *where)),
    )


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _column(model: type[models.Model], name: str) -> str:
    field: Any = model._meta.get_field(name)
    return connection.ops.quote_name(field.column)


def _converter(model: type[models.Model], name: str) -> Convert | None:
    field: Any = model._meta.get_field(name)
    stored_as = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(stored_as, models.UUIDField):
        return None if connection.features.has_native_uuid_field else _hex
    if isinstance(stored_as, models.DateTimeField):
        return _naive_text if connection.vendor == "sqlite" else None
    if type(stored_as) in _STORED_AS_THEY_ARE:
        return None
    return lambda value: field.get_db_prep_save(value, connection)


_STORED_AS_THEY_ARE = {
    models.CharField,
    models.TextField,
    models.BooleanField,
    models.PositiveIntegerField,
    models.BigIntegerField,
    models.PositiveSmallIntegerField,
    models.AutoField,
    models.BigAutoField,
}


def _naive_text(value: datetime | None) -> str | None:
    """As Django writes it for SQLite, which has no times, without asking its settings each time."""
    return None if value is None else str(value.astimezone(UTC).replace(tzinfo=None))


def _hex(value: UUID | None) -> str | None:
    return None if value is None else value.hex
