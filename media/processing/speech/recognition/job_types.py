"""What recognition takes and yields, as pure values."""

import msgspec


class Transcribe(msgspec.Struct, frozen=True):
    """Sound to be written down.

    `path` is a wav file of 16 kHz, mono, 16 bit. `language` is a code of `languages.NAMES`; None lets the
    model find out. `prompt` is text that came before, or has the spelling that is wanted. `temperature` is
    0 to 1; at 0 the decoder raises it by itself where its best guess is a poor one. `translate` asks for
    English, `words` for the time of every word. `model_path` is a user's own model; without it the embedded
    one is made ready in `models_folder`.
    """

    path: str
    models_folder: str
    model_path: str | None = None
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    translate: bool = False
    words: bool = False


class WarmRecognizer(msgspec.Struct, frozen=True):
    models_folder: str
    model_path: str | None = None


class RecognizerReady(msgspec.Struct, frozen=True):
    """`folder` is where the model was loaded from; `seconds` is what that took."""

    folder: str
    seconds: float


class Word(msgspec.Struct, frozen=True):
    """Times in seconds of the whole sound; `word` has no space around it."""

    word: str
    start: float
    end: float
    probability: float


class Segment(msgspec.Struct, frozen=True, tag="segment"):
    """A phrase or sentence, with the fields and the meanings of OpenAI's verbose transcription.

    Times are in seconds of the whole sound: no segment begins before the one before it has ended, none ends
    before it begins. `seek` is in hundredths of a second. `text` has the space before it that divides it from
    the text before, if the language has such.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word]


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """Ends a stream of segments: a stream without it was cut short.

    `language` is what was spoken, as a code; None where there was no speech to tell it by. `duration` is
    that of the sound, in seconds.
    """

    language: str | None
    duration: float
