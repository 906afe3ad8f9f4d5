"""Sound in requests, as browsers and phones record it, for models that take audio and those that do not."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from pytest_django import Settings

from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from conversations.models import Completion, Conversation, Message
from media.models import Asset, Rendition
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.fake_upstream import FakeUpstream
from tests.support.media_requests import (
    RATE,
    decode_sound,
    post,
    post_ok,
    row_counts,
    sound,
    sound_file_part,
    sounds_heard,
    text,
    upload_file,
    upstream_model,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person
from tests.support.priced_usage import PROMPT, add_credit
from tests.support.running_server import Server, events, serving, text_of
from tests.support.sounds import encode_samples, pitch, sound_file, tone

RECORDED = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "webm": "audio/webm",
    "livewebm": "audio/webm",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "mp4": "audio/mp4",
    "fragmented": "audio/mp4",
}
"""Recording formats and their media types."""


def file_of(kind: str) -> bytes:
    """One second of 440 Hz in this format."""
    if kind == "pcm16":
        return tone(1.0, rate=24_000, channels=1).tobytes()
    return sound_file(kind)


def client_name(kind: str) -> str:
    """The name that clients give to this format."""
    return {"livewebm": "webm", "fragmented": "mp4"}.get(kind, kind)


@pytest.fixture(autouse=True)
def finish_renditions(transactional_db: None) -> Iterator[None]:
    yield
    wait_for_renditions()


@pytest.fixture
def audio_model(server: Server, recognizer: FakeRecognizer) -> Iterator[FakeUpstream]:
    """A model that takes audio; the words in the sounds do not matter to these tests."""
    with upstream_model(server, input_modalities=("text", "audio")) as upstream:
        yield upstream
        wait_for_renditions()


def assert_a_second_of_440_hertz(format: str, data: bytes) -> None:
    name, samples = decode_sound(data)
    assert name == format
    assert 0.95 < len(samples) / RATE < 1.15
    assert abs(pitch(samples[RATE // 10 : RATE], RATE) - 440) < 5


# --- a model that takes audio -----------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["right", "wrong", "missing"])
@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_every_recording_is_heard_whatever_the_client_calls_it(
    server: Server, alice: Person, audio_model: FakeUpstream, dialect: str, claim: str
) -> None:
    claims: dict[str, Callable[[str], str | None]] = {
        "right": client_name,
        "wrong": lambda kind: "flac" if kind == "wav" else "wav",
        "missing": lambda kind: None,
    }
    kinds = [*RECORDED, "pcm16"] if claim == "right" else [*RECORDED]
    post_ok(server, alice, user_request(*(sound(file_of(k), claims[claim](k)) for k in kinds)), dialect)

    heard = sounds_heard(audio_model)
    assert [format for format, _ in heard] == ["mp3" if kind == "mp3" else "wav" for kind in kinds]
    for format, data in heard:
        assert_a_second_of_440_hertz(format, data)
    types = dict(Asset.objects.values_list("sha256", "media_type"))
    expected = [*RECORDED.values(), *(["audio/pcm;rate=24000"] if claim == "right" else [])]
    assert sorted(types.values()) == sorted(expected)


@pytest.mark.parametrize("claim", [None, "wav", "opus"])
def test_raw_samples_are_accepted_where_they_are_named(
    server: Server, alice: Person, audio_model: FakeUpstream, claim: str | None
) -> None:
    """Raw samples look like noise, so they are refused unless the client names the format."""
    before = row_counts()
    refused = post(server, alice, user_request(text("Listen."), sound(file_of("pcm16"), claim)))
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == "messages[0].content[1].input_audio"
    assert row_counts() == before
    post_ok(server, alice, user_request(sound(file_of("pcm16"), "pcm16")))
    assert_a_second_of_440_hertz(*sounds_heard(audio_model)[0])


def test_a_sound_can_be_named_by_the_id_of_its_upload(
    server: Server, alice: Person, audio_model: FakeUpstream
) -> None:
    file_id = upload_file(server, alice, sound_file("webm"), "a.webm")
    with server.sdk(alice) as sdk:
        parts: Any = [sound_file_part(file_id), {"type": "file", "file": {"file_id": file_id}}]
        sdk.chat.completions.create(model="upstream", messages=[{"role": "user", "content": parts}])
    for format, data in sounds_heard(audio_model):
        assert_a_second_of_440_hertz(format, data)
    assert len(sounds_heard(audio_model)) == 2
    assert Asset.objects.count() == 1


def test_a_sound_that_a_model_heard_is_transcribed_too(
    server: Server, alice: Person, audio_model: FakeUpstream
) -> None:
    """For those who read the conversation later."""
    post_ok(server, alice, user_request(sound(sound_file("webm"), "webm")))
    wait_for_renditions()
    assert Rendition.objects.get(kind="transcript").content["text"] == "Some words."
    assert Rendition.objects.get(kind="transcript").asset.milliseconds in range(990, 1100)


def test_a_conversation_with_sound_continues(
    server: Server, alice: Person, audio_model: FakeUpstream
) -> None:
    messages: list[Any] = [{"role": "user", "content": [sound(sound_file("mp3"), "mp3")]}]
    for words in ("And now?", "Then?"):
        answer = post_ok(server, alice, {"model": "upstream", "messages": messages})
        messages += [answer["choices"][0]["message"], {"role": "user", "content": words}]
    post_ok(server, alice, {"model": "upstream", "messages": messages})
    assert (Conversation.objects.count(), Message.objects.count()) == (1, 6)
    assert sounds_heard(audio_model, 0) == [("mp3", sound_file("mp3"))]


def test_the_hold_for_a_sound_covers_its_length_now_and_in_later_calls(
    server: Server, alice: Person, audio_model: FakeUpstream
) -> None:
    """Silence takes so few bytes that a hold for the bytes alone overdrew the wallet."""
    registry = server.service.registry
    model = registry.find("upstream")
    assert model
    registry.add(replace(model, price=None, max_output_tokens=1))
    add_price("upstream", {0: rates_of({"prompt": 1})})
    add_credit(alice, 10**9)
    quiet = encode_samples(np.zeros((60 * RATE, 1), np.int16), "ogg", "libopus", rate=RATE)
    post_ok(server, alice, user_request(sound(quiet, "opus")))
    place = {"conversation_id": Conversation.objects.get().public_id}
    post_ok(server, alice, user_request(text("And?"), context=place))
    server.until_idle()

    held = list(Charge.objects.order_by("id").values_list("held", flat=True))
    counted = 60 * 32 * PROMPT
    assert len(held) == 2
    assert len(quiet) // 90 * PROMPT < counted < min(held)
    assert max(held) < counted + 300 * PROMPT


# --- a model that takes no audio --------------------------------------------------------------------


@pytest.mark.usefixtures("recognizer")
@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_transcript_replaces_the_sound_and_is_counted(server: Server, alice: Person, dialect: str) -> None:
    body = user_request(sound(sound_file("opus")), text(" What is this?"), model="text-only")
    whole = post_ok(server, alice, body, dialect)
    stream = {**body, "stream": True, "stream_options": {"include_usage": True}}
    streamed = events(post(server, alice, stream, dialect))[:-1]

    said = whole["choices"][0]["message"]["content"]
    assert said == "You said: Some words. What is this?"
    assert text_of(streamed) == said
    counts = whole["usage"]["prompt_tokens_details"]
    assert counts["transcript_tokens"] == 3
    assert streamed[-1]["usage"]["prompt_tokens_details"] == counts


@pytest.fixture
def slow_recognizer(recognizer: FakeRecognizer) -> Iterator[FakeRecognizer]:
    recognizer.will_hear("At last.")
    recognizer.wait()
    yield recognizer
    recognizer.go_on()
    wait_for_renditions()


def test_a_client_that_waits_for_a_transcript_is_kept_alive(
    transactional_db: None, alice: Person, slow_recognizer: FakeRecognizer, settings: Settings
) -> None:
    settings.CHATAPI_KEEP_ALIVE_SECONDS = 0.1
    body = user_request(sound(sound_file("wav")), model="text-only", stream=True)
    with (
        serving() as server,
        server.client(alice) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        pieces = answer.iter_lines()
        waited = [next(pieces) for _ in range(3)]
        slow_recognizer.go_on()
        rest = list(pieces)
    assert waited == [": ping"] * 3
    assert "At " in "".join(rest)
    assert rest[-2:] == ["data: [DONE]", ""]


def test_the_wait_for_a_transcript_times_out(
    server: Server, alice: Person, slow_recognizer: FakeRecognizer, settings: Settings
) -> None:
    settings.CHATAPI_MEDIA_WAIT_SECONDS = 0.2
    body = user_request(sound(sound_file("wav")), model="text-only")
    for dialect in ("native", "openai"):
        for stream in (False, True):
            late = post(server, alice, {**body, "stream": stream}, dialect)
            assert late.status_code == 504, late.text
            assert late.json()["error"]["code"] == "media_timeout"
    assert set(Completion.objects.values_list("state", flat=True)) == {"failed"}

    slow_recognizer.go_on()
    wait_for_renditions()
    settings.CHATAPI_MEDIA_WAIT_SECONDS = 30
    said = post_ok(server, alice, body)["choices"][0]["message"]["content"]
    assert said == "You said: At last."
