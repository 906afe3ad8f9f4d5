"""The tables that are filled, many rows at once: by COPY, or by prepared statements.

A row is a tuple of what both databases take as it is: texts, numbers and None. Ids are 32 hexadecimal digits,
times are texts in UTC, truth is 1 or 0, and JSON is text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, models, transaction

from accounts.models import Membership
from billing.models import Account, Charge, Entry, Spend, Transaction, UsageRollup, Wallet
from conversations.models import (
    Completion,
    CompletionLabel,
    Conversation,
    ConversationAsset,
    ConversationLabel,
    Message,
    Score,
    SpokenAnswer,
)
from media.models import File

Row = tuple[Any, ...]
Rows = Mapping[str, Sequence[Row]]
"""Rows by the name of their table, a key of `COLUMNS`."""

COLUMNS: dict[str, tuple[type[models.Model], str]] = {
    "conversations": (
        Conversation,
        (
            "id workspace api_key user end_user visibility scope title titled_by metadata tags pinned "
            "archived message_count cost preview head last_completion created_at updated_at "
            "deleted_at"
        ),
    ),
    "messages": (
        Message,
        (
            "id conversation parent role parts name tool_call_id digest completion choice "
            "finish_reason created_at"
        ),
    ),
    "completions": (
        Completion,
        (
            "id workspace api_key user end_user conversation prompt first_answer head_before process "
            "dialect model served_by state idempotency_key body_digest request metadata error "
            "prompt_tokens completion_tokens cached_tokens prompt_audio_tokens reasoning_tokens "
            "completion_audio_tokens accepted_prediction_tokens rejected_prediction_tokens "
            "image_text_tokens transcript_tokens usage_estimated cost created_at first_event_at "
            "ended_at"
        ),
    ),
    "conversation_labels": (ConversationLabel, "conversation digest"),
    "completion_labels": (CompletionLabel, "completion digest"),
    "scores": (
        Score,
        (
            "id workspace api_key user completion choice source author end_user name number text "
            "created_at updated_at"
        ),
    ),
    "holds": (ConversationAsset, "id conversation asset"),
    "spoken": (SpokenAnswer, "id message expires_at"),
    "files": (
        File,
        ("id workspace api_key user end_user visibility asset filename purpose created_at expires_at"),
    ),
    "charges": (
        Charge,
        (
            "id kind state workspace_id user_id key_id model price_id held prompt cached completion "
            "reasoning audio_in audio_out images seconds characters requests is_estimated cost end "
            "process_id admitted_at ended_at"
        ),
    ),
    "accounts": (Account, "id kind workspace_id"),
    "entries": (Entry, "id transaction account amount"),
    "transactions": (Transaction, "id kind workspace_id charge_id reason by created_at"),
    "wallets": (Wallet, "workspace_id balance held credit_limit stripe_customer created_at"),
    "spends": (Spend, "id scope_id day amount"),
    "rollups": (
        UsageRollup,
        (
            "id width starts_at workspace_id user_id key_id model kind requests prompt cached "
            "completion reasoning audio_in audio_out images seconds characters cost unpriced"
        ),
    ),
    "memberships": (Membership, "workspace user role created_at"),
}
"""In the order in which they are written: the entries of a transaction come before it, which seals them."""


class _Table(NamedTuple):
    """`rest` are the values of columns that the rows leave out and that are never empty."""

    name: str
    columns: tuple[str, ...]
    rest: Row


def write_rows(rows: Rows) -> None:
    """Write rows of several tables in one transaction."""
    write = _WRITERS[connection.vendor]
    with transaction.atomic():
        for name in COLUMNS:
            if rows.get(name):
                table = _table(name)
                write(table, [(*row, *table.rest) for row in rows[name]] if table.rest else rows[name])


def _table(name: str) -> _Table:
    model, names = COLUMNS[name]
    named = [model._meta.get_field(field) for field in names.split()]
    others = [
        field
        for field in model._meta.concrete_fields
        if field not in named and not field.null and not isinstance(field, models.AutoField)
    ]
    columns = [getattr(field, "column", "") for field in (*named, *others)]
    return _Table(
        connection.ops.quote_name(model._meta.db_table),
        tuple(map(connection.ops.quote_name, columns)),
        tuple(field.get_db_prep_save(field.get_default(), connection) for field in others),
    )


def _write_to_sqlite(table: _Table, rows: Sequence[Row]) -> None:
    marks = ", ".join("?" * len(table.columns))
    text = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})"  # noqa: S608 (our own)
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.executemany(text, rows)


def _write_to_postgresql(table: _Table, rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        text = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN"
        with cursor.cursor.copy(text) as copy:
            for start in range(0, len(rows), 1000):
                copy.write("".join([_copy_line(row) for row in rows[start : start + 1000]]))


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _copy_line(row: Row) -> str:
    return "\t".join([_copy_value(value) for value in row]) + "\n"


def _copy_value(value: Any) -> str:
    if value is None:
        return r"\N"
    if value.__class__ is str:
        return value.translate(_ESCAPES) if "\\" in value or not value.isprintable() else value
    return str(value)


_WRITERS: dict[str, Callable[[_Table, Sequence[Row]], None]] = {
    "sqlite": _write_to_sqlite,
    "postgresql": _write_to_postgresql,
}
