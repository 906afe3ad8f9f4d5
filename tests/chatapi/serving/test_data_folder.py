"""Nobody but the service's own user looks into the data folder, however it came about."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapi.env import ROOT
from chatapi.serving.data_folder import close_to_others, create, create_database, keep_secret, read_secret
from chatapi.serving.exceptions import CannotStart
from tests.support.run_command import clean_environment, run_python

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
STRANGER = 54321
"""A user without an entry in /etc/passwd, such as OpenShift gives a container."""


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink()
    }


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The data folder of a service that ran under the usual umask."""
    folder = tmp_path / "data"
    for name in ("media/ab", "journals", "models", "log"):
        (folder / name).mkdir(parents=True)
    for name in ("chatapi.sqlite3", "chatapi.sqlite3-wal", "chatapi.sqlite3-shm", "secret.key", "media/ab/x"):
        (folder / name).write_text("content")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def test_an_older_folder_is_closed_with_all_that_is_in_it(older: Path) -> None:
    news = close_to_others(older, older / "chatapi.sqlite3")

    assert news == [f"the data folder {older} was open to other users (mode 0755): it is closed now"]
    assert set(modes(older).values()) == {"700", "600"}
    assert close_to_others(older, older / "chatapi.sqlite3") == []


def test_wide_files_in_a_closed_folder_are_closed_too(older: Path) -> None:
    older.chmod(0o700)

    assert close_to_others(older, None) == []
    assert set(modes(older).values()) == {"700", "600"}


def test_a_new_folder_and_what_is_made_in_it_are_for_its_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create(tmp_path / "data")
        assert keep_secret(tmp_path / "data", "one") == keep_secret(tmp_path / "data", "two") == "one"
        create_database(tmp_path / "data" / "chatapi.sqlite3")
    finally:
        os.umask(before)

    assert modes(tmp_path / "data") == {
        ".": "700",
        "secret.key": "600",
        "chatapi.sqlite3": "600",
        "chatapi.sqlite3.lock": "600",
    }


BEGIN_ON_NEW_DATABASES = """
import sqlite3, sys, time
from pathlib import Path
from chatapi.serving.data_folder import create_database

for number in range(200):
    while time.time() < float(sys.argv[2]) + number / 200:
        pass  # both in the same moment
    path = Path(sys.argv[1], f"{number}.sqlite3")
    create_database(path)
    sqlite3.connect(path, timeout=20).execute("PRAGMA journal_mode=WAL").connection.close()
"""


def test_of_two_processes_that_begin_on_a_new_database_neither_is_refused(tmp_path: Path) -> None:
    """SQLite refuses one of two that change a new file's journal mode, at once and whatever its time-out."""
    command = [sys.executable, "-c", BEGIN_ON_NEW_DATABASES, str(tmp_path), str(time.time() + 1)]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[1] for process in both] == ["", ""]


def test_an_empty_secret_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret.key").touch()

    with pytest.raises(CannotStart, match=r"secret\.key is empty"):
        read_secret(tmp_path)


def test_what_a_link_leads_to_is_left_alone(older: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "elsewhere" / "file").touch(0o644)
    (tmp_path / "elsewhere").chmod(0o755)
    (tmp_path / "elsewhere" / "file").chmod(0o644)
    (older / "link").symlink_to(tmp_path / "elsewhere")
    (older / "media" / "link").symlink_to(tmp_path / "elsewhere" / "file")

    close_to_others(older, None)

    assert modes(tmp_path / "elsewhere") == {".": "755", "file": "644"}


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_folder_that_others_use_is_not_taken_from_them(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    (folder / "somebody's").mkdir(parents=True)
    (folder / "media").mkdir()
    folder.chmod(mode)

    with pytest.raises(CannotStart) as refused:
        close_to_others(folder, None)

    assert f"{folder} (mode {mode:04o}, owner uid {os.geteuid()})" in str(refused.value)
    assert f"chmod o-rwx '{folder}'" in str(refused.value)
    assert f"CHATAPI_DATA_DIR='{folder}/chatapi'" in str(refused.value)
    assert stat.S_IMODE(folder.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_what_a_refusal_advises_helps(mode: int, tmp_path: Path) -> None:
    (tmp_path / "data" / "backups").mkdir(parents=True)
    (tmp_path / "data").chmod(mode)
    with pytest.raises(CannotStart) as refused:
        close_to_others(tmp_path / "data", None)
    advice = re.findall(r"Close it: (chmod \S+ \S+);.* CHATAPI_DATA_DIR=(\S+)", str(refused.value))[0]

    create(Path(advice[1]))
    assert close_to_others(Path(advice[1]), None) == []

    subprocess.run(advice[0].split(), check=True)
    (news,) = close_to_others(tmp_path / "data", None)
    assert "was open to its group" in news
    assert not (tmp_path / "data").stat().st_mode & 0o077


@pytest.mark.parametrize(
    "names", [(), ("media",), ("models",), ("journals", "backups"), ("log", "tmp", "media")]
)
def test_a_folder_with_what_is_ours_alone_is_closed(names: tuple[str, ...], tmp_path: Path) -> None:
    """A container's image made it, or a release that kept its secret key and its database elsewhere."""
    for name in ("lost+found", *names):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "models.toml").touch()
    (tmp_path / "data").chmod(0o755)

    close_to_others(tmp_path / "data", None)

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_database_elsewhere_is_closed_and_the_folder_around_it_is_not(older: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    for suffix in ("", "-wal"):
        (shared / f"x.sqlite3{suffix}").touch()
        (shared / f"x.sqlite3{suffix}").chmod(0o644)
    shared.chmod(0o755)

    close_to_others(older, shared / "x.sqlite3")

    assert modes(shared) == {".": "755", "x.sqlite3": "600", "x.sqlite3-wal": "600"}


# --- folders on another disk ------------------------------------------------------------------------


def link(older: Path, name: str, target: Path, mode: int = 0o755) -> Path:
    """Put a folder of the data folder on another disk, with all that is in it."""
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o755)
    (older / name).rename(target)
    (older / name).symlink_to(target)
    target.chmod(mode)
    return target


@pytest.mark.parametrize("name", ["media", "models", "journals"])
def test_a_folder_on_another_disk_is_closed_and_what_is_around_it_is_not(
    name: str, older: Path, tmp_path: Path
) -> None:
    target = link(older, name, tmp_path / "disk" / name)
    (target / "file").touch()
    (target / "file").chmod(0o644)

    _, news = close_to_others(older, None)

    assert news == f"the folder for {name} {target} was open to other users (mode 0755): it is closed now"
    assert set(modes(target).values()) == {"700", "600"}
    assert stat.S_IMODE((tmp_path / "disk").stat().st_mode) == 0o755
    assert close_to_others(older, None) == []


def test_a_disk_that_others_use_is_not_taken_from_them(older: Path, tmp_path: Path) -> None:
    target = link(older, "media", tmp_path / "disk")
    (target / "backups").mkdir(mode=0o755)
    (target / "backups").chmod(0o755)

    with pytest.raises(
        CannotStart, match=rf"the folder for media {target} \(mode 0755.*link media to a folder"
    ):
        close_to_others(older, None)

    assert modes(target)["backups"] == "755"


def test_a_secret_key_on_another_disk_is_closed(older: Path, tmp_path: Path) -> None:
    target = link(older, "secret.key", tmp_path / "disk" / "key", 0o644)

    close_to_others(older, None)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("target", ["media", "gone", "/dev/null"])
def test_a_link_that_leads_to_no_folder_is_left_alone(target: str, older: Path) -> None:
    shutil.rmtree(older / "media")
    (older / "media").symlink_to(target)

    close_to_others(older, None)


@needs_root
@pytest.mark.parametrize(("name", "mode"), [("media", 0o755), ("journals", 0o777), ("secret.key", 0o604)])
def test_what_is_somebody_else_s_on_another_disk_is_refused(
    name: str, mode: int, older: Path, tmp_path: Path
) -> None:
    target = link(older, name, tmp_path / "disk" / "x", mode)
    os.chown(target, STRANGER, STRANGER)

    with pytest.raises(
        CannotStart, match=rf"{target} \(mode {mode:04o}, owner uid {STRANGER}\).*chmod o-rwx"
    ):
        close_to_others(older, None)

    target.chmod(mode & 0o770)
    assert close_to_others(older, None) == []


# --- folders of somebody else -----------------------------------------------------------------------


@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder of root, which a container's user reaches through the group 0."""
    folder = Path(tempfile.mkdtemp(prefix="chatapi-volume-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def manage_as_stranger(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return run_python("-m", "tests.support.as_stranger", str(STRANGER), *arguments, **clean_environment(data))


@needs_root
def test_a_container_s_random_user_serves_from_a_volume_of_its_group(volume: Path) -> None:
    volume.chmod(0o2770)

    done = manage_as_stranger(volume, "migrate", "--verbosity", "0")

    assert (done.returncode, done.stderr) == (0, "")
    assert modes(volume).pop(".") == "2770"
    made = {path: path.stat() for path in volume.iterdir()}
    assert {facts.st_uid for facts in made.values()} == {STRANGER}
    assert {stat.S_IMODE(facts.st_mode) for facts in made.values()} == {0o600}


@needs_root
@pytest.mark.long
def test_a_volume_that_others_may_look_into_is_refused_and_left_alone(volume: Path) -> None:
    volume.chmod(0o775)

    refused = manage_as_stranger(volume, "migrate")

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"chatapi: others may look into the data folder {volume} (mode 0775")
    assert f"chmod o-rwx {volume}" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert list(volume.iterdir()) == []


@needs_root
def test_a_database_of_somebody_else_that_others_may_read_is_refused(older: Path, volume: Path) -> None:
    (volume / "x.sqlite3").touch()
    (volume / "x.sqlite3").chmod(0o604)
    os.chown(volume / "x.sqlite3", STRANGER, STRANGER)

    with pytest.raises(CannotStart, match=rf"x\.sqlite3 \(mode 0604, owner uid {STRANGER}\).*chmod o-rwx"):
        close_to_others(older, volume / "x.sqlite3")


@needs_root
def test_a_folder_of_somebody_else_is_closed_neither_by_root(older: Path) -> None:
    os.chown(older, STRANGER, STRANGER)

    with pytest.raises(CannotStart, match=f"owner uid {STRANGER}"):
        close_to_others(older, None)

    assert stat.S_IMODE(older.stat().st_mode) == 0o755
    assert set(modes(older).values()) == {"755", "644"}
