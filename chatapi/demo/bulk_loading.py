"""What bulk loading does without for its time: waiting for the disk, indexes, and checks of foreign keys.

Indexes made of all rows at once take a fraction of the time, and so does one look at all foreign keys. The
triggers that guard the ledger stay.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection

from chatapi.demo.tables import COLUMNS

_INDEXES = {
    "sqlite": (
        "SELECT sql, 'DROP INDEX ' || name FROM sqlite_master WHERE type = 'index' AND tbl_name = %s"
        " AND sql NOT LIKE 'CREATE UNIQUE%%'"
    ),
    "postgresql": (
        "SELECT pg_get_indexdef(indexrelid), 'DROP INDEX ' || indexrelid::regclass FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT indisunique"
    ),
}
_FOREIGN_KEYS = (
    "SELECT format("
    "'ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid)),"
    " format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname)"
    " FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass"
)


@contextmanager
def bulk_loading() -> Iterator[None]:
    """Load into a database that nobody else uses, and that has no history yet.

    A crash of this process or of the machine leaves a database without some of its indexes, and on SQLite
    maybe a broken file: whoever loads begins with a new one then. When the block ends, all is as it was,
    checked and on the disk.
    """
    settings, restored = (_SETTINGS[connection.vendor], _RESTORED[connection.vendor])
    put_off = list(_definitions())
    _run(settings)
    _run([drop for _, drop in put_off])
    try:
        yield
    finally:
        _run([create for create, _ in put_off])
        _run(restored)
    _check_foreign_keys()


_SETTINGS = {
    "sqlite": (
        "PRAGMA synchronous=OFF",
        "PRAGMA foreign_keys=OFF",
        "PRAGMA cache_size=-600000",
        "PRAGMA wal_autocheckpoint=100000",
    ),
    "postgresql": ("SET synchronous_commit = off", "SET maintenance_work_mem = '512MB'"),
}
_RESTORED = {
    "sqlite": (
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA cache_size=-16000",
        "PRAGMA wal_autocheckpoint=1000",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ),
    "postgresql": ("RESET synchronous_commit", "RESET maintenance_work_mem"),
}


def _definitions() -> Iterator[tuple[str, str]]:
    """Yield the statements that make an index or a constraint, and that drop it; the indexes first."""
    tables = [model._meta.db_table for model, _ in COLUMNS.values()]
    queries = [_INDEXES[connection.vendor], *([_FOREIGN_KEYS] if connection.vendor == "postgresql" else [])]
    with connection.cursor() as cursor:
        for query in queries:
            for table in tables:
                cursor.execute(query, [table])
                yield from cursor.fetchall()


def _check_foreign_keys() -> None:
    if connection.vendor == "sqlite":  # PostgreSQL has checked them when they were added
        connection.check_constraints()


def _run(statements: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
