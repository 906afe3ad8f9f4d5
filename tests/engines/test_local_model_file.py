"""The model file: the embedded one, which is checked, or a user's own."""

from hashlib import sha256
from pathlib import Path

import pytest

from core.packaged_files import PackagedFile, Part
from engines.local.model_file import ModelFileError, check_own_model, prepare_embedded_model

CONTENT = b"GGUF" + bytes(range(256)) * 40
MODEL = PackagedFile(
    "model.gguf", len(CONTENT), sha256(CONTENT).hexdigest(), (Part("model_part1", "part.bin"),)
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "site" / "model_part1"
    package.mkdir(parents=True)
    (package / "part.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(package.parent))
    return package


@pytest.mark.usefixtures("package")
def test_the_embedded_model_is_joined_once_and_then_checked(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []

    for _ in range(2):
        path = prepare_embedded_model(
            tmp_path / "models", lambda message, fraction: seen.append((message, fraction)), MODEL
        )
        assert path.read_bytes() == CONTENT

    assert path == tmp_path / "models" / "model.gguf"
    assert seen == [("joining the model", 1), ("checking the model", 1)]


def test_an_embedded_model_that_is_not_right_is_refused(tmp_path: Path, package: Path) -> None:
    (package / "part.bin").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ModelFileError, match=r"model\.gguf: its SHA-256 is "):
        prepare_embedded_model(tmp_path / "models", lambda message, fraction: None, MODEL)


def test_a_users_own_file_is_taken_without_a_digest_but_must_be_a_gguf(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    assert check_own_model(own) == own

    own.write_bytes(b"<html>")
    with pytest.raises(ModelFileError, match=r"own\.gguf: this is no GGUF file"):
        check_own_model(own)
    with pytest.raises(ModelFileError, match=r"other\.gguf: No such file"):
        check_own_model(tmp_path / "other.gguf")
