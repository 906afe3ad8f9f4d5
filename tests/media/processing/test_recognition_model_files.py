"""The model's files: the embedded ones, which are checked, or a custom model's."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from core.packaged_files import PackagedFile, Part
from media.processing.speech.recognition.job_types import WarmRecognizer
from media.processing.speech.recognition.jobs import warm_recognizer
from media.processing.speech.recognition.model_files import ModelUnusable, embedded_model, own_model

SMALL = b'{"small": true}'
FILES = [
    PackagedFile("small.json", len(SMALL), sha256(SMALL).hexdigest(), (Part("speech_part1", "small.json"),))
]
"""One file stands in for the whole model."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "site" / "speech_part1"
    package.mkdir(parents=True)
    (package / "small.json").write_bytes(SMALL)
    monkeypatch.syspath_prepend(str(package.parent))
    return package


@pytest.mark.usefixtures("package")
def test_the_embedded_model_has_its_own_folder(tmp_path: Path) -> None:
    assert embedded_model(tmp_path, FILES) == tmp_path / "whisper-base"
    assert (tmp_path / "whisper-base" / "small.json").read_bytes() == SMALL


def test_an_altered_embedded_model_is_never_loaded(tmp_path: Path, package: Path) -> None:
    (package / "small.json").write_bytes(b'{"small": evil}')

    with pytest.raises(ModelUnusable, match=r"small\.json: its SHA-256 is "):
        embedded_model(tmp_path / "models", FILES)


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"])
def test_a_custom_model_must_be_complete(tmp_path: Path, missing: str) -> None:
    """A missing file would be downloaded from the hub."""
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"")
    assert own_model(tmp_path) == tmp_path

    (tmp_path / missing).unlink()

    with pytest.raises(ModelUnusable, match=f"has no .*{missing}"):
        own_model(tmp_path)


def test_a_custom_model_is_used_instead_of_the_embedded_one(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(ModelUnusable, match=r"nowhere: .* it has no model\.bin"):
        warm_recognizer(WarmRecognizer(models_folder=str(tmp_path), model_path=nowhere))
    assert not (tmp_path / "whisper-base").exists()


def test_importing_the_jobs_loads_no_heavy_modules() -> None:
    source = (
        "import sys; from media.processing.speech import transcripts;"
        "from media.processing.speech.recognition import jobs;"
        "from media.processing.sandbox.job_functions import job_of; assert job_of(jobs.transcribe).streams;"
        "job_of(jobs.warm_recognizer);"
        "print({'numpy', 'faster_whisper', 'ctranslate2', 'django'} & {*sys.modules})"
    )
    imported = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert imported.stdout == "set()\n"
