"""Files joined from packages that are never imported, and refused unless their content is right."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.packaged_files import (
    PIECE,
    PackagedFile,
    PackagedFileError,
    Part,
    file_digest,
    find_packaged,
    prepare_files,
)

CONTENT = bytes(range(256)) * 40
SMALL = b'{"small": true}'


def described(name: str, content: bytes, *parts: Part) -> PackagedFile:
    return PackagedFile(name, len(content), hashlib.sha256(content).hexdigest(), parts)


BIG = described("big.bin", CONTENT, Part("model_part1", "data/big.1"), Part("model_part2", "data/big.2"))
FILES = (BIG, described("small.json", SMALL, Part("model_part1", "data/small.json")))
READY = {"big.bin": CONTENT, "small.json": SMALL}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages that raise an error if they are imported."""
    site = tmp_path / "site"
    for name, inner, content in (
        ("model_part1", "big.1", CONTENT[:5000]),
        ("model_part2", "big.2", CONTENT[5000:]),
        ("model_part1", "small.json", SMALL),
    ):
        data = site / name / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / inner).write_bytes(content)
        (data.parent / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "of one kind"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


class ProgressReport:
    """A record of the progress that was reported."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fractions: list[float] = []

    def __call__(self, doing: str, fraction: float) -> None:
        self.steps.append(doing)
        self.fractions.append(fraction)


def test_files_are_joined_from_their_parts(folder: Path) -> None:
    prepare_files(FILES, folder)
    assert contents(folder) == READY


def test_progress_is_told_while_a_file_is_joined(folder: Path) -> None:
    report = ProgressReport()
    prepare_files([BIG], folder, report)
    assert set(report.steps) == {"joining"}
    assert report.fractions == sorted(report.fractions)
    assert report.fractions[-1] == 1


def test_a_right_copy_is_checked_and_not_joined_again(folder: Path, site: Path) -> None:
    prepare_files(FILES, folder)
    before = (folder / "big.bin").stat()
    shutil.rmtree(site)
    report = ProgressReport()

    prepare_files(FILES, folder, report)

    after = (folder / "big.bin").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert contents(folder) == READY
    assert set(report.steps) == {"checking"}


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:100] + b"?" + data[101:]])
def test_a_spoilt_copy_is_joined_anew(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    prepare_files(FILES, folder)
    (folder / "big.bin").write_bytes(spoil(CONTENT))

    prepare_files(FILES, folder)

    assert contents(folder) == READY


def test_a_changed_byte_under_an_old_time_stamp_is_noticed(folder: Path) -> None:
    prepare_files(FILES, folder)
    file = folder / "big.bin"
    before = file.stat()
    file.write_bytes(b"\xff" + CONTENT[1:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    prepare_files(FILES, folder)

    assert contents(folder) == READY


def test_what_a_killed_process_left_is_overwritten(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "big.bin.partial").write_bytes(b"half")

    prepare_files(FILES, folder)

    assert contents(folder) == READY


def test_parts_that_were_tampered_with_are_refused_in_one_line(folder: Path, site: Path) -> None:
    changed = CONTENT[:5000] + b"\xff" + CONTENT[5001:]
    (site / "model_part2" / "data" / "big.2").write_bytes(changed[5000:])

    with pytest.raises(PackagedFileError) as refused:
        prepare_files(FILES, folder)

    found = hashlib.sha256(changed).hexdigest()
    assert str(refused.value) == f"{folder / 'big.bin'}: its SHA-256 is {found}, but it must be {BIG.sha256}"
    assert contents(folder) == {}


def test_a_part_of_another_size_is_refused_before_it_is_copied(folder: Path, site: Path) -> None:
    with (site / "model_part2" / "data" / "big.2").open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(PackagedFileError, match=rf"parts have \d+ bytes, but it must have {len(CONTENT)}"):
        prepare_files(FILES, folder)

    assert contents(folder) == {}


def test_a_package_that_is_missing_is_named(folder: Path, site: Path) -> None:
    shutil.rmtree(site / "model_part2")

    with pytest.raises(PackagedFileError, match=r"^model-part2: this package, .* is not installed$"):
        prepare_files(FILES, folder)


def test_a_full_disk_is_noticed_before_anything_is_written(folder: Path) -> None:
    huge = PackagedFile("huge.bin", 2**60, "", BIG.parts)

    with pytest.raises(PackagedFileError, match=r"the disk is full: 1099511627840 MiB are needed, \d+ MiB"):
        prepare_files([huge], folder)

    assert contents(folder) == {}


def test_a_disk_that_fills_up_while_joining_leaves_nothing_behind(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "big.bin.partial").symlink_to("/dev/full")
    with pytest.raises(PackagedFileError, match=r"No space left on device$"):
        prepare_files(FILES, folder)
    assert contents(folder) == {}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(PackagedFileError, match="file: File exists"):
        prepare_files(FILES, tmp_path / "file")


def test_of_many_that_ask_at_once_one_joins_and_the_others_wait(folder: Path) -> None:
    report = ProgressReport()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prepare_files([BIG], folder, report), range(16)))

    assert contents(folder) == {"big.bin": CONTENT}
    assert report.steps.count("joining") == len(BIG.parts)


def test_files_and_folders_of_packages_are_found(site: Path) -> None:
    assert find_packaged("model_part1", "data") == site / "model_part1" / "data"
    assert find_packaged("model_part1", "data/big.1") == site / "model_part1" / "data" / "big.1"
    assert find_packaged("model_part1", "data/big.2") is None
    assert find_packaged("model_part3", "data") is None


def test_a_files_digest_is_that_of_all_its_pieces(tmp_path: Path) -> None:
    content = b"x" * (2 * PIECE) + CONTENT
    (tmp_path / "file").write_bytes(content)
    done: list[int] = []
    assert file_digest(tmp_path / "file", done.append) == hashlib.sha256(content).hexdigest()
    assert done == [PIECE, 2 * PIECE, len(content)]


def test_processes_that_need_files_load_neither_django_nor_celery() -> None:
    """Sandbox workers and the model's own process would pay for it in memory and in time to start."""
    source = (
        "import sys, core.packaged_files;"
        "print([name for name in ('django', 'celery', 'kombu') if name in sys.modules])"
    )
    report = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert report.stdout == "[]\n"
