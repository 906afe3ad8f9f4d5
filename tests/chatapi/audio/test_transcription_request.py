"""What a form may ask of a transcript."""

import pytest

from chatapi.audio.transcription_request import transcription_request
from core.exceptions import BadRequest
from media.api.upload_form import Form


def test_times_of_segments_may_be_asked_of_a_format_without_times() -> None:
    """The Vercel AI SDK asks so of some models, whenever anything else is asked."""
    form = Form([("response_format", "json"), ("timestamp_granularities[]", "segment")], None)
    assert transcription_request(form, "transcribe").format == "json"


def test_times_of_words_are_asked_of_verbose_json() -> None:
    form = Form([("response_format", "json"), ("timestamp_granularities[]", "word")], None)
    with pytest.raises(BadRequest, match="verbose_json"):
        transcription_request(form, "transcribe")
