"""Spoken answers, streamed and whole."""

import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from tests.support.media_requests import decode_sound as heard_in
from tests.support.media_requests import post, post_ok, row_counts, seconds_of, wait_for_renditions
from tests.support.people import Person
from tests.support.running_server import Server, text_of
from tests.support.spoken_streams import (
    TEXT,
    VOICE,
    audio_in,
    seconds_in,
    sound_in,
    spoken_request,
    spoken_request_in,
    stream_of,
)
from tests.support.stream_frames import messages_of

LONG = " ".join(f"This is the sentence number {number}." for number in range(1, 13))


@pytest.fixture(autouse=True)
def finish_renditions(server: Server) -> Iterator[None]:
    yield
    server.until_idle()
    wait_for_renditions()


@pytest.fixture
def sdk(server: Server, alice: Person) -> Iterator[openai.OpenAI]:
    with server.sdk(alice) as client:
        yield client


def stored(server: Server, who: Person, completion_id: str) -> Any:
    with server.client(who) as client:
        return client.get(f"/v1/chat/completions/{completion_id}").json()


# --- streamed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_spoken_stream(server: Server, alice: Person, dialect: str) -> None:
    chunks = list(stream_of(server, alice, spoken_request(), dialect))
    audio = [found for chunk in chunks if (found := audio_in(chunk))]

    assert [key for one in audio for key in one if key in ("id", "expires_at")] == ["id", "expires_at"]
    assert list(audio[0]) == ["id"]
    assert list(audio[-1]) == ["expires_at"]
    assert 3500 < audio[-1]["expires_at"] - time.time() <= 3600
    sizes = [len(b64decode(one["data"])) for one in audio if "data" in one]
    assert all(size % 6 == 0 for size in sizes[:-1])
    assert sizes[-1] % 2 == 0
    assert "".join(one.get("transcript", "") for one in audio) == text_of(chunks) == TEXT
    assert 2 < seconds_in(sound_in(chunks)) < 7
    assert np.abs(np.frombuffer(sound_in(chunks), "<i2")).max() > 2000

    [message] = messages_of(chunks).values()
    assert message["finish_reason"] == "stop"
    kept = stored(server, alice, chunks[0]["id"])["choices"][0]["message"]
    assert kept["content"] == message["content"] == TEXT
    assert kept["audio"].items() >= message["audio"].items()


def test_transcript_and_sound_go_in_step(server: Server, alice: Person) -> None:
    """A sentence's words come with its sound, not all at once before or after it."""
    audio = [audio_in(chunk) for chunk in stream_of(server, alice, spoken_request(LONG))]
    heard, written = 0, 0
    gaps = []
    for one in audio:
        heard += len(one.get("data", ""))
        written += len(one.get("transcript", ""))
        gaps.append((heard, written))
    whole_sound, whole_text = gaps[-1]
    assert all(abs(sound / whole_sound - text / whole_text) < 0.2 for sound, text in gaps)


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_the_first_sound_is_sent_before_the_text_is_complete(
    server: Server, alice: Person, dialect: str
) -> None:
    list(stream_of(server, alice, spoken_request("Good morning.")))  # so that a synthesizer is there
    chunks = list(stream_of(server, alice, spoken_request(LONG, slow=0.02), dialect))
    sounds = [at for at, chunk in enumerate(chunks) if "data" in audio_in(chunk)]
    texts = [at for at, chunk in enumerate(chunks) if text_of([chunk])]
    assert sounds[0] < texts[len(texts) // 2]
    assert sounds[-1] > texts[-1]
    assert text_of(chunks) == LONG


def test_the_sdk_hears_a_stream(sdk: openai.OpenAI) -> None:
    ids, pcm, transcript, expiries = [], b"", "", []
    body: Any = spoken_request()
    with sdk.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}) as chunks:
        for chunk in chunks:
            for choice in chunk.choices:
                audio: Any = choice.delta.to_dict().get("audio", {})
                ids += [audio["id"]] if "id" in audio else []
                expiries += [audio["expires_at"]] if "expires_at" in audio else []
                pcm += b64decode(audio.get("data", ""))
                transcript += audio.get("transcript", "")
            usage = chunk.usage
    assert (len(ids), len(expiries), transcript) == (1, 1, TEXT)
    assert usage
    assert usage.completion_tokens_details
    assert usage.completion_tokens_details.audio_tokens == pytest.approx(seconds_in(pcm) * 20, abs=1)
    assert sdk.chat.completions.retrieve(chunk.id).choices[0].message.content == TEXT


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_each_of_two_choices_is_spoken(server: Server, alice: Person, dialect: str) -> None:
    chunks = list(stream_of(server, alice, spoken_request(n=2), dialect))
    messages = messages_of(chunks)
    assert sorted(messages) == [0, 1]
    assert messages[0]["audio"]["id"] != messages[1]["audio"]["id"]
    for choice, message in messages.items():
        assert message["audio"]["transcript"] == TEXT
        assert 2 < seconds_in(sound_in(chunks, choice)) < 7
    for choice in stored(server, alice, chunks[0]["id"])["choices"]:
        assert choice["message"]["audio"].items() >= messages[choice["index"]]["audio"].items()


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_tool_calls_are_not_spoken(server: Server, alice: Person, dialect: str) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    call = '[[tool: weather {"city": "Oslo"}]]'
    both = spoken_request(tools=tools)
    both["messages"][0]["content"] = f"[[text: Let me look.]] {call}"
    [first, *_] = (
        messages_of(list(stream_of(server, alice, both, dialect))).values()
        if (dialect == "openai")
        else [post_ok(server, alice, {**both, "stream": False}, dialect)["choices"][0]["message"]]
    )
    assert first["audio"]["transcript"] == "Let me look."
    assert first["tool_calls"]

    alone = spoken_request(tools=tools, stream=False)
    alone["messages"][0]["content"] = call
    message = post_ok(server, alice, alone, dialect)["choices"][0]["message"]
    assert "audio" not in message
    assert message["tool_calls"]


# --- whole ------------------------------------------------------------------------------------------


def test_a_whole_answer_is_spoken_in_every_format(server: Server, alice: Person) -> None:
    names = {"wav": "wav", "mp3": "mp3", "opus": "ogg", "flac": "flac", "aac": "aac"}
    raw = post_ok(server, alice, spoken_request_in("pcm16"))["choices"][0]["message"]["audio"]
    seconds = seconds_in(b64decode(raw["data"]))
    assert 2 < seconds < 7
    for format, container in names.items():
        answer = post_ok(server, alice, spoken_request_in(format))
        audio = answer["choices"][0]["message"]["audio"]
        data = b64decode(audio["data"])
        assert heard_in(data)[0] == container
        assert seconds_of(data) == pytest.approx(seconds, abs=0.15)
        assert audio["transcript"] == answer["choices"][0]["message"]["content"] == TEXT
        assert audio["expires_at"] > time.time()
        kept = stored(server, alice, answer["id"])["choices"][0]["message"]["audio"]
        assert kept.items() >= audio.items()


def test_a_whole_answer_is_a_wav_unless_told_otherwise(server: Server, alice: Person) -> None:
    body = spoken_request(stream=False)
    body["audio"] = {"voice": VOICE}
    audio = post_ok(server, alice, body, "native")["choices"][0]["message"]["audio"]
    assert heard_in(b64decode(audio["data"]))[0] == "wav"


@pytest.mark.parametrize(
    ("dialect", "stream", "voice"),
    [("native", True, "nobody"), ("openai", False, "nobody"), ("openai", True, "x" * 5_000)],
)
def test_an_unknown_voice_is_refused(
    server: Server, alice: Person, dialect: str, stream: bool, voice: str
) -> None:
    before = row_counts()
    body = spoken_request(stream=stream) | {"audio": {"voice": voice, "format": "pcm16"}}
    refused = post(server, alice, body, dialect)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "audio.voice"
    assert row_counts() == before
