"""The models file: what it may contain, and the errors for anything else."""

from pathlib import Path

import pytest

from engines.model_registry import Registry
from engines.model_spec import LOCAL_CONTEXT_LENGTH, ModelSpec
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
        (WHOLE.replace("http://127.0.0.1:9001/v1", "http://"), "not an http"),
        (WHOLE.replace("http://127.0.0.1:9001/v1", "http://[::1"), "not an http"),
        (WHOLE.replace("http://127.0.0.1:9001/v1", "http://h:port/v1"), "not an http"),
        (WHOLE.replace("http://127", "http://user:hunter2@127"), "leave one out"),
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


@pytest.mark.parametrize(
    "key",
    [
        "sk-first\nsk-second",
        "sk-a\x07bcdefgh",
        "sk-schl\u00fcssel",
        "sk-\u200babcdefgh",
        "sk-\u4e2d\u6587",
        "sk-a\tb",
    ],
)
def test_a_key_that_no_header_carries_is_refused_by_its_variables_name(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", f" {key} ")
    with pytest.raises(
        ModelsFileError, match="the key of 'gpt-4o': UPSTREAM_API_KEY has a line break"
    ) as refused:
        load_models(models_file(tmp_path, WHOLE))
    assert "sk-" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "key", ["sk-proj-0123456789abcdef", "AIzaSyD4abcdefghijklmnop0123", "gsk_abcd0123EFGH"]
)
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(ModelsFileError, match="is not a variable's name") as refused:
        load_models(models_file(tmp_path, WHOLE.replace("UPSTREAM_API_KEY", key)))
    assert key not in str(refused.value)


def test_a_variable_may_hold_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "UPSTREAM_API_KEY")
    for _ in range(2):
        assert load_models(models_file(tmp_path, WHOLE))


def test_a_password_in_an_address_that_is_none_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ModelsFileError) as refused:
        load_models(models_file(tmp_path, WHOLE.replace("http://127", "htp://user:hunter2@127")))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelsFileError, match="nowhere"):
        load_models(tmp_path / "nowhere.toml")


def test_a_local_model_always_has_a_context_length() -> None:
    """A prompt is checked against it before the call is admitted."""
    assert ModelSpec(id="mine", engine="local").context_length == LOCAL_CONTEXT_LENGTH
    assert ModelSpec(id="mine", engine="local", context_length=99).context_length == 99
    assert ModelSpec(id="theirs", engine="scripted").context_length is None
