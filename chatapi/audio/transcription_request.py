"""The form fields of a transcription request."""

from collections.abc import Iterable
from math import isfinite
from typing import Literal, TypeVar, get_args

from core.exceptions import BadRequest
from core.validation.exceptions import not_one_of
from core.value import Value
from media.api.form_reader import Form
from media.processing.speech.recognition.languages import UnknownLanguage, language_code
from media.processing.speech.transcripts import SEGMENTS, Granularity, Task

TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Choice = TypeVar("Choice", bound=str)

FORMATS: tuple[TranscriptFormat, ...] = get_args(TranscriptFormat)
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)
GRANULARITIES_FIELD = "timestamp_granularities"
TRUE, FALSE = {"true", "1"}, {"false", "0"}


class TranscriptionRequest(Value, frozen=True):
    format: TranscriptFormat
    language: str | None
    prompt: str | None
    temperature: float
    granularities: tuple[Granularity, ...]
    streams: bool


def parse_transcription_form(form: Form, task: Task) -> TranscriptionRequest:
    """Parse a form. Raises `BadRequest` for the first invalid field.

    Only plain text streams; as with OpenAI's models, other formats are answered whole. Translations take
    no language and no stream.
    """
    format = _choose("response_format", FORMATS, form.text("response_format") or "json")
    streams = _flag(form, "stream") and format in {"json", "text"}
    return TranscriptionRequest(
        format=format,
        language=_language(form) if task == "transcribe" else None,
        prompt=form.text("prompt") or None,
        temperature=_temperature(form),
        granularities=_granularities(form, format),
        streams=streams and task == "transcribe",
    )


def _granularities(form: Form, format: TranscriptFormat) -> tuple[Granularity, ...]:
    requested = [*form.texts(f"{GRANULARITIES_FIELD}[]"), *form.texts(GRANULARITIES_FIELD)]
    if not requested:
        return SEGMENTS
    granularities = tuple(
        dict.fromkeys(_choose(GRANULARITIES_FIELD, GRANULARITIES, one) for one in requested)
    )
    if "word" in granularities and format != "verbose_json":  # SDKs ask for segments in any format
        raise BadRequest(
            f"Unsupported parameter: '{GRANULARITIES_FIELD}' needs the response_format 'verbose_json'.",
            param=GRANULARITIES_FIELD,
            code="unsupported_parameter",
        )
    return granularities


def _language(form: Form) -> str | None:
    language = form.text("language")
    if not language:
        return None
    try:
        return language_code(language)
    except UnknownLanguage as problem:
        raise BadRequest(f"Invalid value for 'language': {problem}", param="language") from None


def _temperature(form: Form) -> float:
    text = form.text("temperature")
    if not text:
        return 0.0
    try:
        temperature = float(text)
    except ValueError:
        temperature = float("nan")
    if not isfinite(temperature):
        raise BadRequest(
            "Invalid type for 'temperature': expected a decimal.", param="temperature", code="invalid_type"
        )
    if not 0 <= temperature <= 1:
        raise BadRequest("Invalid value for 'temperature': it must be from 0 to 1.", param="temperature")
    return temperature


def _flag(form: Form, name: str) -> bool:
    text = (form.text(name) or "false").lower()
    if text not in TRUE | FALSE:
        raise BadRequest(
            f"Invalid type for '{name}': expected 'true' or 'false'.", param=name, code="invalid_type"
        )
    return text in TRUE


def _choose(name: str, known: Iterable[Choice], text: str) -> Choice:
    for choice in known:
        if choice == text:
            return choice
    raise not_one_of(known, text).at(name).as_bad_request
