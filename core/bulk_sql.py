"""Many rows per prepared statement, for the writes that every completion makes.

For each row, the ORM builds a model instance, an SQL expression per column and the statement's text all
over again: most of what an admission cost (docs/decisions/0004-group-commit.md). Here a statement is built
once; the model's fields still decide how a value is stored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

_SIZES = (64, 32, 16, 8, 4, 2, 1)

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]


class _Statement(NamedTuple):
    """A statement. `conversions` are of some of the first parameters, by index; `constants` are the rest."""

    text: str
    conversions: tuple[tuple[int, Convert], ...]
    constants: tuple[Any, ...] = ()

    def parameters(self, values: Iterable[Any]) -> list[Any]:
        parameters = list(values)
        for index, convert in self.conversions:
            parameters[index] = convert(parameters[index])
        parameters += self.constants
        return parameters


def insert_rows(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert rows: mappings of the same fields in the same order; a missing field gets its default.

    Uses few statements, since SQLite releases the interpreter's lock for each and has to wait for it again,
    and few different texts, since each is kept prepared.
    """
    if not rows:
        return
    database, start = _database(), 0
    for size in _SIZES:
        while len(rows) - start >= size:
            batch = rows[start : start + size]
            start += size
            statement = _build_insert(model, tuple(batch[0]), size, database.vendor)
            values: list[Any] = []
            for row in batch:
                values += statement.parameters(row.values())
            _execute(database, statement.text, values)


class Increase(NamedTuple):
    """A new value for an update: the stored one and so much more."""

    by: int


class Exchange(NamedTuple):
    """A new value for an update, if the stored one is still the expected one."""

    expected: Any
    new: Any


def update_rows(model: type[models.Model], changes: Sequence[tuple[Row, Row]]) -> list[bool]:
    """Set each pair's second mapping on the rows that match its first; return whether any matched.

    A value may be an `Increase` or an `Exchange`.
    """
    if not changes:
        return []
    database = _database()
    return [_update_row(database, model, where, values) > 0 for where, values in changes]


def execute(text: str, parameters: Sequence[Any]) -> int:
    """Run a statement of constant text, with `?` for each parameter; return the number of rows."""
    database = _database()
    return _execute(database, _with_placeholders(text, database.vendor), parameters)


def fetch(text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run such a statement; return its rows as the driver gives them."""
    database = _database()
    database.ensure_connection()
    with database.wrap_database_errors:
        rows: list[tuple[Any, ...]] = database.connection.execute(
            _with_placeholders(text, database.vendor), parameters
        ).fetchall()
    return rows


def fetch_by_ids(text: str, ids: Iterable[UUID]) -> list[tuple[Any, ...]]:
    """Run a query of constant text, with `{ids}` for these; return its rows as the driver gives them."""
    wanted = ids_to_driver(ids)
    return fetch(text.format(ids=", ".join("?" * len(wanted))), wanted) if wanted else []


def _database() -> BaseDatabaseWrapper:
    """Return this thread's connection: Django's `connection` looks it up at each use, which costs 4 µs."""
    return connections[DEFAULT_DB_ALIAS]


def fetch_query(build_query: Callable[..., models.QuerySet[Any, Any]], *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows, as the driver gives them, of the query that `build_query` makes of texts or times.

    Building a query takes the ORM ten times as long as it takes the database to answer, so it is built only
    once, with stand-ins for the values.
    """
    text, parameters = _compile_query(build_query, tuple(map(type, values)), connection.vendor)
    bound = [_naive_text(value) if type(value) is datetime and _is_sqlite() else value for value in values]
    return fetch(text, [bound[place] if is_value else place for is_value, place in parameters])


@lru_cache
def _compile_query(
    build_query: Callable[..., models.QuerySet[Any, Any]], types: tuple[type, ...], vendor: str
) -> tuple[str, list[tuple[bool, Any]]]:
    """Return the statement's text and, for each parameter, the index of its value or its constant."""
    stand_ins = [_STAND_INS[type](number) for number, type in enumerate(types)]
    text, parameters = build_query(*stand_ins).query.sql_with_params()
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


def id_to_driver(id: UUID) -> Any:
    """Convert an id to the form that the database's driver takes."""
    return id if connection.features.has_native_uuid_field else id.hex


def ids_to_driver(ids: Iterable[UUID]) -> list[Any]:
    """Convert many ids: to ask which database it is takes longer than to convert one."""
    return list(ids) if connection.features.has_native_uuid_field else [id.hex for id in ids]


def id_from_driver(stored: Any) -> UUID:
    """Convert an id that the driver returned to a UUID."""
    return stored if isinstance(stored, UUID) else UUID(hex=stored)


def time_from_driver(stored: datetime) -> datetime:
    """Convert a time that the driver returned to one in UTC: SQLite's has no zone."""
    return stored.replace(tzinfo=UTC)


@lru_cache
def _with_placeholders(text: str, vendor: str) -> str:
    return text if vendor == "sqlite" else text.replace("?", "%s")


def _update_row(database: BaseDatabaseWrapper, model: type[models.Model], where: Row, values: Row) -> int:
    changed: list[tuple[str, str]] = []
    parameters: list[Any] = []
    for name, value in values.items():
        form = _ASSIGNED.get(type(value))
        if form is None:
            changed.append((name, _PLAIN))
            parameters.append(value)
        else:
            changed.append((name, form))
            parameters += value
    statement = _build_update(model, tuple(where), tuple(changed), database.vendor)
    return _execute(database, statement.text, statement.parameters((*parameters, *where.values())))


def _execute(database: BaseDatabaseWrapper, text: str, parameters: Sequence[Any]) -> int:
    """Run the statement and return the number of rows.

    Uses the driver itself: Django's cursor for SQLite rewrites the placeholders of a text each time.
    """
    database.ensure_connection()
    with database.wrap_database_errors:
        count: int = database.connection.execute(text, parameters).rowcount
    return count


def _placeholder() -> str:
    return "?" if _is_sqlite() else "%s"


@lru_cache
def _build_insert(model: type[models.Model], names: tuple[str, ...], count: int, vendor: str) -> _Statement:
    others = [
        field
        for field in model._meta.concrete_fields
        # the database fills these in, which is cheaper; PostgreSQL numbers rows only where nothing is said
        if field.name not in names and not (isinstance(field, models.AutoField) or field.has_db_default())
    ]
    columns = [_column(model, name) for name in (*names, *(field.name for field in others))]
    places = f"({', '.join([_placeholder()] * len(columns))})"
    return _Statement(
        f"INSERT INTO {_table(model)} ({', '.join(columns)}) VALUES {', '.join([places] * count)}",  # noqa: S608
        _conversions(model, names),
        tuple(field.get_db_prep_save(field.get_default(), connection) for field in others),
    )


_PLAIN = "{column} = {place}"
_ASSIGNED = {
    Increase: "{column} = {column} + {place}",
    Exchange: "{column} = CASE WHEN {column} = {place} THEN {place} ELSE {column} END",
}


@lru_cache
def _build_update(
    model: type[models.Model], where: tuple[str, ...], changed: tuple[tuple[str, str], ...], vendor: str
) -> _Statement:
    place = _placeholder()
    assignments = ", ".join(form.format(column=_column(model, name), place=place) for name, form in changed)
    conditions = " AND ".join(f"{_column(model, name)} = {place}" for name in where)
    assigned = [name for name, form in changed for _ in range(form.count("{place}"))]
    return _Statement(
        f"UPDATE {_table(model)} SET {assignments} WHERE {conditions}",  # noqa: S608 (our own names)
        _conversions(model, (*assigned, *where)),
    )


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _column(model: type[models.Model], name: str) -> str:
    field: Any = model._meta.get_field(name)
    return connection.ops.quote_name(field.column)


def _conversions(model: type[models.Model], names: Iterable[str]) -> tuple[tuple[int, Convert], ...]:
    """Return how values of these columns are converted; most are stored as they are."""
    converters = ((index, _converter(model, name)) for index, name in enumerate(names))
    return tuple((index, convert) for index, convert in converters if convert is not None)


def _converter(model: type[models.Model], name: str) -> Convert | None:
    field: Any = model._meta.get_field(name)
    stored_as = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(stored_as, models.UUIDField):
        return None if connection.features.has_native_uuid_field else _hex
    if isinstance(stored_as, models.DateTimeField):
        return _naive_text if connection.vendor == "sqlite" else None
    if type(stored_as) in _STORED_UNCHANGED:
        return None
    return lambda value: field.get_db_prep_save(value, connection)


_STORED_UNCHANGED = {
    models.CharField,
    models.TextField,
    models.BooleanField,
    models.PositiveIntegerField,
    models.BigIntegerField,
    models.PositiveBigIntegerField,
    models.PositiveSmallIntegerField,
    models.AutoField,
    models.BigAutoField,
}


def _naive_text(value: datetime | None) -> str | None:
    """Format a time as Django does for SQLite, which has no times, but without reading settings each time."""
    if value is None:
        return None
    if value.tzinfo is UTC:  # nearly all are, and this takes a third of the time
        return value.isoformat(" ").removesuffix("+00:00")
    return str(value.astimezone(UTC).replace(tzinfo=None))


def _hex(value: UUID | None) -> str | None:
    return None if value is None else value.hex
