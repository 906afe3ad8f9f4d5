"""The model's files: joined from packages that are never imported, and refused unless they are right."""

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from media.speech.recognition import model
from media.speech.recognition.jobs import warm_recogniser
from media.speech.recognition.model import ModelUnusable, embedded_model, own_model
from media.speech.recognition.packaged import PackagedFile, PackagedFileError, Part, make_ready
from media.speech.recognition.values import WarmRecogniser

CONTENT = bytes(range(256)) * 40
SMALL = b'{"small": true}'


class DiskUsage(NamedTuple):
    total: int
    used: int
    free: int


def described(name: str, content: bytes, *parts: Part) -> PackagedFile:
    return PackagedFile(name, len(content), hashlib.sha256(content).hexdigest(), parts)


BIG = described("big.bin", CONTENT, Part("speech_part1", "data/big.1"), Part("speech_part2", "data/big.2"))
FILES = (BIG, described("small.json", SMALL, Part("speech_part1", "data/small.json")))


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, which would blow up if they were imported."""
    site = tmp_path / "site"
    for name, inner, content in (
        ("speech_part1", "big.1", CONTENT[:5000]),
        ("speech_part2", "big.2", CONTENT[5000:]),
        ("speech_part1", "small.json", SMALL),
    ):
        data = site / name / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / inner).write_bytes(content)
        (data.parent / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "speech"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


READY = {"big.bin": CONTENT, "small.json": SMALL}


def test_files_are_joined_from_their_parts(folder: Path) -> None:
    make_ready(FILES, folder)
    assert contents(folder) == READY


def test_files_that_are_right_are_not_written_again(folder: Path, site: Path) -> None:
    make_ready(FILES, folder)
    shutil.rmtree(site)

    make_ready(FILES, folder)

    assert contents(folder) == READY


def test_a_changed_byte_under_an_old_time_stamp_is_noticed(folder: Path) -> None:
    make_ready(FILES, folder)
    file = folder / "big.bin"
    before = file.stat()
    file.write_bytes(b"\xff" + CONTENT[1:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    make_ready(FILES, folder)

    assert contents(folder) == READY


def test_what_a_killed_process_left_is_overwritten(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "big.bin.draft").write_bytes(b"half")

    make_ready(FILES, folder)

    assert contents(folder) == READY


def test_parts_that_were_tampered_with_are_refused(folder: Path, site: Path) -> None:
    (site / "speech_part2" / "data" / "big.2").write_bytes(b"\xff" + CONTENT[5001:])

    with pytest.raises(PackagedFileError) as refused:
        make_ready(FILES, folder)

    assert "big.bin: its SHA-256 is " in str(refused.value)
    assert f"it must be {BIG.sha256}" in str(refused.value)
    assert contents(folder) == {}


def test_a_part_of_another_size_is_refused_before_it_is_copied(folder: Path, site: Path) -> None:
    with (site / "speech_part2" / "data" / "big.2").open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(PackagedFileError, match=rf"parts have \d+ bytes, but it must have {len(CONTENT)}"):
        make_ready(FILES, folder)

    assert contents(folder) == {}


def test_a_package_that_is_missing_is_named(folder: Path, site: Path) -> None:
    shutil.rmtree(site / "speech_part2")

    with pytest.raises(PackagedFileError, match=r"^speech-part2: this package, .* is not installed$"):
        make_ready(FILES, folder)


def test_a_full_disk_is_noticed_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DiskUsage(10, 10, 0))

    with pytest.raises(PackagedFileError, match="the disk is full: 64 MiB are needed, 0 MiB are free"):
        make_ready(FILES, folder)

    assert contents(folder) == {}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(PackagedFileError, match="file: File exists"):
        make_ready(FILES, tmp_path / "file")


def test_several_may_ask_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make_ready(FILES, folder), range(16)))
    assert contents(folder) == READY


def test_the_embedded_model_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "FILES", FILES)
    assert embedded_model(tmp_path) == tmp_path / "whisper-base"
    assert contents(tmp_path / "whisper-base") == READY


def test_an_embedded_model_that_is_not_right_is_never_loaded(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "FILES", FILES)
    (site / "speech_part1" / "data" / "small.json").write_bytes(b'{"small": evil}')

    with pytest.raises(ModelUnusable, match=r"small\.json: its SHA-256 is "):
        warm_recogniser(WarmRecogniser(models_folder=str(tmp_path / "models")))


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"])
def test_of_an_own_model_nothing_may_be_missing(tmp_path: Path, missing: str) -> None:
    """What is missing would be asked of a hub."""
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"")
    assert own_model(tmp_path) == tmp_path

    (tmp_path / missing).unlink()

    with pytest.raises(ModelUnusable, match=f"has no .*{missing}"):
        own_model(tmp_path)


def test_an_own_model_is_asked_for_instead_of_the_embedded_one(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(ModelUnusable, match=r"nowhere: .* it has no model\.bin"):
        warm_recogniser(WarmRecogniser(models_folder=str(tmp_path), model_path=nowhere))
    assert not (tmp_path / "whisper-base").exists()


def test_the_web_process_learns_the_types_without_loading_what_is_heavy() -> None:
    source = (
        "import sys; from media.speech import transcripts; from media.speech.recognition import jobs;"
        "from media.workshop.jobs import job_of; assert job_of(jobs.transcribe).streams;"
        "job_of(jobs.warm_recogniser);"
        "print({'numpy', 'faster_whisper', 'ctranslate2', 'django'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert told.stdout == "set()\n"
