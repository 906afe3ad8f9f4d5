"""SSML documents and what is spoken for them."""

from time import process_time

import pytest

from media.processing.speech.speech_plan import InterpretAs, Mark, Pause, Say, SpeechItem
from media.processing.speech.ssml.ssml_stream import SsmlStream
from media.processing.speech.ssml.strict_parser import parse_ssml
from tests.support.ssml_documents import close_document, plan_transcript

INTERPRETED: list[tuple[InterpretAs, str]] = [
    ("characters", "NATO"),
    ("cardinal", "1,234"),
    ("ordinal", "3"),
    ("digits", "007"),
    ("fraction", "3/4"),
    ("telephone", "+49 30 123"),
    ("currency", "$42.50"),
]


def say_as_case(kind: InterpretAs, text: str) -> tuple[str, str, list[SpeechItem]]:
    document = f'<speak><say-as interpret-as="{kind}">{text}</say-as></speak>'
    return document, text, [Say(text, interpret_as=kind)]


TABLE: list[tuple[str, str, list[SpeechItem]]] = [
    # speak and text
    ("<speak/>", "", []),
    ("<speak>Hello.</speak>", "Hello.", [Say("Hello.")]),
    ("<speak>  Hello \n  there. </speak>", "Hello there.", [Say("Hello there.")]),
    ("<speak>One. Two!</speak>", "One. Two!", [Say("One."), Say("Two!", " Two!")]),
    ("<speak>Mr. Fox paid 3.14 in the U.S. today. Ok</speak>", "Mr. Fox paid 3.14 in the U.S. today. Ok",
     [Say("Mr. Fox paid 3.14 in the U.S. today."), Say("Ok", " Ok")]),
    ("<speak>你好。再见。</speak>", "你好。再见。", [Say("你好。"), Say("再见。")]),
    ("<speak>a &amp; b &lt; c &#65;&#x42;</speak>", "a & b < c AB", [Say("a & b < c AB")]),
    ("<speak><![CDATA[1 < 2 & <p>]]></speak>", "1 < 2 & <p>", [Say("1 < 2 & <p>")]),
    ("<speak>a<!-- not said -->b</speak>", "ab", [Say("ab")]),
    ('<speak xml:lang="de-DE">Tag</speak>', "Tag", [Say("Tag", language="de-DE")]),
    # p and s
    ("<speak><p>One.</p><p>Two.</p></speak>", "One. Two.", [Say("One."), Pause(700), Say("Two.", " Two.")]),
    ("<speak><s>One</s><s>Two</s></speak>", "One Two", [Say("One"), Pause(350), Say("Two", " Two")]),
    ("<speak><p><s>A</s><s>B</s></p><p>C</p></speak>", "A B C",
     [Say("A"), Pause(350), Say("B", " B"), Pause(700), Say("C", " C")]),
    ("<speak>A<p>B</p>C</speak>", "A B C",
     [Say("A"), Pause(700), Say("B", " B"), Pause(700), Say("C", " C")]),
    ('<speak><p xml:lang="fr">Oui</p></speak>', "Oui", [Say("Oui", language="fr")]),
    ('<speak><s xml:lang="it">Si</s> ok</speak>', "Si ok",
     [Say("Si", language="it"), Pause(350), Say("ok", " ok")]),
    # break
    ("<speak>A<break/>B</speak>", "A B", [Say("A"), Pause(350), Say("B", " B")]),
    ('<speak>A <break time="500ms"/> B</speak>', "A B", [Say("A"), Pause(500), Say("B", " B")]),
    ('<speak>A<break time="1.5s"/>B</speak>', "A B", [Say("A"), Pause(1500), Say("B", " B")]),
    ('<speak>A<break time="60s"/>B</speak>', "A B", [Say("A"), Pause(10000), Say("B", " B")]),
    ('<speak>A<break strength="none"/>B</speak>', "A B", [Say("A"), Say("B", " B")]),
    ('<speak>A<break strength="x-weak"/>B</speak>', "A B", [Say("A"), Pause(100), Say("B", " B")]),
    ('<speak>A<break strength="weak"/>B</speak>', "A B", [Say("A"), Pause(200), Say("B", " B")]),
    ('<speak>A<break strength="strong"/>B</speak>', "A B", [Say("A"), Pause(700), Say("B", " B")]),
    ('<speak>A<break strength="x-strong"/>B</speak>', "A B", [Say("A"), Pause(1200), Say("B", " B")]),
    ('<speak>A<break strength="weak" time="2s"/>B</speak>', "A B", [Say("A"), Pause(2000), Say("B", " B")]),
    ('<speak><break time="1s"/>A<break time="2s"/></speak>', "A", [Pause(1000), Say("A"), Pause(2000)]),
    ('<speak>A<break time="6s"/><break time="6s"/>B</speak>', "A B",
     [Say("A"), Pause(10000), Say("B", " B")]),
    ('<speak><p>A</p><break time="100ms"/><p>B</p></speak>', "A B",
     [Say("A"), Pause(100), Say("B", " B")]),
    # prosody
    ('<speak><prosody rate="x-slow">a</prosody></speak>', "a", [Say("a", rate=0.5)]),
    ('<speak><prosody rate="slow">a</prosody></speak>', "a", [Say("a", rate=0.75)]),
    ('<speak><prosody rate="fast">a</prosody></speak>', "a", [Say("a", rate=1.25)]),
    ('<speak><prosody rate="80%">a</prosody></speak>', "a", [Say("a", rate=0.8)]),
    ('<speak><prosody rate="+10%">a</prosody></speak>', "a", [Say("a", rate=1.1)]),
    ('<speak><prosody rate="-25%">a</prosody></speak>', "a", [Say("a", rate=0.75)]),
    ('<speak><prosody rate="1.5">a</prosody></speak>', "a", [Say("a", rate=1.5)]),
    ('<speak><prosody rate="5000%">a</prosody></speak>', "a", [Say("a", rate=4.0)]),
    ('<speak><prosody rate="200%">a<prosody rate="50%">b</prosody></prosody></speak>', "ab",
     [Say("a", rate=2.0), Say("b")]),
    ('<speak><prosody rate="fast">a<prosody rate="default">b</prosody></prosody></speak>', "ab",
     [Say("a", rate=1.25), Say("b")]),
    ('<speak><prosody pitch="x-low">a</prosody></speak>', "a", [Say("a", pitch=-6.0)]),
    ('<speak><prosody pitch="high">a</prosody></speak>', "a", [Say("a", pitch=3.0)]),
    ('<speak><prosody pitch="+2st">a</prosody></speak>', "a", [Say("a", pitch=2.0)]),
    ('<speak><prosody pitch="-50%">a</prosody></speak>', "a", [Say("a", pitch=-12.0)]),
    ('<speak><prosody pitch="+10%">a</prosody></speak>', "a", [Say("a", pitch=1.65)]),
    ('<speak><prosody pitch="+20Hz">a</prosody></speak>', "a", [Say("a", pitch=2.17)]),
    ('<speak><prosody pitch="300Hz">a</prosody></speak>', "a", [Say("a", pitch=12.0)]),
    ('<speak><prosody pitch="+2st"><prosody pitch="low">a</prosody></prosody></speak>', "a",
     [Say("a", pitch=-1.0)]),
    ('<speak><prosody volume="soft">a</prosody></speak>', "a", [Say("a", volume=-6.0)]),
    ('<speak><prosody volume="x-loud">a</prosody></speak>', "a", [Say("a", volume=8.0)]),
    ('<speak><prosody volume="-3dB">a</prosody></speak>', "a", [Say("a", volume=-3.0)]),
    ('<speak><prosody volume="50">a</prosody></speak>', "a", [Say("a", volume=-6.02)]),
    ('<speak><prosody volume="silent">a</prosody></speak>', "a", [Say("a", is_silent=True)]),
    ('<speak><prosody volume="0">a<prosody volume="default">b</prosody></prosody></speak>', "ab",
     [Say("a", is_silent=True), Say("b")]),
    # emphasis
    ("<speak>I <emphasis>do</emphasis> care.</speak>", "I do care.",
     [Say("I"), Say("do", " do", rate=0.94, pitch=1.0, volume=1.5), Say("care.", " care.")]),
    ('<speak><emphasis level="strong">No</emphasis>!</speak>', "No!",
     [Say("No!", rate=0.88, pitch=2.0, volume=3.0)]),
    ('<speak><emphasis level="reduced">a</emphasis></speak>', "a",
     [Say("a", rate=1.06, pitch=-1.0, volume=-3.0)]),
    ('<speak><emphasis level="none">a</emphasis></speak>', "a", [Say("a")]),
    # say-as
    *[say_as_case(kind, text) for kind, text in INTERPRETED],
    ('<speak>On <say-as interpret-as="date" format="mdy">5/1/26</say-as>.</speak>', "On 5/1/26.",
     [Say("On"), Say("5/1/26", " 5/1/26.", interpret_as="date", format="mdy")]),
    ('<speak>At <say-as interpret-as="time" format="hms24">17:05</say-as> sharp</speak>', "At 17:05 sharp",
     [Say("At"), Say("17:05", " 17:05", interpret_as="time", format="hms24"), Say("sharp", " sharp")]),
    # sub and phoneme
    ('<speak>The <sub alias="World Wide Web Consortium">W3C</sub>.</speak>', "The W3C.",
     [Say("The"), Say("World Wide Web Consortium.", " W3C.")]),
    ('<speak><sub alias="Mister">Mr.</sub> Fox</speak>', "Mr. Fox",
     [Say("Mister", "Mr."), Say("Fox", " Fox")]),
    ('<speak><phoneme alphabet="ipa" ph="təˈmɑːtəʊ">tomato</phoneme></speak>', "tomato",
     [Say("tomato", phonemes="təˈmɑːtəʊ")]),
    ('<speak>A <phoneme ph="t&#x259;"/></speak>', "A ", [Say("A"), Say("", " ", phonemes="tə")]),
    # lang, voice, mark
    ('<speak>Say <lang xml:lang="fr-FR">bonjour</lang>, Ann.</speak>', "Say bonjour, Ann.",
     [Say("Say"), Say("bonjour", " bonjour", language="fr-FR"), Say(", Ann.")]),
    ('<speak><voice name="joe">Hi</voice></speak>', "Hi", [Say("Hi", voice="joe")]),
    ('<speak><voice gender="female">Hi</voice></speak>', "Hi", [Say("Hi")]),
    ('<speak><voice languages="de en">Hi</voice></speak>', "Hi", [Say("Hi", language="de")]),
    ('<speak>A <mark name="m"/>B.</speak>', "A B.", [Say("A"), Mark("m"), Say("B.", " B.")]),
    ('<speak><s>A</s><mark name="m"/></speak>', "A", [Say("A"), Mark("m")]),
    # combined
    ('<speak><voice name="joe"><prosody rate="50%"><emphasis>a</emphasis></prosody></voice></speak>',
     "a", [Say("a", voice="joe", rate=0.47, pitch=1.0, volume=1.5)]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "transcript", "items"), TABLE)
def test_a_document_gives_its_speech_plan(document: str, transcript: str, items: list[SpeechItem]) -> None:
    """The strict parser and the stream agree on it."""
    assert parse_ssml(document) == items
    stream = SsmlStream()
    stream.add(document)
    stream.close()
    assert stream.take(rest=True) == items
    assert plan_transcript(items) == transcript


BEGIN = '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'
WRITTEN = [
    # no markup, or Markdown
    ("Hello & bye", "Hello &amp; bye"),
    ("if a < b > c", "if a &lt; b &gt; c"),
    ("Here you go:\n```xml\n<speak>Hi</speak>\n```\nBye", "Here you go:\n\n\n\nHi\n\n\n\nBye"),
    ("```ssml\n<speak>Hi</speak>\n```", "Hi"),
    ("```\nHi", "Hi"),
    ("a `b` ```c```", "a `b` ```c```"),
    ('<?xml version="1.0"?>\n<!DOCTYPE speak [<!ENTITY a "b">]><speak>&a;</speak>', "&amp;a;"),
    ("\ufeff <speak>Hi</speak> \n", "Hi"),
    # endings
    ("<speak><p>Hi", "<p>Hi</p>"),
    ("<speak>Hi <emph", "Hi "),
    ("<speak>Hi &am", "Hi &amp;am"),
    ("<speak>Hi <!-- and", "Hi "),
    ("<speak>One</speak> Two", "One\n\nTwo"),
    ("<speak>One</speak><speak>Two</speak>", "One\n\nTwo"),
    ("<speak>A<speak>B</speak>C</speak>", "A\n\nB\n\nC"),
    ("</speak></p>Hi", "Hi"),
    # nesting
    ("<p>A<p>B</p>", "<p>A</p><p>B</p>"),
    ("<p><s>A<p>B", "<p><s>A</s></p><p>B</p>"),
    ("<s>A<s>B", "<s>A</s><s>B</s>"),
    ("<emphasis><p>A</p></emphasis>", "<emphasis>A</emphasis>"),
    ("<emphasis><lang xml:lang='fr'>A</emphasis>B</lang>",
     '<emphasis><lang xml:lang="fr">A</lang></emphasis>B'),
    ("<sub alias='x'>a<break/>b</sub>", '<sub alias="x">ab</sub>'),
    ("<say-as interpret-as='digits'>1<p>2</p>", '<say-as interpret-as="digits">1</say-as><p>2</p>'),
    ("<break>A</break>", "<break/>A"),
    ("<P>A</P><BREAK/>", "<p>A</p><break/>"),
    # elements
    ("<b>bo</b>ld", "bold"),
    ("<h1>Title</h1>Text", "Title\n\nText"),
    ("<audio src='http://example.test/a.mp3'>beep</audio>", "beep"),
    ("a<script>alert('<p>')</script>b<style>p {}</style>c", "abc"),
    ("a<script>lost</speak>b", "a\n\nb"),
    ("<ssml:p xmlns:ssml='urn:x'>a</ssml:p><x:y z='1'>b</x:y>", "<p>a</p>b"),
    ("<lexicon uri='http://example.test/'/><meta name='a'/><metadata>m</metadata>a", "a"),
    # attributes
    ("<break time='99s' onclick='x'/>", '<break time="10000ms"/>'),
    ("<break time='soon'/>", "<break/>"),
    ("<prosody rate='+10%' pitch='2st' volume='50' range='high'>a</prosody>",
     '<prosody rate="110%" pitch="+2st" volume="-6.02dB">a</prosody>'),
    ("<prosody rate='quickly'>a</prosody>", "a"),
    ("<prosody rate=slow>a</prosody>", '<prosody rate="slow">a</prosody>'),
    ("<emphasis level='huge'>a</emphasis>", "<emphasis>a</emphasis>"),
    ("<say-as interpret-as='spell-out'>a</say-as>", '<say-as interpret-as="characters">a</say-as>'),
    ("<say-as interpret-as='poem'>a</say-as>", "a"),
    ("<say-as interpret-as='date' format='nonsense'>a</say-as>", '<say-as interpret-as="date">a</say-as>'),
    ("<phoneme alphabet='x-sampa' ph='t@'>a</phoneme>", "a"),
    ("<phoneme ph='tə'>a</phoneme>", '<phoneme alphabet="ipa" ph="tə">a</phoneme>'),
    ("<sub alias='&quot;&lt;&amp;'>a</sub>", '<sub alias="&quot;&lt;&amp;">a</sub>'),
    ("<voice xml:lang='de'>a</voice>", '<voice languages="de">a</voice>'),
    ("<lang lang='en_GB'>a</lang>", '<lang xml:lang="en-GB">a</lang>'),
    ("<mark/>a", "a"),
    (f"<sub alias='{'x' * 513}'>a</sub>", "a"),
    # not markup
    ("<3 <b and c> &nbsp; &#0; <a@example.test>",
     "&lt;3 &lt;b and c&gt; &amp;nbsp; &amp;#0; &lt;a@example.test&gt;"),
    ("a\x00b\x1bc\ud83dd", "abcd"),
    ("<![CDATA[a<b]]]>]]>", "a&lt;b]]]&gt;"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "inner"), WRITTEN)
def test_any_text_is_sent_as_a_document(text: str, inner: str) -> None:
    stream = SsmlStream()
    assert stream.add(text) + stream.close() == f"{BEGIN}{inner}</speak>"


def test_a_document_keeps_its_own_language() -> None:
    stream = SsmlStream(language="en-US")
    assert 'xml:lang="de-AT"' in stream.add('<speak xml:lang="de-AT">Servus')
    with pytest.raises(ValueError, match="no language tag"):
        SsmlStream(language="a/b")


def test_words_are_sent_at_once_and_only_possible_markup_waits() -> None:
    stream = SsmlStream()
    assert stream.add("<speak><p") == BEGIN
    assert stream.add(">He") == "<p>He"
    assert stream.add("llo") == "llo"
    assert stream.add(" <") == " "
    assert stream.add("3 &") == "&lt;3 "
    assert stream.add(" you") == "&amp; you"
    assert (
        close_document(f"{BEGIN}<p>Hello &lt;3 &amp; you") == f"{BEGIN}<p>Hello &lt;3 &amp; you</p></speak>"
    )


def test_a_tag_that_never_ends_becomes_text_after_a_thousand_characters() -> None:
    stream = SsmlStream()
    stream.add("a")
    held = '<sub alias="' + "x" * 1000
    assert stream.add(held) == ""
    assert stream.add("y" * 20) == "&lt;" + held[1:] + "y" * 20


def test_sentences_can_be_spoken_before_the_text_is_complete() -> None:
    stream = SsmlStream()
    spoken = []
    for delta in [
        "<speak><p>Hel",
        "lo the",
        "re. How",
        " are <emphasis>you</emph",
        "asis>? Fi",
        "ne</p>",
        "</speak>",
    ]:
        stream.add(delta)
        spoken.append([item.transcript for item in stream.take() if isinstance(item, Say)])
    stream.close()
    assert spoken == [[], [], ["Hello there."], [], [" How are", " you?"], [" Fine"], []]
    assert stream.take(rest=True) == []


def test_an_unclosed_say_as_does_not_swallow_the_answer() -> None:
    stream = SsmlStream()
    stream.add('<speak><say-as interpret-as="digits">12. ' + "And so it goes on. " * 40)
    assert len(stream.take()) > 30


def test_elements_nest_thirty_two_deep_and_no_deeper() -> None:
    stream = SsmlStream()
    document = stream.add("<emphasis>" * 50 + "a" + "</emphasis>" * 50 + "b") + stream.close()
    assert document == BEGIN + "<emphasis>" * 31 + "a" + "</emphasis>" * 31 + "b</speak>"


def test_a_stream_that_is_not_spoken_plans_nothing() -> None:
    stream = SsmlStream(is_spoken=False)
    stream.add("One. Two. Three.")
    assert stream.take(rest=True) == []


HOSTILE = [
    "<", '<a b="', "<p>", "<!--", "<![CDATA[]", "<!DOCTYPE [", "<script></scrip", "\n```\n", "a.a.", '." ',
    "<emphasis>", '<p a="' + "x" * 999, "x",
]  # fmt: skip


@pytest.mark.parametrize("part", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_takes_no_quadratic_time(part: str) -> None:
    """Only catches what is grossly quadratic: linear code takes a tenth of the time allowed."""
    text = part * (30_000 // len(part))
    began = process_time()
    stream = SsmlStream()
    for start in range(0, len(text), 3):
        stream.add(text[start : start + 3])
        stream.take()
    stream.close()
    whole = SsmlStream()
    whole.add(text)
    assert process_time() - began < 3
