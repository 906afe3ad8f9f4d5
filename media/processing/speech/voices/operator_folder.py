"""The operator's own Piper voices: every `NAME.onnx` in a folder, with its `NAME.onnx.json`, is a voice."""

import json
import logging
from pathlib import Path
from typing import Any

from media.processing.speech.voices.voice import Voice

logger = logging.getLogger(__name__)

PHONEME_TYPES = ("espeak", "text")
"""Other types need models that Piper would fetch from the network."""


def folder_voices(folder: str | None) -> tuple[Voice, ...]:
    """Return the voices in a folder; unusable ones are left out, and logged."""
    if folder is None:
        return ()
    voices = (_read_voice(path) for path in sorted(Path(folder).glob("*.onnx")))
    return tuple(voice for voice in voices if voice is not None)


def _read_voice(model: Path) -> Voice | None:
    try:
        config = json.loads(Path(f"{model}.json").read_bytes())
        language = _language(config)
        phonemes = config.get("phoneme_type", "espeak")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("The voice %s has no usable .onnx.json: %s", model, error)
        return None
    if phonemes not in PHONEME_TYPES:
        logger.warning("The voice %s wants phonemes of type %s, which are not made here", model, phonemes)
        return None
    return Voice(
        id=model.stem,
        name=model.stem,
        language=language,
        engine="piper",
        source=str(model),
        description="A Piper voice of this service's operator.",
    )


def _language(config: dict[str, Any]) -> str:
    code = (config.get("language") or {}).get("code") or config["espeak"]["voice"]
    return str(code).replace("_", "-")
