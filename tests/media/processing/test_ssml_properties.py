"""Any text becomes valid SSML when closed, wherever it is cut."""

import re
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from media.processing.speech.plain_stream import PlainStream
from media.processing.speech.speech_plan import Pause, Say, SpeechItem
from media.processing.speech.ssml.ssml_stream import SsmlStream
from media.processing.speech.ssml.strict_parser import SsmlError, parse_ssml
from tests.support.examples import examples
from tests.support.ssml_documents import close_document, plan_transcript
from tests.support.ssml_validator import assert_is_ssml, text_of

FRAGMENTS = [
    '<speak version="1.1" xml:lang="de-DE">', "<speak>", "</speak>", "<speak/>", "<p>", "</p>", "<s>", "</s>",
    "<p/>", '<s xml:lang="fr">', '<break time="500ms"/>', "<break>", "</break>", '<break strength="none" />',
    '<break time="99999s"/>', '<prosody rate="slow" pitch="+2st">', "</prosody>", '<prosody rate="quick">',
    '<prosody volume="silent">', "<prosody rate=80% volume='50'>", "<emphasis>", "</emphasis>",
    '<emphasis level="huge">', '<say-as interpret-as="date" format="mdy">', "</say-as>",
    '<say-as interpret-as="spell-out">', '<say-as interpret-as="poem">',
    '<sub alias="a &lt; &quot;b&quot; > c">',
    "<sub alias=''>", "</sub>", '<phoneme ph="t&#x259;">', '<phoneme alphabet="x-sampa" ph="t@">',
    "</phoneme>",
    '<lang xml:lang="fr-FR">', '<lang xml:lang="??">', "</lang>", '<voice name="joe">', "<voice>", "</voice>",
    '<mark name="here"/>', '<mark name=""/>', "<audio src='http://example.test/a.wav'>", "</audio>",
    "<mstts:express-as style='sad'>", "<ssml:p>", "</ssml:p>", "<P>", "<br>", "<h1>", "<b>", "</b>",
    "<!-- a comment -->", "<!--", "-->", "<![CDATA[", "]]>", "]]", "<?xml version='1.0'?>", "<?php", "?>",
    "<!DOCTYPE speak>", '<!DOCTYPE speak [<!ENTITY lol "lol">]>', "<!DOCTYPE", "&lol;",
    "<script>", "</script>",
    "<script", "<style/>", "<style>", "</style>", "&", "&amp;", "&lt", ";",
    "&#65;", "&#0;", "&#xD800;", "&#1114112;",
    "&#13;", "&nbsp;", "<", ">", "</", "<a b", '="', '"', "'", "/>", "```xml\n", "```", "\n```\n", "`", "~",
    "\x00", "\x0b", "\ufffe", "\ud83d", "\ufeff", "\ufffc", "😀", "é", "。", "」", ".", "... ",
    "Mr. ", "? ", "! ",
    " ", "\n", "\r\n", "\n\n", "\t", "\xa0", "Hello", "3.14", "one two three ", "x" * 300,
    "word " * 60, "你好",
]  # fmt: skip

pieces = st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=6))
texts = st.lists(pieces, max_size=24).map("".join)
COMMON = settings(max_examples=examples(100))

REAL = (
    '```xml\n<?xml version="1.0"?>\n<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" '
    'xml:lang="en-GB">\n  <p><s>Good morning, R&amp;D!</s> <break time="300ms"/>\n  <s>It is <emphasis '
    'level="strong">very</emphasis> warm: <say-as interpret-as="cardinal">31</say-as> degrees.</s></p>\n'
    '  <p><prosody rate=\'90%\' pitch="-5%">Ask <sub alias="Doctor">Dr.</sub> Who. He knows &lt; 3.</prosody>'
    '<mark name="end"/></p>\n</speak>\n```\n'
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A real answer with some characters removed, doubled or replaced."""
    text = REAL
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, *FRAGMENTS])) + text[end:]
    return text


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(edges)]


places = st.lists(st.integers(0, 10_000), max_size=40)


@COMMON
@given(st.one_of(texts, mutated()), places)
def test_any_text_becomes_ssml_and_can_be_closed_after_each_piece(text: str, where: list[int]) -> None:
    stream = SsmlStream()
    emitted = ""
    assert_is_ssml(close_document(""))
    for piece in cut(text, where):
        emitted += stream.add(piece)
        assert_is_ssml(close_document(emitted))
    emitted += stream.close()
    assert_is_ssml(emitted)
    assert stream.close() == stream.add("more") == ""


@COMMON
@given(st.one_of(texts, mutated()), st.integers(0, 100_000))
def test_a_document_cut_at_any_character_can_be_completed(text: str, place: int) -> None:
    document = whole(text)
    prefix = document[: place % (len(document) + 1)]
    completed = close_document(prefix)
    assert_is_ssml(completed)
    if "<speak" in prefix and ">" in prefix:
        head = prefix[: prefix.rfind("&")] if prefix.rfind("&") > prefix.rfind(";") else prefix
        head = head[: head.rfind("<")] if head.rfind("<") > head.rfind(">") else head
        assert completed.startswith(head)


@COMMON
@given(st.one_of(texts, mutated()), places)
def test_neither_document_nor_plan_depends_on_the_cuts(text: str, where: list[int]) -> None:
    stream = SsmlStream()
    emitted, items = "", list[SpeechItem]()
    for piece in cut(text, where):
        emitted += stream.add(piece)
        items += stream.take()
    emitted += stream.close()
    items += stream.take(rest=True)
    again = SsmlStream()
    assert emitted == again.add(text) + again.close()
    assert items == again.take(rest=True)
    one_by_one = SsmlStream(is_spoken=False)
    assert emitted == "".join([one_by_one.add(character) for character in text]) + one_by_one.close()


@COMMON
@given(st.one_of(texts, mutated()))
def test_the_plan_says_what_the_document_says(text: str) -> None:
    stream = SsmlStream()
    document = stream.add(text) + stream.close()
    items = stream.take(rest=True)
    assert "".join(plan_transcript(items).split()) == "".join(text_of(document).split())
    for item in items:
        if isinstance(item, Say):
            assert item.text == " ".join(item.text.split())
            assert len(item.text) <= 600
            assert 0.25 <= item.rate <= 4
            assert -12 <= item.pitch <= 12
            assert -40 <= item.volume <= 12
        if isinstance(item, Pause):
            assert 0 < item.milliseconds <= 10_000


@COMMON
@given(st.one_of(texts, mutated()))
@example("Hello&#13;&#13;you")
def test_the_strict_parser_reads_what_was_sent_to_the_same_plan(text: str) -> None:
    """Two parsers, one written by hand and one using expat, agree on every document that is sent."""
    stream = SsmlStream(language="en-GB")
    document = stream.add(text) + stream.close()
    spoken = [without_language(item) for item in stream.take(rest=True)]
    assert [without_language(item) for item in parse_ssml(document)] == spoken


@COMMON
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_escaped_text_comes_out_unchanged(text: str) -> None:
    """If there is no markup, the document's text is the text that was given."""
    inner = text.replace("\ufeff", "").replace("\ufffe", "").replace("\uffff", "").replace("`", "'")
    stream = SsmlStream()
    escaped = inner.replace("&", "&amp;").replace("<", "&lt;")
    document = stream.add(f"<speak>.{escaped}.</speak>") + stream.close()
    assert text_of(document) == f".{inner}."


@COMMON
@given(st.text(alphabet="abc <&>.\n", max_size=80))
def test_the_documents_text_keeps_the_order_of_the_input(text: str) -> None:
    document = whole(text)
    kept = iter(text)
    assert all(character in kept for character in "".join(text_of(document).split()))


@COMMON
@given(st.one_of(texts, st.text(max_size=400)))
def test_user_written_ssml_is_either_parsed_or_refused(text: str) -> None:
    for document in (text, f"<speak>{text}</speak>"):
        try:
            items = parse_ssml(document)
        except SsmlError as error:
            place = f"(line {error.line}, column {error.column})."
            assert error.message.endswith(place)  # noqa: PT017
        else:
            said = plan_transcript(items)
            assert "".join(said.split()) == "".join(text_of(document).split())


@COMMON
@given(st.one_of(texts, st.text(max_size=400)), places)
def test_a_plain_stream_changes_nothing_and_speaks_everything(text: str, where: list[int]) -> None:
    stream = PlainStream()
    items = list[SpeechItem]()
    for piece in cut(text, where):
        assert stream.add(piece) == piece
        items += stream.take()
    assert stream.close() == ""
    items += stream.take(rest=True)
    said = plan_transcript(items)
    assert text.startswith(said)
    assert not text[len(said) :].strip()
    whole_stream = PlainStream()
    whole_stream.add(text)
    assert items == whole_stream.take(rest=True)


def test_code_is_written_but_never_spoken_however_long_it_is() -> None:
    text = "So:\n```\n" + "x = 1\n" * 400 + "```\nDone."
    stream = PlainStream()
    stream.add(text)
    items = stream.take(rest=True)
    assert plan_transcript(items) == text
    assert [item.text for item in items if isinstance(item, Say) and item.text] == ["So:", "Done."]


def test_a_real_answer_cut_anywhere_gives_a_prefix_of_its_text() -> None:
    full = text_of(whole(REAL)).strip()
    for place in range(len(REAL) + 1):
        document = whole(REAL[:place])
        assert_is_ssml(document)
        without_half_entity = re.sub("&[a-z]*$", "", text_of(document).strip())
        assert full.startswith(without_half_entity)


def whole(text: str) -> str:
    stream = SsmlStream()
    return stream.add(text) + stream.close()


def without_language(item: Any) -> Any:
    return Say(item.text, item.written, item.voice, None, item.rate) if isinstance(item, Say) else item
