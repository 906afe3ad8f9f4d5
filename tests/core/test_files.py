"""Files that appear whole, and the deletion of what nobody owns any more."""

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from core.files import ABANDONED_AGE, delete_abandoned, whole_file


def write(target: Path, content: bytes, **options: bool) -> None:
    with whole_file(target, target.with_name("draft"), mode=0o640, **options) as file:
        file.write(content)
        assert not target.exists() or target.read_bytes() != content


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "file", b"first")
    write(tmp_path / "file", b"second")
    assert contents(tmp_path) == {"file": b"second"}
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_where_the_first_wins_the_second_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "file", b"first", replace=False)
    write(tmp_path / "file", b"second", replace=False)
    assert contents(tmp_path) == {"file": b"first"}


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "file", b"first")
    with suppress(KeyboardInterrupt), whole_file(tmp_path / "file", tmp_path / "draft") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"file": b"first"}


def grow_old(path: Path, age: timedelta) -> None:
    moment = path.stat().st_mtime - age.total_seconds() - 1
    os.utime(path, (moment, moment))


def test_only_what_is_old_and_not_in_use_is_deleted(tmp_path: Path) -> None:
    for name in ("new", "old", "used", "old folder/full"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "old")
    for path in set(tmp_path.iterdir()) - {tmp_path / "new", tmp_path / "link"}:
        grow_old(path, ABANDONED_AGE)

    delete_abandoned(
        [*tmp_path.iterdir(), tmp_path / "gone"],
        is_in_use=lambda path: path.name == "used",
    )

    assert {path.name for path in tmp_path.iterdir()} == {"new", "used", "link"}


def test_what_cannot_be_examined_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    grow_old(tmp_path / "file", ABANDONED_AGE)

    def refuse(path: Path) -> bool:
        raise PermissionError

    delete_abandoned(tmp_path.iterdir(), is_in_use=refuse)
    assert (tmp_path / "file").exists()
