"""One prepared UPDATE for many rows: Django's `bulk_update` writes a CASE a column and row instead."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models


def update_rows(
    model: type[models.Model], where: Sequence[str], fields: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Set `fields` of the rows that `where` names; each row holds the values of `fields`, then of `where`."""
    if not rows:
        return
    columns = [model._meta.get_field(name) for name in (*fields, *where)]
    quote = connection.ops.quote_name
    names = [f"{quote(column.column)} = %s" for column in columns]  # type: ignore[union-attr]
    assignments, conditions = names[: len(fields)], names[len(fields) :]
    table = quote(model._meta.db_table)
    statement = f"UPDATE {table} SET {', '.join(assignments)} WHERE {' AND '.join(conditions)}"  # noqa: S608
    prepared = [
        [
            column.get_db_prep_save(value, connection)  # type: ignore[union-attr]
            for column, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, prepared)
