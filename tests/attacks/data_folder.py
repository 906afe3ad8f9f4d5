"""What other users of the machine, and a mistyped variable, do to the data folder."""

import os
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.attacks.checks import check, check_all
from tests.attacks.stage import Stage
from tests.support.run_command import manage, running

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def readable_by_others(stage: Stage) -> None:
    """Read database, keys and uploads as any other user of the machine."""
    stage.upload(stage.newcomer("0"), b"Private notes.")
    found = list(_open_to_others(stage.data))
    check(not found, f"{len(found)} are open: {', '.join(found[:8])}")


def readable_since_an_older_release(stage: Stage) -> None:
    """Read what an older release, or a restored backup, has left open, after the next start."""
    for path in _paths(stage.data):
        with suppress(FileNotFoundError):
            path.chmod(0o755 if path.is_dir() else 0o644)
    with running(stage.data, **stage.environment) as server:
        assert server.url
        found = list(_open_to_others(stage.data))
        server.stop()
    check(not found, f"{len(found)} are open: {', '.join(found[:8])}")


def _open_to_others(folder: Path) -> Iterator[str]:
    for path in _paths(folder):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if mode & OTHERS:
            yield f"{path.relative_to(folder.parent)} {stat.S_IMODE(mode):o}"


def _paths(folder: Path) -> list[Path]:
    """The folder and all in it; the server makes and removes files meanwhile, so some may be gone."""
    # unlike rglob, which raises in Python 3.11, walk leaves out a folder that vanishes
    inside = (Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files))
    return [folder, *sorted(inside)]


def commands_on_another_folder(stage: Stage) -> None:
    """Have an operator believe that the books are right, or paid into: on a database made by the command."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as threads:
        empty, missing = Path(scratch, "empty"), Path(scratch, "missing")
        empty.mkdir()
        verified = threads.submit(_misled, stage, missing, "verify_ledger")
        topped_up = threads.submit(_misled, stage, empty, "top_up", "admin@localhost", "5")
        check_all({"verify_ledger": verified.result(), "top_up": topped_up.result()})


def _misled(stage: Stage, folder: Path, *command: str) -> str | None:
    existed = folder.exists()
    ended = manage(folder, *command, **stage.environment)
    said = ended.stdout + ended.stderr
    made = sorted(path.name for path in folder.rglob("*")) if folder.exists() else []
    if made or folder.exists() != existed:
        return f"made {', '.join(made) or 'the folder'}"
    if ended.returncode == 0 or "Traceback" in said:
        return f"exit {ended.returncode}: {said.strip()[-200:]}"
    database = str(folder / "chatapi.sqlite3")
    return None if database in said else f"{database} is not named: {said.strip()[-200:]}"
