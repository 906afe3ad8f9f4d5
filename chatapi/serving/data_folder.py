"""The data folder, which nobody but this user may look into: created, closed where it is open, or refused.

What this user owns is closed. What somebody else owns (a mounted volume) cannot be, so it is refused where
others than its owner and its group may enter; the group is the business of whoever mounted it. The same holds
for what links in it lead to.
"""

import os
import re
import shlex
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

from chatapi.serving.exceptions import CannotStart
from core.file_lock import locked
from core.files import whole_file

OTHERS = 0o007
GROUP_AND_OTHERS = 0o077
SECRET = "secret.key"  # noqa: S105  (a file's name)
_SIGNS_OF_US = {SECRET, "chatapi.sqlite3", "journals"}
_OUR_FOLDERS = re.compile(r"media|models|journals|log|tmp|lost\+found")
_FOLDERS_BEHIND_LINKS = {
    "media": re.compile(r"[0-9a-f]+|\.drafts|lost\+found"),
    "models": re.compile(r"lost\+found"),
    "journals": re.compile(r"lost\+found"),
}
"""What is ours in the folders that an operator may keep on another disk: names of subfolders."""
_SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


def create(folder: Path) -> None:
    """Create the folder where there is none. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def create_database(path: Path) -> None:
    """Create an empty SQLite database where there is none. Raises OSError, `sqlite3.Error`.

    It has its journal mode from the start: of two processes that give it to a new file, SQLite refuses one at
    once, however long it is told to wait.
    """
    _create_file(path)
    if path.stat().st_size == 0:
        _create_file(lock_of(path))
        with locked(lock_of(path)), closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=WAL")


def _create_file(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def lock_of(database: Path) -> Path:
    """Return the file by which processes lock a SQLite database to prepare it."""
    return database.with_name(f"{database.name}.lock")


def read_secret(folder: Path) -> str | None:
    """Return the secret key that is kept in the folder, if any. Raises `CannotStart`, OSError."""
    path = folder / SECRET
    try:
        secret = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not secret:
        raise CannotStart(f"{path} is empty: restore it, or delete it, which signs everybody out")
    return secret


def keep_secret(folder: Path, secret: str) -> str:
    """Keep a secret key in the folder, unless one is there. Return the one that is kept. Raises OSError."""
    if (kept := read_secret(folder)) is not None:
        return kept
    path = folder / SECRET
    # the first of several processes wins
    with whole_file(path, folder / f"{SECRET}.{os.getpid()}", mode=0o600, replace=False) as file:
        file.write(secret.encode())
    return path.read_text()


# --- who may look into it -----------------------------------------------------------------------


def close_to_others(folder: Path, database: Path | None) -> list[str]:
    """Close the folder and a SQLite database to all but this user; return what the operator should know.

    Raises `CannotStart` where others may look into what cannot be closed, and OSError.
    """
    elsewhere = f"use a folder in it: CHATAPI_DATA_DIR={shlex.quote(str(folder / 'chatapi'))}"
    news = _close_folder(folder, "the data folder", _OUR_FOLDERS, elsewhere)
    for name, ours in _FOLDERS_BEHIND_LINKS.items():
        if (target := _linked_elsewhere(folder, name)) is not None and target.is_dir():
            news += _close_folder(target, f"the folder for {name}", ours, f"link {name} to a folder in it")
    if (target := _linked_elsewhere(folder, SECRET)) is not None:
        _close_file(target, "the secret key")
    if database is not None and folder not in database.parents:
        for suffix in _SQLITE_SUFFIXES:  # the folder it is in may be for others too
            _close_file(database.with_name(database.name + suffix), "the database")
    return news


def _linked_elsewhere(folder: Path, name: str) -> Path | None:
    """Return what a link in the folder leads to, unless that is in the folder too."""
    path = folder / name
    target = Path(os.path.realpath(path))  # unlike `resolve`, it does not fail where links lead in a circle
    return target if path.is_symlink() and folder not in target.parents else None


def _close_folder(folder: Path, what: str, ours: re.Pattern[str], elsewhere: str) -> list[str]:
    """Close a folder of this user's and what this user owns in it, or refuse it."""

    def refuse(why: str) -> CannotStart:
        return CannotStart(
            f"others may look into {what} {folder} (mode {_octal(facts)}, owner uid {facts.st_uid}), {why}. "
            f"Close it: chmod o-rwx {shlex.quote(str(folder))}; or {elsewhere}"
        )

    facts = folder.stat()
    is_own = facts.st_uid == os.geteuid()
    if facts.st_mode & OTHERS and not is_own:
        raise refuse("which cannot be changed by this user")
    if facts.st_mode & OTHERS and _is_shared(folder, facts, ours):
        raise refuse("and it is not for chatapi alone")
    news = []
    if is_own and facts.st_mode & GROUP_AND_OTHERS:
        whom = "other users" if facts.st_mode & OTHERS else "its group"
        news.append(f"{what} {folder} was open to {whom} (mode {_octal(facts)}): it is closed now")
    _close_contents(folder)
    _close(folder)
    facts = folder.stat()
    if facts.st_mode & OTHERS:  # a file system without modes
        raise refuse("which cannot be changed by this user")
    return news


def _is_shared(folder: Path, facts: os.stat_result, ours: re.Pattern[str]) -> bool:
    """Return whether closing the folder would shut somebody out, as it would with `/tmp` or a home."""
    if facts.st_mode & stat.S_ISVTX:
        return True
    with os.scandir(folder) as entries:
        found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    foreign = [name for name, is_folder in found.items() if is_folder and not ours.fullmatch(name)]
    return bool(foreign) and not _SIGNS_OF_US & found.keys()


def _close_contents(folder: Path) -> None:
    """Close what this user owns in a folder. Folders within that are closed already hide what is in them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # deleted meanwhile
                facts = entry.stat(follow_symlinks=False)
                if facts.st_uid != os.geteuid() or not facts.st_mode & GROUP_AND_OTHERS:
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    _close_contents(Path(entry))  # first: whoever is killed here begins anew
                if stat.S_ISDIR(facts.st_mode) or stat.S_ISREG(facts.st_mode):
                    _close(Path(entry))


def _close(path: Path) -> None:
    """Take the rights of group and others from a file or folder if it is this user's and no link."""
    with suppress(PermissionError):  # a file system without modes, or a file without rights for its owner
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            facts = os.fstat(descriptor)
            if facts.st_uid == os.geteuid() and facts.st_mode & GROUP_AND_OTHERS:
                os.fchmod(descriptor, stat.S_IMODE(facts.st_mode) & ~GROUP_AND_OTHERS)
        finally:
            os.close(descriptor)


def _close_file(file: Path, what: str) -> None:
    """Close a file outside the data folder, or refuse it."""
    with suppress(FileNotFoundError):
        _close(file)
        facts = file.stat()
        if facts.st_mode & OTHERS:
            raise CannotStart(
                f"others may read {what} {file} (mode {_octal(facts)}, owner uid {facts.st_uid}). "
                f"Close it: chmod o-rwx {shlex.quote(str(file))}"
            )


def _octal(facts: os.stat_result) -> str:
    return f"{stat.S_IMODE(facts.st_mode):04o}"
