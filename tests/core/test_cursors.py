"""Cursors: what one list gave, it takes back; nothing else is one."""

from datetime import UTC, datetime

import pytest

from core.cursors import Cursors
from core.ids import new_id

POSITION = (datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC), new_id())
OURS = Cursors("conversations", "alice", {"tag": ["a", "b"]})


def test_a_list_takes_its_own_cursor_back() -> None:
    opened = OURS.open(OURS.seal(POSITION))

    assert opened is not None
    time, id = opened
    assert (datetime.fromisoformat(time), id) == (POSITION[0], str(POSITION[1]))


@pytest.mark.parametrize(
    "other",
    [
        Cursors("files", "alice", {"tag": ["a", "b"]}),
        Cursors("conversations", "bob", {"tag": ["a", "b"]}),
        Cursors("conversations", "alice", {"tag": ["a"]}),
        Cursors("conversations", "alice"),
    ],
)
def test_no_other_list_takes_it(other: Cursors) -> None:
    assert other.open(OURS.seal(POSITION)) is None


def test_each_changed_character_is_seen() -> None:
    cursor = OURS.seal(POSITION)

    for place in range(len(cursor)):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        assert OURS.open(changed) is None, place


@pytest.mark.parametrize("change", ["", "=", "==", "A", "AA", "\n", "\x00", " ", "é"])
def test_a_cursor_has_one_spelling(change: str) -> None:
    cursor = OURS.seal(POSITION)

    assert OURS.open(cursor + change) is None or not change
    assert OURS.open(cursor.removeprefix("cursor_") + change) is None


@pytest.mark.parametrize("text", ["", "cursor_", "cursor_x", "cursor_" + "A" * 17, "cursor_" + "A" * 10_000])
def test_garbage_is_none(text: str) -> None:
    assert OURS.open(text) is None
