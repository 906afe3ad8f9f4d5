"""Media of conversations in the admin: pictures, sounds, and the words in them."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from conversations.models import Conversation, Message
from core.blob import Blob
from engines.messages import AudioPart, FilePart, ImagePart, SpokenPart
from media.services import PICTURE_RENDITIONS, SOUND_RENDITIONS, SPEECH_RENDITIONS
from media.signed_urls import target_of_token
from tests.support.history_rows import add_message, conversation_of, finish_rendition, store_held_file
from tests.support.media_requests import make_due_renditions
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def reviewer(db: None) -> Client:
    """A staff user who may view the history and do nothing else."""
    user = User.objects.create_user("rita@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def conversation(alice: Person) -> Conversation:
    return conversation_of(alice)


def detail(row: Conversation | Message) -> str:
    return f"/admin/conversations/{row._meta.model_name}/{row.pk}/change/"


def thread(conversation: Conversation, reader: Client) -> str:
    page = reader.get(detail(conversation))
    assert page.status_code == 200
    return page.text


def kinds_opened(page: str, attribute: str) -> list[str | None]:
    """The kind of rendition that each signed URL opens; None is the original."""
    tokens = re.findall(rf'{attribute}="/media/([^"]+)"', page)
    found = [target_of_token(token) for token in tokens]
    assert all(found)
    return [one.kind for one in found if one]


@pytest.mark.django_db(transaction=True)  # a lease is renewed from another thread
def test_a_thumbnail_links_to_a_picture_without_metadata(
    reviewer: Client, conversation: Conversation
) -> None:
    blob = store_held_file(
        conversation,
        encode_picture(quarters(600, 400)),
        "image/png",
        *PICTURE_RENDITIONS,
        width=600,
        height=400,
    )
    add_message(conversation, "user", ImagePart(blob))
    make_due_renditions()

    page = thread(conversation, reviewer)

    assert kinds_opened(page, "src") == ["thumbnail"]
    assert kinds_opened(page, "href") == ["picture", None]
    assert re.findall(r'href="/media/[^"]+"[^>]*>(original)?', page) == ["", "original"]
    assert "600 × 400" in page
    assert "picture ready" in page
    assert blob.sha256 not in page


def test_text_in_a_picture_is_shown_and_escaped(reviewer: Client, conversation: Conversation) -> None:
    blob = store_held_file(conversation, b"picture", "image/png", "text")
    finish_rendition(conversation, blob, "text", content={"text": f"Total 11.10 {SCRIPT}"})
    add_message(conversation, "user", ImagePart(blob))

    page = thread(conversation, reviewer)

    assert "Total 11.10 &lt;script&gt;" in page
    assert SCRIPT not in page


@pytest.mark.parametrize(
    ("ready", "played"),
    [((), [None]), (("wav",), ["wav"]), (("opus", "mp3", "wav"), ["opus", "mp3", "wav"])],
)
def test_a_sound_is_played_from_its_renditions(
    ready: tuple[str, ...], played: list[str | None], reviewer: Client, conversation: Conversation
) -> None:
    blob = store_held_file(
        conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS, *SPEECH_RENDITIONS, milliseconds=2345
    )
    for kind in ready:
        finish_rendition(conversation, blob, kind, media_type="audio/x", size=3)
    add_message(conversation, "user", AudioPart(blob, "mp3"))

    page = thread(conversation, reviewer)

    assert page.count('<audio controls preload="none">') == 1
    assert kinds_opened(page, "src") == played
    assert kinds_opened(page, "href") == [None]
    assert "2.3 s" in page


def test_the_transcript_is_shown_beside_the_player(reviewer: Client, conversation: Conversation) -> None:
    heard = store_held_file(conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS)
    finish_rendition(
        conversation, heard, "transcript", content={"text": f"What time is it? {SCRIPT}", "passages": []}
    )
    asked = add_message(conversation, "user", AudioPart(heard, "mp3"))
    answer = store_held_file(conversation, b"answer", "audio/wav", *SPEECH_RENDITIONS)
    add_message(conversation, "assistant", SpokenPart("audio_1", f"Noon. {SCRIPT}", answer), after=asked)

    page = thread(conversation, reviewer)

    assert re.findall(r"<h4>Transcript</h4><pre>(.*?)</pre>", page) == [
        "What time is it? &lt;script&gt;alert(1)&lt;/script&gt;",
        "Noon. &lt;script&gt;alert(1)&lt;/script&gt;",
    ]
    assert page.count("<audio ") == 2


def test_the_state_of_each_rendition_is_shown_with_its_error(
    reviewer: Client, conversation: Conversation
) -> None:
    blob = store_held_file(conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS)
    finish_rendition(conversation, blob, "transcript", state="failed", error=f"It is cut off. {SCRIPT}")
    add_message(conversation, "user", AudioPart(blob, "mp3"))

    page = thread(conversation, reviewer)

    assert 'title="It is cut off. &lt;script&gt;' in page
    assert "transcript failed" in page
    assert "wav pending" in page
    assert SCRIPT not in page


def test_a_document_is_linked_and_never_embedded(reviewer: Client, conversation: Conversation) -> None:
    blob = store_held_file(conversation, b"<html>", "text/plain")
    add_message(conversation, "user", FilePart(blob, "page.html"))

    page = thread(conversation, reviewer)

    assert "page.html" in page
    assert kinds_opened(page, "href") == [None]
    assert not re.search(r"<(img|audio|iframe|object|embed)\b", page)


def test_a_freed_file_is_still_named(reviewer: Client, conversation: Conversation) -> None:
    add_message(
        conversation,
        "user",
        ImagePart(Blob("cd" * 32, "image/png", 99), url="https://example.com/a.png"),
        SpokenPart("audio_1", "Still to be read", Blob("ef" * 32, "audio/wav", 98)),
    )

    page = thread(conversation, reviewer)

    assert f"https://example.com/a.png image/png, 99 bytes, {'cd' * 32}: no longer kept" in page
    assert "Still to be read" in page
    assert kinds_opened(page, "src") == kinds_opened(page, "href") == []


def test_a_long_thread_of_media_costs_two_more_queries(
    reviewer: Client,
    conversation: Conversation,
    alice: Person,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    message = None
    for number in range(20):
        seen = store_held_file(conversation, b"picture %d" % number, "image/png", *PICTURE_RENDITIONS)
        finish_rendition(conversation, seen, "thumbnail", media_type="image/webp", size=5)
        spoken = store_held_file(conversation, b"sound %d" % number, "audio/wav", *SPEECH_RENDITIONS)
        finish_rendition(conversation, spoken, "peaks", content={"lowest": [-99] * 800})
        message = add_message(conversation, "user", ImagePart(seen), AudioPart(spoken, "wav"), after=message)

    with django_assert_max_num_queries(14) as queries:
        page = thread(conversation, reviewer)

    assert page.count("<img ") == page.count("<audio ") == 20
    [renditions] = [row["sql"] for row in queries.captured_queries if 'FROM "media_rendition"' in row["sql"]]
    contents = renditions.count('"media_rendition"."content"')
    assert contents == renditions.count('THEN "media_rendition"."content"') == 1


def test_one_message_shows_its_media(conversation: Conversation) -> None:
    user = User.objects.create_user("rita@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_message", "view_asset")))
    reader = Client()
    reader.force_login(user)
    blob = store_held_file(conversation, b"sound", "audio/mpeg", *SOUND_RENDITIONS)
    message = add_message(conversation, "user", AudioPart(blob, "mp3"))

    assert kinds_opened(reader.get(detail(message)).text, "src") == [None]


def test_a_user_who_may_view_only_assets_sees_no_conversation(conversation: Conversation) -> None:
    user = User.objects.create_user("rita@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="media"))
    reader = Client()
    reader.force_login(user)
    add_message(conversation, "user", "Hello")

    assert reader.get(detail(conversation)).status_code == 403


def test_pages_cannot_be_framed(reviewer: Client, conversation: Conversation) -> None:
    add_message(conversation, "user", ImagePart(store_held_file(conversation, b"picture", "image/png")))

    assert reviewer.get(detail(conversation))["x-frame-options"] == "DENY"
