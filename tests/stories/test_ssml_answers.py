"""Answers in SSML: whatever the model writes and however it ends, they are well-formed and spoken."""

from collections.abc import Iterator
from typing import Any

import pytest

from conversations.models import Completion, Message
from media.processing.speech.ssml.model_instructions import SSML_INSTRUCTIONS
from tests.support import ssml_validator
from tests.support.fake_upstream import HANG, delta, end, frame, raw, say, stream, whole
from tests.support.media_requests import post_ok, upstream_model, wait_for_renditions
from tests.support.people import Person
from tests.support.running_server import Server, text_of, wait_until
from tests.support.spoken_streams import VOICE, audio_in, seconds_in, sound_in, spoken_request, stream_of
from tests.support.ssml_documents import close_document
from tests.support.ssml_validator import assert_is_ssml

GOOD = (
    '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US"><p><s>Good '
    '<emphasis level="strong">morning</emphasis> to <sub alias="everybody">all</sub>.</s> '
    '<s>It is <say-as interpret-as="time">10:30</say-as> <break time="200ms"/> now.</s></p></speak>'
)
BAD = {
    "plain text": "Fish & chips < 5 > 3. \"Quoted\" 'too'.",
    "never closed": "<speak><p><s>Hello <emphasis>there, <prosody rate='fast'>dear friend.",
    "wrongly nested": "<speak><s><emphasis>One</s></emphasis> two.</speak></p></speak> three.",
    "not of SSML": "<speak><script>alert(1)</script><audio src='http://127.0.0.1/x'>Words</audio>.</speak>",
    "with a bomb": '<!DOCTYPE x [<!ENTITY a "aaaa">]><speak>&a;&lt; &#x0; &unknown; done.</speak>',
    "in a fence": "```xml\n<speak>Hello there.</speak>\n```",
    "cut in a tag": "<speak>Hello there. <emphasis lev",
    "cut in an entity": "<speak>Fish &am",
    "controls": "<speak>Hello\x00\x0b there\ufffe.</speak>",
}


@pytest.fixture(autouse=True)
def finish_renditions(server: Server) -> Iterator[None]:
    yield
    server.until_idle()
    wait_for_renditions()


def text_stream(text: str) -> Any:
    """An upstream's answer in pieces, cut at arbitrary places."""
    return stream(*(say(text[at : at + 7]) for at in range(0, len(text), 7)), end())


def plain(**more: Any) -> dict[str, Any]:
    return {"model": "upstream", "messages": [{"role": "user", "content": "Hello"}], **more}


def chunks_of(server: Server, who: Person, text: str, dialect: str, **more: Any) -> list[dict[str, Any]]:
    """The chunks sent to a client when the model answers `text`."""
    with upstream_model(server) as upstream:
        upstream.will(text_stream(text))
        return list(stream_of(server, who, plain(**more), dialect))


# --- the text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_good_ssml_is_sent_as_it_is(server: Server, alice: Person, dialect: str) -> None:
    chunks = chunks_of(server, alice, GOOD, dialect, ssml_enabled=True)
    assert text_of(chunks) == GOOD
    assert_is_ssml(GOOD)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_bad_ssml_is_sent_well_formed(server: Server, alice: Person, dialect: str, kind: str) -> None:
    chunks = chunks_of(server, alice, BAD[kind], dialect, ssml_enabled=True)
    said = text_of(chunks)
    assert_is_ssml(said)
    assert "<script" not in said
    for at in range(len(said) + 1):
        assert_is_ssml(close_document(said[:at]))
    assert Message.objects.get(role="assistant").parts[0].text == said


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_whole_answer_is_well_formed_too(server: Server, alice: Person, dialect: str) -> None:
    with upstream_model(server) as upstream:
        upstream.will(whole({"role": "assistant", "content": BAD["never closed"]}))
        body = plain(ssml_enabled=True, stream=False)
        message = post_ok(server, alice, body, dialect)["choices"][0]["message"]
    assert_is_ssml(message["content"])
    assert ssml_validator.text_of(message["content"]) == "Hello there, dear friend."


@pytest.mark.parametrize("dialect", ["native", "openai"])
@pytest.mark.parametrize("most", [1, 2, 5, 9])
def test_an_answer_cut_by_its_length_is_closed(
    server: Server, alice: Person, dialect: str, most: int
) -> None:
    body = spoken_request(GOOD, ssml_enabled=True, max_tokens=most)
    chunks = list(stream_of(server, alice, body, dialect))
    assert_is_ssml(text_of(chunks))
    reasons = [choice.get("finish_reason") for chunk in chunks for choice in chunk["choices"]]
    assert [reason for reason in reasons if reason] == ["length"]
    transcript = "".join(audio_in(chunk).get("transcript", "") for chunk in chunks)
    assert transcript.strip() == ssml_validator.text_of(text_of(chunks)).strip()


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_cancelled_answer_is_closed(server: Server, alice: Person, dialect: str) -> None:
    with upstream_model(server) as upstream:
        upstream.will(raw(frame(say("<speak><p>Hello <emphasis>my")), frame(say(" dear &am")), HANG))
        chunks = []
        for chunk in stream_of(server, alice, plain(ssml_enabled=True), dialect):
            chunks.append(chunk)
            if len(chunks) == 1:
                pump = server.only_pump()
            if "dear" in text_of(chunks):
                server.loop.call_soon_threadsafe(pump.cancel)
    said = text_of([chunk for chunk in chunks if "error" not in chunk])
    assert_is_ssml(said)
    assert ssml_validator.text_of(said) == "Hello my dear &am"
    completion = Completion.objects.get()
    assert completion.state == "cancelled"
    assert completion.answers.get().parts[0].text == said


def test_an_answer_that_nobody_waits_for_is_closed(server: Server, alice: Person) -> None:
    for chunk in stream_of(
        server, alice, spoken_request(f"<speak>{GOOD * 20}", slow=0.01, ssml_enabled=True)
    ):
        if "morning" in text_of([chunk]):
            break
    wait_until(lambda: Completion.objects.get().state == "cancelled")
    assert_is_ssml(Completion.objects.get().answers.get().parts[0].text)


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_an_upstream_that_breaks_off_leaves_no_half_document(
    server: Server, alice: Person, dialect: str
) -> None:
    with upstream_model(server) as upstream:
        upstream.will(stream(say("<speak><p>Hello <s"), done=False))
        chunks = list(stream_of(server, alice, plain(ssml_enabled=True), dialect))
    assert chunks[-1]["error"]["code"] == "upstream_incomplete"
    assert_is_ssml(text_of(chunks[:-1]))
    assert_is_ssml(Completion.objects.get().answers.get().parts[0].text)


def test_each_choice_is_a_document(server: Server, alice: Person) -> None:
    chunks = list(stream_of(server, alice, spoken_request("<speak><p>Hello", ssml_enabled=True, n=2)))
    for choice in (0, 1):
        assert_is_ssml(text_of(chunks, choice))


def test_a_tool_call_is_not_a_document(server: Server, alice: Person) -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    body = spoken_request(ssml_enabled=True, tools=tools, stream=False)
    body["messages"][0]["content"] = '[[tool: weather {"city": "<b>"}]]'
    message = post_ok(server, alice, body)["choices"][0]["message"]
    assert message["content"] is None
    assert "audio" not in message


# --- what the model is told -------------------------------------------------------------------------


def test_the_model_is_instructed_once_and_only_where_ssml_is_enabled(server: Server, alice: Person) -> None:
    with upstream_model(server) as upstream:
        upstream.will(text_stream(GOOD))
        list(stream_of(server, alice, plain(ssml_enabled=True)))
        assert [m["role"] for m in upstream.body["messages"]] == ["system", "user"]
        assert SSML_INSTRUCTIONS in upstream.body["messages"][0]["content"]
        assert "ssml_enabled" not in upstream.body

        with_system = plain(ssml_enabled=True)
        with_system["messages"].insert(0, {"role": "system", "content": "Be brief."})
        list(stream_of(server, alice, with_system, "native"))
        [system, _] = upstream.body["messages"]
        assert system["content"].startswith("Be brief.")
        assert system["content"].count(SSML_INSTRUCTIONS) == 1

        list(stream_of(server, alice, plain(ssml_enabled=False)))
        assert [m["role"] for m in upstream.body["messages"]] == ["user"]
    assert not Message.objects.filter(role="system").exclude(parts__contains="Be brief.").exists()


# --- the sound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_ssml_is_spoken_and_its_transcript_is_plain(server: Server, alice: Person, dialect: str) -> None:
    chunks = list(stream_of(server, alice, spoken_request(GOOD, ssml_enabled=True), dialect))
    transcript = "".join(audio_in(chunk).get("transcript", "") for chunk in chunks)
    assert text_of(chunks) == GOOD
    assert " ".join(transcript.split()) == "Good morning to all. It is 10:30 now."
    assert 1 < seconds_in(sound_in(chunks)) < 6


def test_a_pause_is_heard(server: Server, alice: Person) -> None:
    def seconds(text: str, **more: Any) -> float:
        return seconds_in(sound_in(list(stream_of(server, alice, spoken_request(text, **more)))))

    short = seconds("<speak>One. Two.</speak>", ssml_enabled=True)
    paused = seconds('<speak>One. <break time="2s"/> Two.</speak>', ssml_enabled=True)
    assert 1.5 < paused - short < 2.5


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_markup_without_ssml_enabled_is_text_and_is_read_aloud(
    server: Server, alice: Person, dialect: str
) -> None:
    """The names of its elements are read aloud."""
    markup = '<speak>Good <emphasis level="strong">morning</emphasis> to you all.</speak>'
    chunks = list(stream_of(server, alice, spoken_request(markup, ssml_enabled=False), dialect))
    assert text_of(chunks) == markup
    assert "".join(audio_in(chunk).get("transcript", "") for chunk in chunks) == markup
    with_markup = seconds_in(sound_in(chunks))
    bare = sound_in(list(stream_of(server, alice, spoken_request("Good morning to you all."), dialect)))
    assert with_markup > seconds_in(bare) + 0.6


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_an_upstreams_own_voice_keeps_its_own_transcript(server: Server, alice: Person, dialect: str) -> None:
    """Its transcript is what it reports; its text is still a document."""
    with upstream_model(server, output_modalities=("text", "audio")) as upstream:
        said = [delta(audio={"id": "audio_1"}), delta(audio={"transcript": "Hello."}), say("<speak>Hello.")]
        upstream.will(stream(*said, end()))
        body = plain(
            ssml_enabled=True, modalities=["text", "audio"], audio={"voice": VOICE, "format": "pcm16"}
        )
        chunks = list(stream_of(server, alice, body, dialect))
    assert "".join(audio_in(chunk).get("transcript", "") for chunk in chunks) == "Hello."
    assert_is_ssml(text_of(chunks))
