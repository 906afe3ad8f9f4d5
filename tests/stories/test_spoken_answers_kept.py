"""What happens to spoken answers: stored, sent back, cut off, passed through."""

import os
import signal
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import openai
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from conversations.deletion import delete_conversations
from conversations.models import Completion, Conversation, Message, SpokenAnswer
from engines.messages import SpokenPart
from media.cleanup import delete_unused
from media.models import Asset, Rendition, rendition_name
from media.processing.sandbox import pools
from tests.support.fake_upstream import delta, end, say, stream
from tests.support.media_requests import (
    RATE,
    post,
    post_ok,
    row_counts,
    seconds_of,
    upstream_model,
    wait_for_renditions,
)
from tests.support.media_requests import decode_sound as heard_in
from tests.support.people import Person
from tests.support.processes import kill, sandbox_workers
from tests.support.running_server import Server, text_of, wait_until
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
ENDLESS = f"{LONG}]] [[stall"
"""More than is ever spoken, so that an answer does not end before who reads it has stopped it."""


@pytest.fixture(autouse=True)
def finish_renditions(server: Server) -> Iterator[None]:
    yield
    server.until_idle()
    wait_for_renditions()


def new_synthesizer(server: Server, who: Person) -> int:
    """Have an answer spoken by a new worker process, and return its id."""
    list(stream_of(server, who, spoken_request("Good morning.")))
    wait_for_renditions()  # so that the process that makes them is there
    pools.synthesis.close()
    others = set(sandbox_workers(os.getpid()))
    list(stream_of(server, who, spoken_request("Good morning.")))
    [synthesizer] = set(sandbox_workers(os.getpid())) - others
    return synthesizer


@contextmanager
def no_sandbox_worker() -> Iterator[None]:
    """Kill each worker process of the sandbox as soon as it is started."""
    pools.close_all()
    is_over = threading.Event()

    def keep_killing() -> None:
        while not is_over.wait(0.005):
            for pid in sandbox_workers(os.getpid()):
                kill(pid)

    killer = threading.Thread(target=keep_killing)
    killer.start()
    try:
        yield
    finally:
        is_over.set()
        killer.join()


@pytest.fixture
def sdk(server: Server, alice: Person) -> Iterator[openai.OpenAI]:
    with server.sdk(alice) as client:
        yield client


def stored(server: Server, who: Person, completion_id: str) -> Any:
    with server.client(who) as client:
        return client.get(f"/v1/chat/completions/{completion_id}").json()


def ended_completion() -> Completion:
    wait_until(lambda: Completion.objects.exclude(state="in_progress").exists())
    return Completion.objects.get()


def spoken_part(completion: Completion) -> SpokenPart:
    [part] = (part for part in completion.answers.get().parts if isinstance(part, SpokenPart))
    return part


# --- kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_players_get_the_formats_that_they_play(server: Server, alice: Person, streamed: bool) -> None:
    if streamed:
        list(stream_of(server, alice, spoken_request()))
    else:
        post_ok(server, alice, spoken_request_in("flac"))
    wait_for_renditions()
    asset = Asset.objects.get()
    assert asset.media_type == ("audio/pcm;rate=24000" if streamed else "audio/flac")
    made = {rendition.kind: rendition for rendition in Rendition.objects.all()}
    assert {kind: rendition.state for kind, rendition in made.items()} == {
        "opus": "ready",
        "mp3": "ready",
        "peaks": "ready",
    }
    lengths = []
    for kind, container in {"opus": "ogg", "mp3": "mp3"}.items():
        with default_storage.open(rendition_name(alice.workspace.pk, made[kind].id)) as file:
            data = file.read()
        assert heard_in(data)[0] == container
        assert len(data) == made[kind].size
        lengths.append(seconds_of(data))
    assert lengths == pytest.approx([(asset.milliseconds or 0) / 1000 or lengths[0]] * 2, abs=0.15)
    peaks = made["peaks"].content
    assert min(peaks["lowest"]) < -20
    assert max(peaks["highest"]) > 20


REPLAYS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "by its id": lambda message: {"content": None, "audio": {"id": message["audio"]["id"]}},
    "by its id and its text": lambda message: {
        "content": message["content"],
        "audio": {"id": message["audio"]["id"]},
    },
    "by its text": lambda message: {"content": message["content"]},
    "as the SDK gives it": lambda message: message,
}


@pytest.mark.parametrize("how", REPLAYS)
@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_spoken_answer_can_be_sent_back(server: Server, alice: Person, dialect: str, how: str) -> None:
    body = spoken_request(stream=False)
    answer = post_ok(server, alice, body, dialect)["choices"][0]["message"]
    again = {"role": "assistant", **REPLAYS[how](answer)}
    if dialect == "native":
        again = {key: value for key, value in again.items() if value is not None}
    with upstream_model(server) as upstream:
        messages = [*body["messages"], again, {"role": "user", "content": "And now?"}]
        post_ok(server, alice, {"model": "upstream", "messages": messages, "stream": False}, dialect)
        assert upstream.body["messages"][1:] == [
            {"role": "assistant", "content": TEXT},
            {"role": "user", "content": "And now?"},
        ]
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 4


def test_a_teammate_may_continue_from_an_audio_id_but_no_stranger(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    body = spoken_request(stream=False)
    audio = post_ok(server, alice, body)["choices"][0]["message"]["audio"]
    again = {
        "model": "text-only",
        "messages": [
            *body["messages"],
            {"role": "assistant", "audio": {"id": audio["id"]}},
            {"role": "user", "content": "And now?"},
        ],
        "stream": False,
    }
    post_ok(server, bob, again)
    before = row_counts()
    for dialect in ("native", "openai"):
        assert_no_such_audio(post(server, charlie, again, dialect))
        unknown = {
            **again,
            "messages": [*body["messages"], {"role": "assistant", "audio": {"id": "audio_x"}}],
        }
        assert_no_such_audio(post(server, alice, unknown, dialect))
    SpokenAnswer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    for dialect in ("native", "openai"):
        assert_no_such_audio(post(server, alice, again, dialect))
    assert row_counts() == before


def test_a_sound_stays_while_any_conversation_has_it(server: Server, alice: Person, bob: Person) -> None:
    body = spoken_request(stream=False)
    audio = post_ok(server, alice, body)["choices"][0]["message"]["audio"]
    said = {"role": "assistant", "audio": {"id": audio["id"]}}
    again = [*body["messages"], said, {"role": "user", "content": "And now?"}]
    post_ok(server, bob, {"model": "text-only", "messages": again, "stream": False})
    urls = [_sound_url(server, bob, conversation) for conversation in Conversation.objects.order_by("id")]

    delete_conversations(Conversation.objects.filter(api_key__user=alice.user))
    delete_unused(timezone.now() + timedelta(days=1))

    with server.client() as anybody:
        assert [anybody.get(url).status_code for url in urls] == [404, 200]


def _sound_url(server: Server, who: Person, conversation: Conversation) -> str:
    with server.client(who) as client:
        items = client.get(f"/v1/conversations/{conversation.public_id}/items").json()["data"]
    [url] = [part["audio"]["asset"]["url"] for item in items for part in item["content"] if "audio" in part]
    return str(url)


def assert_no_such_audio(refused: Any) -> None:
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == ("audio_not_found", "messages[1].audio.id")


def test_the_sdk_holds_a_spoken_conversation(sdk: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "Hello."}]
    for words in ("How are you?", "Good bye."):
        answer = sdk.chat.completions.create(
            model="text-only",
            messages=messages,
            modalities=["text", "audio"],
            audio={"voice": VOICE, "format": "mp3"},
        )
        audio = answer.choices[0].message.audio
        assert audio
        assert seconds_of(b64decode(audio.data)) > 0.5
        messages += [{"role": "assistant", "audio": {"id": audio.id}}, {"role": "user", "content": words}]
    assert Conversation.objects.count() == 1


# --- cut off ----------------------------------------------------------------------------------------


def assert_what_was_spoken_is_kept(completion: Completion, heard: bytes) -> None:
    """Assert that the stored sound begins with what the client heard and can be sent back."""
    part = spoken_part(completion)
    assert part.blob
    assert part.expires_at
    asset = Asset.objects.get(sha256=part.blob.sha256)
    with default_storage.open(asset.storage_name) as file:
        assert file.read().startswith(heard)
    assert part.transcript
    assert LONG.startswith(part.transcript)
    assert completion.answers.get().parts[0].text.startswith(part.transcript)
    assert SpokenAnswer.objects.count() == 1
    assert completion.completion_audio_tokens > 0


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_cancelled_answer_keeps_what_was_spoken(server: Server, alice: Person, dialect: str) -> None:
    chunks = []
    with server.client(alice) as client:
        for chunk in stream_of(server, alice, spoken_request(ENDLESS, slow=0.02), dialect):
            chunks.append(chunk)
            if "data" in audio_in(chunk) and len(sound_in(chunks)) > RATE:
                client.post(f"/v1/chat/completions/{chunks[0]['id']}/cancel")
                break
    completion = ended_completion()
    assert completion.state == "cancelled"
    assert_what_was_spoken_is_kept(completion, sound_in(chunks))


def test_a_cancelled_stream_says_until_when_it_can_be_sent_back(server: Server, alice: Person) -> None:
    chunks: list[dict[str, Any]] = []
    for chunk in stream_of(server, alice, spoken_request(ENDLESS, slow=0.02)):
        chunks.append(chunk)
        if len(chunks) == 1:
            pump = server.only_pump()
        if "data" in audio_in(chunk):
            server.loop.call_soon_threadsafe(pump.cancel)
    assert chunks[-1]["error"]["code"] == "cancelled"
    assert [one for chunk in chunks if (one := audio_in(chunk).get("expires_at"))] == [
        spoken_part(ended_completion()).expires_at
    ]
    kept = stored(server, alice, chunks[0]["id"])["choices"][0]["message"]
    [message] = messages_of(chunks[:-1]).values()
    assert kept["audio"].items() >= message["audio"].items()
    assert kept["content"] == message["content"]


def test_a_client_that_leaves_stops_the_voice_too(server: Server, alice: Person) -> None:
    chunks = []
    for chunk in stream_of(server, alice, spoken_request(ENDLESS, slow=0.02)):
        chunks.append(chunk)
        if "data" in audio_in(chunk):
            break
    completion = ended_completion()
    assert completion.state == "cancelled"
    assert_what_was_spoken_is_kept(completion, sound_in(chunks))


def test_a_synthesizer_that_is_killed_fails_the_sound_and_keeps_the_text(
    server: Server, alice: Person
) -> None:
    synthesizer = new_synthesizer(server, alice)
    Completion.objects.all().delete()

    chunks: list[dict[str, Any]] = []
    for chunk in stream_of(server, alice, spoken_request(LONG, slow=0.01)):
        chunks.append(chunk)
        if len(chunks) == 3:
            kill(synthesizer, signal.SIGSTOP)  # it never answers what it is asked from now on
        if "error" not in chunk and text_of(chunks) == LONG:
            kill(synthesizer)
    assert chunks[-1]["error"]["code"] == "speech_failed"
    completion = ended_completion()
    assert completion.state == "failed"
    assert completion.answers.get().parts[0].text == LONG == text_of(chunks[:-1])

    chunks = list(stream_of(server, alice, spoken_request("Once more.")))
    assert seconds_in(sound_in(chunks)) > 0.3
    [message] = messages_of(chunks).values()
    assert message["finish_reason"] == "stop"


def test_a_whole_answer_that_cannot_be_spoken_is_an_error_and_its_texts_are_kept(
    server: Server, alice: Person
) -> None:
    with no_sandbox_worker():
        answer = post(server, alice, spoken_request_in("wav", n=2))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "speech_failed"
    assert [message.parts[0].text for message in ended_completion().answers.all()] == [TEXT, TEXT]


# --- an upstream that speaks itself -----------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_an_upstreams_own_voice_is_passed_through(server: Server, alice: Person, dialect: str) -> None:
    pieces = [bytes([n, n]) * 3 * 100 for n in range(1, 6)]
    words = ["Good ", "morning ", "to ", "you ", "all."]
    expires_at = int(time.time()) + 600
    said = [delta(audio={"id": "audio_theirs"})]
    for piece, word in zip(pieces, words, strict=True):
        said += [delta(audio={"transcript": word}), delta(audio={"data": b64encode(piece).decode()})]
    said.append(delta(audio={"expires_at": expires_at}))
    with upstream_model(server, output_modalities=("text", "audio")) as upstream:
        upstream.will(stream(*said, end()))
        body = spoken_request(model="upstream") | {"audio": {"voice": "their-own", "format": "pcm16"}}
        chunks = list(stream_of(server, alice, body, dialect))
        assert upstream.body["audio"] == {"voice": "their-own", "format": "pcm16"}
        assert upstream.body["modalities"] == ["text", "audio"]
    [message] = messages_of(chunks).values()
    assert message["audio"] == {
        "id": "audio_theirs",
        "transcript": "".join(words),
        "data": b64encode(b"".join(pieces)).decode(),
        "expires_at": expires_at,
    }
    kept = stored(server, alice, chunks[0]["id"])["choices"][0]["message"]
    assert kept["audio"].items() >= message["audio"].items()


@pytest.mark.parametrize("how", ["by its id", "by its id and its text", "by its text"])
def test_what_an_upstream_said_can_be_sent_back(server: Server, alice: Person, how: str) -> None:
    """It gave no text, so a client shows and sends back the transcript."""
    body: dict[str, Any] = {
        "model": "scripted",
        "messages": [{"role": "user", "content": "Hello"}],
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
    }
    answer = post_ok(server, alice, body)["choices"][0]["message"]
    assert answer["content"] is None
    again = REPLAYS[how]({**answer, "content": answer["audio"]["transcript"]})
    body["messages"] += [{"role": "assistant", **again}, {"role": "user", "content": "And now?"}]
    post_ok(server, alice, body)
    assert Conversation.objects.count() == 1


def test_a_model_that_does_not_speak_is_asked_for_text_only(server: Server, alice: Person) -> None:
    with upstream_model(server) as upstream:
        upstream.will(stream(say("Good "), say("morning."), end()))
        chunks = list(stream_of(server, alice, spoken_request(model="upstream")))
        assert not {"audio", "modalities"} & upstream.body.keys()
    assert "".join(audio_in(chunk).get("transcript", "") for chunk in chunks) == "Good morning."
