"""Transcripts in every form that OpenAI's audio endpoints return."""

from typing import Any

import msgspec
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    TranslationVerbose,
)

from media.processing.speech.recognition.job_types import RecognitionEnd, Segment, Word
from media.processing.speech.recognition.languages import (
    LANGUAGE_NAMES,
    UnknownLanguage,
    language_code,
    language_name,
)
from media.processing.speech.recognition.timestamp_clamping import Clock
from media.processing.speech.transcripts import (
    Transcript,
    TranscriptBuilder,
    TranscriptCutShort,
    as_json,
    as_srt,
    as_text,
    as_verbose_json,
    as_vtt,
    delta_event,
    done_event,
    transcript_content,
    usage,
)
from tests.support.transcription import transcript_of


def segment(text: str, start: float = 0.0, end: float = 1.0, **changes: Any) -> Segment:
    plain = Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=[50364, 2425],
        temperature=0.0,
        avg_logprob=-0.25,
        compression_ratio=1.1,
        no_speech_prob=0.01,
        words=[],
    )
    return msgspec.structs.replace(plain, **changes)


HELLO = segment(
    " Hello there.", 0.0, 1.5, words=[Word("Hello", 0.0, 0.5, 0.9), Word("there.", 0.5, 1.5, 0.8)]
)
BYE = segment(
    " Good bye.", 2.25, 3.1, id=1, seek=200, words=[Word("Good", 2.25, 2.6, 1), Word("bye.", 2.6, 3.1, 1)]
)
SPOKEN = transcript_of([HELLO, BYE, RecognitionEnd("en", 8.47)])


def cues(*segments: Segment) -> Transcript:
    return transcript_of([*segments, RecognitionEnd("en", 10_000_000)])


def test_the_stored_content_has_the_text_and_its_times() -> None:
    said = transcript_of([HELLO, segment(" Good bye.", 2.2549, 3.1), RecognitionEnd("en", 8.47)])
    assert transcript_content(said) == {
        "text": "Hello there. Good bye.",
        "language": "en",
        "seconds": 8.47,
        "passages": [
            {"start": 0.0, "end": 1.5, "text": "Hello there."},
            {"start": 2.25, "end": 3.1, "text": "Good bye."},
        ],
    }


# --- from a stream to a transcript ----------------------------------------------------------------------


def test_the_pieces_that_segments_add_join_to_the_text() -> None:
    stream: list[Segment | RecognitionEnd] = [
        segment("  \n"),
        HELLO,
        segment(" "),
        segment(" Good "),
        segment(" bye. \n"),
        RecognitionEnd("en", 4.0),
    ]
    writer = TranscriptBuilder()

    pieces = [writer.add(item) for item in stream]

    assert pieces == ["", "Hello there.", "", " Good", " bye.", ""]
    assert writer.transcript().text == "".join(pieces) == "Hello there. Good bye."


def test_languages_written_without_spaces_get_none() -> None:
    assert transcript_of([segment("你好"), segment("再见"), RecognitionEnd("zh", 3.0)]).text == "你好再见"


def test_an_incomplete_stream_is_not_a_transcript() -> None:
    with pytest.raises(TranscriptCutShort):
        transcript_of([HELLO])


def test_silence_gives_an_empty_transcript() -> None:
    silence = transcript_of([RecognitionEnd(None, 2.0)])

    assert as_json(silence) == {"text": "", "usage": {"type": "duration", "seconds": 2}}
    assert as_text(silence) == "\n"
    assert as_srt(silence) == ""
    assert as_vtt(silence) == "WEBVTT\n\n"
    assert as_verbose_json(silence)["language"] == "unknown"
    assert as_verbose_json(silence)["segments"] == []


def test_a_transcript_survives_being_stored() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SPOKEN), type=Transcript) == SPOKEN


# --- JSON -----------------------------------------------------------------------------------------------


def test_the_sdk_reads_the_json() -> None:
    answer = as_json(SPOKEN)

    assert answer == {"text": "Hello there. Good bye.", "usage": {"type": "duration", "seconds": 9}}
    Transcription.model_validate(answer, strict=True)


def test_the_json_of_a_translation_is_only_its_text() -> None:
    assert as_json(SPOKEN, "translate") == {"text": "Hello there. Good bye."}


def test_verbose_json_has_every_field_of_a_segment() -> None:
    answer = as_verbose_json(SPOKEN)

    TranscriptionVerbose.model_validate(answer, strict=True)
    assert {key: answer[key] for key in ("task", "language", "duration", "text")} == {
        "task": "transcribe",
        "language": "english",
        "duration": 8.47,
        "text": "Hello there. Good bye.",
    }
    assert answer["segments"][1] == {
        "id": 1,
        "seek": 200,
        "start": 2.25,
        "end": 3.1,
        "text": " Good bye.",
        "tokens": [50364, 2425],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.1,
        "no_speech_prob": 0.01,
    }
    assert "words" not in answer


def test_words_and_segments_are_included_as_requested() -> None:
    words = as_verbose_json(SPOKEN, granularities=["word"])
    both = as_verbose_json(SPOKEN, granularities=["word", "segment"])

    TranscriptionVerbose.model_validate(both, strict=True)
    assert "segments" not in words
    assert words["words"] == both["words"]
    assert words["words"][:2] == [
        {"word": "Hello", "start": 0.0, "end": 0.5},
        {"word": "there.", "start": 0.5, "end": 1.5},
    ]
    assert len(both["segments"]) == 2


def test_a_verbose_translation_is_english_whatever_was_spoken() -> None:
    german = transcript_of([HELLO, RecognitionEnd("de", 2.0)])

    assert as_verbose_json(german)["language"] == "german"
    answer = as_verbose_json(german, "translate")
    assert (answer["task"], answer["language"]) == ("translate", "english")
    assert "usage" not in answer
    TranslationVerbose.model_validate(answer, strict=True)


@pytest.mark.parametrize(("duration", "seconds"), [(0.0, 0), (0.01, 1), (1.0, 1), (8.47, 9), (3600.0, 3600)])
def test_usage_is_rounded_up_to_whole_seconds(duration: float, seconds: int) -> None:
    assert usage(transcript_of([RecognitionEnd("en", duration)])) == {"type": "duration", "seconds": seconds}


def test_the_sdk_reads_the_events() -> None:
    delta, done = delta_event(" Good bye."), done_event(SPOKEN)

    assert delta == {"type": "transcript.text.delta", "delta": " Good bye."}
    assert done == {
        "type": "transcript.text.done",
        "text": "Hello there. Good bye.",
        "usage": {"type": "duration", "seconds": 9},
    }
    TranscriptionTextDeltaEvent.model_validate(delta, strict=True)
    assert TranscriptionTextDoneEvent.construct(**done).text == SPOKEN.text


# --- text and subtitles ---------------------------------------------------------------------------------


def test_text_is_one_line_with_a_line_break() -> None:
    assert as_text(SPOKEN) == "Hello there. Good bye.\n"


def test_srt() -> None:
    assert as_srt(SPOKEN) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:00:02,250 --> 00:00:03,100\nGood bye.\n\n"
    )


def test_vtt() -> None:
    assert as_vtt(SPOKEN) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\nHello there.\n\n"
        "00:00:02.250 --> 00:00:03.100\nGood bye.\n\n"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0004, "00:00:00.000"),
        (0.0006, "00:00:00.001"),
        (1.9996, "00:00:02.000"),
        (59.9999, "00:01:00.000"),
        (3599.9999, "01:00:00.000"),
        (3661.042, "01:01:01.042"),
        (360_000.5, "100:00:00.500"),
    ],
)
def test_times_are_rounded_and_carried(seconds: float, shown: str) -> None:
    assert f"{shown} --> {shown}\n" in as_vtt(cues(segment(" A", seconds, seconds)))


def test_subtitles_never_run_backwards() -> None:
    text = as_vtt(cues(segment(" A", 2.0, 1.0), segment(" B", 1.5, 4.0), segment(" C", 3.0, 3.5)))

    assert [line for line in text.splitlines() if "-->" in line] == [
        "00:00:02.000 --> 00:00:02.000",
        "00:00:02.000 --> 00:00:04.000",
        "00:00:04.000 --> 00:00:04.000",
    ]


def test_an_empty_cue_is_left_out_and_not_counted() -> None:
    assert as_srt(cues(segment(" \n "), segment(" A"))).startswith("1\n")


def test_text_cannot_break_out_of_its_cue() -> None:
    forged = cues(segment(" <b>A & B</b>\n\n99\n00:00:00.000 --> 00:00:09.000\nC"))

    vtt, srt = as_vtt(forged), as_srt(forged)

    assert "&lt;b&gt;A &amp; B&lt;/b&gt; 99 00:00:00.000 -&gt; 00:00:09.000 C\n" in vtt
    for document in (vtt, srt):
        assert document.count("-->") == 1
        assert document.rstrip().count("\n\n") == document.startswith("WEBVTT")


# --- times ----------------------------------------------------------------------------------------------


def test_a_clock_keeps_times_that_are_in_order() -> None:
    clock = Clock()
    assert [clock.place_span(0.5, 1.25, 9), clock.place_span(1.25, 2.0004, 9)] == [(0.5, 1.25), (1.25, 2.0)]


def test_a_clock_never_goes_back_or_past_the_end() -> None:
    clock = Clock()
    assert clock.place_span(-0.1, 2.0, 5.0) == (0.0, 2.0)
    assert clock.place_span(1.0, 1.5, 5.0) == (2.0, 2.0)
    assert clock.place_span(4.0, 3.0, 5.0) == (4.0, 4.0)
    assert clock.place_span(4.5, 30.0, 5.0) == (4.5, 5.0)
    assert clock.place_span(6.0, 7.0, 5.0) == (5.0, 5.0)


# --- languages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("en", "en"),
        (" EN ", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("English", "en"),
        ("haitian creole", "ht"),
        ("nb-NO", "no"),
        ("iw", "he"),
        ("jv", "jw"),
        ("fil-PH", "tl"),
        ("Mandarin", "zh"),
    ],
)
def test_languages_are_parsed_leniently(said: str, code: str) -> None:
    assert language_code(said) == code


@pytest.mark.parametrize("said", ["", "-", "e", "eng-lish", "klingon", "xx-EN", "<|en|>", "\0"])
def test_an_unknown_language_is_named(said: str) -> None:
    with pytest.raises(UnknownLanguage) as refused:
        language_code(said)
    assert f'"{said}"' in str(refused.value)
    assert refused.value.language == said


def test_a_very_long_language_is_not_repeated() -> None:
    with pytest.raises(UnknownLanguage) as refused:
        language_code("x" * 100_000)
    assert len(str(refused.value)) < 200


def test_every_language_has_its_own_name() -> None:
    assert len(set(LANGUAGE_NAMES.values())) == len(LANGUAGE_NAMES) == 100
    assert language_name("de") == "german"
    for code in LANGUAGE_NAMES:
        assert language_code(language_name(code)) == language_code(code) == code
