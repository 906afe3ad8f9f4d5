"""Voices, and the errors about them.

VoiceError                  the voice cannot be used
├── VoiceNotFound           no voice has this name
└── VoiceInvalid            its files are not the ones they should be, or cannot be read
"""

from typing import Literal

import msgspec

from media.processing.exceptions import MediaError

Gender = Literal["female", "male", "neutral"]


class VoiceError(MediaError):
    code = "voice_unusable"


class VoiceNotFound(VoiceError):
    code = "voice_not_found"


class VoiceInvalid(VoiceError):
    code = "voice_refused"


class Digests(msgspec.Struct, frozen=True):
    """The SHA-256 digests of a Piper voice's two files, in hexadecimal."""

    model: str
    config: str


class Voice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A voice, requested by its `id` in upper or lower case.

    `language` is a BCP 47 tag. `source` is eSpeak NG's own name for the voice, or the path of Piper's
    `.onnx`, which has its `.onnx.json` next to it. `pitch` (semitones) and `rate` (a factor) are applied on
    top of what is requested. `alias_of` is the voice that provides the sound.
    """

    id: str
    name: str
    language: str
    engine: Literal["piper", "espeak"]
    source: str
    description: str = ""
    gender: Gender | None = None
    pitch: float = 0.0
    rate: float = 1.0
    alias_of: str | None = None
    digests: Digests | None = None
