"""Errors in user-written SSML are named, with line and column."""

import re
from time import process_time

import pytest

from media.processing.speech.ssml.model_instructions import SSML_INSTRUCTIONS
from media.processing.speech.ssml.ssml_stream import SsmlStream
from media.processing.speech.ssml.strict_parser import SsmlError, parse_ssml
from tests.support.ssml_documents import plan_transcript

REFUSED: list[tuple[str, str, int, int]] = [
    ("", "not well-formed", 1, 1),
    ("Hello", "not well-formed", 1, 1),
    ("<speak>a", "not well-formed", 1, 9),
    ("<speak><p>a</speak>", "not well-formed", 1, 14),
    ("<p>a</p>", "begins with <p>", 1, 1),
    ("<speak>\n <audio src='a'/></speak>", "The element <audio> is not supported", 2, 2),
    ("<speak xmlns='urn:other'>a</speak>", "namespace urn:other", 1, 1),
    ("<speak version='2.0'>a</speak>", "version", 1, 1),
    ("<speak><p><p>a</p></p></speak>", "<p> may not stand inside <p>", 1, 11),
    ("<speak><s><prosody rate='slow'><p>a</p></prosody></s></speak>", "inside <s>", 1, 32),
    ("<speak><emphasis><s>a</s></emphasis></speak>", "inside <emphasis>", 1, 18),
    ("<speak><sub alias='a'><break/></sub></speak>", "inside <sub>", 1, 23),
    ("<speak><speak/></speak>", "inside <speak>", 1, 8),
    ("<speak><break>a</break></speak>", "must be empty", 1, 16),
    ("<speak><break><mark name='a'/></break></speak>", "must be empty", 1, 15),
    ("<speak><prosody range='high'>a</prosody></speak>", "range of <prosody> is not supported", 1, 8),
    ("<speak><prosody rate='quick'>a</prosody></speak>", '"quick" is no value for rate', 1, 8),
    ("<speak><prosody>a</prosody></speak>", "<prosody> has no attribute", 1, 8),
    ("<speak><say-as>a</say-as></speak>", "lacks its attribute interpret-as", 1, 8),
    ("<speak><say-as interpret-as='date' format='x'>a</say-as></speak>", "no value for format", 1, 8),
    ("<speak><phoneme alphabet='x-sampa' ph='a'>a</phoneme></speak>", "no value for alphabet", 1, 8),
    (f"<speak><sub alias='{'x' * 600}'>a</sub></speak>", "longer than 512", 1, 8),
    ("<speak>&nbsp;</speak>", "undefined entity", 1, 8),
    ("<speak>\n\n<?php echo 1 ?></speak>", "instruction <[?]php[?]>", 3, 1),
    ("<!DOCTYPE speak SYSTEM 'http://127.0.0.1/x.dtd'><speak/>", "document type", 1, 48),
    ("<speak>\x00</speak>", "not well-formed", 1, 8),
    ("<speak>\n a\ud83d</speak>", "half a character", 2, 3),
    ("<speak>" + "<emphasis>" * 40, "deeper than 32", 1, 318),
    ("<speak>" + "<break/>" * 4001 + "</speak>", "more than 4000 elements", 1, 32000),
    ("<speak>" + "a. " * 5000 + "</speak>", "more than 4000 parts", 1, 15016),
    ("<speak>" + "a" * 70_000 + "</speak>", "longer than 65536", 1, 1),
]


@pytest.mark.parametrize(("document", "message", "line", "column"), REFUSED, ids=range(len(REFUSED)))
def test_errors_are_named_with_line_and_column(document: str, message: str, line: int, column: int) -> None:
    with pytest.raises(SsmlError, match=message) as refused:
        parse_ssml(document)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert len(refused.value.message) < 250


def test_bombs_are_refused_before_they_expand() -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    laughs = f'<!DOCTYPE speak [<!ENTITY l0 "lol">{levels}]><speak>&l9;</speak>'
    quadratic = f'<!DOCTYPE speak [<!ENTITY a "{"x" * 30_000}">]><speak>{"&a;" * 11_000}</speak>'
    for bomb in (laughs, quadratic):
        began = process_time()
        with pytest.raises(SsmlError, match="document type"):
            parse_ssml(bomb)
        assert process_time() - began < 0.2
        stream = SsmlStream()
        assert len(stream.add(bomb) + stream.close()) < 200_000


def test_the_instructions_show_markup_that_is_accepted() -> None:
    shown = re.search(r"<break[^>]*/>.*</emphasis>", SSML_INSTRUCTIONS)
    assert shown
    assert plan_transcript(parse_ssml(f"<speak>{shown[0]}</speak>")) == ", stress is words"
