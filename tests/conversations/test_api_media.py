"""Pictures and sound in the history: their URLs, their text and their transcripts."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.models import Conversation, ConversationAsset
from engines.messages import AudioPart, FilePart, ImagePart, Part, SpokenPart
from media.models import Asset
from media.services import PICTURE_RENDITIONS, SOUND_RENDITIONS, SPEECH_RENDITIONS
from media.signed_urls import target_of_token
from tests.support.history_rows import (
    add_message,
    completion_of,
    conversation_of,
    finish_rendition,
    store_held_file,
)
from tests.support.item_requests import listed
from tests.support.media_requests import (
    make_due_renditions,
    picture,
    post_ok,
    text,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import Server
from tests.support.sounds import sound_file, wav
from tests.support.speech_samples import RATE, speak_english

AUTHENTICATION = 1
WITHOUT_MEDIA = 7
"""The queries of a page of what clients wrote; `test_item_branches.py` counts those of answers."""
PEAKS = {"lowest": [-3, -8], "highest": [4, 7], "milliseconds": 1500}


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return conversation_of(alice)


def shown(conversation: Conversation, role: str, part: Part, who: Person, client: Client) -> Any:
    add_message(conversation, role, part)
    [item] = listed(client, who, conversation)
    [content] = item["content"]
    return content


def opens(url: str) -> tuple[str, str | None]:
    """The SHA-256 of the asset that an address opens, and the kind of its rendition."""
    return target_of_path(url.removeprefix("http://testserver"))


def target_of_path(url: str) -> tuple[str, str | None]:
    path = urlsplit(url).path
    assert path.startswith("/media/")
    found = target_of_token(path.removeprefix("/media/"))
    assert found is not None
    return Asset.objects.get(id=found.asset_id).sha256, found.kind


def test_a_picture_has_its_size_its_thumbnail_and_the_text_in_it(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    blob = store_held_file(conversation, b"picture", "image/png", "thumbnail", "text", width=640, height=480)
    finish_rendition(conversation, blob, "thumbnail", media_type="image/webp", size=9)
    finish_rendition(conversation, blob, "text", content={"text": "Total 11.10"})

    part = shown(conversation, "user", ImagePart(blob), alice, client)

    assert opens(part["asset"].pop("url")) == (blob.sha256, None)
    assert opens(part.pop("image_url")) == (blob.sha256, None)
    assert opens(part.pop("thumbnail_url")) == (blob.sha256, "thumbnail")
    assert part == {
        "type": "input_image",
        "detail": "auto",
        "asset": {
            "sha256": blob.sha256,
            "media_type": "image/png",
            "bytes": 7,
            "width": 640,
            "height": 480,
        },
        "text": "Total 11.10",
    }


def test_a_picture_that_was_never_read_has_no_text_and_an_empty_one_an_empty_text(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    never = store_held_file(conversation, b"1", "image/png", "thumbnail")
    empty = store_held_file(conversation, b"2", "image/png", "text")
    finish_rendition(conversation, empty, "text", content={"text": ""})
    add_message(conversation, "user", ImagePart(never), ImagePart(empty))

    first, second = listed(client, alice, conversation)[0]["content"]

    assert "text" not in first
    assert "thumbnail_url" not in first
    assert second["text"] == ""


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_a_sound_has_no_transcript_until_it_is_transcribed(
    state: str, conversation: Conversation, alice: Person, client: Client
) -> None:
    blob = store_held_file(conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS, milliseconds=2345)
    finish_rendition(conversation, blob, "transcript", state=state, error="x" if state == "failed" else "")

    waiting = shown(conversation, "user", AudioPart(blob, "mp3"), alice, client)
    finish_rendition(conversation, blob, "transcript", content={"text": "Hello.", "passages": []}, error="")
    heard = listed(client, alice, conversation)[0]["content"][0]

    assert "transcript" not in waiting["audio"]
    assert waiting["audio"]["asset"]["seconds"] == 2.345
    assert opens(waiting["audio"]["asset"]["url"]) == opens(waiting["file_url"]) == (blob.sha256, None)
    assert heard["audio"]["transcript"] == "Hello."
    assert set(heard) == {"type", "file_url", "audio"}
    assert set(heard["audio"]) == {"format", "asset", "transcript"}


def test_a_sound_that_was_made_playable_has_what_players_need(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    blob = store_held_file(conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS, "opus", "peaks")
    finish_rendition(conversation, blob, "opus", media_type="audio/ogg", size=10)

    part = shown(conversation, "user", AudioPart(blob, "mp3"), alice, client)

    assert [row["kind"] for row in part["audio"]["renditions"]] == ["opus", "peaks"]
    assert opens(part["audio"]["renditions"][0]["url"]) == (blob.sha256, "opus")


def test_a_spoken_answer_has_what_players_need(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    blob = store_held_file(conversation, b"\0\0" * 36_000, "audio/pcm;rate=24000", *SPEECH_RENDITIONS)
    finish_rendition(conversation, blob, "opus", media_type="audio/ogg", size=10)
    finish_rendition(conversation, blob, "mp3", state="failed", error="The sound is cut off.")
    finish_rendition(conversation, blob, "peaks", content=PEAKS)

    spoken = SpokenPart("audio_1", "Hi", blob, 1767268800)
    content = shown(conversation, "assistant", spoken, alice, client)
    part = content["audio"]
    opus, mp3, peaks = part["renditions"]

    assert (content["type"], content["text"]) == ("output_text", "Hi")
    assert (part["id"], part["transcript"], part["asset"]["seconds"]) == ("audio_1", "Hi", 1.5)
    assert opens(opus["url"]) == (blob.sha256, "opus")
    assert [row["kind"] for row in part["renditions"]] == ["opus", "mp3", "peaks"]
    assert [row["state"] for row in part["renditions"]] == ["ready", "failed", "ready"]
    assert (mp3["url"], mp3["error"]) == (None, "The sound is cut off.")
    assert (peaks["url"], peaks["content"]) == (None, PEAKS)


def test_a_stored_completion_says_where_its_sound_is(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    question = add_message(conversation, "user", "Speak")
    completion = completion_of(alice, question)
    blob = store_held_file(conversation, b"RIFF", "audio/wav", *SPEECH_RENDITIONS, milliseconds=10)
    finish_rendition(conversation, blob, "mp3", media_type="audio/mpeg", size=10)
    part = SpokenPart("audio_1", "Hi", blob, 1767268800)
    add_message(conversation, "assistant", part, after=question, completion=completion, choice=0)

    found = client.get(f"/v1/chat/completions/{completion.public_id}", headers=alice.headers).json()
    audio = found["choices"][0]["message"]["audio"]

    assert set(audio) == {"id", "transcript", "expires_at", "data", "asset", "renditions"}
    assert target_of_path(audio["asset"]["url"]) == (blob.sha256, None)
    assert [(row["kind"], row["state"]) for row in audio["renditions"]] == [
        ("opus", "pending"),
        ("mp3", "ready"),
        ("peaks", "pending"),
    ]


def test_a_document_can_be_downloaded(conversation: Conversation, alice: Person, client: Client) -> None:
    blob = store_held_file(conversation, b"%PDF-", "application/pdf")

    part = shown(conversation, "user", FilePart(blob, "a.pdf"), alice, client)

    assert opens(part["asset"]["url"]) == opens(part["file_url"]) == (blob.sha256, None)
    assert (part["type"], part["filename"]) == ("input_file", "a.pdf")


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_freed_file_is_named_but_not_linked(
    role: str, conversation: Conversation, alice: Person, client: Client
) -> None:
    blob = store_held_file(conversation, b"gone", "audio/wav", *SPEECH_RENDITIONS)
    ConversationAsset.objects.all().delete()
    Asset.objects.all().delete()
    part = AudioPart(blob, "wav") if role == "user" else SpokenPart("audio_1", "Hi", blob)

    found = shown(conversation, role, part, alice, client)

    assert found["audio"]["asset"] == {"sha256": blob.sha256, "media_type": "audio/wav", "bytes": 4}
    assert not {"renditions", "file_url"} & {*found, *found["audio"]}


def test_a_picture_that_is_no_longer_kept_is_where_it_came_from(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    blob = store_held_file(conversation, b"gone", "image/png")
    part = ImagePart(blob, "https://example.com/a.png")
    kept = shown(conversation, "user", part, alice, client)
    assert opens(kept["image_url"]) == (blob.sha256, None)
    ConversationAsset.objects.all().delete()
    Asset.objects.all().delete()
    gone = listed(client, alice, conversation)[0]["content"][0]

    assert kept["source_url"] == gone["source_url"] == gone["image_url"] == "https://example.com/a.png"


def test_a_strangers_file_of_the_same_bytes_stays_theirs(
    conversation: Conversation, alice: Person, charlie: Person, client: Client
) -> None:
    blob = store_held_file(conversation_of(charlie), b"same", "image/png", "thumbnail", width=1, height=1)

    part = shown(conversation, "user", ImagePart(blob), alice, client)

    assert set(part["asset"]) == {"sha256", "media_type", "bytes"}


def test_a_page_full_of_media_costs_two_more_queries(
    conversation: Conversation,
    alice: Person,
    client: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    message = None
    for number in range(12):
        seen = store_held_file(conversation, b"picture %d" % number, "image/png", *PICTURE_RENDITIONS, "text")
        heard = store_held_file(conversation, b"sound %d" % number, "audio/wav", *SOUND_RENDITIONS)
        parts = (ImagePart(seen), AudioPart(heard, "wav"))
        message = add_message(conversation, "user", *parts, after=message)
        answer = store_held_file(conversation, b"answer %d" % number, "audio/wav", *SPEECH_RENDITIONS)
        message = add_message(
            conversation, "assistant", SpokenPart(f"audio_{number}", "Hi", answer), after=message
        )

    with django_assert_num_queries(WITHOUT_MEDIA + 2) as queries:
        page = listed(client, alice, conversation, "limit=20")

    assert len(page) == 20
    shown = [part for item in page for part in item["content"]]
    assert all("url" in part.get("audio", part)["asset"] for part in shown)
    media = [query["sql"] for query in queries.captured_queries if 'FROM "media_' in query["sql"]]
    assert [sql.partition('FROM "')[2].partition('"')[0] for sql in media] == [
        "media_asset",
        "media_rendition",
    ]


def test_a_list_of_conversations_reads_nothing_of_their_media(
    conversation: Conversation,
    alice: Person,
    client: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    add_message(
        conversation,
        "user",
        ImagePart(store_held_file(conversation, b"picture", "image/png", *PICTURE_RENDITIONS)),
    )

    with django_assert_num_queries(AUTHENTICATION + 2) as queries:
        client.get("/v1/conversations", headers=alice.headers)

    assert not any("media_" in query["sql"] for query in queries.captured_queries)


def test_a_picture_that_was_sent_is_shown_without_a_key(server: Server, alice: Person) -> None:
    data = encode_picture(quarters(600, 400))
    post_ok(server, alice, user_request(text("What is this?"), picture(data), model="scripted"))
    wait_for_renditions()

    with server.client(alice) as client:
        [conversation] = client.get("/v1/conversations").json()["data"]
        page = client.get(f"/v1/conversations/{conversation['id']}/items?order=asc").json()["data"]
    part = page[0]["content"][1]
    with server.client() as browser:
        small, original = browser.get(part["thumbnail_url"]), browser.get(part["image_url"])

    assert part["image_url"].startswith(f"{server.url}/media/")
    assert (part["asset"]["width"], part["asset"]["height"]) == (600, 400)
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    assert (original.status_code, original.content) == (200, data)
    assert small.headers["content-disposition"] == "inline"


@pytest.mark.django_db(transaction=True)  # a lease is renewed from another thread
def test_a_real_sound_is_made_playable(conversation: Conversation, alice: Person, client: Client) -> None:
    blob = store_held_file(conversation, sound_file("wav", 0.5), "audio/wav", *SPEECH_RENDITIONS)
    make_due_renditions()

    part = shown(conversation, "assistant", SpokenPart("audio_1", "A tone", blob), alice, client)["audio"]
    opus, mp3, peaks = part["renditions"]

    assert [row["state"] for row in (opus, mp3, peaks)] == ["ready"] * 3
    assert (opus["media_type"], mp3["media_type"]) == ("audio/ogg", "audio/mpeg")
    assert max(peaks["content"]["highest"]) > 10
    assert part["asset"]["seconds"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.django_db(transaction=True)
@pytest.mark.speech_model
@pytest.mark.xdist_group("models")
def test_the_transcript_is_shown_with_the_sound(
    conversation: Conversation, alice: Person, client: Client
) -> None:
    data = wav(speak_english("Good morning.").tobytes(), rate=RATE)
    blob = store_held_file(conversation, data, "audio/wav", *SOUND_RENDITIONS, milliseconds=1000)
    make_due_renditions()

    part = shown(conversation, "user", AudioPart(blob, "wav"), alice, client)

    assert "good morning" in part["audio"]["transcript"].lower()
