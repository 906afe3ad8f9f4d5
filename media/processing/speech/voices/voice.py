"""What a voice is.

VoiceProblem                the voice cannot be used
├── VoiceNotFound           no voice has this name
└── VoiceRefused            its files are not the ones they should be, or cannot be read
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
    """SHA-256, in hexadecimal, of a Piper voice's two files."""

    model: str
    config: str


class Voice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A voice that can be asked for by `id`, with upper or lower case.

    `language` is a BCP 47 tag. `source` is eSpeak NG's own name of the voice, or the path of Piper's
    `.onnx`, beside which lies `.onnx.json`. `pitch` (semitones) and `rate` (a factor) are added to what
    is asked for. `alias_of` is the voice that lends its sound.
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
