"""The models file: what it may contain, and the errors for anything else."""

from pathlib import Path

import pytest

from engines.model_registry import Registry
from engines.models_file import ModelsFileError, load_models

WHOLE = """
[[models]]
id = "gpt-4o"
engine = "openai_compatible"
base_url = "http://127.0.0.1:9001/v1"
api_key_env = "UPSTREAM_API_KEY"
upstream_model = "gpt-4o-2024-08-06"
input_modalities = ["text", "image", "audio"]
output_modalities = ["text"]
context_length = 128000
max_output_tokens = 16384
default = true
on_disconnect = "cancel"
fallbacks = ["other-model-id"]

[[models]]
id = "other-model-id"
engine = "scripted"
"""


def models_file(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    registry = Registry(load_models(models_file(tmp_path, WHOLE)), tmp_path)
    spec = registry.default
    assert (spec.id, spec.upstream_model, spec.max_output_tokens) == ("gpt-4o", "gpt-4o-2024-08-06", 16384)
    assert [candidate.id for candidate in registry.candidates(spec)] == ["gpt-4o", "other-model-id"]


def test_without_a_file_the_local_model_is_served() -> None:
    [spec] = load_models(None)
    assert (spec.engine, spec.default) == ("local", True)


def test_the_first_model_is_the_default_where_none_says_so(tmp_path: Path) -> None:
    text = WHOLE.replace("default = true", "")
    assert Registry(load_models(models_file(tmp_path, text)), tmp_path).default.id == "gpt-4o"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models = []", "it names no model"),
        ("", "models"),
        ("[[models]", "models.toml"),
        (WHOLE + WHOLE, "used twice"),
        (WHOLE.replace('"openai_compatible"', '"magic"'), "magic"),
        (WHOLE.replace("base_url", "base_uri"), "base_uri"),
        (WHOLE.replace('base_url = "http://127.0.0.1:9001/v1"', ""), "needs a base_url"),
        (WHOLE.replace("http://127.0.0.1:9001/v1", "ftp://x"), "not an http"),
        (WHOLE.replace('["other-model-id"]', '["gpt-4o"]'), "a fallback of 'gpt-4o'"),
        (WHOLE.replace('["other-model-id"]', '["nobody"]'), "'nobody'"),
        (WHOLE.replace('"cancel"', '"perhaps"'), "perhaps"),
        (WHOLE.replace("16384", '"many"'), "max_output_tokens"),
        (WHOLE.replace('engine = "scripted"', 'engine = "scripted"\ndefault = true'), "more than one"),
        (WHOLE.replace('id = "gpt-4o"', f'id = "{"x" * 201}"'), "1 to 200 characters"),
        (WHOLE.replace('id = "gpt-4o"', 'id = ""'), "1 to 200 characters"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ModelsFileError, match=r"models\.toml") as refused:
        load_models(models_file(tmp_path, text))
    assert reason in str(refused.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelsFileError, match="nowhere"):
        load_models(tmp_path / "nowhere.toml")
