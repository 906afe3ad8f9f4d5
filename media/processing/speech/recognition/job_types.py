"""What recognition takes and yields, as pure values."""

import msgspec


class Transcribe(msgspec.Struct, frozen=True):
    """A request to transcribe a sound.

    `path` is a WAV file of 16 kHz, mono, 16 bit. `language` is a code of `LANGUAGE_NAMES`; None lets the
    model detect it. `prompt` is the text that came before, or text in the wanted spelling. `temperature` is 0
    to 1; at 0 the decoder raises it by itself where its best guess is poor. `translate` asks for English,
    `words` for the time of every word. `model_path` is a user's own model; without it, the embedded one is
    made ready in `models_folder`.
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
    """The answer of a warm-up: `folder` is where the model was loaded from, `seconds` what that took."""

    folder: str
    seconds: float


class Word(msgspec.Struct, frozen=True):
    """A recognized word without surrounding space; its times are in seconds of the whole sound."""

    word: str
    start: float
    end: float
    probability: float


class Segment(msgspec.Struct, frozen=True, tag="segment"):
    """A phrase or sentence, with the fields and meanings of OpenAI's verbose transcription.

    Times are in seconds of the whole sound: no segment begins before the previous one has ended, and none
    ends before it begins. `seek` is in hundredths of a second. `text` begins with the space that separates it
    from the text before, if the language has one.
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


class RecognitionEnd(msgspec.Struct, frozen=True, tag="heard"):
    """The end of a stream of segments; a stream without it was cut short.

    `language` is the code of the spoken language, or None if there was no speech to detect it from.
    `duration` is the length of the sound in seconds.
    """

    language: str | None
    duration: float
