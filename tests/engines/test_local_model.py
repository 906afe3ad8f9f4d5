"""The model's file: joined from packages that are never imported, and refused unless it is right."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from chatapi.engines.local import model
from chatapi.engines.local.model import ModelFileError, embedded_model, own_model

CONTENT = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages with a part each, which would blow up if they were imported."""
    site = tmp_path / "site"
    for number, part in enumerate((CONTENT[:5000], CONTENT[5000:]), start=1):
        data = site / f"model_part{number}" / "data"
        data.mkdir(parents=True)
        (data / "part.bin").write_bytes(part)
        (data.parent / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(model, "PARTS", tuple((f"model_part{number}", "data/part.bin") for number in (1, 2)))
    monkeypatch.setattr(model, "SIZE", len(CONTENT))
    monkeypatch.setattr(model, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(model, "PIECE", 512)
    return site


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def silent(message: str, fraction: float) -> None:
    pass


def test_the_parts_are_joined_and_progress_is_told(models: Path) -> None:
    told: list[str] = []
    fractions: list[float] = []

    def progress(message: str, fraction: float) -> None:
        told.append(message)
        fractions.append(fraction)

    path = embedded_model(models, progress)

    assert path.read_bytes() == CONTENT
    assert set(told) == {"joining the model"}
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert not list(models.glob("*.partial"))


def test_a_right_copy_is_checked_and_not_joined_again(models: Path) -> None:
    before = embedded_model(models, silent).stat()
    told: list[str] = []
    after = embedded_model(models, lambda message, fraction: told.append(message)).stat()

    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert set(told) == {"checking the model"}


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:100] + b"?" + data[101:]])
def test_a_spoilt_copy_is_joined_anew(models: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = embedded_model(models, silent)
    path.write_bytes(spoil(path.read_bytes()))

    assert embedded_model(models, silent).read_bytes() == CONTENT


def test_parts_with_another_digest_are_refused_in_one_line(models: Path, packages: Path) -> None:
    changed = CONTENT[:-1] + b"!"
    (packages / "model_part2" / "data" / "part.bin").write_bytes(changed[5000:])

    with pytest.raises(ModelFileError) as refusal:
        embedded_model(models, silent)

    message = str(refusal.value)
    assert str(models / model.NAME) in message
    assert hashlib.sha256(changed).hexdigest() in message
    assert model.SHA256 in message
    assert "\n" not in message
    assert [path.name for path in models.iterdir()] == [f"{model.NAME}.lock"]


def test_a_missing_part_is_named(models: Path, packages: Path) -> None:
    shutil.rmtree(packages / "model_part2")
    with pytest.raises(ModelFileError, match=r"^model-part2: this package, a part of the local model"):
        embedded_model(models, silent)


class DiskUsage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_noticed_before_joining(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DiskUsage(10, 10, 0))
    with pytest.raises(ModelFileError, match="the disk is full: the model needs 64 MiB, 0 MiB are free"):
        embedded_model(models, silent)


def test_a_disk_that_fills_up_while_joining_leaves_nothing_behind(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(ModelFileError, match=r"No space left on device$"):
        embedded_model(models, silent)
    assert [path.name for path in models.iterdir()] == [f"{model.NAME}.lock"]


def test_many_at_once_end_with_one_whole_file(models: Path) -> None:
    joined: list[str] = []
    with ThreadPoolExecutor(6) as pool:
        told = [
            pool.submit(embedded_model, models, lambda message, fraction: joined.append(message))
            for _ in range(6)
        ]
        paths = {future.result() for future in told}

    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert joined.count("joining the model") == len(range(0, 5000, 512)) + len(range(5000, len(CONTENT), 512))


def test_a_users_own_file_is_taken_without_a_digest_but_must_be_a_gguf(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    assert own_model(own) == own

    own.write_bytes(b"<html>")
    with pytest.raises(ModelFileError, match=r"own\.gguf: this is no GGUF file"):
        own_model(own)
    with pytest.raises(ModelFileError, match=r"other\.gguf: No such file"):
        own_model(tmp_path / "other.gguf")
