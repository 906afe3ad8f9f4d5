"""The index and its marks, as SQL.

The database itself marks what is to be indexed, whoever writes: a call pays for a short row, and no writer
can forget it. What it costs to index a message (some 100 µs) is paid later, by a task.

On SQLite the index is a contentless table of FTS5, which cannot tell what it holds: what is to be deleted
from it must be said again. So documents keep their words, and triggers move these into the index and out.
"""

# ruff: noqa: S608 (all names are our own)

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from core.database_triggers import function_sql, removal, run_all

MARKS, DOCUMENTS, INDEX = (
    "conversations_searchmark",
    "conversations_searchdocument",
    "conversations_searchindex",
)
CONVERSATIONS, MESSAGES = "conversations_conversation", "conversations_message"
HOLDS, ASSETS = "conversations_conversationasset", "media_asset"
RENDITIONS, FILES = "media_rendition", "media_file"

_MARK = f"INSERT INTO {MARKS} (conversation_id, message_id)"
_MARK_MESSAGE = f"{_MARK} VALUES (NEW.conversation_id, NEW.id)"
_MARK_TITLE = f"{_MARK} VALUES (NEW.id, NULL)"
_MARK_ALL = (
    f"{_MARK} SELECT NEW.id, NULL; "
    f"{_MARK} SELECT conversation_id, id FROM {MESSAGES} "
    "WHERE conversation_id = NEW.id AND role <> 'system' ORDER BY id"
)


def _mark_readers(row: str) -> str:
    """Mark the messages that refer to the asset of a row."""
    return (
        f"{_MARK} SELECT message.conversation_id, message.id FROM {HOLDS} hold "
        f"JOIN {ASSETS} asset ON asset.id = hold.asset_id "
        f"JOIN {MESSAGES} message ON message.conversation_id = hold.conversation_id "
        f"WHERE hold.asset_id = {row}.asset_id AND message.parts LIKE '%' || asset.sha256 || '%' "
        "ORDER BY message.id"
    )


_OF_TITLE = "OLD.title <> NEW.title OR OLD.titled_by <> NEW.titled_by"

# name: table, event, condition, action
_MARKING = {
    "search_mark_message": (MESSAGES, "INSERT", "NEW.role <> 'system'", _MARK_MESSAGE),
    "search_mark_changed_message": (MESSAGES, "UPDATE OF parts", "NEW.role <> 'system'", _MARK_MESSAGE),
    "search_mark_title": (CONVERSATIONS, "INSERT", "NEW.titled_by <> 'first_words'", _MARK_TITLE),
    "search_mark_changed_title": (CONVERSATIONS, "UPDATE OF title, titled_by", _OF_TITLE, _MARK_TITLE),
    "search_mark_visibility": (
        CONVERSATIONS,
        "UPDATE OF visibility",
        "OLD.visibility <> NEW.visibility",
        _MARK_ALL,
    ),
    "search_mark_text_of_file": (
        RENDITIONS,
        "UPDATE OF content",
        "NEW.kind IN ('text', 'transcript')",
        _mark_readers("NEW"),
    ),
    "search_mark_named_file": (FILES, "INSERT", "TRUE", _mark_readers("NEW")),
    "search_mark_deleted_file": (FILES, "DELETE", "TRUE", _mark_readers("OLD")),
}
_ADD = f"INSERT INTO {INDEX} (rowid, words) VALUES (NEW.id, NEW.words);"
_REMOVE = f"INSERT INTO {INDEX} ({INDEX}, rowid, words) VALUES ('delete', OLD.id, OLD.words);"
_INDEXING = {
    "search_index_insert": ("INSERT", _ADD),
    "search_index_delete": ("DELETE", _REMOVE),
    "search_index_update": ("UPDATE OF words", f"{_REMOVE} {_ADD}"),
}
# every character that a word may have is one to FTS5 too, whatever Unicode it knows
_TOKENIZE = "unicode61 remove_diacritics 0 categories ''L* N* M* Co Cn''"


def install(connection: BaseDatabaseWrapper) -> None:
    run_all(connection, _creation(connection.vendor))


def remove(connection: BaseDatabaseWrapper) -> None:
    run_all(connection, removal([*_MARKING, *_INDEXING], connection.vendor))
    kind = "INDEX" if connection.vendor == "postgresql" else "TABLE"
    run_all(connection, [f"DROP {kind} IF EXISTS {INDEX}"])


@contextmanager
def without_marks_of_files(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Set no marks for names of files meanwhile: without indexes each would read all messages."""
    names = ("search_mark_named_file", "search_mark_deleted_file")
    run_all(connection, removal(names, connection.vendor))
    try:
        yield
    finally:
        run_all(connection, (one for name in names for one in _marking(name, connection.vendor)))


def _marking(name: str, vendor: str) -> Iterator[str]:
    """Yield what makes a trigger that marks."""
    table, event, condition, action = _MARKING[name]
    if vendor == "postgresql":
        yield function_sql(name, f"{action}; RETURN NULL;")
        yield (
            f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW WHEN ({condition}) "
            f"EXECUTE FUNCTION {name}()"
        )
    else:
        yield f"CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {condition} BEGIN {action}; END"


def _creation(vendor: str) -> Iterator[str]:
    for name in _MARKING:
        yield from _marking(name, vendor)
    if vendor == "postgresql":
        yield f"CREATE INDEX {INDEX} ON {DOCUMENTS} USING gin (words)"
        return
    # only whether a word is there is asked: no positions
    yield f"CREATE VIRTUAL TABLE {INDEX} USING fts5(words, content='', detail=none, tokenize='{_TOKENIZE}')"
    for name, (event, action) in _INDEXING.items():
        yield f"CREATE TRIGGER {name} AFTER {event} ON {DOCUMENTS} BEGIN {action} END"
