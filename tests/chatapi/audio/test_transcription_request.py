"""What a form may request of a transcript."""

import pytest

from chatapi.audio.transcription_request import parse_transcription_form
from core.exceptions import BadRequest
from media.api.form_reader import Form


def test_segment_times_may_be_requested_of_a_format_without_times() -> None:
    """The Vercel AI SDK does so for some models, whenever any other option is set."""
    form = Form([("response_format", "json"), ("timestamp_granularities[]", "segment")], None)
    assert parse_transcription_form(form, "transcribe").format == "json"


def test_word_times_need_verbose_json() -> None:
    form = Form([("response_format", "json"), ("timestamp_granularities[]", "word")], None)
    with pytest.raises(BadRequest, match="verbose_json"):
        parse_transcription_form(form, "transcribe")
