"""What hostile users try with pictures, sounds and files, and how it ends."""

import asyncio
import tracemalloc
from collections.abc import Iterator

import pytest

from conversations.models import Completion
from media.processing.exceptions import UnreadableMedia
from media.storage.operations import walk
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.fake_websites import Visit
from tests.support.leaving import leave_unanswered
from tests.support.media_requests import (
    b64,
    picture,
    picture_at,
    post,
    post_ok,
    row_counts,
    site_for,
    sound,
    sound_file_part,
    text,
    upload_file,
    upstream_model,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import PATHS, Server
from tests.support.sounds import sound_file


@pytest.fixture(autouse=True)
def finish_renditions(server: Server, recognizer: FakeRecognizer) -> Iterator[None]:
    yield
    server.until_idle()
    wait_for_renditions()


SHORT = {
    "one sample": (b"\1\2", "pcm16"),
    "a millisecond": (bytes(48), "pcm16"),
    "an MP3 of padding": (sound_file("mp3", 0.001), "mp3"),
    "an Opus of padding": (sound_file("opus", 0.001), "opus"),
    "an M4A of padding": (sound_file("m4a", 0.0001), "m4a"),
}


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("kind", SHORT)
def test_a_sound_too_short_to_leave_anything(server: Server, alice: Person, kind: str, dialect: str) -> None:
    before = row_counts()
    answer = post(
        server, alice, user_request(text("Listen."), sound(*SHORT[kind]), model="text-only"), dialect
    )
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("messages[0].content[1].input_audio", "invalid_media")
    assert row_counts() == before


@pytest.mark.parametrize("more", [{}, {"ssml_enabled": True, "modalities": ["text", "audio"]}])
def test_a_part_that_workers_cannot_read_is_named_as_the_client_sent_it(
    server: Server, alice: Person, recognizer: FakeRecognizer, more: dict[str, object]
) -> None:
    recognizer.will_fail(UnreadableMedia("Nobody can read this."))
    body = user_request(text("Listen."), sound(sound_file("mp3")), model="text-only", **more)
    answer = post(server, alice, body, "native")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "messages[0].content[1].input_audio"
    completion = Completion.objects.get()
    assert (completion.state, completion.prompt_tokens, completion.transcript_tokens) == ("failed", 0, 0)
    assert not completion.usage_estimated


def test_an_unreadable_part_behind_stored_messages_is_named_too(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    recognizer.will_fail(UnreadableMedia("Nobody can read this."))
    first = post(server, alice, user_request(text("Hello."), model="text-only"), "native")
    conversation = first.headers["x-conversation-id"]
    body = user_request(sound(sound_file("mp3")), model="text-only", conversation_id=conversation)
    answer = post(server, alice, body, "native")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "messages[0].content[0].input_audio"


def test_a_client_that_leaves_before_the_model_is_asked_pays_nothing(
    server: Server, alice: Person, recognizer: FakeRecognizer
) -> None:
    recognizer.wait()
    body = user_request(text("Listen. " * 50), sound(sound_file("mp3")), model="text-only", stream=True)
    try:
        leave_unanswered(server, alice, body, lambda: recognizer.state == "open")
        server.until_idle()
    finally:
        recognizer.go_on()
    completion = Completion.objects.get()
    assert (completion.state, completion.prompt_tokens) == ("cancelled", 0)


def test_a_large_text_file_is_not_read_whole(server: Server, alice: Person) -> None:
    size = 24 * 2**20
    file_id = upload_file(server, alice, b"caf\xc3\xa9 " * (size // 6), "large.txt")
    with upstream_model(server) as reader:
        tracemalloc.start()
        try:
            post_ok(
                server, alice, user_request({"type": "file", "file": {"file_id": file_id}}, text("Read."))
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        seen = str(reader.body)
    assert peak < size / 2
    assert f"[Cut: the file has {size // 6 * 6} bytes.]" in seen
    assert seen.count("café") == 40_000


def test_files_that_are_named_too_often(server: Server, alice: Person) -> None:
    text_id = upload_file(server, alice, b"x" * 200_000, "long.txt")
    texts = [{"type": "file", "file": {"file_id": text_id}}] * 21
    melody = upload_file(server, alice, sound_file("wav", 60), "long.wav")
    size = len(sound_file("wav", 60))
    sounds = [sound_file_part(melody)] * (128 * 2**20 // size + 1)
    with upstream_model(server, input_modalities=("text", "audio")) as upstream:
        for parts in (texts, sounds):
            answer = post(server, alice, user_request(*parts))
            assert answer.status_code == 400, answer.text[:200]
            assert answer.json()["error"]["code"] == "media_too_large"
        assert not upstream.requests


def test_a_workspace_without_room_leaves_nothing_on_the_disk(server: Server, alice: Person) -> None:
    alice.workspace.media_quota = 1000
    alice.workspace.save()
    part = {"type": "file", "file": {"file_data": b64(b"Some notes. " * 100)}}
    answer = post(server, alice, user_request(part, model="text-only"))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "storage_quota_exceeded"
    assert list(walk(alice.workspace.pk.hex)) == []


def test_good_files_of_a_refused_call_are_not_left_on_the_disk(server: Server, alice: Person) -> None:
    body = user_request(sound(sound_file("mp3")), picture(b"This is no picture."), model="scripted")
    assert post(server, alice, body).status_code == 400
    assert list(walk(alice.workspace.pk.hex)) == []


def test_what_was_fetched_for_a_refused_call_is_not_left_on_the_disk(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(visit: Visit) -> None:
        if visit.path == "/late":
            await asyncio.sleep(0.5)
            await visit.answer(b"This is no picture.")
        else:
            await visit.answer(encode_picture(quarters()))

    with site_for(server, monkeypatch, serve) as site:
        late = user_request(picture_at(site.url("/picture")), picture_at(site.url("/late")), model="scripted")
        assert post(server, alice, late).json()["error"]["param"] == "messages[0].content[1].image_url"
        assert list(walk(alice.workspace.pk.hex)) == []

        alice.workspace.media_quota = 10
        alice.workspace.save()
        answer = post(server, alice, user_request(picture_at(site.url("/other")), model="scripted"))
        assert answer.json()["error"]["code"] == "storage_quota_exceeded"
        assert list(walk(alice.workspace.pk.hex)) == []
